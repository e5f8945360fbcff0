//! The cost for an API server of sending all pods once, in each possible way.

use super::writer::Writer;
use super::{process, server};
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_tests::cluster;
use podwait_wire::{Encoding, Event, EventKind, Frames, ListItems};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How often each way is measured.
const TIMES: u32 = 5;

/// The pause before each measurement, in which the server collects its garbage.
const REST: Duration = Duration::from_secs(2);

/// A way to read all pods.
#[derive(Clone, Copy)]
enum Way {
    /// A LIST without a limit.
    Whole,
    /// A LIST in pages of 500, as podwait requests it.
    Pages,
    /// A watch that begins with all pods (KEP-3157), as client-go requests it.
    Stream,
}

/// Reads `count` pods in every way. Returns a Markdown table with the time until the last byte, the bytes, the API
/// server's CPU time, and how much more memory it used.
///
/// # Panics
/// The cluster cannot be started, or refuses a request.
pub async fn compare(count: usize) -> String {
    let (cluster, mut child) = cluster::start(&["--nodes", "0"]);
    let writer = Writer::new(&cluster.kubeconfig, "lists", count, 200).await;
    writer.create().await;
    let server = server(&cluster).await;
    let mut table = String::from(
        "| way | bytes for each pod | ms until its last byte | API server, CPU ms | its peak, MiB above what it had |\n|---|---:|---:|---:|---:|\n",
    );
    for (name, way) in
        [("LIST in one answer", Way::Whole), ("LIST in pages of 500", Way::Pages), ("WatchList", Way::Stream)]
    {
        let (mut bytes, mut time, mut cpu, mut peak) = (0, Duration::ZERO, Duration::ZERO, 0.0);
        for _ in 0..TIMES {
            tokio::time::sleep(REST).await;
            process::forget_peak(server);
            let (before, begin) = (process::usage(server), Instant::now());
            let (seen, received) = read(&writer, way).await;
            assert_eq!(seen, count, "{name}");
            let after = process::usage(server);
            (bytes, time) = (bytes + received, time + begin.elapsed());
            cpu += after.cpu.saturating_sub(before.cpu);
            peak += (after.peak_mib() - before.peak_mib()) / f64::from(TIMES);
        }
        let _ = writeln!(
            table,
            "| {name} | {} | {} | {} | {peak:.0} |",
            bytes / (TIMES as usize * count),
            (time / TIMES).as_millis(),
            (cpu / TIMES).as_millis()
        );
    }
    drop(child.stdin.take());
    let _ = child.wait();
    table
}

/// The number of pods, and of the bytes of the responses.
async fn read(writer: &Writer, way: Way) -> (usize, usize) {
    let path = "/api/v1/namespaces/lists/pods";
    match way {
        Way::Whole => {
            let (seen, bytes, _) = page(writer, path).await;
            (seen, bytes)
        }
        Way::Pages => {
            let (mut all, mut uri) = ((0, 0), format!("{path}?limit=500"));
            loop {
                let (seen, bytes, next) = page(writer, &uri).await;
                all = (all.0 + seen, all.1 + bytes);
                if next.is_empty() {
                    return all;
                }
                uri = format!("{path}?limit=500&continue={next}");
            }
        }
        Way::Stream => {
            let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
            let mut body = send(writer, &format!("{path}?{query}")).await;
            let (mut frames, mut all) = (Frames::new(Encoding::Protobuf), (0, 0));
            while let Some(frame) = body.frame().await {
                let frame = frame.expect("nothing breaks");
                let mut piece = frame.data_ref().map_or(&[][..], |data| data);
                all.1 += piece.len();
                while let Some(event) = frames.next_frame(&mut piece).expect("frames") {
                    let event = Event::read(Encoding::Protobuf, event).expect("an event");
                    all.0 += usize::from(event.kind == EventKind::Added);
                    if event.ends_initial_events().expect("a bookmark") {
                        return all;
                    }
                }
            }
            panic!("the stream ended before its bookmark");
        }
    }
}

/// The number of items of a response, of its bytes, and its continue token.
async fn page(writer: &Writer, uri: &str) -> (usize, usize, String) {
    let mut body = send(writer, uri).await;
    let (mut items, mut seen, mut bytes) = (ListItems::new(Encoding::Protobuf), 0, 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.expect("nothing breaks");
        let mut piece = frame.data_ref().map_or(&[][..], |data| data);
        bytes += piece.len();
        while items.next_item(&mut piece).expect("a list").is_some() {
            seen += 1;
        }
    }
    (seen, bytes, items.finish().expect("the whole list").next)
}

async fn send(writer: &Writer, uri: &str) -> Body {
    let request = Request::get(uri).header("Accept", podwait_wire::ACCEPT).body(Body::empty());
    let answer = writer.client().send(request.expect("a request")).await.expect("an answer");
    assert!(answer.status().is_success(), "{uri}: {}", answer.status());
    answer.into_body()
}
