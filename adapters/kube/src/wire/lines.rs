//! A response body as lines, with a bound on their length.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

/// Longest line that is read. Objects in etcd are at most 1.5 MiB by default, and JSON is somewhat larger.
pub(crate) const LONGEST: usize = 8 << 20;

/// Splits at `\n` what comes in pieces.
///
/// A line that came in one piece is a part of that piece; only one that was cut is put together in memory of its own.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// The start of a line, from the pieces before.
    start: BytesMut,
    /// What has not been looked at.
    piece: Bytes,
}

/// Splits a body at `\n`.
pub(crate) struct Lines {
    body: Body,
    splitter: LineSplitter,
}

/// Why there is no next line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EndOfLines {
    /// The body ended after a whole line.
    #[error("the stream ended")]
    Clean,
    /// The body ended or broke in the middle of a line.
    #[error("the stream broke in the middle of a line")]
    Torn,
    /// The connection failed.
    #[error("{0}")]
    Broken(String),
    /// A line does not end.
    #[error("a line is longer than {LONGEST} bytes")]
    TooLong,
}

impl LineSplitter {
    /// Takes the next piece, when all lines of the one before have been taken.
    pub fn push(&mut self, piece: Bytes) {
        self.piece = piece;
    }

    /// The next line without its end, if all of it has come.
    pub fn next_line(&mut self) -> Option<Bytes> {
        let Some(end) = memchr::memchr(b'\n', &self.piece) else {
            self.start.extend_from_slice(&self.piece);
            self.piece = Bytes::new();
            return None;
        };
        let mut rest = self.piece.split_to(end + 1);
        rest.truncate(end);
        if self.start.is_empty() {
            return Some(rest);
        }
        self.start.extend_from_slice(&rest);
        Some(self.start.split().freeze())
    }

    /// How much of a line that has not ended is held.
    fn held(&self) -> usize {
        self.start.len()
    }
}

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, splitter: LineSplitter::default() }
    }

    /// The next line without its end. Cancel-safe: what was received stays.
    pub(crate) async fn next(&mut self) -> Result<Bytes, EndOfLines> {
        loop {
            if let Some(line) = self.splitter.next_line() {
                return Ok(line);
            }
            if self.splitter.held() > LONGEST {
                return Err(EndOfLines::TooLong);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.splitter.push(data);
                    }
                }
                Some(Err(error)) => return Err(EndOfLines::Broken(crate::client::root_cause(&error))),
                None if self.splitter.held() == 0 => return Err(EndOfLines::Clean),
                None => return Err(EndOfLines::Torn),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&'static str]) -> Vec<Bytes> {
        let mut splitter = LineSplitter::default();
        let mut lines = Vec::new();
        for piece in pieces {
            splitter.push(Bytes::from_static(piece.as_bytes()));
            lines.extend(std::iter::from_fn(|| splitter.next_line()));
        }
        assert_eq!(splitter.held(), pieces.concat().rsplit('\n').next().map_or(0, str::len));
        lines
    }

    #[test]
    fn lines_are_the_same_however_they_were_cut() {
        let text = "one\n\ntwo\nthree";
        for cut in 0..=text.len() {
            let (before, after) = text.split_at(cut);
            assert_eq!(lines(&[before, after]), ["one", "", "two"], "{cut}");
        }
        let bytes: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
        assert_eq!(lines(&bytes), ["one", "", "two"]);
    }

    #[test]
    fn a_line_that_came_whole_is_not_copied() {
        let piece = "{\"type\":\"ADDED\"}\n{\"type\":\"DELETED\"}\n";
        let lines = lines(&[piece]);
        assert_eq!(lines[0].as_ptr(), piece.as_ptr());
        assert_eq!(lines[1].as_ptr(), piece[17..].as_ptr());
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_with_a_line_is_torn() {
        let mut lines = Lines::new(Body::from(b"one\ntw".to_vec()));
        assert_eq!(lines.next().await.ok().as_deref(), Some(&b"one"[..]));
        assert!(matches!(lines.next().await, Err(EndOfLines::Torn)));
        let mut lines = Lines::new(Body::from(b"one\n".to_vec()));
        assert!(lines.next().await.is_ok());
        assert!(matches!(lines.next().await, Err(EndOfLines::Clean)));
        let mut lines = Lines::new(Body::from(vec![b'x'; LONGEST + 1]));
        assert!(matches!(lines.next().await, Err(EndOfLines::TooLong)));
    }
}
