//! Finds the end of a value in text that arrives in pieces.

/// A value that is not complete yet. Each byte is examined once, however the text is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    /// Its first byte has not arrived.
    #[default]
    Start,
    /// A number, or a word.
    Scalar,
    /// An object, a list or a string.
    Nested {
        /// How many brackets are open.
        depth: usize,
        string: InString,
    },
}

/// Whether the next byte is in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InString {
    No,
    Yes,
    /// After a backslash.
    Escaped,
}

impl Value {
    /// How many of these bytes belong to the value, if it ends within them.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let first = match self {
            Self::Start => {
                let (value, skipped) = match bytes.first()? {
                    b'"' => (Self::Nested { depth: 0, string: InString::Yes }, 1),
                    b'{' | b'[' => (Self::Nested { depth: 1, string: InString::No }, 1),
                    _ => (Self::Scalar, 0),
                };
                *self = value;
                skipped
            }
            Self::Scalar | Self::Nested { .. } => 0,
        };
        let end = match self {
            Self::Start | Self::Scalar => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r');
                bytes.iter().position(is_end)
            }
            Self::Nested { depth, string } => {
                let last = bytes.iter().skip(first).position(|byte| is_last(*byte, depth, string));
                last.map(|last| first + last + 1)
            }
        };
        if end.is_some() {
            *self = Self::Start;
        }
        end
    }
}

/// Whether this byte ends the value.
#[inline]
fn is_last(byte: u8, depth: &mut usize, string: &mut InString) -> bool {
    match (*string, byte) {
        (InString::Escaped, _) => *string = InString::Yes,
        (InString::Yes, b'\\') => *string = InString::Escaped,
        (InString::Yes, b'"') => {
            *string = InString::No;
            return *depth == 0;
        }
        (InString::No, b'"') => *string = InString::Yes,
        (InString::No, b'{' | b'[') => *depth += 1,
        (InString::No, b'}' | b']') => {
            *depth -= 1;
            return *depth == 0;
        }
        (InString::Yes | InString::No, _) => {}
    }
    false
}
