//! Holds and namesakes.

use super::{running, secs};
use podwait::{FINALIZER, FailReason, Hold, HoldState, Policy, SavedWait, Wait, wait};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::client_of;
use serde_json::json;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use tokio::time::{sleep, timeout};

/// A pod with the name, which another process holds.
fn theirs() -> Life {
    let mut step = pod("ci", "p", &["step"]);
    step["metadata"]["finalizers"] = json!([FINALIZER]);
    Life::of(step).scheduled("node-1").running()
}

/// The saved state of a wait for `ci/p` whose process is killed after this many seconds.
async fn killed_after(cluster: &Cluster, seconds: u64) -> SavedWait {
    let saved: Arc<Mutex<Option<SavedWait>>> = Arc::default();
    let (hold, last) = (Hold::new(client_of(cluster), "ci", "p"), saved.clone());
    let look = move |turn: podwait::Turn<'_>| {
        *last.lock().expect("a lock") = Some(turn.machine.save());
    };
    let wait = wait(client_of(cluster), "ci", "p").hold(&hold).on_turn(look);
    let _ = timeout(secs(seconds), wait.into_future()).await;
    let saved = saved.lock().expect("a lock").take();
    saved.expect("it was looked at")
}

/// The wait in the next process, with its hold.
fn restored(cluster: &Cluster, saved: SavedWait) -> (Wait, Hold) {
    let hold = Hold::new(client_of(cluster), "ci", "p");
    let wait = wait(client_of(cluster), "ci", "p").hold(&hold);
    (wait.restore(saved, secs(1)).expect("what was saved"), hold)
}

#[tokio::test(start_paused = true)]
async fn a_namesake_is_neither_held_nor_released() {
    for poll in [false, true] {
        let cluster = Cluster::new();
        let held_by_others = json!(["example.com/other"]);
        let mut step = pod("ci", "p", &["step"]);
        step["metadata"]["finalizers"] = held_by_others.clone();
        Life::of(step).scheduled("node-1").running().spawn(&cluster);
        sleep(secs(1)).await;
        let hold = Hold::new(client_of(&cluster), "ci", "p");
        let policy = Policy::builder().start_deadline(secs(30)).build().expect("a policy");
        let wait = wait(client_of(&cluster), "ci", "p").uid("ours").policy(policy).hold(&hold);
        let wait = if poll { wait.poll() } else { wait };
        wait.await.expect_err("our pod does not exist");
        assert_eq!(hold.state(), HoldState::NotYet);
        assert_eq!(super::finalizers(&cluster), Some(held_by_others), "poll {poll}");
        hold.release().await.expect("there is nothing to release");
        assert_eq!(cluster.requests().patch, 0, "poll {poll}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namesake_that_replaced_the_pod_between_processes_is_not_released() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    let saved = killed_after(&cluster, 5).await;
    let gone = Life::existing("ci", "p").finalizer_removed(FINALIZER).delete(0);
    gone.run(&cluster).await.expect("a life");
    theirs().spawn(&cluster);
    sleep(secs(5)).await;
    let (wait, hold) = restored(&cluster, saved);
    let failure = wait.await.expect_err("our pod is gone");
    assert_eq!(failure.reason, FailReason::PodReplaced);
    hold.release().await.expect("our pod is gone");
    assert_eq!(super::finalizers(&cluster), Some(json!([FINALIZER])), "the namesake is still held");
}

#[tokio::test(start_paused = true)]
async fn a_namesake_that_replaces_the_pod_during_the_wait_is_not_released() {
    let cluster = Cluster::new();
    running().spawn(&cluster);
    let hold = Hold::new(client_of(&cluster), "ci", "p");
    let wait = wait(client_of(&cluster), "ci", "p").poll().hold(&hold);
    let replace = async {
        sleep(secs(40)).await;
        let gone = Life::existing("ci", "p").finalizer_removed(FINALIZER).delete(0);
        gone.run(&cluster).await.expect("a life");
        theirs().spawn(&cluster);
    };
    let (exit, ()) = tokio::join!(wait, replace);
    exit.expect_err("our pod is gone");
    hold.release().await.expect("our pod is gone");
    assert_eq!(super::finalizers(&cluster), Some(json!([FINALIZER])), "the namesake is still held");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_an_earlier_process_held_is_released_even_if_the_answer_was_saved() {
    let cluster = Cluster::new();
    running().after(secs(2)).finished(3).spawn(&cluster);
    let saved = killed_after(&cluster, 20).await;
    let (wait, hold) = restored(&cluster, saved);
    assert_eq!(wait.await.map(|exit| exit.code), Ok(3));
    hold.release().await.expect("it is let go");
    assert_eq!(super::finalizers(&cluster), Some(json!(null)));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_an_earlier_process_held_is_released_even_without_a_read() {
    for is_dropped in [false, true] {
        let cluster = Cluster::new();
        running().spawn(&cluster);
        let saved = killed_after(&cluster, 5).await;
        let (wait, hold) = restored(&cluster, saved);
        if is_dropped {
            assert!(futures_util::FutureExt::now_or_never(wait.into_future()).is_none());
        } else {
            let cancel = podwait::CancellationToken::new();
            cancel.cancel();
            wait.cancel(cancel).await.expect_err("it is cancelled");
        }
        hold.release().await.expect("it is let go");
        assert_eq!(super::finalizers(&cluster), Some(json!(null)), "dropped {is_dropped}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_without_a_uid_changes_no_pod() {
    let cluster = Cluster::new();
    theirs().spawn(&cluster);
    sleep(secs(1)).await;
    Hold::of_created(client_of(&cluster), "ci", "p", "").release().await.expect_err("there is no uid");
    assert_eq!(super::finalizers(&cluster), Some(json!([FINALIZER])));
}
