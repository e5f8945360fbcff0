//! The simulated cluster responds in JSON and in protobuf, and both are read with the same result.

mod objects;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use kube::client::Body;
use podwait::{Hub, Scope, wait};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Terminated, Verb, pod};
use podwait_wire::{Answer, Encoding, Event, EventKind, Frames, ListItems, Refusal, Subject, Via};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];
const POD: &str = "/api/v1/namespaces/ci/pods/a";
const PODS: &str = "/api/v1/namespaces/ci/pods";
const WATCH: &str = "/api/v1/namespaces/ci/pods?watch=true&resourceVersion=1";

/// A response of the simulated cluster.
struct Got {
    code: u16,
    content_type: String,
    /// The pieces of the body, up to its end or error.
    pieces: Vec<Bytes>,
    is_broken: bool,
}

impl Got {
    fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers[CONTENT_TYPE].to_str().expect("a text").to_owned()
}

async fn get(cluster: &Cluster, target: &str, accept: &str) -> Got {
    let request = Request::get(target).header(ACCEPT, accept).body(Empty::<Bytes>::new()).expect("a request");
    let response = cluster.handle(request).await.expect("an answer");
    let (code, content_type) = (response.status().as_u16(), content_type(response.headers()));
    let (mut body, mut pieces) = (response.into_body(), Vec::new());
    loop {
        match body.frame().await {
            Some(Ok(frame)) => pieces.extend(frame.into_data().ok()),
            end => return Got { code, content_type, pieces, is_broken: end.is_some() },
        }
    }
}

/// Three pods, in three writes.
fn three() -> Cluster {
    let cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        cluster.create(pod("ci", name, &["step"])).expect("a pod");
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn a_get_a_list_and_a_watch_have_the_accepted_encoding() {
    let mut snapshots = Vec::new();
    for encoding in BOTH {
        let (cluster, media_type) = (three(), encoding.media_type());
        let one = get(&cluster, POD, media_type).await;
        assert_eq!((one.code, &*one.content_type), (200, media_type));
        let mut seen = vec![podwait_wire::pod(encoding, &one.body()).expect("a pod")];

        let first = get(&cluster, &format!("{PODS}?limit=2"), media_type).await;
        assert_eq!((first.code, &*first.content_type), (200, media_type));
        let mut items = ListItems::new(encoding);
        let (body, mut count) = (first.body(), 0);
        let mut rest = &*body;
        while let Some(item) = items.next_item(&mut rest).expect("an item") {
            seen.push(item.pod().expect("a pod"));
            count += 1;
        }
        let meta = items.finish().expect("a whole list");
        assert_eq!((count, &*meta.resource_version, meta.next.is_empty()), (2, "4", false));

        let empty = get(&cluster, "/api/v1/namespaces/none/pods", media_type).await;
        let (mut items, body) = (ListItems::new(encoding), empty.body());
        assert!(items.next_item(&mut &*body).expect("no item").is_none());
        assert_eq!(items.finish().expect("a whole list").resource_version, "4");

        let target = format!("{WATCH}&timeoutSeconds=70&allowWatchBookmarks=true");
        let watch = get(&cluster, &target, media_type).await;
        let parameter = if encoding == Encoding::Protobuf { ";stream=watch" } else { "" };
        assert_eq!((watch.code, watch.content_type), (200, format!("{media_type}{parameter}")));
        let (mut frames, mut kinds) = (Frames::new(encoding), Vec::new());
        for piece in &watch.pieces {
            let mut piece = &**piece;
            let frame = frames.next_frame(&mut piece).expect("a frame").expect("one in each piece");
            let event = Event::read(encoding, frame).expect("an event");
            kinds.push((event.kind, event.head.resource_version.into_owned()));
            seen.extend(Event::read(encoding, frame).expect("an event").pod().ok());
        }
        let (added, bookmark) = (EventKind::Added, EventKind::Bookmark);
        assert_eq!(
            kinds,
            [(added, "2".into()), (added, "3".into()), (added, "4".into()), (bookmark, "4".into())]
        );
        assert!(!frames.is_torn() && !watch.is_broken);
        snapshots.push(seen);
    }
    assert_eq!(snapshots[0].len(), 6);
    assert_eq!(snapshots[0], snapshots[1]);
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_accepted_encoding() {
    for encoding in BOTH {
        let (cluster, media_type) = (three(), encoding.media_type());
        let subject = |target: &str| Subject::of("GET", target, None);
        let read = |target: &str, got: &Got| {
            assert_eq!(got.content_type, media_type);
            let body = &*got.body();
            let answer = Answer { code: got.code, body, ..Answer::default() };
            Refusal::read(Via::Get, &subject(target), &answer)
        };
        let nowhere = format!("{PODS}/x");
        let missing = get(&cluster, &nowhere, media_type).await;
        assert!(read(&nowhere, &missing).is_absence_of("x"));

        cluster.faults().push(Verb::Get, Fault::status(429).retry_after(7));
        let throttled = get(&cluster, POD, media_type).await;
        let failure = read(POD, &throttled).failure;
        assert_eq!(
            (failure.code, failure.is_status, failure.retry_after),
            (429, true, Some(Duration::from_secs(7)))
        );

        cluster.compact(3);
        let watch = get(&cluster, WATCH, media_type).await;
        let (body, mut frames) = (watch.body(), Frames::new(encoding));
        let frame = frames.next_frame(&mut &*body).expect("a frame").expect("a whole one");
        let event = Event::read(encoding, frame).expect("an event");
        assert_eq!((event.kind, event.failure().code), (EventKind::Error, 410));
        assert_eq!(event.failure().message, "too old resource version: 1 (3)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_ignores_the_accepted_encoding() {
    let cluster = three();
    for (body, content_type, expected) in [
        (FaultBody::Json(json!({ "error": "x" })), "application/json", "{\"error\":\"x\"}\n"),
        (FaultBody::Text("<html>".into()), "text/plain; charset=utf-8", "<html>"),
    ] {
        cluster.faults().push(Verb::Get, Fault::Status { code: 502, retry_after: None, body });
        let got = get(&cluster, POD, podwait_wire::ACCEPT).await;
        assert_eq!((got.code, &*got.content_type, &*got.body()), (502, content_type, expected.as_bytes()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_can_break_within_a_frame_in_both_encodings() {
    for encoding in BOTH {
        for (fault, is_torn, is_broken) in [
            (Fault::CutAfter { events: 1 }, false, false),
            (Fault::CutMidLine { events: 1 }, true, false),
            (Fault::ResetAfter { events: 1 }, false, true),
        ] {
            let cluster = three();
            cluster.faults().push(Verb::Watch, fault.clone());
            let watch = get(&cluster, WATCH, encoding.media_type()).await;
            let (body, mut frames) = (watch.body(), Frames::new(encoding));
            let (mut rest, mut count) = (&*body, 0);
            while frames.next_frame(&mut rest).expect("a frame").is_some() {
                count += 1;
            }
            assert_eq!((count, frames.is_torn(), watch.is_broken), (1, is_torn, is_broken), "{fault:?}");
        }
        let cluster = three();
        cluster.faults().push(Verb::Get, Fault::CutMidLine { events: 0 });
        let half = get(&cluster, POD, encoding.media_type()).await;
        assert!(half.code == 200 && podwait_wire::pod(encoding, &half.body()).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_json_only_sends_json_or_406() {
    let cluster = three();
    cluster.faults().refuse_protobuf();
    let (json, protobuf) = (Encoding::Json.media_type(), Encoding::Protobuf.media_type());
    for target in [POD, PODS, WATCH] {
        let target = format!("{target}{}timeoutSeconds=1", if target == WATCH { "&" } else { "?" });
        let both = get(&cluster, &target, podwait_wire::ACCEPT).await;
        assert_eq!((both.code, &*both.content_type), (200, json));
        let one = get(&cluster, &target, protobuf).await;
        assert_eq!((one.code, &*one.content_type), (406, json));
        let status: Value = serde_json::from_slice(&one.body()).expect("a Status");
        assert_eq!(status["reason"], "NotAcceptable");
        assert_eq!(status["message"], format!("only the following media types are accepted: {json}"));
    }
    cluster.faults().clear();
    assert_eq!(get(&cluster, POD, podwait_wire::ACCEPT).await.content_type, protobuf);
}

/// The content types of all responses to a client.
type ContentTypes = Arc<Mutex<BTreeSet<String>>>;

/// A client of the cluster, and the content types that it received.
fn client(cluster: &Cluster) -> (podwait::Client, ContentTypes) {
    let (cluster, got) = (cluster.clone(), ContentTypes::default());
    let note = Arc::clone(&got);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (cluster, note) = (cluster.clone(), Arc::clone(&note));
        async move {
            let response = cluster.handle(request).await?;
            note.lock().expect("no panic").insert(content_type(response.headers()));
            Ok::<_, std::io::Error>(response)
        }
    });
    (podwait::Client::from_service(service, "ci"), got)
}

/// Single waits with a watch and with polls, a wait that keeps JSON, and a wait in a hub, which begins with a LIST
/// without the pod.
#[tokio::test(start_paused = true)]
async fn waits_get_protobuf_or_json_from_a_server_that_knows_json_only() {
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    const WATCHED: &str = "application/vnd.kubernetes.protobuf;stream=watch";
    for has_protobuf in [true, false] {
        for (way, in_protobuf) in [
            ("watch", &[PROTOBUF, WATCHED][..]),
            ("poll", &[PROTOBUF]),
            ("hub", &[PROTOBUF, WATCHED]),
            ("keep_json", &["application/json"]),
        ] {
            let cluster = Cluster::new();
            if !has_protobuf {
                cluster.faults().refuse_protobuf();
            }
            Life::existing("ci", "p")
                .after(Duration::from_secs(3))
                .created(pod("ci", "p", &["step", "istio-proxy"]))
                .scheduled("node-1")
                .containers_creating()
                .after(Duration::from_secs(1))
                .running()
                .after(Duration::from_secs(300))
                .terminated("step", Terminated::exit(3))
                .spawn(&cluster);
            let (client, got) = client(&cluster);
            let alone = || wait(client.clone(), "ci", "p").container("step");
            let end = match way {
                "watch" => alone().await,
                "poll" => alone().poll().await,
                "keep_json" => alone().keep_json().await,
                _ => Hub::new(client, Scope::namespace("ci")).wait("ci", "p").container("step").await,
            };
            assert_eq!(end.map(|exit| exit.code), Ok(3), "{way}");
            let expected = if has_protobuf { in_protobuf } else { &["application/json"] };
            let got: Vec<_> = got.lock().expect("no panic").iter().cloned().collect();
            assert_eq!(got, expected, "{way}");
        }
    }
}
