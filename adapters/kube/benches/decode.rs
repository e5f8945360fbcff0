//! What one event of a watch costs: `cargo bench -p podwait --bench decode`. Time, and allocations with their bytes, per
//! event that the API server of `tests/cluster` sent, see `events/README.md`. The time includes the drop of what was read.

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::core::WatchEvent;
use podwait::internals::{LineSplitter, Spare, envelope};
use serde::de::IgnoredAny;
use std::hint::black_box;
use std::time::{Duration, Instant};

#[expect(unreachable_pub, reason = "it belongs to the test kit")]
#[path = "../../../tests/src/reference.rs"]
mod reference;

const EVENTS: [(&str, &[u8]); 3] = [
    ("3 KB", include_bytes!("events/3k.json")),
    ("10 KB", include_bytes!("events/10k.json")),
    ("30 KB", include_bytes!("events/30k.json")),
];

/// Samples, and calls in each. The machine may be busy with other things, so the fastest sample is what counts.
const SAMPLES: usize = 400;
const CALLS: usize = 50;

fn main() {
    println!("fastest and median of {SAMPLES} samples of {CALLS} calls");
    for (name, line) in EVENTS {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        // As a frame of a body holds it, alone or cut in two.
        let frame = Bytes::from([line, b"\n"].concat());
        let halves = [frame.slice(..line.len() / 2), frame.slice(line.len() / 2..)];
        let (mut splitter, mut spare) = (LineSplitter::default(), Spare::default());
        let (pod, object) = envelope(line).expect("an event").pod().expect("a pod");
        assert_eq!(pod, reference::decode(object).expect("a pod"), "serde reads the same");
        println!("\n{name} ({} bytes)", line.len());
        println!("{:<28}{:>10}{:>10}{:>9}{:>9}{:>9}", "", "fastest", "median", "x ours", "allocs", "bytes");
        let rows = [
            (
                "WatchEvent<Pod> of k8s",
                cost(|| serde_json::from_slice::<WatchEvent<Pod>>(line).expect("an event")),
            ),
            ("serde, the same fields", cost(|| reference::decode_event(line).expect("a pod"))),
            ("serde, nothing", cost(|| serde_json::from_slice::<IgnoredAny>(line).expect("JSON"))),
            (
                "ours",
                cost(|| {
                    // As a feed does: in what the pods before it have left.
                    let (pod, _) = envelope(line).expect("an event").pod_with(&mut spare).expect("a pod");
                    spare.take_apart(black_box(pod));
                }),
            ),
            ("ours, the first of all", cost(|| envelope(line).expect("an event").pod().expect("a pod"))),
            ("ours, whom it is about", cost(|| envelope(line).expect("an event"))),
            (
                "the same from a frame on",
                cost(|| {
                    splitter.push(frame.clone());
                    let line = splitter.next_line().expect("a whole line");
                    envelope(&line).expect("an event").head.name.len()
                }),
            ),
            (
                "the same from two frames on",
                cost(|| {
                    splitter.push(halves[0].clone());
                    assert!(splitter.next_line().is_none(), "half a line");
                    splitter.push(halves[1].clone());
                    let line = splitter.next_line().expect("a whole line");
                    envelope(&line).expect("an event").head.name.len()
                }),
            ),
            ("UTF-8", cost(|| std::str::from_utf8(line).expect("UTF-8"))),
        ];
        let ours = &rows[3].1;
        for (name, cost) in &rows {
            let times = cost.fastest.as_secs_f64() / ours.fastest.as_secs_f64();
            println!(
                "{name:<28}{:>7.2} us{:>7.2} us{times:>9.2}{:>9}{:>9}",
                micros(cost.fastest),
                micros(cost.median),
                cost.heap.count_total,
                cost.heap.bytes_total,
            );
        }
    }
}

struct Cost {
    fastest: Duration,
    median: Duration,
    heap: AllocationInfo,
}

fn cost<T>(mut read: impl FnMut() -> T) -> Cost {
    let mut times: Vec<Duration> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..CALLS {
                drop(black_box(read()));
            }
            start.elapsed() / CALLS as u32
        })
        .collect();
    times.sort();
    let heap = allocation_counter::measure(|| drop(black_box(read())));
    Cost { fastest: times[0], median: times[SAMPLES / 2], heap }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
