//! Pods of real servers and of the cases, with random damage: if they are still JSON, they are read as serde reads
//! them. And snapshots as JSON.

use podwait_core::PodSnapshot;
use podwait_tests::fuzz::pod_bytes;
use podwait_wire::Encoding;
use serde_json::{Value, json};
use std::path::Path;

/// Random numbers, the same in each run.
struct Lot(u64);

impl Lot {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn pods() -> Vec<Value> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let read = |folder: &str, part: &str| {
        let files = std::fs::read_dir(root.join(folder)).expect("a folder");
        let mut paths: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
        paths.sort();
        let texts = paths.into_iter().map(|path| std::fs::read_to_string(path).expect("a text"));
        let values = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        values.filter_map(|value| value.pointer(part).cloned()).collect::<Vec<_>>()
    };
    let pods = [read("fuzz/corpus/pod_bytes", ""), read("adapters/wire/benches/events", "/object")].concat();
    assert!(pods.len() > 10, "{}", pods.len());
    pods
}

/// Replaces one value somewhere, preferably in a field that is read.
fn replace(value: &mut Value, lot: &mut Lot) {
    const READ: [&str; 12] = [
        "metadata",
        "spec",
        "status",
        "containers",
        "containerStatuses",
        "initContainerStatuses",
        "state",
        "lastState",
        "terminated",
        "waiting",
        "conditions",
        "restartPolicyRules",
    ];
    let ends_here = lot.below(6) == 0;
    match value {
        Value::Object(fields) if !ends_here && !fields.is_empty() => {
            let read: Vec<_> = fields.keys().filter(|name| READ.contains(&name.as_str())).cloned().collect();
            let all: Vec<_> = fields.keys().cloned().collect();
            let names = if read.is_empty() || lot.below(4) == 0 { all } else { read };
            replace(&mut fields[&names[lot.below(names.len())]], lot);
        }
        Value::Array(elements) if !ends_here && !elements.is_empty() => {
            let index = lot.below(elements.len());
            replace(&mut elements[index], lot);
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Object(_)
        | Value::Array(_) => {
            *value = [
                json!(null),
                json!(true),
                json!(0),
                json!(-1),
                json!(2_147_483_648_u64),
                json!(u64::MAX),
                json!(1.5),
                json!(1e300),
                json!(""),
                json!("True"),
                json!("Failed"),
                json!("2026-01-01T00:00:00.5+01:00"),
                json!("\u{0}\"\\\u{1f600}"),
                json!([]),
                json!([null]),
                json!([[{}]]),
                json!({}),
                json!({ "exitCode": 7 }),
                json!([{ "name": "x", "state": { "terminated": { "exitCode": 1, "reason": "Error" } } }]),
            ][lot.below(19)]
            .clone();
        }
    }
}

/// Replaces, repeats or removes some bytes, mostly whole words of JSON.
fn damage(text: &mut Vec<u8>, lot: &mut Lot) {
    const WORDS: [&[u8]; 18] = [
        b"null", b"-0", b"00", b"1e5", b"\\", b"\\u00e9", b"\\ud83d", b"\\ude00", b"\"", b"{", b"}", b"[",
        b"]", b",", b":", b" \n", b"\x01", b"\xc3",
    ];
    let at = lot.below(text.len());
    let end = (at + lot.below(40)).min(text.len());
    match lot.below(4) {
        0 => drop(text.splice(at..at, WORDS[lot.below(18)].iter().copied())),
        1 => drop(text.splice(at..at + 1, WORDS[lot.below(18)].iter().copied())),
        2 => drop(text.drain(at..end)),
        _ => drop(text.splice(at..at, text[at..end].to_vec())),
    }
}

#[test]
fn damaged_pods_are_read_as_serde_reads_them() {
    let mut lot = Lot(7);
    for pod in pods() {
        let size = pod.to_string().len();
        for _ in 0..150_000 / size {
            let mut changed = pod.clone();
            for _ in 0..=lot.below(2) {
                replace(&mut changed, &mut lot);
            }
            let mut text = changed.to_string().into_bytes();
            pod_bytes(&text);
            damage(&mut text, &mut lot);
            pod_bytes(&text);
        }
    }
}

#[test]
fn both_readers_refuse_a_repeated_field() {
    for pod in pods() {
        let text = pod.to_string();
        // Each name is repeated before itself.
        for (at, _) in text.match_indices("\":") {
            let start = text[..at].rfind('"').expect("a name begins");
            let twice = format!("{}{}:null,{}", &text[..start], &text[start..=at], &text[start..]);
            pod_bytes(twice.as_bytes());
        }
    }
}

#[test]
fn a_snapshot_that_was_written_as_json_is_read_unchanged() {
    for pod in pods() {
        let Ok(pod) = podwait_wire::pod(Encoding::Json, pod.to_string().as_bytes()) else { continue };
        let text = serde_json::to_string(&pod.snapshot).expect("a value");
        assert_eq!(serde_json::from_str::<PodSnapshot>(&text).expect("a snapshot"), pod.snapshot, "{text}");
    }
    let little = serde_json::from_str::<PodSnapshot>(r#"{"uid":"u","phase":"Running"}"#)
        .expect("what is absent is empty");
    assert_eq!((&*little.uid, little.containers.len()), ("u", 0));
}
