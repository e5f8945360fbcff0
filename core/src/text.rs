//! Makes foreign text safe for one line of a sentence.
//!
//! A message may come from a pod's author, a registry, a node or a server. Printed unchanged, an escape sequence in it
//! controls the terminal, a line break forges a line of output, and a bidirectional override changes the order of the
//! text (CVE-2021-25743 was such a defect of kubectl).

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

/// Longest message of a pod, a node or a server in a sentence, in bytes.
const LONGEST_MESSAGE: usize = 600;

/// Longest name or reason in a sentence, in bytes. Kubernetes' own have 63 bytes at most; a lax server may send longer
/// ones.
const LONGEST_NAME: usize = 80;

/// Replaces a removed character, so that the removal is visible.
const REPLACEMENT: char = '\u{FFFD}';

/// Marks the place where a text was cut.
const ELLIPSIS: char = '…';

/// `text` as one line of at most `longest` bytes.
///
/// Runs of white space and line breaks become one space each. Control characters (C0, DEL and C1) and the characters
/// that change the direction of text become U+FFFD. A text that is cut ends in `…`, which counts into its length.
///
/// Borrows the text if nothing has to be changed.
///
/// ```
/// use podwait_core::one_line;
///
/// assert_eq!(one_line("no such host\n\tregistry.example", 100), "no such host registry.example");
/// assert_eq!(one_line("\u{1b}[2Jall is well", 100), "\u{fffd}[2Jall is well");
/// assert_eq!(one_line("a long story", 9), "a long…");
/// ```
#[must_use]
pub fn one_line(text: &str, longest: usize) -> Cow<'_, str> {
    let text = text.trim();
    if text.len() <= longest && is_clean(text) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len().min(longest));
    // Where to cut the line if it is too long: the last position that leaves room for the ellipsis.
    let mut cut = 0;
    let mut space = false;
    for character in text.chars() {
        if is_space(character) {
            space = true;
            continue;
        }
        let character = if is_hidden(character) { REPLACEMENT } else { character };
        let length = usize::from(space) + character.len_utf8();
        if line.len() + ELLIPSIS.len_utf8() <= longest {
            cut = line.len();
        }
        if line.len() + length > longest {
            line.truncate(cut);
            if ELLIPSIS.len_utf8() <= longest {
                line.push(ELLIPSIS);
            }
            return Cow::Owned(line);
        }
        if space {
            line.push(' ');
            space = false;
        }
        line.push(character);
    }
    Cow::Owned(line)
}

/// A container's name, or a reason, as a part of a sentence.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    one_line(text, LONGEST_NAME)
}

/// A reason and a message as they came, as a part of a sentence. Either may be empty.
pub(crate) fn quote(reason: &str, message: &str) -> String {
    let (reason, message) = (name(reason), one_line(message, LONGEST_MESSAGE));
    match (reason.is_empty(), message.is_empty()) {
        (_, true) => reason.into_owned(),
        (true, false) => message.into_owned(),
        (false, false) => format!("{reason}: {message}"),
    }
}

/// The text in parentheses with a space before them, or nothing.
pub(crate) fn in_parentheses(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// Whether nothing in the text has to be replaced. ASCII, the usual case, takes one pass over the bytes.
fn is_clean(text: &str) -> bool {
    let mut after_space = false;
    text.chars().all(|character| {
        let is_double = character == ' ' && after_space;
        after_space = character == ' ';
        !is_double && (character == ' ' || !(is_space(character) || is_hidden(character)))
    })
}

/// White space, including all line ends (Unicode's `White_Space`, with U+0085, U+2028 and U+2029).
fn is_space(character: char) -> bool {
    character.is_whitespace()
}

/// Controls, and what reorders text: U+061C and the marks, embeddings, overrides and isolates of Unicode's annex 9.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::one_line;
    use alloc::borrow::Cow;
    use alloc::string::String;

    #[test]
    fn clean_text_is_borrowed() {
        for text in ["", "a", "ErrImagePull: rpc error", "größer als 5 €", "日本"] {
            assert!(matches!(one_line(text, 100), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert!(matches!(one_line("  a b \n", 100), Cow::Borrowed("a b")));
    }

    #[test]
    fn nothing_moves_the_cursor_or_turns_text_round() {
        for (text, expected) in [
            ("a\nb", "a b"),
            ("a\r\n\t b", "a b"),
            ("a  b", "a b"),
            ("a\u{2028}b\u{2029}c\u{85}d\u{b}e", "a b c d e"),
            ("\u{1b}]52;c;x\u{7}", "\u{fffd}]52;c;x\u{fffd}"),
            ("a\0b\u{7f}c\u{9b}d", "a\u{fffd}b\u{fffd}c\u{fffd}d"),
            ("a\u{202e}b\u{2066}c\u{200f}d\u{61c}e", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e"),
        ] {
            assert_eq!(one_line(text, 100), expected, "{text:?}");
        }
        // All characters at once: the result has none that had to be replaced.
        let all: String = ('\0'..='\u{ffff}').collect();
        let line = one_line(&all, usize::MAX);
        assert!(
            !line.chars().any(|c| c.is_control() || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".contains(c))
        );
        assert!(!line.chars().any(|c| ('\u{202a}'..='\u{202e}').contains(&c)));
        assert!(!line.chars().any(|c| ('\u{2066}'..='\u{2069}').contains(&c)));
    }

    #[test]
    fn a_cut_falls_between_characters_and_is_marked() {
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abc…");
        assert_eq!(one_line("abc ef g", 7), "abc…");
        assert_eq!(one_line("äöüäöü", 8), "äö…");
        assert_eq!(one_line("äöüäöü", 9), "äöü…");
        assert_eq!(one_line("a\nb\nc\nd\ne", 5), "a…");
        for longest in 0..40 {
            for text in [
                "äöü €\u{1b}€ 日本 \n\n\u{2028}x y z äöü",
                "\u{1b}\u{1b}\u{1b}\u{1b}\u{1b}\u{1b}",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ] {
                assert!(one_line(text, longest).len() <= longest, "{text:?} {longest}");
            }
        }
    }
}
