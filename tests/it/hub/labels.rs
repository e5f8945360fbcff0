//! Hubs with a label selector: new waits, pods that no longer match, and namesakes.

use super::{NEVER, OURS, Received, hub, is_page, name, running, secs, traffic};
use futures_util::future::join_all;
use podwait::{FailReason, Hub, Observed, Scope};
use podwait_sim::{Cluster, Fault, Life, RequestInfo, Verb, pod};
use podwait_tests::client_of;
use serde_json::json;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn labelled(cluster: &Cluster) -> Hub {
    Hub::new(client_of(cluster), Scope::namespace("ci").labels(OURS))
}

/// Labels by which the pod matches the selector, or does not.
fn managed_by(value: &str) -> serde_json::Value {
    json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": value } } })
}

/// A LIST of one pod.
fn is_question(request: &RequestInfo) -> bool {
    request.verb == Verb::List && request.name.is_some()
}

#[tokio::test(start_paused = true)]
async fn a_new_wait_needs_one_small_request() {
    let cluster = Cluster::new();
    let hub = labelled(&cluster);
    for n in 0..1200 {
        running(&name(n)).after(secs(300)).finished(1).spawn(&cluster);
    }
    let seen = traffic(&cluster);
    let crowd = join_all((0..1200).map(|n| hub.wait("ci", name(n)).into_future()));
    let newcomers = async {
        sleep(secs(10)).await;
        for n in 20_000..20_030 {
            let (received, name) = (Received::new(), name(n));
            Life::of(pod("ci", &name, &["step"]))
                .scheduled("node-1")
                .running()
                .after(secs(1))
                .finished(2)
                .spawn(&cluster);
            sleep(Duration::from_millis(100)).await;
            assert_eq!(received.by(hub.wait("ci", &name)).await.map(|exit| exit.code), Ok(2));
            let first = received.times(|observed| matches!(observed, Observed::Pod(..)))[0];
            assert!(first < Duration::from_millis(110), "it is seen at once: {first:?}");
        }
    };
    let (crowd, ()) = tokio::join!(crowd, newcomers);
    assert!(crowd.into_iter().all(|exit| exit.is_ok_and(|exit| exit.code == 1)));
    assert_eq!(seen.times(is_page), NEVER, "the watch begins with all of them");
    assert_eq!(seen.times(is_question).len(), 30);
    let is_read = |request: &RequestInfo| {
        request.verb == Verb::Get && request.name.as_ref().is_some_and(|name| name.starts_with("p-2000"))
    };
    assert_eq!(seen.times(is_read), NEVER, "the selector matches them, so they are watched");
    assert_eq!(cluster.requests().watch, 2, "renewed once");
}

#[tokio::test(start_paused = true)]
async fn a_new_pod_that_does_not_match_or_exist_is_read_individually() {
    let cluster = Cluster::new();
    let hub = labelled(&cluster);
    running("first").after(secs(200)).finished(1).spawn(&cluster);
    let mut stranger = pod("ci", "stranger", &["step"]);
    stranger["metadata"]["labels"] = json!({});
    Life::of(stranger).scheduled("node-1").running().after(secs(60)).finished(2).spawn(&cluster);
    let seen = traffic(&cluster);
    let newcomers = async {
        sleep(secs(10)).await;
        let unborn = async {
            sleep(secs(3)).await;
            running("unborn").after(secs(5)).finished(3).spawn(&cluster);
        };
        let start = Instant::now();
        let early = async {
            let exit = hub.wait("ci", "unborn").await;
            (exit, start.elapsed())
        };
        let (stranger, (early, at), ()) =
            tokio::join!(hub.wait("ci", "stranger").into_future(), early, unborn);
        assert_eq!(at, secs(9), "the watch shows it");
        [stranger, early]
    };
    let (first, newcomers) = tokio::join!(hub.wait("ci", "first").into_future(), newcomers);
    assert_eq!(first.map(|exit| exit.code), Ok(1));
    assert_eq!(newcomers.map(|exit| exit.map(|exit| exit.code)), [Ok(2), Ok(3)]);
    assert_eq!((seen.times(is_page).len(), seen.times(is_question).len()), (0, 2), "each is requested once");
    assert!(cluster.requests().get < 30, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn many_new_waits_are_served_by_a_list() {
    let cluster = Cluster::new();
    let hub = labelled(&cluster);
    for n in 0..400 {
        running(&name(n)).after(secs(60)).finished(1).spawn(&cluster);
    }
    let seen = traffic(&cluster);
    let first = hub.wait("ci", name(0)).into_future();
    let others = async {
        sleep(secs(10)).await;
        join_all((1..400).map(|n| hub.wait("ci", name(n)).into_future())).await
    };
    let (_, others) = tokio::join!(first, others);
    assert!(others.into_iter().all(|exit| exit.is_ok_and(|exit| exit.code == 1)));
    assert_eq!(seen.times(is_page).len(), 1);
    assert!(seen.times(is_question).len() <= 20, "{}", seen.times(is_question).len());
}

/// These are read individually in any case, so they cause no LIST.
#[tokio::test(start_paused = true)]
async fn many_pods_outside_the_selector_cause_no_list() {
    let cluster = Cluster::new();
    let hub = Hub::new(client_of(&cluster), Scope::namespace("ci").labels("agent=7"));
    for n in 0..200 {
        running(&name(n)).after(secs(120)).finished(1).spawn(&cluster);
    }
    let seen = traffic(&cluster);
    let exits = join_all((0..200).map(|n| hub.wait("ci", name(n)).into_future())).await;
    assert!(exits.into_iter().all(|exit| exit.is_ok_and(|exit| exit.code == 1)));
    assert_eq!(seen.times(is_page), NEVER);
    assert!(seen.burst(secs(10)) <= 120, "{}", seen.burst(secs(10)));
}

/// All connections break for a while, and the history of that time is compacted.
async fn outage(cluster: &Cluster, meanwhile: impl AsyncFnOnce()) {
    sleep(secs(10)).await;
    cluster.faults().rule(|_| Some(Fault::Reset));
    sleep(secs(5)).await;
    meanwhile().await;
    cluster.compact(cluster.revision());
    sleep(secs(15)).await;
    cluster.faults().clear();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_longer_matches_after_an_outage_is_read_individually() {
    let cluster = Cluster::new();
    let hub = labelled(&cluster);
    running("ours").after(secs(400)).finished(1).spawn(&cluster);
    let strayed = running("strayed").after(secs(14)).merge(managed_by("nobody"));
    let noise = (0..10).fold(strayed, |life, n| {
        life.after(secs(20)).merge(json!({ "metadata": { "annotations": { "n": n.to_string() } } }))
    });
    noise.after(secs(20)).finished(2).spawn(&cluster);
    cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(10)));
    let start = Instant::now();
    let strayed = async {
        let exit = hub.wait("ci", "strayed").await;
        (exit, start.elapsed())
    };
    let (ours, (strayed, at), ()) =
        tokio::join!(hub.wait("ci", "ours").into_future(), strayed, outage(&cluster, async || {}));
    assert_eq!([ours, strayed].map(|exit| exit.map(|exit| exit.code)), [Ok(1), Ok(2)]);
    assert!(at < secs(235 + 6), "it is read every five seconds: {at:?}");
    let requests = cluster.requests();
    // The first LIST, those of the outage, the one after it, and one 290 s later.
    assert!(requests.watch <= 5, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_matches_after_an_outage_is_watched() {
    let cluster = Cluster::new();
    let hub = labelled(&cluster);
    let mut late = pod("ci", "late", &["step"]);
    late["metadata"]["labels"] = json!({});
    let late = Life::of(late).scheduled("node-1").running().after(secs(15)).merge(managed_by("ci-agent"));
    late.after(secs(185)).finished(2).spawn(&cluster);
    cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(10)));
    let start = Instant::now();
    let seen = async {
        sleep(secs(100)).await;
        cluster.requests().get
    };
    let wait = async {
        let exit = hub.wait("ci", "late").await;
        (exit, start.elapsed())
    };
    let (seen, (exit, at), ()) = tokio::join!(seen, wait, outage(&cluster, async || {}));
    assert_eq!((exit.map(|exit| exit.code), at), (Ok(2), secs(200)), "a watch shows it at once");
    let after = cluster.requests().get - seen;
    assert!(after <= 4, "it is read like any other pod, not polled: {after}");
}

/// The answer about the first pod must not depend on the selector.
#[tokio::test(start_paused = true)]
async fn the_final_state_of_a_pod_counts_before_the_first_state_of_a_namesake() {
    for is_labelled in [false, true] {
        let cluster = Cluster::new();
        let hub = if is_labelled { labelled(&cluster) } else { hub(&cluster) };
        let life = running("p").after(secs(14)).delete(0).created(pod("ci", "p", &["step"]));
        life.scheduled("node-1").running().spawn(&cluster);
        let received = Received::new();
        let failure = received.by(hub.wait("ci", "p")).await.map_err(|failure| failure.reason);
        assert_eq!(failure, Err(FailReason::PodDeleted), "labelled: {is_labelled}");
        let deleted = received.times(|observed| matches!(observed, Observed::Deleted(_)));
        assert_eq!(deleted, [secs(15)], "labelled: {is_labelled}");
    }
}
