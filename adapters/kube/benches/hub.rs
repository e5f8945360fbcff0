//! A hub with 100,000 pods in one namespace of the simulated cluster, and waits for 10,000 of them.
//!
//! `cargo bench -p podwait --bench hub`. Prints requests, the memory of the waits, and the time that the hub and its
//! waits take for the LIST and for the events. The time of the simulated cluster and of kube's client is measured at
//! each call and subtracted.

use bytes::Bytes;
use cap::Cap;
use http_body::Frame;
use kube::client::Body;
use podwait::{Hub, Scope};
use podwait_sim::{Cluster, Step, pod};
use std::alloc::System;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const PODS: usize = 100_000;
const OURS: usize = 10_000;

fn name(n: usize) -> String {
    format!("step-{n:06}")
}

/// Every tenth pod has a wait.
fn ours() -> impl Iterator<Item = usize> {
    (0..PODS).step_by(PODS / OURS)
}

fn code(n: usize) -> i32 {
    i32::try_from(n / 10 % 5).expect("small")
}

fn step(cluster: &Cluster, n: usize, step: &Step) {
    timed(|| step.apply(cluster, "ci", &name(n))).expect("the simulated cluster accepts it");
}

/// A cluster whose pods all run.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    for n in 0..PODS {
        cluster.create(pod("ci", &name(n), &["step"])).expect("the simulated cluster accepts it");
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

thread_local! {
    /// The time that the simulated cluster and the client use.
    static SERVER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn timed<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    SERVER.set(SERVER.get() + begin.elapsed());
    result
}

/// A client of the cluster. Its time counts as the server's.
fn client(cluster: &Cluster) -> podwait::Client {
    let client = cluster.client();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        let mut answer = Box::pin(async move { client.send(request).await });
        let answer = poll_fn(move |context| timed(|| answer.as_mut().poll(context)));
        async move { Ok::<_, kube::Error>(answer.await?.map(TimedBody)) }
    });
    podwait::Client::from_service(service, "default")
}

struct TimedBody(Body);

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = kube::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, kube::Error>>> {
        timed(|| Pin::new(&mut self.0).poll_frame(context))
    }
}

/// A duration in all, and without the server.
struct Took {
    all: Duration,
    ours: Duration,
}

impl Took {
    fn since(begin: Instant, server: Duration) -> Self {
        let all = begin.elapsed();
        Self { all, ours: all.saturating_sub(SERVER.get() - server) }
    }

    fn print(&self, what: &str) {
        let of_each = self.ours.as_secs_f64() * 1e6 / PODS as f64;
        println!(
            "{what}: {:.2?}, of which the hub and its waits {:.3?}: {of_each:.2} us for each pod",
            self.all, self.ours
        );
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{PODS} pods, {OURS} of them with a wait");
    let cluster = cluster();
    // Earlier waits are gone by then.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let hub = Hub::new(client(&cluster), Scope::namespace("ci"));
    let before = ALLOCATOR.allocated();
    let (begin, server) = (Instant::now(), SERVER.get());
    let mut waits = JoinSet::new();
    for n in ours() {
        let wait = hub.wait("ci", name(n));
        waits.spawn(async move {
            let exit = wait.await.expect("an exit");
            assert_eq!(exit.code, code(n));
        });
    }
    // Simulated time goes on only when nothing is left to do: by then all pods are listed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let listed = Took::since(begin, server);
    let held = ALLOCATOR.allocated().saturating_sub(before);
    println!("memory: {} bytes for each wait, its task included", held / OURS);
    let (begin, server) = (Instant::now(), SERVER.get());
    tokio::join!(end(&cluster), async { while waits.join_next().await.is_some_and(|wait| wait.is_ok()) {} });
    let ended = Took::since(begin, server);
    assert!(waits.is_empty(), "a wait failed");
    let requests = cluster.requests();
    println!("requests: {} LISTs, {} watches, {} GETs", requests.list, requests.watch, requests.get);
    listed.print("LIST");
    ended.print("events");
}
