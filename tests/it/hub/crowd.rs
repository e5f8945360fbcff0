//! Waits that begin and end on several threads at once.

use super::{code, name};
use podwait::{FailReason, Hub, Policy, Scope};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::client_of;
use podwait_tests::storm::dice::Dice;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const PODS: u64 = 30;
const TASKS: u64 = 8;
const WAITS: u64 = 60;

/// Pods that are created again and again, each always with the same end.
async fn live(cluster: Cluster) {
    loop {
        for n in 0..PODS {
            // At any time ten of the names exist.
            let name = name(n);
            let life = Life::of(pod("ci", &name, &["step"])).scheduled("node-1").running();
            let life = life.after(Duration::from_millis(2)).finished(code(n));
            let life = life.after(Duration::from_millis(3)).delete(0);
            life.spawn(&cluster);
        }
        sleep(Duration::from_millis(12)).await;
    }
}

/// Waits for one pod after the other, and drops many of the waits at random points.
async fn come_and_go(hub: Hub, mut dice: Dice) -> u64 {
    let policy = Policy::builder().absent_grace(Duration::from_secs(5)).build().expect("a policy");
    let mut exits = 0;
    for _ in 0..WAITS {
        let n = dice.below(PODS);
        let wait = hub.wait("ci", name(n)).policy(policy.clone());
        let patience = if dice.chance(70) { dice.time(0, 6) } else { Duration::from_secs(60) };
        match timeout(patience, wait.into_future()).await {
            Ok(Ok(exit)) => {
                assert_eq!(exit.code, code(n), "of {n}");
                exits += 1;
            }
            Ok(Err(failure)) => {
                let reasons = [FailReason::PodDeleted, FailReason::PodReplaced, FailReason::PodNeverSeen];
                assert!(reasons.contains(&failure.reason), "{failure}");
            }
            Err(_) => assert!(patience < Duration::from_secs(60), "{n} hangs"),
        }
    }
    exits
}

/// In real time, since paused time has one thread.
#[test]
fn waits_on_many_threads_do_not_disturb_each_other() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for is_labelled in [false, true] {
            let cluster = Cluster::new();
            let scope = Scope::namespace("ci");
            let scope = if is_labelled { scope.labels(super::OURS) } else { scope };
            let hub = Hub::builder(client_of(&cluster), scope).requests_per_second(10_000).build();
            let lives = tokio::spawn(live(cluster.clone()));
            let tasks = (0..TASKS).map(|task| tokio::spawn(come_and_go(hub.clone(), Dice::new(task))));
            let tasks: Vec<_> = tasks.collect();
            let mut exits = 0;
            for task in tasks {
                exits += task.await.expect("no panic");
            }
            assert!(exits > TASKS * WAITS / 10, "{exits}");
            lives.abort();
            // No wait is left, so the watch is closed, and the next wait is served like the first one.
            sleep(Duration::from_millis(100)).await;
            let before = cluster.requests();
            sleep(Duration::from_millis(100)).await;
            assert_eq!(cluster.requests(), before);
            Life::of(pod("ci", "last", &["step"])).running().finished(4).spawn(&cluster);
            assert_eq!(hub.wait("ci", "last").await.map(|exit| exit.code), Ok(4));
        }
    });
}
