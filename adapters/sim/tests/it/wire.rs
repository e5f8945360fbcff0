//! Plain requests and responses, without kube's decoding.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) async fn send(client: &Client, method: &str, uri: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(uri);
    let request = request.body(Body::from(body.as_bytes().to_vec())).unwrap();
    let (head, body) = client.send(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        code: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) async fn get(client: &Client, uri: &str) -> Answer {
    send(client, "GET", uri, "").await
}

/// An open stream; each frame of the body is one event or a piece of it.
pub(crate) struct Stream(BoxStream<'static, Result<String, String>>);

impl Stream {
    pub(crate) async fn open(client: &Client, uri: &str) -> Self {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let frames = response.into_body().into_data_stream();
        let frames = frames.map_ok(|frame| String::from_utf8(frame.to_vec()).unwrap());
        Self(frames.map_err(|error| format!("{error:?}")).boxed())
    }

    pub(crate) async fn frame(&mut self) -> Option<Result<String, String>> {
        self.0.next().await
    }

    pub(crate) async fn event(&mut self) -> (String, Value) {
        let line = self.frame().await.unwrap().unwrap();
        assert!(line.ends_with('\n'), "half a line: {line:?}");
        let mut event: Value = serde_json::from_str(&line).unwrap();
        (event["type"].as_str().unwrap().to_owned(), event["object"].take())
    }

    /// The event in short: its type, its pod, its resourceVersion.
    pub(crate) async fn brief(&mut self) -> String {
        let (kind, object) = self.event().await;
        let metadata = &object["metadata"];
        let name = metadata["name"].as_str().unwrap_or("-");
        format!("{kind} {name} {}", metadata["resourceVersion"].as_str().unwrap_or("-"))
    }

    pub(crate) async fn ended(&mut self) -> bool {
        self.frame().await.is_none()
    }
}
