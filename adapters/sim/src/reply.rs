//! A response: every body is a stream of frames, one for each event of a watch.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use serde_json::Value;

use crate::encoding::Encoding;
use crate::fault::Fault;
use crate::refusal::Refusal;

/// The body of every response; its error is a broken connection.
pub type SimBody = UnsyncBoxBody<Bytes, io::Error>;

pub(crate) type Frames = BoxStream<'static, io::Result<Bytes>>;

pub(crate) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    retry_after: Option<u64>,
    frames: Frames,
}

impl Reply {
    /// A pod or a `Status`.
    pub(crate) fn object(code: u16, encoding: Encoding, object: &Value) -> Self {
        Self::whole(code, encoding.media_type(), encoding.object(object))
    }

    /// A response that has no protobuf here, or comes from a server that knows JSON only.
    pub(crate) fn json(code: u16, value: &Value) -> Self {
        Self::object(code, Encoding::Json, value)
    }

    /// A `PodList`.
    pub(crate) fn list<'a>(
        encoding: Encoding,
        metadata: &Value,
        pods: impl Iterator<Item = &'a Value>,
    ) -> Self {
        Self::whole(200, encoding.media_type(), encoding.list(metadata, pods))
    }

    pub(crate) fn refusal(encoding: Encoding, refusal: &Refusal) -> Self {
        Self::object(refusal.code().as_u16(), encoding, &refusal.status())
    }

    pub(crate) fn text(code: u16, text: &str) -> Self {
        Self::whole(code, "text/plain; charset=utf-8", Bytes::from(text.to_owned()))
    }

    pub(crate) fn stream(content_type: &'static str, frames: Frames) -> Self {
        Self { status: StatusCode::OK, content_type, retry_after: None, frames }
    }

    pub(crate) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    pub(crate) fn damaged_by(mut self, fault: &Fault) -> Self {
        self.frames = fault.damage(self.frames);
        self
    }

    /// Returns once there is a first byte or an end. A kubelet sends no header before that (`getContainerLogs` in
    /// `pkg/kubelet/server/server.go` leaves it to the first write), and the API server waits for the header.
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

    fn whole(code: u16, content_type: &'static str, body: Bytes) -> Self {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let frames = stream::once(async { Ok(body) }).boxed();
        Self { status, content_type, retry_after: None, frames }
    }
}
