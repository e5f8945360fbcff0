//! The memory for a search through many pods for the few that are held. Alone in its process, because the memory of the
//! process is counted.

use bytes::Bytes;
use cap::Cap;
use futures_util::stream::{self, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;
use kube::client::Body;
use podwait::{ApiFailure, Client, FINALIZER, HeldPod, Scope, held_pods};
use std::alloc::System;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const PODS: usize = 100_000;

/// Pods of a page, as many as the requests ask for.
const PAGE: usize = 500;

/// The most memory that the listing may hold: a piece of a page, and the held pods.
const MOST: usize = 2 << 20;

/// An API server with a list of pages.
struct Server {
    /// The page of this number, from 0: its items and its continue token.
    page: fn(usize) -> (String, String),
    asked: AtomicUsize,
    most: AtomicUsize,
}

impl Server {
    fn new(page: fn(usize) -> (String, String)) -> Arc<Self> {
        Arc::new(Self { page, asked: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                server.most.fetch_max(ALLOCATOR.allocated(), Ordering::Relaxed);
                let (items, next) = (server.page)(server.asked.fetch_add(1, Ordering::Relaxed));
                let metadata = format!(r#"{{"resourceVersion":"7","continue":"{next}"}}"#);
                let list = format!(r#"{{"kind":"PodList","metadata":{metadata},"items":[{items}]}}"#);
                let pieces: Vec<_> = list.as_bytes().chunks(16 << 10).map(Bytes::copy_from_slice).collect();
                let frames = stream::iter(pieces).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
                Ok::<_, Infallible>(http::Response::new(StreamBody::new(frames)))
            }
        });
        Client::from_service(service, "ci")
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn held(self: &Arc<Self>) -> Result<Vec<HeldPod>, ApiFailure> {
        held_pods(self.client(), Scope::all()).await
    }
}

/// Every ten thousandth pod is held.
fn pods(page: usize) -> (String, String) {
    let items = (page * PAGE..(page + 1) * PAGE).map(|n| {
        let finalizers = if n % 10_000 == 0 { format!(r#","finalizers":["{FINALIZER}"]"#) } else { String::new() };
        let metadata = format!(r#"{{"namespace":"ci","name":"p-{n}","uid":"u-{n}"{finalizers}}}"#);
        format!(r#"{{"metadata":{metadata},"spec":{{"containers":[{{"name":"step"}}]}},"status":{{"phase":"Running"}}}}"#)
    });
    let items = items.collect::<Vec<_>>().join(",");
    let is_last = (page + 1) * PAGE >= PODS;
    (items, if is_last { String::new() } else { format!("after-{page}") })
}

/// A single test, so that no other memory is counted.
#[tokio::test(start_paused = true)]
async fn a_listing_keeps_only_held_pods_and_ends() {
    // The runtime and the first request keep some memory for good.
    Server::new(|_| (String::new(), String::new())).held().await.expect("an empty list");

    let server = Server::new(pods);
    let before = ALLOCATOR.allocated();
    let held = server.held().await.expect("a list");
    assert_eq!(held.len(), PODS / 10_000);
    assert_eq!(held[3].name, "p-30000");
    assert_eq!(server.asked(), PODS / PAGE);
    let most = server.most.load(Ordering::Relaxed).saturating_sub(before);
    println!("{most} bytes at most between two pages of {PODS} pods");
    assert!(most < MOST, "{most}");

    // A pod that cannot be decoded counts as held, and hides no other pod.
    let server = Server::new(|_| {
        let metadata =
            format!(r#""metadata":{{"namespace":"ci","name":"a","uid":"u","finalizers":["{FINALIZER}"]}}"#);
        let odd = format!(r#"{{{metadata},"status":{{"phase":5}}}}"#);
        let good = format!(r#"{{{}}}"#, metadata.replace(r#""name":"a""#, r#""name":"b""#));
        (format!("{odd},{good}"), String::new())
    });
    let held = server.held().await.expect("a list");
    let found: Vec<_> = held.iter().map(|pod| (pod.name.as_str(), pod.uid.as_str(), pod.is_over)).collect();
    assert_eq!(found, [("a", "u", false), ("b", "u", false)]);

    // Lists that lead in a circle, of one page or of more.
    for (circle, pages) in [(1, 2), (3, 4)] {
        let server = match circle {
            1 => Server::new(|_| (String::new(), String::from("again"))),
            _ => Server::new(|page| (String::new(), format!("page-{}", page % 3))),
        };
        let failure = server.held().await.err().expect("no end");
        assert!(failure.message.contains("was repeated"), "{failure}");
        assert_eq!(server.asked(), pages);
    }

    // A list with endless empty pages.
    let server = Server::new(|page| (String::new(), page.to_string()));
    let begin = Instant::now();
    let ended = timeout(Duration::from_secs(400), server.held()).await.expect("it ends by itself");
    let failure = ended.err().expect("no end");
    let rate = f64::from(u32::try_from(server.asked()).expect("not so many")) / begin.elapsed().as_secs_f64();
    assert!(failure.message.contains("pages"), "{failure}");
    assert!(rate <= 51.0, "{rate}");

    // A token that is too long for a URL.
    let server = Server::new(|_| (String::new(), "x".repeat(100_000)));
    let failure = server.held().await.err().expect("no end");
    assert!(!failure.is_status && failure.message.contains("continue token"), "{failure}");
}
