//! The position in a log without times: its beginning, which must be unchanged when the log is read again.

use super::pieces::Piece;
use bytes::Bytes;

/// The reported part, and the part that was read since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefix {
    reported: Mark,
    read: Mark,
}

/// Identifies the beginning of a text by its length and checksum.
#[derive(Clone, Debug, Default)]
struct Mark {
    length: u64,
    sum: crc32fast::Hasher,
}

/// How a piece compares with the reported part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// It was reported already.
    Old,
    /// This part of it is new; the flag is whether it begins the line.
    New(Bytes, bool),
    /// The text has changed, so the end of the reported part cannot be found.
    Other,
}

impl Mark {
    fn add(&mut self, text: &[u8]) {
        self.length = self.length.saturating_add(text.len() as u64);
        self.sum.update(text);
    }

    fn is(&self, other: &Self) -> bool {
        self.length == other.length && self.sum.clone().finalize() == other.sum.clone().finalize()
    }
}

impl Prefix {
    /// Begins to read again.
    pub(crate) fn begin(&mut self) {
        self.read = Mark::default();
    }

    /// Whether the whole reported part has come again.
    pub(crate) fn is_met(&self) -> bool {
        self.read.length >= self.reported.length
    }

    /// Takes the next piece of a stream.
    pub(crate) fn take(&mut self, piece: &Piece) -> Compared {
        let left = self.reported.length.saturating_sub(self.read.length);
        let old = usize::try_from(left).unwrap_or(usize::MAX).min(piece.text.len());
        let end: &[u8] = if piece.ends_line { b"\n" } else { b"" };
        let (known, new) = piece.text.split_at(old);
        self.read.add(known);
        let is_all_known = new.is_empty() && left >= (piece.text.len() + end.len()) as u64;
        if is_all_known {
            self.read.add(end);
        }
        if left > 0 && self.is_met() && !self.read.is(&self.reported) {
            return Compared::Other;
        }
        if is_all_known {
            return Compared::Old;
        }
        self.read.add(new);
        self.read.add(end);
        self.reported = self.read.clone();
        Compared::New(piece.text.slice(old..), piece.is_first && left == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The new part of a text in these pieces.
    fn read(prefix: &mut Prefix, pieces: &[&str]) -> Option<String> {
        prefix.begin();
        let mut new = String::new();
        let mut is_first = true;
        for piece in pieces {
            let text = piece.strip_suffix('\n');
            let ends_line = text.is_some();
            let text = Bytes::copy_from_slice(text.unwrap_or(piece).as_bytes());
            match prefix.take(&Piece { time: None, text, is_first, ends_line }) {
                Compared::Old => {}
                Compared::New(text, _) => {
                    new += &String::from_utf8_lossy(&text);
                    new += if ends_line { "\n" } else { "" };
                }
                Compared::Other => return None,
            }
            is_first = ends_line;
        }
        Some(new)
    }

    #[test]
    fn what_was_handed_on_is_not_handed_on_again_however_it_is_cut() {
        let mut prefix = Prefix::default();
        let steps: [(&[&str], &str); 6] = [
            (&["one\n", "tw"], "one\ntw"),
            (&["one\n", "two"], "o"),
            (&["on", "e\n", "two\n"], "\n"),
            (&["one\n", "two\n"], ""),
            (&["one\n"], ""),
            (&["one\n", "two\n", "\n", "three\n"], "\nthree\n"),
        ];
        for (pieces, new) in steps {
            assert_eq!(read(&mut prefix, pieces).as_deref(), Some(new), "{pieces:?}");
            assert_eq!(prefix.is_met(), pieces != ["one\n"], "{pieces:?}");
        }
        assert_eq!(read(&mut prefix, &["two\n", "\n", "three\n", "four\n", "five\n"]), None);
    }
}
