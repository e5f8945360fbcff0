//! The simulated cluster answers in JSON and in protobuf, and both are read as the same.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use kube::client::Body;
use podwait::{Hub, Scope, wait};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Terminated, Verb, pod};
use podwait_tests::protobuf::fields;
use podwait_wire::{Answer, Encoding, Event, EventKind, Frames, ListItems, Refusal, Subject, Via};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];
const POD: &str = "/api/v1/namespaces/ci/pods/a";
const PODS: &str = "/api/v1/namespaces/ci/pods";
const WATCH: &str = "/api/v1/namespaces/ci/pods?watch=true&resourceVersion=1";

/// An answer of the simulated cluster.
struct Got {
    code: u16,
    content_type: String,
    /// The pieces of the body, up to its end or its break.
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

/// What is answered instead of a pod, in protobuf.
async fn in_protobuf(cluster: &Cluster, code: u16, object: Value) -> Vec<u8> {
    let body = FaultBody::Object(object);
    cluster.faults().push(Verb::Get, Fault::Status { code, retry_after: None, body });
    let got = get(cluster, POD, Encoding::Protobuf.media_type()).await;
    assert_eq!((got.code, &*got.content_type), (code, Encoding::Protobuf.media_type()));
    got.body()
}

fn folder(name: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(name));
    let mut files: Vec<_> = files.expect("a folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files
}

/// Every object in there that may be a pod.
fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if fields.get("metadata").is_some_and(Value::is_object) => {
            into.insert(value.to_string());
        }
        Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Each pod of the cases, the recordings, the vectors, the corpora and the benchmarks.
fn pods() -> BTreeSet<String> {
    let mut pods = BTreeSet::new();
    for path in ["tests/cases", "tests/recordings", "tests/vectors/data", "adapters/wire/benches/events"]
        .into_iter()
        .chain(["fuzz/corpus/pod_bytes"])
        .flat_map(folder)
    {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        match serde_json::from_str::<Value>(&text) {
            Ok(value) => collect(&value, &mut pods),
            Err(_) => text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .for_each(|value| collect(&value, &mut pods)),
        }
    }
    pods
}

#[tokio::test]
async fn every_known_pod_is_answered_as_the_same_in_both_encodings() {
    let (cluster, mut compared, mut refused) = (Cluster::new(), 0, 0);
    for text in pods() {
        let mut object: Value = serde_json::from_str(&text).expect("JSON");
        // A reduced pod has no version.
        object["apiVersion"] = json!("v1");
        object["kind"] = object.get("kind").cloned().unwrap_or_else(|| json!("Pod"));
        let json = podwait_wire::pod(Encoding::Json, object.to_string().as_bytes());
        let bytes = in_protobuf(&cluster, 200, object).await;
        match (json, podwait_wire::pod(Encoding::Protobuf, &bytes)) {
            (Ok(expected), Ok(read)) => {
                assert_eq!(read, expected, "{text}");
                compared += 1;
            }
            (Err(_), Err(_)) => refused += 1,
            (json, protobuf) => panic!("{:?}, {:?}: {text}", json.err(), protobuf.err()),
        }
    }
    println!("{compared} pods are the same, {refused} objects are refused in both encodings");
    assert!(compared > 1000, "{compared}");
}

/// The API server's own bytes, from `tests/vectors`.
#[tokio::test]
async fn a_status_has_the_bytes_that_a_real_server_writes() {
    let (cluster, mut compared) = (Cluster::new(), 0);
    for json in folder("tests/vectors/data") {
        if !json.to_string_lossy().ends_with(".status.json") {
            continue;
        }
        let object: Value =
            serde_json::from_slice(&std::fs::read(&json).expect("a vector")).expect("a Status");
        let expected = std::fs::read(json.with_extension("pb")).expect("a vector");
        assert_eq!(in_protobuf(&cluster, 500, object).await, expected, "{}", json.display());
        compared += 1;
    }
    assert!(compared >= 10, "{compared}");
}

/// Whether theirs has what ours has, in the same order and as many times, and perhaps more fields.
fn is_part(ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs {
        return true;
    }
    let (Some(ours), Some(theirs)) = (fields(ours), fields(theirs)) else { return false };
    let times = |fields: &[(u64, &[u8])], number| fields.iter().filter(|(own, _)| *own == number).count();
    let mut left = theirs.iter();
    ours.iter().all(|(number, value)| {
        times(&ours, *number) == times(&theirs, *number)
            && left.any(|(own, whole)| own == number && is_part(value, whole))
    })
}

/// Bookmarks, of which nearly all fields are empty, among them.
#[tokio::test]
async fn a_pod_has_no_field_that_a_real_server_writes_otherwise() {
    let vector = |name: &str| {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/data")).join(name);
        std::fs::read(path).expect("a vector")
    };
    let (json, protobuf) = (vector("rich.watch.json"), vector("rich.watch.pb"));
    let mut pairs = vec![(vector("full.json"), vector("full.pb"))];
    let [mut lines, mut messages] = BOTH.map(Frames::new);
    let (mut json, mut protobuf) = (&*json, &*protobuf);
    while let Some(line) = lines.next_frame(&mut json).expect("a line") {
        let message = messages.next_frame(&mut protobuf).expect("a frame").expect("as many as lines");
        let events = [(Encoding::Json, line), (Encoding::Protobuf, message)];
        let [line, message] = events.map(|(encoding, frame)| {
            let event = Event::read(encoding, frame).expect("an event");
            event.object().expect("an object").to_vec()
        });
        pairs.push((line, message));
    }
    assert_eq!(pairs.len(), 9);
    let cluster = Cluster::new();
    for (json, expected) in pairs {
        let ours = in_protobuf(&cluster, 200, serde_json::from_slice(&json).expect("JSON")).await;
        let [ours, theirs] =
            [&ours, &expected].map(|bytes| bytes.strip_prefix(b"k8s\0").expect("an envelope"));
        assert!(is_part(ours, theirs), "{}", String::from_utf8_lossy(&json));
    }
}

#[tokio::test]
async fn what_does_not_fit_its_field_is_refused_in_both_encodings() {
    let cluster = Cluster::new();
    let good = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "namespace": "ci", "uid": "u" },
        "spec": { "containers": [{ "name": "step" }] },
        "status": { "phase": "Running", "containerStatuses": [{ "name": "step", "restartCount": 0,
            "state": { "terminated": { "exitCode": 3, "finishedAt": "2026-01-01T00:00:00Z" } } }] },
    });
    let ended = "/status/containerStatuses/0/state/terminated";
    for (place, value, is_good) in [
        ("/status/phase", json!("Failed"), true),
        ("/status/phase", json!(null), true),
        ("/status/phase", json!(5), false),
        ("/metadata", json!("none"), false),
        ("/spec/containers", json!({}), false),
        ("/spec/containers/0", json!(1), false),
        ("/status/containerStatuses/0/restartCount", json!("1"), false),
        ("/status/containerStatuses/0/restartCount", json!(2_147_483_648_u64), false),
        ("/status/containerStatuses/0/restartCount", json!(u64::MAX), false),
        (&format!("{ended}/exitCode"), json!(-1), true),
        (&format!("{ended}/exitCode"), json!(null), false),
        (&format!("{ended}/exitCode"), json!(1.5), false),
        (&format!("{ended}/finishedAt"), json!(null), true),
        (&format!("{ended}/finishedAt"), json!("yesterday"), false),
        (ended, json!({}), false),
        (ended, json!(true), false),
    ] {
        let mut pod = good.clone();
        *pod.pointer_mut(place).expect(place) = value;
        let json = podwait_wire::pod(Encoding::Json, pod.to_string().as_bytes());
        let protobuf = podwait_wire::pod(Encoding::Protobuf, &in_protobuf(&cluster, 200, pod).await);
        assert_eq!((json.is_ok(), protobuf.is_ok()), (is_good, is_good), "{place}: {json:?}, {protobuf:?}");
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
async fn a_get_a_list_and_a_watch_are_answered_in_the_encoding_that_is_accepted() {
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
async fn refusals_are_answered_in_the_encoding_that_is_accepted() {
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
async fn a_proxy_writes_what_it_likes_whatever_is_accepted() {
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
async fn a_stream_is_torn_within_a_frame_in_both_encodings() {
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
async fn a_server_that_knows_json_only_answers_that_or_406() {
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

/// The content types of all answers that a client gets.
type ContentTypes = Arc<Mutex<BTreeSet<String>>>;

/// A client of the cluster, and what it got.
fn client(cluster: &Cluster) -> (kube::Client, ContentTypes) {
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
    (kube::Client::new(service, "ci"), got)
}

/// Alone with a watch and with polls, keeping JSON, and in a hub, which begins with a LIST and is told of the pod's absence.
#[tokio::test(start_paused = true)]
async fn waits_get_protobuf_where_the_server_has_it_and_json_where_not() {
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
