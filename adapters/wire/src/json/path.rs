//! The path of an error in a text. Computed only if there is an error.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use podwait_core::one_line;

/// Longest message that an error quotes, in bytes.
const LONGEST_PROBLEM: usize = 160;

/// Longest name of a field in a path, in bytes.
const LONGEST_NAME: usize = 64;

/// The number of levels of a path that are shown.
const DEEPEST: usize = 16;

enum Level<'a> {
    /// In an object, after this name.
    Field(&'a [u8]),
    /// In a list, at this element.
    Element(usize),
}

/// The path of the value that has this byte. The text after the byte need not be JSON.
pub(super) fn at(json: &[u8], byte: usize) -> String {
    let json = json.get(..byte).unwrap_or(json);
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut deeper = 0_usize;
    let (mut at, mut is_name) = (0, false);
    while let Some(byte) = json.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'"' => {
                let end = end_of_string(json, at);
                let name = json.get(at..end).unwrap_or_default();
                at = end + 1;
                if let Some(Level::Field(field)) = levels.last_mut().filter(|_| is_name && deeper == 0) {
                    *field = name;
                }
            }
            b'{' | b'[' if levels.len() == DEEPEST => deeper += 1,
            b'}' | b']' if deeper > 0 => deeper -= 1,
            b'{' => {
                levels.push(Level::Field(b""));
                is_name = true;
            }
            b'[' => {
                levels.push(Level::Element(0));
                is_name = false;
            }
            b'}' | b']' => {
                levels.pop();
                is_name = false;
            }
            b',' if deeper == 0 => match levels.last_mut() {
                Some(Level::Field(_)) => is_name = true,
                Some(Level::Element(index)) => *index += 1,
                None => {}
            },
            b':' if deeper == 0 => is_name = false,
            _ => {}
        }
        debug_assert!(at > start, "each turn takes a byte");
    }
    render(&levels)
}

fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at.min(json.len())
}

fn render(levels: &[Level<'_>]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Field(b"") => {}
            Level::Field(name) => {
                let dot = if path.is_empty() { "" } else { "." };
                let name = String::from_utf8_lossy(name);
                path += &format!("{dot}{}", one_line(&name, LONGEST_NAME));
            }
            Level::Element(index) => path += &format!("[{index}]"),
        }
    }
    path
}

/// Serde's message, without the position and without the text of a string, because a misplaced string may be a secret.
pub(super) fn problem(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = match message.rfind(" at line ") {
        Some(end) => &message[..end],
        None => &message,
    };
    let (kind, expected) = match (message.find("string \""), message.rfind("\", expected ")) {
        (Some(start), Some(end)) if start + "string \"".len() <= end => {
            (&message[..start + "string".len()], &message[end + 1..])
        }
        _ => (message, ""),
    };
    one_line(&format!("{kind}{expected}"), LONGEST_PROBLEM).into_owned()
}
