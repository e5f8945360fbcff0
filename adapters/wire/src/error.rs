//! Why bytes cannot be decoded, and where.

use crate::kind::Kind;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::error::Error;
use core::fmt;
use podwait_core::one_line;

/// Longest kind that an error quotes, in bytes.
const LONGEST_KIND: usize = 64;

/// Longest path of a field that an error quotes, in bytes.
const LONGEST_PATH: usize = 200;

/// Why bytes cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A field cannot be read, or the bytes are not in the expected encoding at all.
    #[error("{0}")]
    Field(#[from] FieldError),
    /// A field is missing that identifies the object.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An object of another kind.
    #[error("not a {expected} but a {found}")]
    Kind {
        /// The kind that was expected.
        expected: &'static str,
        /// The kind that was found, with its `apiVersion` if that differs; cleaned and cut.
        found: String,
    },
    /// A frame of a watch, or a value of a LIST, is longer than [`LONGEST_OBJECT`](crate::LONGEST_OBJECT).
    #[error("an object is longer than {} bytes", crate::LONGEST_OBJECT)]
    TooLong,
}

impl DecodeError {
    /// Checks `kind` and `apiVersion`. Items of a LIST have neither.
    pub(crate) fn check_kind(expected: Kind, kind: &str, api_version: &str) -> Result<(), Self> {
        let Kind { name: expected, api_version: version } = expected;
        let found = if !kind.is_empty() && kind != expected {
            Cow::Borrowed(kind)
        } else if !api_version.is_empty() && api_version != version {
            Cow::Owned(format!("{expected} of {api_version}"))
        } else {
            return Ok(());
        };
        Err(Self::Kind { expected, found: one_line(&found, LONGEST_KIND).into_owned() })
    }
}

/// What is wrong with a field, and the field's path.
pub struct FieldError(Box<Inner>);

struct Inner {
    path: String,
    problem: Cow<'static, str>,
    /// Only of JSON.
    byte: Option<usize>,
}

impl FieldError {
    /// An error at this field; the callers add the path.
    #[cold]
    pub(crate) fn new(problem: &'static str) -> Self {
        Self(Box::new(Inner { path: String::new(), problem: Cow::Borrowed(problem), byte: None }))
    }

    /// An error in JSON at this byte.
    #[cold]
    pub(crate) fn at(path: &str, problem: Cow<'static, str>, byte: usize) -> Self {
        let path = one_line(path, LONGEST_PATH).into_owned();
        Self(Box::new(Inner { path, problem, byte: Some(byte) }))
    }

    /// Adds a part to the start of the path.
    fn add(&mut self, part: &str) {
        let path = &mut self.0.path;
        if !path.is_empty() && !path.starts_with('[') {
            path.insert(0, '.');
        }
        path.insert_str(0, part);
    }

    /// The path of the field, such as `status.containerStatuses[0].restartCount`; empty for the whole object.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { path, problem, byte } = &*self.0;
        let colon = if path.is_empty() { "" } else { ": " };
        write!(formatter, "{path}{colon}{problem}")?;
        byte.map_or(Ok(()), |byte| write!(formatter, " at byte {byte}"))
    }
}

impl fmt::Debug for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FieldError({self})")
    }
}

impl Error for FieldError {}

/// Adds the field to the path of an error.
pub(crate) trait Within {
    /// The error is in this field.
    fn within(self, field: &'static str) -> Self;

    /// The error is in this element.
    fn element(self, index: usize) -> Self;
}

impl<T> Within for Result<T, FieldError> {
    fn within(self, field: &'static str) -> Self {
        self.map_err(|mut error| {
            error.add(field);
            error
        })
    }

    fn element(self, index: usize) -> Self {
        self.map_err(|mut error| {
            error.add(&format!("[{index}]"));
            error
        })
    }
}
