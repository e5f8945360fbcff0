//! The vectors, and functions that read them as a whole.

use podwait_wire::{Encoding, Event, EventKind, Frames, ListItems, ListMeta, Pod};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::path::Path;

/// Both encodings, with the suffix of their files.
pub(crate) const ENCODINGS: [(Encoding, &str); 2] = [(Encoding::Protobuf, "pb"), (Encoding::Json, "json")];

pub(crate) fn data(name: &str) -> Vec<u8> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/data")).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// FNV-1a of a text, in 64 bits.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The JSON of every pod of the recordings and the cases.
pub(crate) fn pods() -> Vec<String> {
    #[derive(Deserialize)]
    struct Line {
        pod: Option<Box<RawValue>>,
        #[serde(default)]
        events: Vec<Self>,
    }
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests"));
    let mut pods = Vec::new();
    let mut seen = HashSet::new();
    for folder in ["recordings", "cases"] {
        let files = std::fs::read_dir(root.join(folder)).expect("a folder");
        let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "jsonl"));
        files.sort();
        for file in files {
            for line in std::fs::read_to_string(file).expect("a text").lines() {
                // Recordings have other lines too, in which `pod` is a name.
                let Ok(line) = serde_json::from_str::<Line>(line) else { continue };
                let all = line.pod.into_iter().chain(line.events.into_iter().filter_map(|event| event.pod));
                let objects = all.map(|pod| pod.get().to_owned()).filter(|pod| pod.starts_with('{'));
                pods.extend(objects.filter(|pod| seen.insert(pod.clone())));
            }
        }
    }
    pods
}

/// A description of one event: its pod, the error, or its other content.
pub(crate) fn describe(event: &Event<'_>) -> String {
    let head = [&event.head.namespace, &event.head.name, &event.head.resource_version];
    let is_end = event.ends_initial_events().expect("a bookmark or not");
    match event.kind {
        EventKind::Error => format!("{:?}", event.failure()),
        EventKind::Bookmark => format!("bookmark {head:?} {is_end}"),
        EventKind::Added | EventKind::Modified | EventKind::Deleted | EventKind::Unrecognized => {
            format!("{:?} {head:?} {:?}", event.kind, event.pod().map_err(|error| error.to_string()))
        }
    }
}

/// The events of a stream in these pieces, and whether it was torn.
pub(crate) fn events<'a>(
    encoding: Encoding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<String>, bool), podwait_wire::DecodeError> {
    let mut frames = Frames::new(encoding);
    let mut events = Vec::new();
    for mut piece in pieces {
        while let Some(frame) = frames.next_frame(&mut piece)? {
            events.push(describe(&Event::read(encoding, frame)?));
        }
    }
    Ok((events, frames.is_torn()))
}

/// The pods and the metadata of a list in these pieces.
pub(crate) fn list<'a>(
    encoding: Encoding,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<Pod>, ListMeta), podwait_wire::DecodeError> {
    let mut items = ListItems::new(encoding);
    let mut pods = Vec::new();
    for mut piece in pieces {
        while let Some(item) = items.next_item(&mut piece)? {
            let (head, pod) = (item.head()?, item.pod()?);
            assert_eq!((&*head.namespace, &*head.name), (&*pod.namespace, &*pod.name));
            assert_eq!(head.resource_version, pod.snapshot.resource_version);
            pods.push(pod);
        }
    }
    Ok((pods, items.finish()?))
}
