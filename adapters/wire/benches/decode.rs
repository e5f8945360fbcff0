//! The cost of decoding: `cargo bench -p podwait-wire`. The objects are those of `tests/vectors`: events of a real API
//! server. No memory is reused; the time includes the drop of the decoded values.
//!
//! `peer` is quick-protobuf's reader, which finds the same head and traverses the same message; it decodes no pod.

use divan::{Bencher, black_box, counter::BytesCount};
use podwait_wire::{Encoding, Event, Frames, ListItems, pod};
use quick_protobuf::BytesReader;
use std::path::Path;

fn main() {
    divan::main();
}

/// An encoding, and the suffix of its files.
trait Encoded {
    const ENCODING: Encoding;
    const END: &'static str;
}

struct Protobuf;
struct Json;

impl Encoded for Protobuf {
    const ENCODING: Encoding = Encoding::Protobuf;
    const END: &'static str = "pb";
}

impl Encoded for Json {
    const ENCODING: Encoding = Encoding::Json;
    const END: &'static str = "json";
}

/// Events of `rich.watch`, by the size of their JSON.
const SIZES: [&str; 4] = ["3k", "10k", "30k", "100k"];

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/data")).join(name);
    std::fs::read(path).expect("a vector")
}

fn frame<E: Encoded>(size: &str) -> Vec<u8> {
    let stream = data(&format!("rich.watch.{}", E::END));
    let mut piece = &*stream;
    let mut frames = Frames::new(E::ENCODING);
    let mut next = || frames.next_frame(&mut piece).expect("a frame").expect("a frame").to_vec();
    let index = SIZES.iter().position(|one| *one == size).expect("a size");
    (0..=index).map(|_| next()).last().expect("a frame")
}

/// An event of a pod without a wait: only its head is read.
#[divan::bench(args = SIZES, types = [Protobuf, Json])]
fn stranger<E: Encoded>(bencher: Bencher<'_, '_>, size: &str) {
    let encoding = E::ENCODING;
    let frame = frame::<E>(size);
    bencher.bench_local(|| Event::read(encoding, black_box(&frame)).expect("an event").head.name.len());
}

/// An event of a pod with a wait: the pod is decoded.
#[divan::bench(args = SIZES, types = [Protobuf, Json])]
fn wanted<E: Encoded>(bencher: Bencher<'_, '_>, size: &str) {
    let encoding = E::ENCODING;
    let frame = frame::<E>(size);
    bencher.counter(BytesCount::of_slice(&frame)).bench_local(|| {
        let event = Event::read(encoding, black_box(&frame)).expect("an event");
        event.pod().expect("a pod")
    });
}

/// The same, starting from a stream: two frames, cut in the middle of the first.
#[divan::bench(types = [Protobuf, Json])]
fn two_events_cut_once<E: Encoded>(bencher: Bencher<'_, '_>) {
    let (encoding, end) = (E::ENCODING, E::END);
    let mut stream = data(&format!("rich.watch.{end}"));
    let both: usize = SIZES[..2].iter().map(|size| frame::<E>(size).len()).sum();
    stream.truncate(both + if encoding == Encoding::Json { 2 } else { 8 });
    let mut frames = Frames::new(encoding);
    bencher.bench_local(|| {
        let (mut first, mut second) = stream.split_at(1000);
        assert!(frames.next_frame(&mut first).expect("a stream").is_none());
        let mut heads = 0;
        while let Some(frame) = frames.next_frame(&mut second).expect("a stream") {
            heads += Event::read(encoding, frame).expect("an event").head.name.len();
        }
        heads
    });
}

/// A list of 500 pods of 10 KB, in pieces of 16 KiB.
#[divan::bench(args = ["heads", "pods"], types = [Protobuf, Json])]
fn list_of_500<E: Encoded>(bencher: Bencher<'_, '_>, read: &str) {
    let encoding = E::ENCODING;
    let frame = frame::<E>("10k");
    let object = Event::read(encoding, &frame).expect("an event").object().expect("an object").to_vec();
    let list = match encoding {
        Encoding::Json => {
            let items = vec![String::from_utf8(object).expect("UTF-8"); 500].join(",");
            format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"7"}},"items":[{items}]}}"#)
                .into_bytes()
        }
        Encoding::Protobuf => {
            let items = field(2, raw(&object)).repeat(500);
            [b"k8s\0".to_vec(), field(1, &field(2, b"PodList")), field(2, &items)].concat()
        }
    };
    bencher.counter(BytesCount::of_slice(&list)).bench_local(|| {
        let mut items = ListItems::new(encoding);
        let mut names = 0;
        for mut piece in list.chunks(16 << 10) {
            while let Some(item) = items.next_item(&mut piece).expect("a list") {
                names += match read {
                    "heads" => item.head().expect("a head").name.len(),
                    _ => item.pod().expect("a pod").name.len(),
                };
            }
        }
        (names, items.finish().expect("a list"))
    });
}

/// The answer to a GET.
#[divan::bench(types = [Protobuf, Json])]
fn get_10k<E: Encoded>(bencher: Bencher<'_, '_>) {
    let encoding = E::ENCODING;
    let frame = frame::<E>("10k");
    let object = Event::read(encoding, &frame).expect("an event").object().expect("an object").to_vec();
    bencher.bench_local(|| pod(encoding, black_box(&object)).expect("a pod"));
}

/// quick-protobuf: the head of an event.
#[divan::bench]
fn peer_stranger_10k(bencher: Bencher<'_, '_>) {
    let frame = frame::<Protobuf>("10k");
    bencher.bench_local(|| peer_head(black_box(&frame)));
}

/// quick-protobuf: every field of a pod, at the depth of the fields that are read, skipped or taken as bytes.
#[divan::bench]
fn peer_walk_10k(bencher: Bencher<'_, '_>) {
    let frame = frame::<Protobuf>("10k");
    let object = Event::read(Encoding::Protobuf, &frame).expect("an event").object().expect("an object");
    bencher.bench_local(|| peer_walk(black_box(raw(object)), 3));
}

fn peer_head(frame: &[u8]) -> usize {
    let event = peer_field(frame, 2);
    let object = peer_field(event, 1);
    let metadata = peer_field(peer_field(&object[4..], 2), 1);
    let mut reader = BytesReader::from_bytes(metadata);
    let (mut length, mut found) = (0, 0);
    while found < 3 && !reader.is_eof() {
        let tag = reader.next_tag(metadata).expect("a tag");
        match tag >> 3 {
            1 | 3 | 6 => {
                length += reader.read_string(metadata).expect("a string").len();
                found += 1;
            }
            _ => reader.read_unknown(metadata, tag).expect("a field"),
        }
    }
    length
}

fn peer_field(message: &[u8], number: u32) -> &[u8] {
    let mut reader = BytesReader::from_bytes(message);
    loop {
        let tag = reader.next_tag(message).expect("a tag");
        if tag >> 3 == number {
            return reader.read_bytes(message).expect("bytes");
        }
        reader.read_unknown(message, tag).expect("a field");
    }
}

fn peer_walk(message: &[u8], depth: usize) -> usize {
    let mut reader = BytesReader::from_bytes(message);
    let mut count = 0;
    while !reader.is_eof() {
        let Ok(tag) = reader.next_tag(message) else { return count };
        count += 1;
        if tag & 7 == 2 && depth > 0 && matches!(tag >> 3, 1 | 2 | 3 | 8 | 10 | 20) {
            let Ok(bytes) = reader.read_bytes(message) else { return count };
            count += peer_walk(bytes, depth - 1);
        } else if reader.read_unknown(message, tag).is_err() {
            return count;
        }
    }
    count
}

/// The message in an envelope.
fn raw(object: &[u8]) -> &[u8] {
    peer_field(&object[4..], 2)
}

/// A field that holds bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(value);
    field
}
