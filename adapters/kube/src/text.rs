//! Foreign words in errors.

use podwait_core::one_line;

/// Longest piece of foreign text that an error repeats, in bytes.
pub(crate) const LONGEST_QUOTE: usize = 200;

/// The same error with its words fit for a terminal: serde repeats what it finds as it is.
pub(crate) fn clean(error: &serde_json::Error) -> serde_json::Error {
    let (text, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
    let (words, place) = match text.strip_suffix(&place) {
        Some(words) => (words, &*place),
        None => (&*text, ""),
    };
    // What has this place at its end gets it as its place again.
    serde::de::Error::custom(format!("{}{place}", one_line(words, LONGEST_QUOTE)))
}
