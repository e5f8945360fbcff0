//! When logs end: soon after the wait, whatever the node does meanwhile.

use super::nodes::{Node, drip};
use super::{Heard, hear, running, secs};
use podwait::{CancellationToken, GapReason, Logs, wait};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::client_of;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_log_that_is_silent_from_the_beginning_does_not_hold_up_the_end() {
    let cluster = Cluster::new();
    let start = Instant::now();
    let (exit, heard) = hear(&cluster, running().after(secs(7)).finished(4)).await;
    assert_eq!(exit, Ok(4));
    heard.is_only("");
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
        let ((), heard) = tokio::join!(wait, Heard::all(logs));
        heard.is_only("");
        assert!(start.elapsed() <= secs(6), "dropped {is_dropped}: {:?}", start.elapsed());
    }
}

/// A change that is none of the container's must not begin the request anew again and again.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_the_first_line_outlives_changes_of_the_pod() {
    let cluster = Cluster::new();
    let step = pod("ci", "p", &["step", "proxy"]);
    let mut life = Life::of(step).scheduled("node-1").running();
    for _ in 0..10 {
        life = life.after(secs(2)).restarted("proxy");
    }
    let life = life.after(secs(2)).writes("step", "late\n").after(secs(1));
    let (exit, heard) = hear(&cluster, life.finished(0)).await;
    assert_eq!(exit, Ok(0));
    heard.is_only("late\n");
    assert!(cluster.requests().log <= 4, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_drips_for_ever_holds_up_the_end_no_longer_than_twice_its_drain() {
    // A line, and a line without its end.
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
            let (over, heard) = tokio::join!(wait, Heard::all(logs));
            assert!(over.elapsed() <= secs(21), "{text:?}, {has_ended}: {:?}", over.elapsed());
            assert!(!heard.texts.is_empty(), "what came is told");
            if has_ended {
                let reasons: Vec<GapReason> = heard.gaps.iter().map(|gap| gap.reason).collect();
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
    let heard = Heard::all(logs).await;
    assert!(start.elapsed() <= secs(30), "{:?}", start.elapsed());
    assert_eq!(heard.gaps.len(), 1, "{:?}", heard.gaps);
}

/// Much that comes slowly is no drip.
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
    let heard = Heard::all(logs).await;
    let text = &heard.texts[&("step".to_owned(), 1)];
    assert!(
        *text == written && heard.gaps.is_empty(),
        "{} of {}: {:?}",
        text.len(),
        written.len(),
        heard.gaps
    );
}

#[tokio::test(start_paused = true)]
async fn no_drain_is_too_long_to_be_counted() {
    let cluster = Cluster::new();
    running().writes("step", "a line\n").after(secs(5)).finished(0).spawn(&cluster);
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target().drain(Duration::MAX));
    let (exit, heard) = tokio::join!(wait, Heard::all(logs));
    assert_eq!(exit.map(|exit| exit.code), Ok(0));
    heard.is_only("a line\n");
}
