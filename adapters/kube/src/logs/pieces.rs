//! A log's body as pieces of lines, with the time that the kubelet writes before each line.

use crate::client::failure;
use crate::source::{ApiFailure, Via};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;

/// How long a piece may grow before it is handed on without its line's end.
pub(crate) const LONGEST_PIECE: usize = 64 << 10;

/// How far into a line its time must have ended: RFC 3339 with nine digits and an offset has 35 characters.
const LONGEST_TIME: usize = 40;

/// A part of a line; most lines are one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// When the runtime got the line.
    pub(crate) time: Timestamp,
    pub(crate) text: Bytes,
    /// The line begins with it.
    pub(crate) is_first: bool,
    /// The line ends with it.
    pub(crate) ends_line: bool,
}

/// Why there is no next piece.
#[derive(Debug)]
pub(crate) enum EndOfPieces {
    /// The body ended, with what came of a line that has no end. That proves nothing: the API server ends its answer in the
    /// same way when its connection to the kubelet breaks.
    Ended(Option<Piece>),
    /// The connection failed.
    Broken(String),
    /// A line without a time: this is no log, but what the kubelet says about it (kubernetes#142258).
    NoLog(String),
}

/// Reads a body, never holding more than a piece and what came with it.
pub(crate) struct Pieces {
    body: Body,
    buffer: BytesMut,
    /// How much of the buffer holds no line end.
    searched: usize,
    /// The line that the buffer goes on with, if its time was read already.
    line: Option<Line>,
}

#[derive(Clone, Copy)]
struct Line {
    time: Timestamp,
    is_begun: bool,
}

impl Pieces {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0, line: None }
    }

    /// The next piece. Cancel-safe: what was received stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Piece, EndOfPieces> {
        loop {
            if let Some(piece) = self.take()? {
                return Ok(piece);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(EndOfPieces::Broken(crate::client::root_cause(&error))),
                None => return Err(self.end()),
            }
        }
    }

    /// The time of the next line, if there is one.
    pub(crate) async fn next_time(&mut self) -> Result<Option<Timestamp>, ApiFailure> {
        match self.next().await {
            Ok(piece) | Err(EndOfPieces::Ended(Some(piece))) => Ok(Some(piece.time)),
            Err(EndOfPieces::Ended(None)) => Ok(None),
            Err(EndOfPieces::Broken(message) | EndOfPieces::NoLog(message)) => {
                Err(failure(Via::Get, 0, message))
            }
        }
    }

    /// A piece, if the buffer holds one.
    pub(crate) fn take(&mut self) -> Result<Option<Piece>, EndOfPieces> {
        let Some(line) = self.line.map_or_else(|| self.begin_line(), |line| Ok(Some(line)))? else {
            return Ok(None);
        };
        // No further than a piece can reach: of a line that is longer than all memory, each byte is looked at once.
        let reach = self.buffer.len().min(LONGEST_PIECE + 1);
        let end = memchr::memchr(b'\n', &self.buffer[self.searched..reach]).map(|end| self.searched + end);
        if end.is_none() && reach <= LONGEST_PIECE {
            self.searched = reach;
            return Ok(None);
        }
        let (cut, ends_line) = (end.unwrap_or(LONGEST_PIECE), end.is_some());
        let text = self.buffer.split_to(cut).freeze();
        if ends_line {
            let _ = self.buffer.split_to(1);
        }
        self.searched = 0;
        self.line = (!ends_line).then_some(Line { is_begun: true, ..line });
        Ok(Some(Piece { time: line.time, text, is_first: !line.is_begun, ends_line }))
    }

    /// Takes the time off the beginning of a line, if it is there.
    fn begin_line(&mut self) -> Result<Option<Line>, EndOfPieces> {
        let head = &self.buffer[..self.buffer.len().min(LONGEST_TIME)];
        let end = head.iter().position(|byte| matches!(byte, b' ' | b'\n'));
        if end.is_none() && head.len() < LONGEST_TIME {
            return Ok(None);
        }
        let time =
            end.filter(|end| head[*end] == b' ').and_then(|end| std::str::from_utf8(&head[..end]).ok());
        let Some((time, length)) = time.and_then(|text| Some((text.parse().ok()?, text.len()))) else {
            return Err(EndOfPieces::NoLog(self.complaint()));
        };
        let _ = self.buffer.split_to(length + 1);
        self.searched = 0;
        let line = Line { time, is_begun: false };
        self.line = Some(line);
        Ok(Some(line))
    }

    /// The line without a time, as far as it is there.
    fn complaint(&self) -> String {
        let line = self.buffer[..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned()
    }

    fn end(&mut self) -> EndOfPieces {
        let text = self.buffer.split().freeze();
        match self.line.take() {
            Some(line) if !text.is_empty() || line.is_begun => {
                let (time, is_first) = (line.time, !line.is_begun);
                EndOfPieces::Ended(Some(Piece { time, text, is_first, ends_line: false }))
            }
            // A time that was cut off, or one with nothing behind it: the line comes again.
            Some(_) | None => EndOfPieces::Ended(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    /// The pieces of a body that comes in frames of so many bytes, and its end.
    async fn read(text: &[u8], frame: usize) -> (Vec<Piece>, EndOfPieces) {
        let (text, request) = (text.to_owned(), http::Request::new(Body::empty()));
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let chunks = text.chunks(frame).map(Bytes::copy_from_slice);
            let frames: Vec<_> = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))).collect();
            let body = StreamBody::new(futures_util::stream::iter(frames));
            async move { Ok::<_, Infallible>(http::Response::new(body)) }
        });
        let answer = kube::Client::new(service, "default").send(request).await.expect("an answer");
        let (mut pieces, mut read) = (Pieces::new(answer.into_body()), Vec::new());
        loop {
            match pieces.next().await {
                Ok(piece) => read.push(piece),
                Err(end) => return (read, end),
            }
        }
    }

    fn lines(pieces: &[Piece]) -> Vec<(String, String)> {
        let mut lines: Vec<(String, String)> = Vec::new();
        for piece in pieces {
            if piece.is_first {
                lines.push((piece.time.to_string(), String::new()));
            }
            let (_, line) = lines.last_mut().expect("a line begins with its first piece");
            line.push_str(&String::from_utf8_lossy(&piece.text));
            line.push_str(if piece.ends_line { "$" } else { "" });
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_the_same_however_they_are_cut() {
        let text = b"2026-01-01T00:00:00.000000001Z one\n2026-01-01T02:00:00.5+02:00 \n2026-01-01T00:00:01Z a b\xff\n2026-01-01T00:00:02Z half";
        for frame in 1..text.len() {
            let (pieces, end) = read(text, frame).await;
            let expected = [
                ("2026-01-01T00:00:00.000000001Z", "one$"),
                ("2026-01-01T00:00:00.5Z", "$"),
                ("2026-01-01T00:00:01Z", "a b\u{fffd}$"),
            ];
            let expected = expected.map(|(time, line)| (time.to_owned(), line.to_owned()));
            assert_eq!(lines(&pieces), expected, "in frames of {frame}");
            let EndOfPieces::Ended(Some(rest)) = end else { panic!("{end:?}") };
            assert_eq!((&rest.text[..], rest.ends_line, rest.is_first), (&b"half"[..], false, true));
        }
    }

    #[tokio::test]
    async fn a_long_line_comes_in_pieces() {
        for length in [LONGEST_PIECE - 1, LONGEST_PIECE, LONGEST_PIECE + 1, 3 * LONGEST_PIECE] {
            let line = "x".repeat(length);
            let (pieces, _) = read(format!("2026-01-01T00:00:00Z {line}\n").as_bytes(), 10_000).await;
            assert!(pieces.iter().all(|piece| piece.text.len() <= LONGEST_PIECE));
            assert_eq!(lines(&pieces), [("2026-01-01T00:00:00Z".to_owned(), line + "$")]);
        }
    }

    #[tokio::test]
    async fn what_has_no_time_is_no_log() {
        for text in [
            "unable to retrieve container logs for containerd://1",
            "\n",
            "2026-01-01T00:00:00Z\n",
            &"x".repeat(100),
        ] {
            let (pieces, end) = read(format!("2026-01-01T00:00:00Z fine\n{text}\n").as_bytes(), 7).await;
            assert_eq!(pieces.len(), 1);
            assert!(matches!(&end, EndOfPieces::NoLog(_)), "{text:?}: {end:?}");
        }
    }

    #[tokio::test]
    async fn a_time_that_was_cut_off_is_nothing() {
        for text in ["", "2026-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z "] {
            let (pieces, end) = read(text.as_bytes(), 100).await;
            assert!(pieces.is_empty() && matches!(end, EndOfPieces::Ended(None)), "{text:?}: {end:?}");
        }
    }
}
