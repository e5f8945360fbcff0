//! Foreign text in errors.

use podwait_core::one_line;

/// Longest piece of foreign text that an error quotes, in bytes.
pub(crate) const LONGEST_QUOTE: usize = 200;

/// The same error with its text safe for a terminal: serde quotes foreign text unchanged.
pub(crate) fn clean(error: &serde_json::Error) -> serde_json::Error {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    let (words, place) = match text.strip_suffix(&place) {
        Some(words) => (words, &*place),
        None => (&*text, ""),
    };
    // serde_json reads a position at the end of a message as the error's position.
    serde::de::Error::custom(format!("{}{place}", one_line(words, LONGEST_QUOTE)))
}
