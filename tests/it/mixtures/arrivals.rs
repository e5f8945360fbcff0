//! The responses, and the events of watches, that the client of a wait has received completely.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use kube::client::Body;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Records the arrivals at the client of one wait.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<Vec<Arrival>>>);

/// The text that arrived, and when.
type Arrival = (Instant, Vec<u8>);

impl Arrivals {
    /// This client, with a recording of its arrivals.
    pub(super) fn client(&self, client: podwait::Client) -> podwait::Client {
        let arrivals = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (arrivals, client) = (arrivals.clone(), client.clone());
            async move {
                let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
                let response: Response<Body> = client.as_kube().send(request).await?;
                // The only refusal that is evidence about the pod is a 404.
                let is_evidence = matches!(response.status().as_u16(), 200 | 404);
                let arrivals = if is_evidence { arrivals } else { Self::default() };
                Ok::<_, kube::Error>(response.map(|body| arrivals.at(body, is_watch)))
            }
        });
        podwait::Client::from_service(service, "default")
    }

    /// The same body, recorded when the client reads it.
    fn at<B>(self, body: B, is_watch: bool) -> UnsyncBoxBody<Bytes, B::Error>
    where
        B: http_body::Body<Data = Bytes, Error: Send> + Send + 'static,
    {
        let frames = BodyStream::new(Box::pin(body)).map(Some).chain(stream::iter([None]));
        let mut text = Vec::new();
        let frames = frames.filter_map(move |frame| {
            match &frame {
                Some(Ok(frame)) => text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                // A body that breaks off is incomplete.
                Some(Err(_)) => text.clear(),
                None => self.add(std::mem::take(&mut text)),
            }
            while is_watch && let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                self.add(text.drain(..=end).collect());
            }
            async { frame }
        });
        StreamBody::new(frames).boxed_unsync()
    }

    fn add(&self, text: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), text));
    }

    /// When responses or events arrived, and the versions in them of the pod with this uid.
    pub(super) fn of(&self, uid: &str) -> Vec<(Instant, Vec<String>)> {
        let arrivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = arrivals.iter().filter(|(_, text)| !text.is_empty());
        arrivals.map(|(at, text)| (*at, versions(text, uid))).collect()
    }
}

fn versions(text: &[u8], uid: &str) -> Vec<String> {
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else { return Vec::new() };
    if value["type"].is_string() {
        value = value["object"].take();
    }
    let items = value["items"].as_array_mut().map(std::mem::take);
    let pods = items.unwrap_or_else(|| vec![value]);
    let ours = pods.iter().filter(|pod| pod["metadata"]["uid"] == uid);
    ours.filter_map(|pod| pod["metadata"]["resourceVersion"].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, version: &str) -> String {
        format!(r#"{{"kind":"Pod","metadata":{{"uid":"{uid}","resourceVersion":"{version}"}}}}"#)
    }

    /// The recorded versions of a body with these frames, of which the client reads `taken`.
    async fn arrived(frames: &[&str], is_watch: bool, taken: usize, breaks: bool) -> Vec<String> {
        let frames = frames.iter().map(|frame| Ok(http_body::Frame::data(frame.as_bytes().to_vec().into())));
        let broken = breaks.then(|| Err(std::io::Error::other("reset")));
        let body = StreamBody::new(stream::iter(frames.chain(broken).collect::<Vec<_>>()));
        let arrivals = Arrivals::default();
        let mut body = arrivals.clone().at(body, is_watch);
        for _ in 0..taken {
            let _ = body.frame().await;
        }
        arrivals.of("a").into_iter().flat_map(|(_, versions)| versions).collect()
    }

    #[tokio::test]
    async fn only_complete_texts_that_were_read_are_recorded() {
        let get = pod("a", "1");
        let (begin, end) = get.split_at(20);
        assert_eq!(arrived(&[begin, end], false, 3, false).await, ["1"]);
        assert!(arrived(&[begin, end], false, 2, false).await.is_empty(), "its end was not read");
        assert!(arrived(&[begin, end], false, 3, true).await.is_empty(), "it broke off");
        let list = format!(r#"{{"items":[{},{}]}}"#, pod("b", "1"), pod("a", "2"));
        assert_eq!(arrived(&[&list], false, 2, false).await, ["2"]);
        let event = |version| format!(r#"{{"type":"MODIFIED","object":{}}}{}"#, pod("a", version), '\n');
        let (first, second) = (event("3"), event("4"));
        let (begin, end) = second.split_at(30);
        let both = format!("{first}{begin}");
        assert_eq!(arrived(&[&both, end], true, 1, true).await, ["3"]);
        assert_eq!(arrived(&[&both, end], true, 2, true).await, ["3", "4"]);
        assert_eq!(arrived(&[&both], true, 3, true).await, ["3"]);
        assert!(arrived(&["noise"], false, 2, false).await.is_empty());
    }
}
