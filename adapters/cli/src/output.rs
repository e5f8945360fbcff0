//! Prints everything except the lines of logs, and cleans text from elsewhere.
//!
//! Messages come from a pod's author, a node, a registry or a server, and names from a server that may not check them. No such
//! text moves the cursor, forges a line or fills the screen. Printing never panics and never changes the exit status.

use podwait::core::one_line;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Longest line of text, and longest string in a JSON line, in bytes.
const LONGEST: usize = 1000;

/// How long the final note may take if nothing reads standard error.
const FINAL_NOTE: Duration = Duration::from_secs(1);

/// A line that is fit for standard output.
pub(crate) struct Line(String);

impl Line {
    /// A JSON object. Its strings are cleaned.
    pub(crate) fn json(view: &impl Serialize) -> Self {
        Self::json_with(view, None)
    }

    /// The same, with one member whose text is kept: characters that control a terminal are escaped in it.
    pub(crate) fn json_with(view: &impl Serialize, raw: Option<&str>) -> Self {
        let mut value = serde_json::to_value(view).unwrap_or_default();
        clean_all(&mut value, raw);
        let mut line = Vec::new();
        let _ = value.serialize(&mut Serializer::with_formatter(&mut line, Escaped(CompactFormatter)));
        Self(String::from_utf8_lossy(&line).into_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for Line {
    /// A line of text, cleaned.
    fn from(line: T) -> Self {
        Self(clean(line.as_ref()).into_owned())
    }
}

/// Prints a line on standard output, which is for results only.
pub(crate) fn result(line: impl Into<Line>) {
    let line = format!("{}\n", line.into().0);
    let written = std::io::stdout().write_all(line.as_bytes());
    // A reader that has closed it needs no more results.
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        note(&format!("standard output cannot be written: {error}"));
    }
}

/// Prints a line on standard error, which reports what happened.
pub(crate) fn note(line: &str) {
    // In one write, so that no output of another process comes between.
    let _ = std::io::stderr().write_all(format!("podwait: {}\n", clean(line)).as_bytes());
}

/// Prints a line on standard error, without the name of the program before it.
pub(crate) fn error_line(line: &Line) {
    let _ = std::io::stderr().write_all(format!("{}\n", line.0).as_bytes());
}

/// Prints the final note of a process that ends now. Returns after a limit if nothing reads standard error.
pub(crate) fn final_note(line: &str) {
    let line = line.to_owned();
    let (done, is_done) = channel();
    let writer = std::thread::Builder::new().spawn(move || {
        note(&line);
        let _ = done.send(());
    });
    if writer.is_ok() {
        let _ = is_done.recv_timeout(FINAL_NOTE);
    }
}

/// A sentence, and the cause in the words of another program, if there is one.
pub(crate) fn with_cause(sentence: &str, cause: &str) -> String {
    match one_line(cause, LONGEST) {
        cause if cause.is_empty() => sentence.to_owned(),
        cause => format!("{sentence}: {cause}"),
    }
}

/// Without control characters, bidirectional overrides and line breaks; cut at [`LONGEST`]. Spaces stay, which tables need.
pub(crate) fn clean(line: &str) -> Cow<'_, str> {
    let is_clean = |word: &str| word.is_empty() || one_line(word, usize::MAX) == word;
    if line.len() <= LONGEST && line.split(' ').all(is_clean) {
        return Cow::Borrowed(line);
    }
    let mut cleaned = String::new();
    for (index, word) in line.split(' ').enumerate() {
        if index > 0 {
            cleaned.push(' ');
        }
        cleaned.push_str(&one_line(word, LONGEST));
        if cleaned.len() > LONGEST {
            let fits = LONGEST - '…'.len_utf8();
            let end = (0..=fits).rev().find(|end| cleaned.is_char_boundary(*end));
            cleaned.truncate(end.unwrap_or(0));
            cleaned.push('…');
            break;
        }
    }
    Cow::Owned(cleaned)
}

fn clean_all(value: &mut Value, raw: Option<&str>) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(cleaned) = one_line(text, LONGEST) {
                *text = cleaned;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| clean_all(value, None)),
        Value::Object(members) => {
            let members = members.iter_mut().filter(|(name, _)| raw != Some(name));
            members.for_each(|(_, value)| clean_all(value, None));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// JSON that cannot control a terminal: it also escapes DEL, C1, and all characters that a clean line must not have.
struct Escaped(CompactFormatter);

impl Formatter for Escaped {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> std::io::Result<()> {
        let mut rest = text;
        let controls_terminal = |character: char| match character {
            '\x7f' => true,
            character if character.is_ascii() => false,
            character => {
                one_line(character.encode_utf8(&mut [0; 4]), 4) != *character.encode_utf8(&mut [0; 4])
            }
        };
        while let Some(at) = rest.find(controls_terminal) {
            let (before, after) = rest.split_at(at);
            self.0.write_string_fragment(out, before)?;
            let mut after = after.chars();
            for unit in after.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = after.as_str();
        }
        self.0.write_string_fragment(out, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]52;c;eA==\u{7}b\r\npodwait: c\u{9b}2J\u{202e}d\0\u{2028}e\u{7f}";

    fn controls_terminal(text: &str) -> bool {
        text.chars().any(|c| c.is_control() || "\u{2028}\u{2029}\u{202e}\u{61c}\u{200e}\u{2066}".contains(c))
    }

    #[test]
    fn a_line_for_people_has_no_control_characters_and_keeps_its_columns() {
        assert_eq!(clean("  a   b  "), "  a   b  ");
        assert!(matches!(clean("ci/p: container step exited 0"), Cow::Borrowed(_)));
        assert!(!controls_terminal(&clean(HOSTILE)), "{:?}", clean(HOSTILE));
        let long = clean(&"äö ".repeat(1 << 20)).into_owned();
        assert!(long.len() <= LONGEST && long.ends_with('…'), "{}", long.len());
        assert!(clean(&"x".repeat(1 << 20)).len() <= LONGEST);
    }

    #[test]
    fn json_is_cleaned_everywhere_but_where_it_is_raw() {
        let view =
            serde_json::json!({ "text": HOSTILE, "pod": HOSTILE, "ends": [{ "message": "x".repeat(5000) }] });
        let line = Line::json_with(&view, Some("text"));
        assert!(!controls_terminal(line.as_str()), "{}", line.as_str());
        let read: Value = serde_json::from_str(line.as_str()).expect("JSON");
        assert_eq!(read["text"], HOSTILE, "nothing is lost");
        assert!(!controls_terminal(read["pod"].as_str().expect("text")));
        assert!(read["ends"][0]["message"].as_str().is_some_and(|text| text.len() <= LONGEST));
    }

    #[test]
    fn an_empty_cause_leaves_no_colon() {
        assert_eq!(with_cause("it failed", " \n"), "it failed");
        assert_eq!(with_cause("it failed", "why\nnot"), "it failed: why not");
    }
}
