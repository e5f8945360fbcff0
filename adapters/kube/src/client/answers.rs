//! Requests that are under way, by their ids, and their answers.

use crate::client::{Client, root_cause};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{AbortHandle, Abortable, SelectAll};
use futures_util::{FutureExt, Stream, StreamExt};
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_hub::ResponseHead;
use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A part of an answer.
pub(crate) enum Came {
    /// The head of its answer.
    Head(u16, HeaderMap),
    /// A piece of its answer's body.
    Piece(Bytes),
    /// The answer has ended, or the request has failed with this message.
    End(Option<String>),
}

/// Requests that are under way.
pub(crate) struct Answers<I> {
    client: Client,
    streams: SelectAll<Abortable<AnswerStream<I>>>,
    handles: HashMap<I, AbortHandle>,
}

impl<I: Copy + Eq + Hash + Unpin> Answers<I> {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, streams: SelectAll::new(), handles: HashMap::new() }
    }

    /// Sends a GET of this path and query.
    pub(crate) fn send(&mut self, id: I, target: &str, accept: &'static str) {
        let request = Request::get(target).header(header::ACCEPT, accept).body(Body::empty());
        let client = self.client.clone();
        let response = async move {
            let request = request.map_err(|error| error.to_string())?;
            client.as_kube().send(request).await.map_err(|error| root_cause(&error))
        };
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(id, handle);
        let stream = AnswerStream { id, state: State::Sent(response.boxed()) };
        self.streams.push(Abortable::new(stream, registration));
    }

    /// Drops a request.
    pub(crate) fn close(&mut self, id: I) {
        if let Some(handle) = self.handles.remove(&id) {
            handle.abort();
        }
    }

    /// The next part of an answer; `None` if no request is under way. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(I, Came)> {
        loop {
            let (id, came) = self.streams.next().await?;
            let is_wanted = match came {
                Came::End(_) => self.handles.remove(&id).is_some(),
                Came::Head(..) | Came::Piece(_) => self.handles.contains_key(&id),
            };
            // Parts of answers to closed requests are dropped.
            if is_wanted {
                return Some((id, came));
            }
        }
    }
}

/// The head of an answer for the scheduler.
pub(crate) fn response_head(status: u16, headers: &HeaderMap) -> ResponseHead<'_> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    ResponseHead {
        status,
        content_type: text(header::CONTENT_TYPE),
        retry_after: text(header::RETRY_AFTER),
        date: text(header::DATE),
    }
}

/// One request and its answer.
struct AnswerStream<I> {
    id: I,
    state: State,
}

enum State {
    Sent(BoxFuture<'static, Result<Response<Body>, String>>),
    Body(Body),
    Over,
}

impl<I: Copy + Unpin> Stream for AnswerStream<I> {
    type Item = (I, Came);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let id = self.id;
        loop {
            let came = match &mut self.state {
                State::Sent(response) => match std::task::ready!(response.poll_unpin(context)) {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        self.state = State::Body(body);
                        Came::Head(head.status.as_u16(), head.headers)
                    }
                    Err(message) => {
                        self.state = State::Over;
                        Came::End(Some(message))
                    }
                },
                State::Body(body) => match std::task::ready!(body.frame().poll_unpin(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(piece) => Came::Piece(piece),
                        // Trailers are ignored.
                        Err(_) => continue,
                    },
                    Some(Err(error)) => {
                        let message = root_cause(&error);
                        self.state = State::Over;
                        Came::End(Some(message))
                    }
                    None => {
                        self.state = State::Over;
                        Came::End(None)
                    }
                },
                State::Over => return Poll::Ready(None),
            };
            return Poll::Ready(Some((id, came)));
        }
    }
}
