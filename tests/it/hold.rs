//! Exits that survive the deletion of the pod, on the simulated cluster in paused time.

mod identity;
mod late;

use podwait::{FINALIZER, Hold, HoldState, Scope, held_pods, wait};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Verb, pod};
use podwait_tests::client_of;
use serde_json::json;
use std::future::IntoFuture;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn running() -> Life {
    Life::of(pod("ci", "p", &["step"])).scheduled("node-1").after(secs(1)).running()
}

/// The finalizers of `ci/p`.
fn finalizers(cluster: &Cluster) -> Option<serde_json::Value> {
    cluster.get("ci", "p").map(|pod| pod["metadata"]["finalizers"].clone())
}

/// Waits for `ci/p` with a hold.
async fn held(cluster: &Cluster) -> (Result<i32, &'static str>, Hold) {
    let hold = Hold::new(client_of(cluster), "ci", "p");
    let exit = wait(client_of(cluster), "ci", "p").hold(&hold).await;
    (exit.map(|exit| exit.code).map_err(|failure| failure.reason.as_str()), hold)
}

#[tokio::test(start_paused = true)]
async fn a_forced_deletion_loses_nothing() {
    let cluster = Cluster::new();
    // After a deletion by force the kubelet still stops the step, and publishes its end.
    running().after(secs(5)).delete(0).after(secs(3)).finished(0).spawn(&cluster);
    let (exit, hold) = held(&cluster).await;
    assert_eq!(exit, Err("pod_deleted"), "it was stopped");
    assert!(matches!(hold.state(), HoldState::Held { .. }));
    assert_eq!(finalizers(&cluster), Some(json!([FINALIZER])));
    hold.release().await.expect("it is let go");
    assert_eq!((hold.state(), finalizers(&cluster)), (HoldState::Released, None));
}

#[tokio::test(start_paused = true)]
async fn an_end_before_the_deletion_is_read_after_it() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    let hold = Hold::new(client_of(&cluster), "ci", "p");
    // There is no read while the step ends and the pod is deleted.
    let first = wait(client_of(&cluster), "ci", "p").hold(&hold).into_future();
    let _ = tokio::time::timeout(secs(5), first).await.expect_err("it runs");
    Life::existing("ci", "p").finished(3).after(secs(2)).delete(0).run(&cluster).await.expect("a life");
    let exit = wait(client_of(&cluster), "ci", "p").await;
    assert_eq!(exit.map(|exit| exit.code), Ok(3));
    hold.release().await.expect("it is let go");
    assert_eq!(finalizers(&cluster), None);
}

#[tokio::test(start_paused = true)]
async fn other_finalizers_are_not_changed() {
    let cluster = Cluster::new();
    let mut step = pod("ci", "p", &["step"]);
    step["metadata"]["finalizers"] = json!(["example.com/other"]);
    Life::of(step).scheduled("node-1").running().after(secs(5)).finished(0).spawn(&cluster);
    let (exit, hold) = held(&cluster).await;
    assert_eq!(exit, Ok(0));
    assert_eq!(finalizers(&cluster), Some(json!(["example.com/other", FINALIZER])));
    hold.release().await.expect("it is let go");
    assert_eq!(finalizers(&cluster), Some(json!(["example.com/other"])));
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_patch_the_wait_continues() {
    let cluster = Cluster::new();
    cluster.faults().rule(|request| (request.verb == Verb::Patch).then(|| Fault::status(403)));
    running().after(secs(5)).finished(7).spawn(&cluster);
    let (exit, hold) = held(&cluster).await;
    assert_eq!(exit, Ok(7));
    assert!(matches!(hold.state(), HoldState::Refused(failure) if failure.code == 403));
    hold.release().await.expect("there is nothing to release");
    assert_eq!(cluster.requests().patch, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_with_constant_writes_is_held_later() {
    let cluster = Cluster::new();
    // Such a response shows neither that the finalizer exists nor that a right is missing.
    cluster.faults().push(Verb::Patch, Fault::status(409));
    running().after(secs(5)).finished(0).spawn(&cluster);
    let (exit, hold) = held(&cluster).await;
    assert_eq!((exit, finalizers(&cluster)), (Ok(0), Some(json!([FINALIZER]))));
    hold.release().await.expect("it is let go");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_being_deleted_gets_no_hold() {
    let cluster = Cluster::new();
    running().delete(30).after(secs(10)).finished(0).removed().spawn(&cluster);
    sleep(secs(2)).await;
    let (exit, hold) = held(&cluster).await;
    assert_eq!((exit, hold.state()), (Err("pod_deleted"), HoldState::TooLate));
}

#[tokio::test(start_paused = true)]
async fn a_hold_whose_response_was_lost_is_released_too() {
    let cluster = Cluster::new();
    // The request is carried out, but its response never arrives.
    cluster.faults().push(Verb::Patch, Fault::SilentAfter { events: 0 });
    running().finished(0).spawn(&cluster);
    sleep(secs(2)).await;
    let start = Instant::now();
    let (exit, hold) = held(&cluster).await;
    assert_eq!(exit, Ok(0));
    assert!(start.elapsed() <= secs(1), "{:?}", start.elapsed());
    hold.release().await.expect("it is let go");
    assert_eq!(finalizers(&cluster), Some(serde_json::Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_release_is_retried_and_does_not_change_a_namesake() {
    let cluster = Cluster::new();
    running().after(secs(5)).finished(0).spawn(&cluster);
    let (_, hold) = held(&cluster).await;
    for fault in [Fault::status(503), Fault::Reset, Fault::status(409), Fault::status(429).retry_after(3)] {
        cluster.faults().push(Verb::Patch, fault);
    }
    hold.release().await.expect("it is let go");
    assert_eq!(finalizers(&cluster), Some(serde_json::Value::Null));

    let gone = Hold::of_created(client_of(&cluster), "ci", "p", "another uid");
    gone.release().await.expect("ours is gone");
    let never = Hold::of_created(client_of(&cluster), "ci", "no-such", "uid");
    never.release().await.expect("ours is gone");

    cluster.faults().rule(|request| (request.verb == Verb::Patch).then(|| Fault::status(503)));
    let stuck = Hold::of_created(client_of(&cluster), "ci", "p", "uid");
    let start = Instant::now();
    assert_eq!(stuck.release().await.map_err(|failure| failure.code), Err(503));
    assert!(start.elapsed() <= secs(30), "{:?}", start.elapsed());
    cluster.faults().clear();
    stuck.release().await.expect("and may be tried again");
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_still_held_are_found() {
    let cluster = Cluster::new();
    let with_hold = |name: &str| {
        let mut step = pod("ci", name, &["step"]);
        step["metadata"]["finalizers"] = json!([FINALIZER]);
        Life::of(step).scheduled("node-1").running()
    };
    with_hold("over").after(secs(10)).finished(3).delete(0).spawn(&cluster);
    with_hold("running").spawn(&cluster);
    with_hold("deleted").delete(30).spawn(&cluster);
    Life::of(pod("ci", "free", &["step"])).scheduled("node-1").running().finished(0).spawn(&cluster);
    sleep(secs(20)).await;
    let held = held_pods(client_of(&cluster), Scope::namespace("ci")).await.expect("a list");
    let names: Vec<(&str, bool)> = held.iter().map(|pod| (&*pod.name, pod.is_over)).collect();
    assert_eq!(names, [("deleted", false), ("over", true), ("running", false)]);
    // 2026-01-01T00:00:20Z
    let now = UNIX_EPOCH + secs(1_767_225_600 + 20);
    let safe = |now: SystemTime, age| -> Vec<&str> {
        held.iter().filter(|pod| pod.is_safe(now, age)).map(|pod| &*pod.name).collect()
    };
    assert_eq!(safe(now, secs(300)), Vec::<&str>::new(), "a wait may still read it");
    assert_eq!(safe(now + secs(300), secs(300)), ["over"]);
    let over = held.iter().find(|pod| pod.name == "over").expect("it is there");
    assert!(matches!(&over.ends[..], [(step, Ok(exit))] if step == "step" && exit.code == 3));
    over.release().await.expect("it is let go");
    assert!(cluster.get("ci", "over").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_over_at_first_sight_is_released_too() {
    let cluster = Cluster::new();
    let mut step = pod("ci", "p", &["step"]);
    step["metadata"]["finalizers"] = json!([FINALIZER]);
    let life = Life::of(step).scheduled("node-1").running().finished(4).delete(0);
    life.run(&cluster).await.expect("a life");
    let (exit, hold) = held(&cluster).await;
    assert_eq!((exit, hold.state()), (Ok(4), HoldState::NotYet));
    hold.release().await.expect("it is let go");
    assert_eq!((hold.state(), finalizers(&cluster)), (HoldState::Released, None));
}

#[tokio::test(start_paused = true)]
async fn without_a_hold_a_denied_release_is_no_error() {
    let cluster = Cluster::new();
    cluster.faults().rule(|request| (request.verb == Verb::Patch).then(|| Fault::status(403)));
    running().finished(0).run(&cluster).await.expect("a life");
    let (exit, hold) = held(&cluster).await;
    assert_eq!(exit, Ok(0));
    hold.release().await.expect("there is nothing that it knows of");
    assert!(matches!(hold.state(), HoldState::Refused(failure) if failure.code == 403));
}

#[tokio::test(start_paused = true)]
async fn the_hold_of_a_dropped_wait_can_be_released() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    let hold = Hold::new(client_of(&cluster), "ci", "p");
    let wait = wait(client_of(&cluster), "ci", "p").hold(&hold).into_future();
    let _ = tokio::time::timeout(secs(5), wait).await.expect_err("it runs");
    assert_eq!(finalizers(&cluster), Some(json!([FINALIZER])));
    hold.release().await.expect("it is let go");
    assert_eq!((hold.state(), finalizers(&cluster)), (HoldState::Released, Some(json!(null))));
}

#[tokio::test(start_paused = true)]
async fn a_hold_without_a_wait_is_released_without_a_request() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    sleep(secs(2)).await;
    let hold = Hold::new(client_of(&cluster), "ci", "p");
    hold.release().await.expect("there is nothing to release");
    // Nor does the hold of a wait that has seen no pod.
    let cancel = podwait::CancellationToken::new();
    cancel.cancel();
    let hold = Hold::new(client_of(&cluster), "ci", "p");
    wait(client_of(&cluster), "ci", "p").hold(&hold).cancel(cancel).await.expect_err("it is cancelled");
    hold.release().await.expect("there is nothing to release");
    assert_eq!(cluster.requests().patch, 0);
}

#[tokio::test(start_paused = true)]
async fn a_very_long_retry_after_is_limited() {
    let cluster = Cluster::new();
    running().after(secs(200)).finished(5).spawn(&cluster);
    // The hold is added within a minute.
    cluster.faults().push(Verb::Patch, Fault::status(429).retry_after(u64::MAX));
    let (exit, hold) = held(&cluster).await;
    assert_eq!((exit, finalizers(&cluster)), (Ok(5), Some(json!([FINALIZER]))));
    // And it is removed within half a minute, whatever the header has.
    for _ in 0..3 {
        cluster.faults().push(Verb::Patch, Fault::status(503));
    }
    cluster.faults().push(Verb::Patch, Fault::status(429).retry_after(u64::MAX));
    let start = Instant::now();
    hold.release().await.expect("it is let go");
    assert!(start.elapsed() <= secs(30), "{:?}", start.elapsed());
    assert_eq!(finalizers(&cluster), Some(json!(null)));
    // A release that is always refused ends, too.
    cluster
        .faults()
        .rule(|request| (request.verb == Verb::Patch).then(|| Fault::status(503).retry_after(u64::MAX - 1)));
    let stuck = Hold::of_created(client_of(&cluster), "ci", "p", "uid");
    stuck.release().await.expect_err("it is refused all the time");
    assert!(start.elapsed() <= secs(61), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_without_responses_delays_a_release_for_half_a_minute() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    cluster.faults().rule(|request| (request.verb == Verb::Patch).then_some(Fault::Hang));
    let hold = Hold::of_created(client_of(&cluster), "ci", "p", "uid");
    let start = Instant::now();
    hold.release().await.expect_err("no answer comes");
    assert!(start.elapsed() <= secs(30), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_is_no_evidence_about_a_hold() {
    for code in [400, 403, 422] {
        let cluster = Cluster::new();
        let page = Fault::Status { code, retry_after: None, body: FaultBody::Text("<html>".into()) };
        cluster.faults().push(Verb::Patch, page.clone());
        running().after(secs(5)).finished(0).spawn(&cluster);
        let (exit, hold) = held(&cluster).await;
        assert_eq!((exit, finalizers(&cluster)), (Ok(0), Some(json!([FINALIZER]))), "{code}");
        cluster.faults().push(Verb::Patch, page);
        hold.release().await.expect("it is let go");
        assert_eq!(finalizers(&cluster), Some(json!(null)), "{code}");
    }
}
