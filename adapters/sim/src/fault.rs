//! The faults of a request, as its client observes them.

use std::future::ready;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::encoding::Encoding;
use crate::reply::{Frames, Reply};

/// How many events may be delayed at the same time.
const EVENTS_UNDER_WAY: usize = 1000;

/// The fault of one request.
///
/// The faults of a stream count its events or its time. Any other response counts as a stream with one event.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Answers with this HTTP status instead of handling the request; see [`Fault::status`].
    Status {
        /// The HTTP status code.
        code: u16,
        /// The `Retry-After` header, in seconds; also in the details of a [`FaultBody::Status`].
        retry_after: Option<u64>,
        /// The content of the body.
        body: FaultBody,
    },
    /// Handles the request, but only after this time.
    Delay(Duration),
    /// Answers a GET with an older state of the pod, at most with the oldest state in the log. Other requests are not
    /// affected.
    Stale {
        /// How many writes of the pod the response lacks.
        writes: usize,
    },
    /// Never answers.
    Hang,
    /// Breaks the connection before any response.
    Reset,
    /// Ends the stream cleanly after this many events.
    CutAfter {
        /// Whole events before the end.
        events: usize,
    },
    /// Ends the stream in the middle of the line, or of the frame in protobuf, after this many events.
    CutMidLine {
        /// Whole events before the partial event.
        events: usize,
    },
    /// Breaks the connection after this many events.
    ResetAfter {
        /// Whole events before the break.
        events: usize,
    },
    /// A half-open connection: nothing more comes after this many events, and it never ends.
    SilentAfter {
        /// Whole events before the silence.
        events: usize,
    },
    /// Ends the stream cleanly this long after it began.
    CutIn(Duration),
    /// Breaks the connection this long after the stream began.
    ResetIn(Duration),
    /// A connection that becomes half-open this long after the stream began.
    SilentIn(Duration),
    /// A server that is behind: each event is sent this much later.
    Late(Duration),
}

/// The body of a [`Fault::Status`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FaultBody {
    /// A Kubernetes `Status` with this reason and message, in the encoding that the request asks for.
    Status {
        /// For example "TooManyRequests".
        reason: String,
        /// For people.
        message: String,
    },
    /// Any other JSON, as a proxy may send, whatever encoding the request asks for.
    Json(Value),
    /// A pod or a `Status`, by its `kind`, in the encoding that the request asks for.
    Object(Value),
    /// Plain text, as the API server itself sends when it sheds load.
    Text(String),
}

impl Fault {
    /// An HTTP status with the `Status` body that Kubernetes has for it.
    pub fn status(code: u16) -> Self {
        let (reason, message) = match code {
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "pods is forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            410 => ("Expired", "The provided resource version is too old."),
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            500 => ("InternalError", "Internal error occurred"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("", "an error on the server has prevented the request from succeeding"),
        };
        let body = FaultBody::Status { reason: reason.to_owned(), message: message.to_owned() };
        Self::Status { code, retry_after: None, body }
    }

    /// A copy of this fault with `Retry-After`; only a [`Fault::Status`] has one.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let Self::Status { retry_after, .. } = &mut self {
            *retry_after = Some(seconds);
        }
        self
    }

    /// The part of the fault that precedes the handling of the request: a response in its place, a broken connection,
    /// or a delay that may be endless.
    pub(crate) async fn before(&self, encoding: Encoding) -> io::Result<Option<Reply>> {
        match self {
            Self::Status { code, retry_after, body } => Ok(Some(reply(encoding, *code, *retry_after, body))),
            Self::Delay(time) => {
                tokio::time::sleep(*time).await;
                Ok(None)
            }
            Self::Hang => std::future::pending().await,
            Self::Reset => Err(reset()),
            Self::Stale { .. }
            | Self::CutAfter { .. }
            | Self::CutMidLine { .. }
            | Self::ResetAfter { .. }
            | Self::SilentAfter { .. }
            | Self::CutIn(_)
            | Self::ResetIn(_)
            | Self::SilentIn(_)
            | Self::Late(_) => Ok(None),
        }
    }

    /// The part of the fault that damages the response.
    pub(crate) fn damage(&self, frames: Frames) -> Frames {
        match *self {
            Self::Status { .. } | Self::Delay(_) | Self::Stale { .. } | Self::Hang | Self::Reset => frames,
            Self::CutAfter { events } => frames.take(events).boxed(),
            Self::CutMidLine { events } => frames
                .take(events.saturating_add(1))
                .enumerate()
                .map(move |(n, frame)| frame.map(|f| if n == events { f.slice(..f.len() / 2) } else { f }))
                .boxed(),
            Self::ResetAfter { events } => frames.take(events).chain(stream::once(broken())).boxed(),
            Self::SilentAfter { events } => frames.take(events).chain(stream::pending()).boxed(),
            Self::CutIn(time) => frames.take_until(tokio::time::sleep(time)).boxed(),
            Self::ResetIn(time) => broken_off(frames, time, stream::once(broken()).boxed()),
            Self::SilentIn(time) => broken_off(frames, time, stream::pending().boxed()),
            Self::Late(time) => {
                let late = frames.map(move |frame| async move {
                    tokio::time::sleep(time).await;
                    frame
                });
                late.buffered(EVENTS_UNDER_WAY).boxed()
            }
        }
    }
}

fn reply(encoding: Encoding, code: u16, retry_after: Option<u64>, body: &FaultBody) -> Reply {
    let reply = match body {
        FaultBody::Status { reason, message } => {
            let mut status = crate::refusal::status(code, reason, message);
            if let Some(seconds) = retry_after {
                status["details"] = json!({ "retryAfterSeconds": seconds });
            }
            Reply::object(code, encoding, &status)
        }
        FaultBody::Object(object) => Reply::object(code, encoding, object),
        FaultBody::Json(value) => Reply::json(code, value),
        FaultBody::Text(text) => Reply::text(code, text),
    };
    reply.retry_after(retry_after)
}

/// The part of a response before that time, and then `after`. A response that ends sooner is unchanged.
fn broken_off(frames: Frames, time: Duration, after: Frames) -> Frames {
    let marked = frames.map(Some).chain(stream::once(ready(None)));
    let before = marked.take_until(tokio::time::sleep(time));
    before.chain(after.map(Some)).take_while(|frame| ready(frame.is_some())).filter_map(ready).boxed()
}

/// A server that has an error drops the data that it has not sent yet. One yield lets it send first, so that the client
/// receives the events before the break.
async fn broken() -> io::Result<Bytes> {
    tokio::task::yield_now().await;
    Err(reset())
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer")
}
