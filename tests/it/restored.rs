//! A store that is restored from a backup during waits, on the simulated cluster in paused time.

use podwait::{FailReason, Hub, Scope, Wait, wait};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::client_of;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const WAYS: [&str; 5] = ["watch", "poll", "hub", "labelled", "outside"];

fn wait_by(way: &str, cluster: &Cluster) -> Wait {
    let client = client_of(cluster);
    let hub = |scope| Hub::new(client_of(cluster), scope).wait("ci", "p");
    match way {
        "watch" => wait(client, "ci", "p"),
        "poll" => wait(client, "ci", "p").poll(),
        "hub" => hub(Scope::namespace("ci")),
        "labelled" => hub(Scope::namespace("ci").labels("app.kubernetes.io/managed-by=ci-agent")),
        _ => hub(Scope::namespace("ci").labels("app.kubernetes.io/managed-by=another")),
    }
}

/// A pod that runs at 2 s and ends at 300 s. Its object changes until 40 s. At 50 s the store is restored to its state
/// at `backup`.
async fn restored(way: &str, cluster: &Cluster, backup: Duration) -> (Result<i32, FailReason>, Duration) {
    Life::of(pod("ci", "p", &["step"]))
        .scheduled("node-1")
        .after(secs(2))
        .running()
        .after(secs(298))
        .finished(3)
        .spawn(cluster);
    let saved = cluster.clone();
    tokio::spawn(async move {
        sleep(backup).await;
        saved.back_up();
    });
    let writer = cluster.clone();
    tokio::spawn(async move {
        for beat in 0..40 {
            sleep(secs(1)).await;
            let _ = writer.update_status("ci", "p", |pod| {
                pod["metadata"]["annotations"] = json!({ "beat": beat.to_string() })
            });
        }
        sleep(secs(10)).await;
        writer.restore();
    });
    let start = Instant::now();
    let outcome = wait_by(way, cluster).await;
    (outcome.map(|exit| exit.code).map_err(|failure| failure.reason), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_end_is_found_in_a_restored_store() {
    for way in WAYS {
        let cluster = Cluster::new();
        let (outcome, after) = restored(way, &cluster, secs(8)).await;
        assert_eq!(outcome, Ok(3), "{way}");
        assert!(after < secs(300 + 35), "{way}: {after:?}");
        let requests = cluster.requests();
        let (reads, lists) = (requests.get, requests.list);
        // A pod that is not watched is read every half second while it changes, and at least every five seconds.
        let most = if matches!(way, "poll" | "outside") { 160 } else { 30 };
        assert!(lists <= 4, "{way}: {lists} LISTs");
        assert!(reads <= most, "{way}: {reads} GETs");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_missing_in_the_backup_is_gone() {
    for way in WAYS {
        let cluster = Cluster::new();
        cluster.back_up();
        let (outcome, after) = restored(way, &cluster, secs(1000)).await;
        assert_eq!(outcome, Err(FailReason::PodDeleted), "{way}");
        assert!(after < secs(50 + 40), "{way}: {after:?}");
    }
}
