//! An answer on its way out: every body is a stream of frames, one per event of a watch.

use std::fmt::Display;
use std::io;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};

use crate::fault::Fault;
use crate::refusal::Refusal;

/// The body of every answer; its error is a broken connection.
pub type SimBody = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) type Frames = BoxStream<'static, io::Result<Bytes>>;

pub(crate) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    retry_after: Option<u64>,
    frames: Frames,
}

impl Reply {
    /// A JSON value, or its text.
    pub(crate) fn json(code: u16, value: &impl Display) -> Self {
        Self::whole(code, "application/json", format!("{value}\n"))
    }

    pub(crate) fn text(code: u16, text: &str) -> Self {
        Self::whole(code, "text/plain; charset=utf-8", text.to_owned())
    }

    pub(crate) fn stream(frames: Frames) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json", retry_after: None, frames }
    }

    pub(crate) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    pub(crate) fn damaged_by(mut self, fault: &Fault) -> Self {
        self.frames = fault.damage(self.frames);
        self
    }

    /// Returns once there is a first byte, or an end: a kubelet sends no header before (`getContainerLogs` in
    /// `pkg/kubelet/server/server.go` leaves that to the first write), and the API server waits for it.
    pub(crate) async fn begun(mut self) -> Self {
        self.frames = match self.frames.next().await {
            Some(first) => stream::iter([first]).chain(self.frames).boxed(),
            None => stream::empty().boxed(),
        };
        self
    }

    pub(crate) fn into_response(self) -> Response<SimBody> {
        let body = StreamBody::new(self.frames.map_ok(Frame::data)).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn whole(code: u16, content_type: &'static str, body: String) -> Self {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let frames = stream::once(async { Ok(Bytes::from(body)) }).boxed();
        Self { status, content_type, retry_after: None, frames }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.code().as_u16(), &refusal.status())
    }
}
