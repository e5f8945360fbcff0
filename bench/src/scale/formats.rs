//! The sizes of the API server's responses: the same pods in every form that it can send.

use super::writer::Writer;
use super::{process, server};
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_tests::cluster;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How often each response is requested.
const TIMES: u32 = 5;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// Requests `count` pods that have run and ended, as a LIST and as a watch that begins with all pods. Returns a
/// Markdown table with the size of each form of the response, the time until its last byte, and the API server's CPU
/// time.
///
/// # Panics
/// The cluster cannot be started, or refuses a request.
pub async fn compare(count: usize) -> String {
    let (cluster, mut child) = cluster::start(&["--nodes", "0"]);
    let writer = Writer::new(&cluster.kubeconfig, "formats", count, 100).await;
    writer.create().await;
    writer.run_all().await;
    writer.end_all(false).await;
    let server = server(&cluster).await;
    let list = "/api/v1/namespaces/formats/pods";
    // The watch ends by itself; its time is that of the last byte.
    let watch = &format!("{list}?watch=true&timeoutSeconds=2&resourceVersion=0");
    let mut table = String::from(
        "| answer | form | bytes for each pod | ms until its last byte | API server, CPU ms |\n|---|---|---:|---:|---:|\n",
    );
    for (what, path, form, accept, encoding) in [
        ("LIST", list, "JSON", JSON, "identity"),
        ("LIST", list, "JSON, gzip", JSON, "gzip"),
        ("LIST", list, "protobuf", PROTOBUF, "identity"),
        ("LIST", list, "JSON, metadata only", METADATA, "identity"),
        ("watch", watch, "JSON", JSON, "identity"),
        ("watch", watch, "JSON, gzip", JSON, "gzip"),
        ("watch", watch, "protobuf", "application/vnd.kubernetes.protobuf;stream=watch", "identity"),
    ] {
        let (mut bytes, mut time, before) = (0, Duration::ZERO, process::usage(server).cpu);
        for _ in 0..TIMES {
            let request = Request::get(path).header("Accept", accept).header("Accept-Encoding", encoding);
            let (begin, mut last) = (Instant::now(), Duration::ZERO);
            let answer = writer.client().send(request.body(Body::empty()).expect("a request")).await;
            let answer = answer.expect("an answer");
            assert!(answer.status().is_success(), "{what} as {form}: {}", answer.status());
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                bytes += frame.expect("nothing breaks").data_ref().map_or(0, |data| data.len());
                last = begin.elapsed();
            }
            time += last;
        }
        let cpu = process::usage(server).cpu.saturating_sub(before) / TIMES;
        let of_each = bytes / (TIMES as usize * count);
        let _ = writeln!(
            table,
            "| {what} | {form} | {of_each} | {} | {} |",
            (time / TIMES).as_millis(),
            cpu.as_millis()
        );
    }
    drop(child.stdin.take());
    let _ = child.wait();
    table
}
