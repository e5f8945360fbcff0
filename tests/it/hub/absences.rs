//! Pods that are missing in a LIST.

use super::{hub, name, running, secs, traffic};
use futures_util::future::join_all;
use podwait_sim::{Cluster, Fault, Life, Verb};
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The LIST for many new waits is ahead of a late watch.
#[tokio::test(start_paused = true)]
async fn a_pod_missing_in_a_list_ends_as_the_late_watch_shows() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("p").after(secs(30)).finished(4).removed().spawn(&cluster);
    for n in 0..200 {
        running(&name(n)).after(secs(60)).finished(0).spawn(&cluster);
    }
    cluster.faults().push(Verb::Watch, Fault::Late(secs(2)));
    let crowd = async {
        sleep(Duration::from_millis(31_100)).await;
        join_all((0..200).map(|n| hub.wait("ci", name(n)).into_future())).await
    };
    let seen = traffic(&cluster);
    let (exit, crowd) = tokio::join!(hub.wait("ci", "p").into_future(), crowd);
    assert!(crowd.into_iter().all(|exit| exit.is_ok()));
    assert_eq!(exit.map(|exit| exit.code), Ok(4), "{:?}", seen.all());
}

#[tokio::test(start_paused = true)]
async fn a_pod_missing_in_a_list_is_gone_a_few_seconds_later_if_the_watch_is_dead() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    for n in 0..150 {
        running(&name(n)).after(secs(300)).finished(0).spawn(&cluster);
    }
    cluster.faults().push(Verb::Watch, Fault::SilentIn(secs(15)));
    let gone = async {
        sleep(secs(20)).await;
        for n in 0..50 {
            Life::existing("ci", &name(n)).removed().run(&cluster).await.expect("it is removed");
        }
    };
    let crowd = async {
        sleep(secs(21)).await;
        join_all((50..150).map(|n| hub.wait("ci", name(n)).into_future())).await
    };
    let start = Instant::now();
    let first = join_all((0..50).map(|n| {
        let wait = hub.wait("ci", name(n)).into_future();
        async move { (wait.await, start.elapsed()) }
    }));
    let (first, _, ()) = tokio::join!(first, crowd, gone);
    for (outcome, at) in first {
        assert!(outcome.is_err() && at < secs(40), "{outcome:?} at {at:?}");
    }
}
