//! What is wrong with some JSON, and where.

use std::fmt;

/// Longest name of a field that an error repeats, in bytes.
const LONGEST_NAME: usize = 64;

/// What is wrong with some JSON, and where: the path of the field, and the byte.
#[derive(Debug)]
pub struct JsonError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// The innermost last; the fields and indices are added on the way out.
    path: String,
    problem: &'static str,
    found: &'static str,
    at: usize,
}

impl JsonError {
    /// Something is wrong at this byte.
    #[cold]
    pub(crate) fn new(problem: &'static str, at: usize) -> Self {
        Self(Box::new(Inner { path: String::new(), problem, found: "", at }))
    }

    /// Something else was expected than what begins with this byte.
    #[cold]
    pub(crate) fn found(expected: &'static str, byte: Option<u8>, at: usize) -> Self {
        let found = match byte {
            Some(b'{') => ", found an object",
            Some(b'[') => ", found a list",
            Some(b'"') => ", found a string",
            Some(b'-' | b'0'..=b'9') => ", found a number",
            Some(b't' | b'f') => ", found a boolean",
            Some(b'n') => ", found null",
            Some(_) => ", found something else",
            None => ", found the end",
        };
        Self(Box::new(Inner { path: String::new(), problem: expected, found, at }))
    }

    /// It is in this field.
    #[cold]
    pub(crate) fn in_field(mut self, name: &[u8]) -> Self {
        let name =
            String::from_utf8_lossy(&name[..name.len().min(LONGEST_NAME)]).replace(char::is_control, "?");
        let path = &mut self.0.path;
        if !path.is_empty() && !path.starts_with('[') {
            path.insert(0, '.');
        }
        path.insert_str(0, &name);
        self
    }

    /// It is in this element.
    #[cold]
    pub(crate) fn in_element(mut self, index: usize) -> Self {
        let dot = if self.0.path.is_empty() || self.0.path.starts_with('[') { "" } else { "." };
        self.0.path.insert_str(0, &format!("[{index}]{dot}"));
        self
    }

    /// Where the field is, such as `status.containerStatuses[0].restartCount`; empty for the document itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { path, problem, found, at } = &*self.0;
        let colon = if path.is_empty() { "" } else { ": " };
        write!(formatter, "{path}{colon}{problem}{found} at byte {at}")
    }
}

impl std::error::Error for JsonError {}
