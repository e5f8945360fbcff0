//! A hub in a crowd: 100,000 pods in one namespace of the simulated cluster, of which 10,000 are waited for.
//!
//! `cargo bench -p podwait --bench hub`. Prints requests, the memory that the waits hold, and the time that the hub takes
//! beside a client that only reads the same LIST and watch; most of either is the simulated cluster's own.

use cap::Cap;
use http_body_util::BodyExt;
use kube::client::Body;
use podwait::{Hub, Scope};
use podwait_sim::{Cluster, Step, pod};
use std::alloc::System;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const PODS: usize = 100_000;
const OURS: usize = 10_000;

fn name(n: usize) -> String {
    format!("step-{n:06}")
}

/// Every tenth pod is ours.
fn ours() -> impl Iterator<Item = usize> {
    (0..PODS).step_by(PODS / OURS)
}

fn code(n: usize) -> i32 {
    i32::try_from(n / 10 % 5).expect("small")
}

fn step(cluster: &Cluster, n: usize, step: &Step) {
    step.apply(cluster, "ci", &name(n)).expect("the simulated cluster takes it");
}

/// A cluster whose pods all run.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    for n in 0..PODS {
        cluster.create(pod("ci", &name(n), &["step"])).expect("the simulated cluster takes it");
        step(&cluster, n, &Step::Scheduled { node: "node-1".into() });
        step(&cluster, n, &Step::Running);
    }
    cluster.compact(cluster.revision());
    cluster
}

/// Every pod ends.
async fn end(cluster: &Cluster) {
    for n in 0..PODS {
        step(cluster, n, &Step::Finished { exit_code: code(n) });
        if n % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The time until everything has been read, and that of the events.
async fn only_read() -> (Duration, Duration) {
    let cluster = cluster();
    let begin = Instant::now();
    let client = cluster.client();
    let mut token = String::new();
    loop {
        let page = get(&client, &format!("/api/v1/namespaces/ci/pods?limit=500&continue={token}")).await;
        let page = page.collect().await.expect("a page").to_bytes();
        let head = String::from_utf8_lossy(&page[..200]).into_owned();
        let Some((_, next)) = head.split_once("\"continue\":\"") else { break };
        token = next.split_once('"').expect("a string ends").0.to_owned();
    }
    let listed = begin.elapsed();
    let from = cluster.revision();
    let mut watch =
        get(&client, &format!("/api/v1/namespaces/ci/pods?watch=true&resourceVersion={from}")).await;
    let begin = Instant::now();
    let read = async {
        let mut events = 0;
        while events < PODS {
            let frame = watch.frame().await.expect("the watch goes on").expect("nothing breaks");
            events += usize::from(frame.is_data());
        }
    };
    tokio::join!(read, end(&cluster));
    (listed, begin.elapsed())
}

async fn get(client: &kube::Client, path: &str) -> Body {
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    client.send(request.map(Body::from)).await.expect("an answer").into_body()
}

async fn through_a_hub() -> (Duration, Duration) {
    let cluster = cluster();
    // What was there before is gone by then.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let hub = Hub::new(cluster.client(), Scope::namespace("ci"));
    let before = ALLOCATOR.allocated();
    let begin = Instant::now();
    let mut waits = JoinSet::new();
    for n in ours() {
        let wait = hub.wait("ci", name(n));
        waits.spawn(async move {
            let exit = wait.await.expect("an exit");
            assert_eq!(exit.code, code(n));
        });
    }
    // Until the watch is open: simulated time, so it takes none.
    while cluster.requests().watch == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let listed = begin.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = ALLOCATOR.allocated().saturating_sub(before);
    println!("memory: {} bytes for each wait, its task included", held / OURS);
    let begin = Instant::now();
    tokio::join!(end(&cluster), async { while waits.join_next().await.is_some_and(|wait| wait.is_ok()) {} });
    let took = begin.elapsed();
    assert!(waits.is_empty(), "a wait failed");
    let requests = cluster.requests();
    println!(
        "requests: {} pages of one LIST, {} watch, {} GETs",
        requests.list, requests.watch, requests.get
    );
    (listed, took)
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{PODS} pods, {OURS} of them waited for");
    let (list, watch) = only_read().await;
    let (hub_list, hub_watch) = through_a_hub().await;
    let of_each = |hub: Duration, read: Duration| hub.saturating_sub(read).as_secs_f64() * 1e6 / PODS as f64;
    println!(
        "LIST: {list:.2?} only read, {hub_list:.2?} with the hub: {:.2} us for each pod",
        of_each(hub_list, list)
    );
    println!(
        "events: {watch:.2?} only read, {hub_watch:.2?} with the hub: {:.2} us for each",
        of_each(hub_watch, watch)
    );
}
