//! No response is read without a limit of size, or awaited without a limit of time.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use kube::client::Body;
use podwait::{ApiFailure, Scope, check_access, held_pods};
use serde_json::json;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How a response continues after its head.
#[derive(Clone, Copy, Debug)]
enum Goes {
    /// There is no head.
    Nowhere,
    /// With a megabyte again and again.
    On,
    /// With one byte each second.
    Slowly,
    /// With silence.
    Silently,
}

/// A server that responds in this way to all requests, and a counter of the bytes that the client read.
fn server(status: u16, goes: Goes) -> (podwait::Client, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let service = tower::service_fn(move |_: http::Request<Body>| {
        let count = Arc::clone(&count);
        async move {
            let (length, pause) = match goes {
                Goes::Nowhere => std::future::pending().await,
                Goes::On => (1 << 20, Duration::ZERO),
                Goes::Slowly => (1, Duration::from_secs(1)),
                Goes::Silently => (1, Duration::from_secs(1_000_000)),
            };
            let frames = stream::repeat(Bytes::from(vec![b'x'; length])).then(move |data| {
                let count = Arc::clone(&count);
                async move {
                    sleep(pause).await;
                    count.fetch_add(data.len(), Relaxed);
                    Ok::<_, Infallible>(http_body::Frame::data(data))
                }
            });
            let answer = http::Response::builder().status(status).body(StreamBody::new(frames));
            Ok::<_, Infallible>(answer.expect("an answer"))
        }
    });
    (podwait::Client::from_service(service, "ci"), taken)
}

/// The failure of this call, after at most this many seconds.
async fn failure<T>(within: u64, call: impl Future<Output = Result<T, ApiFailure>>) -> ApiFailure {
    let ended = timeout(Duration::from_secs(within), call).await;
    ended.expect("it ends by itself").err().expect("no answer")
}

#[tokio::test(start_paused = true)]
async fn every_call_has_a_limit_of_time_and_of_size() {
    for status in [200, 201, 400, 403, 404, 500, 503] {
        for goes in [Goes::Nowhere, Goes::On, Goes::Slowly, Goes::Silently] {
            let (client, taken) = server(status, goes);
            let failed = failure(11, check_access(&client, "ci", "p")).await;
            assert!(!failed.is_status && !failed.message.is_empty(), "{status} {goes:?}: {failed:?}");
            assert!(taken.load(Relaxed) <= 10 << 20, "{status} {goes:?}: {taken:?}");

            let (client, taken) = server(status, goes);
            let failed = failure(310, held_pods(client, Scope::all())).await;
            assert!(!failed.is_status && !failed.message.is_empty(), "{status} {goes:?}: {failed:?}");
            assert!(taken.load(Relaxed) <= 10 << 20, "{status} {goes:?}: {taken:?}");
        }
    }
}

/// Texts of a server are values in URLs, whatever they contain.
#[tokio::test(start_paused = true)]
async fn no_text_of_a_server_changes_a_request() {
    let odd = "5&watch=false#x/../%2e";
    let queries = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&queries);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let (path, query) =
            (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
        heard.lock().expect("no panic").push(query.clone());
        let metadata =
            |name: &str| json!({ "namespace": "ci", "name": name, "uid": "u", "resourceVersion": odd });
        let text = match path.rsplit('/').next() {
            _ if query.contains("watch=true") => String::new(),
            Some("pods") if query.contains("continue=") => {
                json!({ "kind": "PodList", "metadata": { "resourceVersion": odd }, "items": [] }).to_string()
            }
            Some("pods") => {
                json!({ "kind": "PodList", "metadata": { "continue": odd }, "items": [] }).to_string()
            }
            Some("j") => {
                let spec = json!({ "selector": { "matchLabels": { "a": odd } } });
                json!({ "kind": "Job", "metadata": metadata("j"), "spec": spec, "status": { "active": 1 } })
                    .to_string()
            }
            _ => json!({ "kind": "Pod", "metadata": metadata("p") }).to_string(),
        };
        async move { Ok::<_, Infallible>(http::Response::new(Body::from(text.into_bytes()))) }
    });
    let client = podwait::Client::from_service(service, "ci");
    let minute = Duration::from_secs(60);
    let _ = timeout(minute, podwait::wait(client.clone(), "ci", "p").into_future()).await;
    let _ = timeout(minute, podwait::wait_job(client.clone(), "ci", "j").into_future()).await;
    let hub = podwait::Hub::new(client.clone(), Scope::namespace("ci").labels("a=b&watch=false#x"));
    let _ = timeout(minute, hub.wait("ci", "p").into_future()).await;
    let queries = queries.lock().expect("no panic").clone();
    for encoded in [
        "resourceVersion=5%26watch%3Dfalse%23x",
        "continue=5%26watch%3Dfalse%23x",
        "a%3Db%26watch%3Dfalse%23x",
        "labelSelector=a%3D5%26watch%3Dfalse%23x",
    ] {
        assert!(queries.iter().any(|query| query.contains(encoded)), "{encoded}: {queries:?}");
    }
    let is_plain = |query: &String| query.split('&').filter(|part| part.starts_with("watch=")).count() <= 1;
    assert!(queries.iter().all(|query| is_plain(query) && !query.contains("watch=false")), "{queries:?}");
}
