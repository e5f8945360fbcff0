//! Single objects: pods and `Status` in protobuf, compared with JSON and with the bytes of a real server.

use super::{BOTH, POD, get};
use podwait_sim::{Cluster, Fault, FaultBody, Verb};
use podwait_tests::protobuf::fields;
use podwait_wire::{Encoding, Event, Frames};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The protobuf of this object, as a response in place of a pod.
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

/// Collects every object in a value that may be a pod.
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
async fn every_known_pod_is_the_same_in_both_encodings() {
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

/// Whether `theirs` has all fields of `ours`, in the same order and number, and perhaps more fields.
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

/// Also for bookmarks, most of whose fields are empty.
#[tokio::test]
async fn all_fields_of_a_pod_are_as_a_real_server_writes_them() {
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
async fn values_of_a_wrong_type_are_refused_in_both_encodings() {
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
