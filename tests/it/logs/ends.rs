//! The end of logs: soon after the wait, whatever the node does meanwhile.

use super::nodes::{Node, drip};
use super::{Collected, collect_log, running, secs};
use podwait::{CancellationToken, GapReason, Logs, wait};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::client_of;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_log_that_is_silent_from_the_beginning_does_not_delay_the_end() {
    let cluster = Cluster::new();
    let start = Instant::now();
    let (exit, collected) = collect_log(&cluster, running().after(secs(7)).finished(4)).await;
    assert_eq!(exit, Ok(4));
    collected.is_only("");
    assert!(start.elapsed() <= secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_silent_from_the_beginning_ends_with_its_wait() {
    for is_dropped in [false, true] {
        let cluster = Cluster::new();
        running().spawn(&cluster);
        let cancel = CancellationToken::new();
        let (wait, logs) =
            wait(client_of(&cluster), "ci", "p").cancel(cancel.clone()).logs(Logs::of_target());
        let wait = async {
            if is_dropped {
                tokio::time::timeout(secs(5), wait.into_future()).await.map(drop).expect_err("it runs");
            } else {
                let end = async {
                    sleep(secs(5)).await;
                    cancel.cancel();
                };
                let _ = tokio::join!(wait, end);
            }
        };
        let start = Instant::now();
        let ((), collected) = tokio::join!(wait, Collected::all(logs));
        collected.is_only("");
        assert!(start.elapsed() <= secs(6), "dropped {is_dropped}: {:?}", start.elapsed());
    }
}

/// A change of the pod that does not concern the container must not restart the request.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_the_first_line_outlives_changes_of_the_pod() {
    let cluster = Cluster::new();
    let step = pod("ci", "p", &["step", "proxy"]);
    let mut life = Life::of(step).scheduled("node-1").running();
    for _ in 0..10 {
        life = life.after(secs(2)).restarted("proxy");
    }
    let life = life.after(secs(2)).writes("step", "late\n").after(secs(1));
    let (exit, collected) = collect_log(&cluster, life.finished(0)).await;
    assert_eq!(exit, Ok(0));
    collected.is_only("late\n");
    assert!(cluster.requests().log <= 4, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_drips_for_ever_delays_the_end_by_twice_its_drain_at_most() {
    // A line, and a line without its line end.
    for text in ["tick\n", "tick"] {
        for has_ended in [true, false] {
            let cluster = Cluster::new();
            let life = running().after(secs(5));
            if has_ended { life.finished(0) } else { life }.spawn(&cluster);
            let node = Node::new(&cluster, move |_| drip(text, Duration::from_millis(500)));
            let cancel = CancellationToken::new();
            let (wait, logs) = wait(node.client(), "ci", "p").cancel(cancel.clone()).logs(Logs::of_target());
            let wait = async {
                let end = async {
                    sleep(secs(20)).await;
                    cancel.cancel();
                };
                tokio::select! {
                    exit = wait => drop(exit),
                    () = async { end.await; std::future::pending().await } => {}
                }
                Instant::now()
            };
            let (over, collected) = tokio::join!(wait, Collected::all(logs));
            assert!(over.elapsed() <= secs(21), "{text:?}, {has_ended}: {:?}", over.elapsed());
            assert!(!collected.texts.is_empty(), "the received text is reported");
            if has_ended {
                let reasons: Vec<GapReason> = collected.gaps.iter().map(|gap| gap.reason).collect();
                assert_eq!(reasons, [GapReason::Unreadable], "{text:?}: the rest was not read");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_so_far_that_drips_for_ever_has_an_end() {
    let cluster = Cluster::new();
    running().after(secs(1)).finished(0).run(&cluster).await.expect("a life");
    let node = Node::new(&cluster, |_| drip("tick\n", Duration::from_millis(500)));
    let Ok(logs) = wait(node.client(), "ci", "p").logs_so_far(Logs::of_target()).await else {
        panic!("the pod is there")
    };
    let start = Instant::now();
    let collected = Collected::all(logs).await;
    assert!(start.elapsed() <= secs(30), "{:?}", start.elapsed());
    assert_eq!(collected.gaps.len(), 1, "{:?}", collected.gaps);
}

/// A large amount of data over a slow connection does not count as a drip.
#[tokio::test(start_paused = true)]
async fn a_long_log_over_a_slow_line_is_read_to_its_end() {
    let cluster = Cluster::new();
    running().after(secs(1)).finished(0).run(&cluster).await.expect("a life");
    let lines: Vec<String> = (0..600).map(|n| format!("{n} {}\n", "x".repeat(20_000))).collect();
    let written = lines.concat();
    let node = Node::new(&cluster, move |_| super::nodes::slow(lines.clone(), Duration::from_millis(200)));
    let Ok(logs) = wait(node.client(), "ci", "p").logs_so_far(Logs::of_target()).await else {
        panic!("the pod is there")
    };
    let collected = Collected::all(logs).await;
    let text = &collected.texts[&("step".to_owned(), 1)];
    assert!(
        *text == written && collected.gaps.is_empty(),
        "{} of {}: {:?}",
        text.len(),
        written.len(),
        collected.gaps
    );
}

#[tokio::test(start_paused = true)]
async fn a_very_long_drain_is_limited() {
    let cluster = Cluster::new();
    running().writes("step", "a line\n").after(secs(5)).finished(0).spawn(&cluster);
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target().drain(Duration::MAX));
    let (exit, collected) = tokio::join!(wait, Collected::all(logs));
    assert_eq!(exit.map(|exit| exit.code), Ok(0));
    collected.is_only("a line\n");
}
