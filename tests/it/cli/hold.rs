//! `podwait wait --hold` and `podwait release`.

use super::{Sim, assert_one_line, running};
use podwait::FINALIZER;
use podwait_sim::{Life, Terminated, Verb, pod};
use podwait_tests::cluster::pause;
use serde_json::json;
use std::time::Duration;

impl Sim {
    /// Whether `ci/p` has the finalizer; `None` if the pod does not exist.
    fn hold(&self) -> Option<bool> {
        let pod = self.cluster.get("ci", "p")?;
        Some(pod["metadata"]["finalizers"].as_array().is_some_and(|all| all.contains(&json!(FINALIZER))))
    }
}

#[tokio::test]
async fn a_hold_keeps_a_pod_until_its_end_has_been_read() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let wait = sim.start(&["wait", "p", "-c", "step", "--hold"]);
    while sim.hold() != Some(true) {
        pause(10).await;
    }
    Life::existing("ci", "p").delete(0).run(&sim.cluster).await.expect("a life");
    assert_eq!(sim.hold(), Some(true), "it is deleted, and still exists");
    Life::existing("ci", "p")
        .terminated("step", Terminated::exit(7))
        .run(&sim.cluster)
        .await
        .expect("a life");
    let run = wait.end().await;
    assert_one_line(&run, 220, "ci/p: ");
    assert_eq!(
        (run.stdout.as_str(), sim.hold()),
        ("pod_deleted\n", None),
        "its code was read, so it is removed"
    );
    assert!(run.stderr.contains('7'), "{run:?}");
}

#[tokio::test]
async fn without_the_right_to_hold_the_wait_continues() {
    let sim = Sim::new().await;
    sim.cluster.faults().forbid(Verb::Patch);
    running().after(Duration::from_millis(300)).finished(3).spawn(&sim.cluster);
    let run = sim.wait(&["-c", "step", "--hold"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(3), "nonzero_exit 3\n"), "{run:?}");
    assert!(run.stderr.contains("ci/p was not held: "), "{run:?}");
}

/// A held pod that runs, or that ended this many seconds ago.
async fn held(sim: &Sim, name: &str, over: Option<i64>) {
    let mut held = pod("ci", name, &["step"]);
    held["metadata"]["finalizers"] = json!([FINALIZER]);
    held["metadata"]["labels"] = json!({ "name": name });
    let life = Life::of(held).scheduled("node-1").running();
    life.run(&sim.cluster).await.expect("a life");
    if let Some(seconds) = over {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        let at = jiff::Timestamp::from_second(at.as_second()).expect("a time").to_string();
        let status = json!({ "status": { "phase": "Failed", "containerStatuses": [{
            "name": "step", "restartCount": 0, "containerID": "containerd://1",
            "state": { "terminated": { "exitCode": 4, "finishedAt": at, "containerID": "containerd://1" } },
        }] } });
        Life::existing("ci", name).merge(status).run(&sim.cluster).await.expect("a life");
    }
}

#[tokio::test]
async fn held_pods_of_a_crash_are_found_and_released_when_that_is_safe() {
    let sim = Sim::new().await;
    held(&sim, "runs", None).await;
    held(&sim, "old", Some(3600)).await;
    held(&sim, "new", Some(5)).await;
    let is_held =
        |name| sim.cluster.get("ci", name).is_some_and(|pod| pod["metadata"]["finalizers"].is_array());

    let run = sim.run(&["release", "--dry-run"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(0), "ci/old held: step nonzero_exit 4\n"), "{run:?}");
    assert!(run.stderr.contains("ci/new ended too recently"), "{run:?}");
    assert!(run.stderr.contains("ci/runs has not ended"), "{run:?}");
    assert!(["runs", "old", "new"].into_iter().all(is_held));

    let run = sim.run(&["release"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(0), "ci/old released: step nonzero_exit 4\n"), "{run:?}");
    assert_eq!(["runs", "old", "new"].map(is_held), [true, false, true]);

    let run = sim.run(&["release", "--older-than", "1s", "-A", "-o", "json", "-l", "name=new"]).await;
    let released: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(released["ends"][0]["exit_code"], 4);
    assert_eq!(["runs", "old", "new"].map(is_held), [true, false, false]);

    // For a named pod it is an error if it is not released, unless that is forced.
    let run = sim.run(&["release", "runs"]).await;
    assert_one_line(&run, 220, "ci/runs has not ended, and was not released");
    let run = sim.run(&["release", "pod/runs", "--force"]).await;
    assert_eq!((run.status, is_held("runs")), (Some(0), false), "{run:?}");
    let run = sim.run(&["release", "runs"]).await;
    assert_one_line(&run, 0, "ci/runs is not held");
}
