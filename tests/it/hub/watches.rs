//! Watches that are ended, refused and delayed.

use super::{NEVER, Received, hub, is_error, is_page, is_watch_list, running, secs, traffic, traffic_with};
use podwait_sim::{Cluster, Fault, Verb};
use podwait_tests::client_of;
use std::time::Duration;
use tokio::time::Instant;

/// As by a load balancer that ends idle connections, before the first bookmark.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_ended_when_idle_causes_no_list_and_no_error() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("p").after(secs(1000)).finished(3).spawn(&cluster);
    let seen =
        traffic_with(&cluster, |_, request| (request.verb == Verb::Watch).then(|| Fault::ResetIn(secs(50))));
    let (received, start) = (Received::new(), Instant::now());
    assert_eq!(received.by(hub.wait("ci", "p")).await.map(|exit| exit.code), Ok(3));
    assert_eq!(start.elapsed(), secs(1001), "the watch shows it at once");
    assert_eq!(received.times(is_error), NEVER);
    assert_eq!(seen.times(is_page), NEVER);
    assert!((20..=22).contains(&cluster.requests().watch), "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn the_watch_of_one_pod_that_is_ended_when_idle_is_opened_at_once() {
    let cluster = Cluster::new();
    running("p").after(secs(1000)).finished(3).spawn(&cluster);
    let seen =
        traffic_with(&cluster, |_, request| (request.verb == Verb::Watch).then(|| Fault::ResetIn(secs(50))));
    assert_eq!(podwait::wait(client_of(&cluster), "ci", "p").await.map(|exit| exit.code), Ok(3));
    let watches = seen.times(|request| request.verb == Verb::Watch);
    assert!(watches.windows(2).all(|pair| pair[1] - pair[0] < secs(51)), "{watches:?}");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_watch_continues_from_its_resource_version() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("p").after(secs(100)).finished(3).spawn(&cluster);
    cluster.faults().push(Verb::Watch, Fault::CutIn(secs(20)));
    cluster.faults().push(Verb::Watch, Fault::status(429).retry_after(7));
    let received = Received::new();
    let seen = traffic(&cluster);
    assert_eq!(received.by(hub.wait("ci", "p")).await.map(|exit| exit.code), Ok(3));
    assert_eq!(received.times(is_error), NEVER, "nothing is lost, so there is no error");
    assert_eq!(seen.times(is_page), NEVER);
    let requests = cluster.requests();
    assert_eq!((requests.list, requests.watch), (0, 3), "{requests:?}");
    let after = seen.times(|request| request.verb == Verb::Watch);
    assert_eq!(after.len(), 1);
    assert!(after[0] >= secs(27), "Retry-After is obeyed: {after:?}");
}

/// A limit may depend on the read. It must not run out without a read, nor because of old events of the next watch.
#[tokio::test(start_paused = true)]
async fn a_wait_whose_reads_fail_until_the_next_watch_gets_errors_and_a_list() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("p").after(secs(100)).finished(3).spawn(&cluster);
    cluster.faults().push(Verb::Watch, Fault::CutIn(secs(29)));
    cluster.faults().push(Verb::Watch, Fault::status(429).retry_after(7));
    let received = Received::new();
    let seen = traffic(&cluster);
    assert_eq!(received.by(hub.wait("ci", "p")).await.map(|exit| exit.code), Ok(3));
    let (errors, lists) = (received.times(is_error), seen.times(is_watch_list));
    assert!(lists.len() == 1 && lists[0] >= secs(36), "Retry-After is obeyed: {lists:?}");
    assert!(!errors.is_empty() && errors.iter().all(|at| *at >= secs(30) && *at < lists[0]), "{errors:?}");
}

/// A GET that is ahead of the watch must not hide the next events of the watch.
#[tokio::test(start_paused = true)]
async fn a_404_that_is_ahead_of_the_watch_does_not_hide_how_the_pod_ended() {
    for is_shared in [true, false] {
        let cluster = Cluster::new();
        let hub = hub(&cluster);
        running("p").after(secs(60)).finished(4).removed().spawn(&cluster);
        traffic_with(&cluster, |_, request| (request.verb == Verb::Watch).then(|| Fault::Late(secs(2))));
        let policy = podwait::Policy::builder().reobserve(Duration::from_millis(500)).build();
        let wait = match is_shared {
            true => hub.wait("ci", "p"),
            false => podwait::wait(client_of(&cluster), "ci", "p"),
        };
        let exit = wait.policy(policy.expect("a policy")).await;
        assert_eq!(exit.map(|exit| exit.code), Ok(4), "in a hub: {is_shared}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_counts_a_few_seconds_later_if_the_watch_is_dead() {
    for is_shared in [true, false] {
        let cluster = Cluster::new();
        let hub = hub(&cluster);
        running("p").after(secs(60)).removed().spawn(&cluster);
        cluster.faults().push(Verb::Watch, Fault::SilentIn(secs(30)));
        let policy = podwait::Policy::builder().reobserve(secs(7)).build();
        let wait = match is_shared {
            true => hub.wait("ci", "p"),
            false => podwait::wait(client_of(&cluster), "ci", "p"),
        };
        let start = Instant::now();
        let failure = wait.policy(policy.expect("a policy")).await.map_err(|failure| failure.reason);
        assert_eq!(failure, Err(podwait::FailReason::PodDeleted));
        assert!(start.elapsed() < secs(61 + 7 + 4), "in a hub: {is_shared}, {:?}", start.elapsed());
    }
}
