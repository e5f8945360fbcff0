//! The JSON encoding, read by serde.

pub(crate) mod event;
pub(crate) mod head;
pub(crate) mod job;
mod path;
pub(crate) mod pod;
mod spec;
mod status;
#[cfg(test)]
mod tests;
mod values;

use crate::error::FieldError;
use alloc::borrow::Cow;
use serde::Deserialize;
pub(crate) use values::{Object, Text};

/// Reads a whole text. Skipped strings must be UTF-8 too.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, FieldError> {
    let text = match core::str::from_utf8(json) {
        Ok(text) => text,
        Err(error) => {
            let byte = error.valid_up_to();
            return Err(FieldError::at(&path::at(json, byte), Cow::Borrowed("is not UTF-8"), byte));
        }
    };
    serde_json::from_str(text).map_err(|error| describe(json, &error))
}

/// Serde's error, with the path of the field in place of line and column.
///
/// The path is found by a second pass over the text, so that reading without an error costs nothing extra.
#[cold]
pub(crate) fn describe(json: &[u8], error: &serde_json::Error) -> FieldError {
    // Line and column count from 1; the column is that of the last byte that was looked at.
    let line = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', json).nth(line - 2).map_or(json.len(), |end| end + 1),
    };
    let byte = (line + error.column().saturating_sub(1)).min(json.len());
    let problem = path::problem(error);
    let path = path::at(json, byte);
    // Serde reports a missing field at the end of the object, after another field.
    let path = match path.rsplit_once('.') {
        Some((object, _)) if problem.starts_with("missing field") => object,
        _ => &path,
    };
    FieldError::at(path, Cow::Owned(problem), byte)
}
