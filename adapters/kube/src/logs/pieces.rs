//! Splits a log's body into pieces of lines, with the time that the kubelet writes before each line.

use super::kubelet_message::{NoLog, kubelet_message};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;

/// The length at which a piece is returned without its line's end.
pub(crate) const LONGEST_PIECE: usize = 64 << 10;

/// The longest time at the beginning of a line: RFC 3339 with nine digits and an offset has 35 characters.
const LONGEST_TIME: usize = 40;

/// A part of a line; most lines are one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// When the runtime received the line, if the node sends times.
    pub(crate) time: Option<Timestamp>,
    pub(crate) text: Bytes,
    /// The line begins with it.
    pub(crate) is_first: bool,
    /// The line ends with it.
    pub(crate) ends_line: bool,
}

/// Why there is no next piece.
#[derive(Debug)]
pub(crate) enum EndOfPieces {
    /// The body ended, perhaps with the beginning of an incomplete line. That proves nothing: the API server ends its
    /// answer in the same way when its connection to the kubelet breaks.
    Ended(Option<Piece>),
    /// The connection failed.
    Broken(String),
    /// A line that does not belong to a log.
    NoLog(NoLog),
}

/// Reads a body; it holds at most a piece and the rest of a received frame.
pub(crate) struct Pieces {
    body: Body,
    buffer: BytesMut,
    /// How many bytes of the buffer are known to have no line end.
    searched: usize,
    /// The line at the beginning of the buffer, if its time was read already.
    line: Option<Line>,
    times: Times,
}

/// Whether lines begin with their times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// Not known before the first line.
    Unknown,
    Given,
    Missing,
}

#[derive(Clone, Copy)]
struct Line {
    time: Option<Timestamp>,
    is_begun: bool,
}

impl Pieces {
    /// A body that begins with the first line of a log. If that line has no time, and is no message of a kubelet, the
    /// node sends no times.
    pub(crate) fn of_whole(body: Body) -> Self {
        Self::new(body, Times::Unknown)
    }

    /// A body that begins anywhere. The kubelet may leave out the beginning of the first line, and its time.
    pub(crate) fn of_part(body: Body) -> Self {
        Self::new(body, Times::Given)
    }

    fn new(body: Body, times: Times) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0, line: None, times }
    }

    /// The next piece. Cancel-safe: received bytes stay in the buffer.
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

    /// A piece, if the buffer holds one.
    pub(crate) fn take(&mut self) -> Result<Option<Piece>, EndOfPieces> {
        let Some(line) = self.line.map_or_else(|| self.begin_line(false), |line| Ok(Some(line)))? else {
            return Ok(None);
        };
        // Only as far as a piece can reach: even in an endless line each byte is examined once.
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

    /// The received part of a line whose rest is not awaited.
    pub(crate) fn rest(&mut self) -> Option<Piece> {
        match self.end() {
            EndOfPieces::Ended(rest) => rest,
            EndOfPieces::Broken(_) | EndOfPieces::NoLog(_) => None,
        }
    }

    /// Removes the time from the beginning of a line, if there is one. `None` while that is not known, unless the body
    /// ends here.
    fn begin_line(&mut self, is_end: bool) -> Result<Option<Line>, EndOfPieces> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let (time, length) = match self.times {
            Times::Missing => (None, 0),
            Times::Unknown | Times::Given => match self.read_time(is_end)? {
                Some((time, length)) => (time, length),
                None => return Ok(None),
            },
        };
        let _ = self.buffer.split_to(length);
        self.searched = 0;
        let line = Line { time, is_begun: false };
        self.line = Some(line);
        Ok(Some(line))
    }

    /// The time at the beginning, with the length of its text.
    fn read_time(&mut self, is_end: bool) -> Result<Option<(Option<Timestamp>, usize)>, EndOfPieces> {
        let head = &self.buffer[..self.buffer.len().min(LONGEST_TIME)];
        let end = head.iter().position(|byte| matches!(byte, b' ' | b'\n'));
        if end.is_none() && head.len() < LONGEST_TIME && (!is_end || may_be_time(head)) {
            return Ok(None);
        }
        let text =
            end.filter(|end| head[*end] == b' ').and_then(|end| std::str::from_utf8(&head[..end]).ok());
        if let Some((time, length)) = text.and_then(|text| Some((text.parse().ok()?, text.len()))) {
            self.times = Times::Given;
            return Ok(Some((Some(time), length + 1)));
        }
        match kubelet_message(&self.buffer, is_end) {
            Some(Some(message)) => Err(EndOfPieces::NoLog(message)),
            // More bytes may make it a kubelet message.
            Some(None) => Ok(None),
            None if self.times == Times::Unknown => {
                self.times = Times::Missing;
                Ok(Some((None, 0)))
            }
            None => Err(EndOfPieces::NoLog(NoLog::Untimed)),
        }
    }

    fn end(&mut self) -> EndOfPieces {
        if self.line.is_none()
            && let Err(end) = self.begin_line(true)
        {
            return end;
        }
        let text = self.buffer.split().freeze();
        match self.line.take() {
            Some(line) if !text.is_empty() || line.is_begun => {
                let (time, is_first) = (line.time, !line.is_begun);
                EndOfPieces::Ended(Some(Piece { time, text, is_first, ends_line: false }))
            }
            // A time that was cut off, or a time without text: the line comes again.
            Some(_) | None => EndOfPieces::Ended(None),
        }
    }
}

/// Whether this may be the beginning of a time.
fn may_be_time(text: &[u8]) -> bool {
    let of_time = |byte: &u8| byte.is_ascii_digit() || b"-:.TZ+".contains(byte);
    text.first().is_none_or(u8::is_ascii_digit) && text.iter().all(of_time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use std::convert::Infallible;

    /// The pieces of a body in frames of this many bytes, and its end.
    async fn read(text: &[u8], frame: usize) -> (Vec<Piece>, EndOfPieces) {
        read_from(text, frame, true).await
    }

    async fn read_from(text: &[u8], frame: usize, is_whole: bool) -> (Vec<Piece>, EndOfPieces) {
        let (text, request) = (text.to_owned(), http::Request::new(Body::empty()));
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let chunks = text.chunks(frame).map(Bytes::copy_from_slice);
            let frames: Vec<_> = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))).collect();
            let body = StreamBody::new(futures_util::stream::iter(frames));
            async move { Ok::<_, Infallible>(http::Response::new(body)) }
        });
        let answer = kube::Client::new(service, "default").send(request).await.expect("an answer");
        let body = answer.into_body();
        let mut pieces = if is_whole { Pieces::of_whole(body) } else { Pieces::of_part(body) };
        let mut read = Vec::new();
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
                lines.push((piece.time.map_or_else(String::new, |time| time.to_string()), String::new()));
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

    #[tokio::test]
    async fn a_whole_log_without_times_is_a_log() {
        for frame in [1, 2, 7, 1000] {
            for text in
                ["one\n two\nhalf", "x", "\n\n", "failed to do it\n", "unable\n", "2026\n", "20 pieces\n"]
            {
                let (pieces, end) = read(text.as_bytes(), frame).await;
                let EndOfPieces::Ended(rest) = end else { panic!("{text:?}: {end:?}") };
                let all: Vec<Piece> = pieces.into_iter().chain(rest).collect();
                assert!(all.iter().all(|piece| piece.time.is_none()), "{all:?}");
                let mut read = lines(&all).into_iter().map(|(_, line)| line).collect::<String>();
                read = read.replace('$', "\n");
                assert_eq!(read, text, "in frames of {frame}");
                let (pieces, end) = read_from(text.as_bytes(), frame, false).await;
                let is_none = pieces.is_empty() && !matches!(end, EndOfPieces::Ended(Some(_)));
                assert!(is_none, "{text:?}: {end:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_message_of_a_kubelet_in_place_of_a_log_is_no_log() {
        for frame in [1, 1000] {
            for text in [
                "unable to retrieve container logs for containerd://1",
                "failed to create fsnotify watcher: too many open files",
                "failed to try resolving symlinks in path \"/var/log\": gone\n",
            ] {
                for is_whole in [true, false] {
                    let (pieces, end) = read_from(text.as_bytes(), frame, is_whole).await;
                    let is_message = matches!(
                        end,
                        EndOfPieces::NoLog(NoLog::Removed | NoLog::Unfollowable | NoLog::Unreadable)
                    );
                    assert!(pieces.is_empty() && is_message, "{text:?}: {pieces:?}, {end:?}");
                }
            }
        }
    }
}
