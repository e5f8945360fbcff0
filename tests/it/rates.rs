//! The rate of requests to a server that repeats the same fault for ever.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use kube::client::Body;
use podwait::{Hub, Scope, wait};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

type Frame = Result<http_body::Frame<Bytes>, std::io::Error>;

/// The event of every watch before it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Brings {
    Nothing,
    /// The current pod.
    OldEvent,
    /// The pod with a new resourceVersion.
    NewEvent,
    Bookmark,
    /// An event about another pod.
    Another,
}

/// How every watch ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Cleanly,
    Broken,
    Torn,
    /// With an `ERROR` of this code.
    Error(u16),
}

/// An API server with one pod that runs for ever, and with the same fault in every watch.
struct Server {
    brings: Brings,
    ends: Ends,
    after: Duration,
    begin: Instant,
    version: Mutex<u64>,
    requests: Mutex<Vec<Duration>>,
}

fn pod(name: &str, version: u64) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": { "namespace": "ci", "name": name, "uid": name, "resourceVersion": version.to_string() },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "step" }] },
        "status": {
            "phase": "Running",
            "containerStatuses": [{ "name": "step", "restartCount": 0, "state": { "running": {} } }],
        },
    })
}

impl Server {
    fn new(brings: Brings, ends: Ends, after: Duration) -> Arc<Self> {
        let (version, requests) = (Mutex::new(5), Mutex::default());
        Arc::new(Self { brings, ends, after, begin: Instant::now(), version, requests })
    }

    fn client(self: &Arc<Self>) -> podwait::Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(http::Response::new(server.answer(request.uri()))) }
        });
        podwait::Client::from_service(service, "ci")
    }

    fn answer(&self, uri: &http::Uri) -> StreamBody<stream::BoxStream<'static, Frame>> {
        self.requests.lock().expect("no panic").push(self.begin.elapsed());
        let version = *self.version.lock().expect("no panic");
        let text = match uri.query().unwrap_or_default() {
            query if query.contains("watch=") => return self.watch(),
            _ if uri.path().ends_with("/pods") => json!({
                "kind": "PodList", "apiVersion": "v1",
                "metadata": { "resourceVersion": version.to_string() }, "items": [pod("p", version)],
            }),
            _ => pod("p", version),
        };
        StreamBody::new(stream::iter([Ok(http_body::Frame::data(Bytes::from(text.to_string())))]).boxed())
    }

    fn watch(&self) -> StreamBody<stream::BoxStream<'static, Frame>> {
        let mut version = self.version.lock().expect("no panic");
        let event = match self.brings {
            Brings::Nothing => None,
            Brings::OldEvent => Some(json!({ "type": "MODIFIED", "object": pod("p", *version) })),
            Brings::NewEvent => {
                *version += 1;
                Some(json!({ "type": "MODIFIED", "object": pod("p", *version) }))
            }
            Brings::Bookmark => {
                *version += 1;
                let metadata = json!({ "resourceVersion": version.to_string() });
                Some(json!({ "type": "BOOKMARK", "object": { "kind": "Pod", "metadata": metadata } }))
            }
            Brings::Another => {
                *version += 1;
                Some(json!({ "type": "MODIFIED", "object": pod("q", *version) }))
            }
        };
        let frame = |text: String| Ok(http_body::Frame::data(Bytes::from(text)));
        let first = stream::iter(event.map(|event| frame(format!("{event}\n"))));
        let (ends, after) = (self.ends, self.after);
        let last = stream::once(async move {
            sleep(after).await;
            match ends {
                Ends::Cleanly => None,
                Ends::Broken => Some(Err(std::io::Error::other("connection reset"))),
                Ends::Torn => Some(frame(String::from("{\"type\":"))),
                Ends::Error(code) => {
                    let status = json!({ "kind": "Status", "code": code, "message": "no more" });
                    Some(frame(format!("{}\n", json!({ "type": "ERROR", "object": status }))))
                }
            }
        });
        StreamBody::new(first.chain(last.filter_map(async |frame| frame)).boxed())
    }

    /// Requests per second in the minutes after the first one.
    fn rate(&self) -> f64 {
        let requests = self.requests.lock().expect("no panic");
        let late = requests.iter().filter(|at| **at > Duration::from_secs(60)).count();
        f64::from(u32::try_from(late).expect("not so many")) / (self.begin.elapsed().as_secs_f64() - 60.0)
    }
}

/// The requests per second of a single wait and of a wait in a hub, over some minutes.
async fn rates(brings: Brings, ends: Ends, after: Duration) -> [f64; 2] {
    let minutes = Duration::from_secs(420);
    let alone = Server::new(brings, ends, after);
    let _ = timeout(minutes, wait(alone.client(), "ci", "p").into_future()).await;
    let alone = alone.rate();
    let shared = Server::new(brings, ends, after);
    let hub = Hub::new(shared.client(), Scope::namespace("ci"));
    let _ = timeout(minutes, hub.wait("ci", "p").into_future()).await;
    [alone, shared.rate()]
}

const ENDS: [Ends; 4] = [Ends::Cleanly, Ends::Broken, Ends::Torn, Ends::Error(500)];

/// After a watch that ended at once there is a backoff, whatever it sent: the next one is not expected to be better.
#[tokio::test(start_paused = true)]
async fn watches_that_always_end_at_once_are_backed_off() {
    for brings in [Brings::Nothing, Brings::OldEvent, Brings::Bookmark] {
        for ends in ENDS {
            let [alone, shared] = rates(brings, ends, Duration::ZERO).await;
            println!("{brings:?} {ends:?}: {alone:.2} {shared:.2}");
            // A read every five seconds, and a watch about every minute.
            assert!(alone < 0.35 && shared < 0.35, "{brings:?} {ends:?}: {alone:.2} {shared:.2}");
        }
    }
}

/// A watch that sends something new each time may be repeated, at a low rate.
#[tokio::test(start_paused = true)]
async fn watches_with_new_events_are_repeated_in_time() {
    for brings in [Brings::NewEvent, Brings::Another] {
        for ends in [Ends::Cleanly, Ends::Broken, Ends::Error(500)] {
            for after in [0, 900, 1000, 3000] {
                let [alone, shared] = rates(brings, ends, Duration::from_millis(after)).await;
                println!("{brings:?} {ends:?} {after}: {alone:.2} {shared:.2}");
                assert!(alone < 2.1 && shared < 2.1, "{brings:?} {ends:?} {after}: {alone:.2} {shared:.2}");
            }
        }
    }
}

/// As from a server that is restarted, or from a proxy with a short limit.
#[tokio::test(start_paused = true)]
async fn watches_that_last_for_a_while_cost_no_more() {
    for brings in [Brings::OldEvent, Brings::Bookmark] {
        for (ends, after, most) in [
            // A server may end a watch at any time after a second.
            (Ends::Cleanly, 1000, [2.1, 1.1]),
            (Ends::Cleanly, 10_000, [0.3, 0.2]),
            (Ends::Broken, 500, [0.35, 0.35]),
            (Ends::Broken, 5000, [0.35, 0.35]),
            (Ends::Broken, 10_000, [0.3, 0.2]),
            (Ends::Error(410), 1000, [0.35, 0.3]),
        ] {
            let [alone, shared] = rates(brings, ends, Duration::from_millis(after)).await;
            println!("{brings:?} {ends:?} {after}: {alone:.2} {shared:.2}");
            assert!(
                alone < most[0] && shared < most[1],
                "{brings:?} {ends:?} {after}: {alone:.2} {shared:.2}"
            );
        }
    }
}
