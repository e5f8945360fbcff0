//! A response body as lines, with a bound on their length.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kube::client::Body;

/// Longest line that is read. Objects in etcd are at most 1.5 MiB by default, and JSON is somewhat larger.
pub(crate) const LONGEST: usize = 8 << 20;

/// Splits a body at `\n`.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// How much of the buffer holds no line end.
    searched: usize,
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

impl Lines {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line without its end. Cancel-safe: what was received stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Bytes, EndOfLines> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                return Ok(line.slice(..line.len() - 1));
            }
            self.searched = self.buffer.len();
            if self.searched > LONGEST {
                return Err(EndOfLines::TooLong);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(EndOfLines::Broken(crate::client::root_cause(&error))),
                None if self.buffer.is_empty() => return Err(EndOfLines::Clean),
                None => return Err(EndOfLines::Torn),
            }
        }
    }
}
