//! The memory of ten thousand waits in one hub, and its release. Alone in its process, because the memory of the
//! process is counted.

use cap::Cap;
use podwait::{Client, Hub, Scope};
use podwait_sim::{Cluster, Step, pod};
use std::alloc::System;
use std::time::Duration;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const WAITS: usize = 10_000;

/// The most bytes of one wait, its task included.
const OF_EACH: usize = 2_200;

/// The most bytes that may remain afterwards: a table has a minimum capacity, and so have the runtime's queues.
const LEFT: usize = 64 << 10;

fn name(n: usize) -> String {
    format!("step-{n:05}")
}

/// Every second pod has ended; no pod changes, so that the cluster takes no more memory.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    for n in 0..WAITS {
        cluster.create(pod("ci", &name(n), &["step"])).expect("the simulated cluster takes it");
        let step = if n % 2 == 0 { Step::Running } else { Step::Finished { exit_code: 3 } };
        step.apply(&cluster, "ci", &name(n)).expect("the simulated cluster takes it");
    }
    cluster
}

/// A wait for each pod, until half of them have their answer and the others are dropped. Returns the most memory that
/// they held.
async fn wait_for_all(hub: &Hub) -> usize {
    let before = ALLOCATOR.allocated();
    let mut waits = JoinSet::new();
    for n in 0..WAITS {
        waits.spawn(hub.wait("ci", name(n)).into_future());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let held = ALLOCATOR.allocated().saturating_sub(before);
    for _ in 0..WAITS / 2 {
        let exit = waits.join_next().await.expect("a wait").expect("no panic");
        assert_eq!(exit.map(|exit| exit.code), Ok(3));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(waits.len(), WAITS / 2, "the others go on");
    drop(waits);
    tokio::time::sleep(Duration::from_secs(1)).await;
    held
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_waits_hold_little_and_give_it_back() {
    let cluster = cluster();
    // With one wait that continues, and with a watch that stays open without waits.
    let hub =
        Hub::builder(Client::from_service(cluster, "default"), Scope::namespace("ci")).stay_open().build();
    let _other = tokio::spawn(hub.wait("ci", name(0)).into_future());
    for round in 0..2 {
        let before = ALLOCATOR.allocated();
        let held = wait_for_all(&hub).await;
        let left = ALLOCATOR.allocated().saturating_sub(before);
        println!("{} bytes for each wait; {left} bytes were left of all of them", held / WAITS);
        assert!(held < WAITS * OF_EACH, "{held}");
        // The first round keeps some memory for good.
        assert!(left < LEFT || round == 0, "{left}");
    }
}
