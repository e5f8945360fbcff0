//! Printing that does not panic when nobody reads: the exit status matters more than the words.

use std::io::Write;

/// A line on standard output: results only.
pub(crate) fn result(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error: what happened, for people.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "podwait: {line}");
}
