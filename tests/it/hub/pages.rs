//! LISTs of several pages, and changes between them.

use super::{
    NEVER, Received, builder, code, hub, is_error, is_page, name, running, secs, traffic, traffic_with,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use podwait::{FailReason, Hub, Observed, Scope, Via};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Verb, pod};
use podwait_tests::client_of;
use std::future::IntoFuture;
use tokio::time::{Instant, sleep};

/// A cluster that sends a LIST in pages only.
fn in_pages() -> Cluster {
    let cluster = Cluster::new();
    cluster.faults().refuse_watch_list();
    cluster
}

#[tokio::test(start_paused = true)]
async fn pages_count_against_the_budget() {
    let cluster = in_pages();
    let hub = builder(&cluster).requests_per_second(1).build();
    for n in 0..2600 {
        running(&name(n)).after(secs(30)).finished(code(n)).spawn(&cluster);
    }
    let seen = traffic(&cluster);
    let waits = join_all((0..2600).map(|n| hub.wait("ci", name(n)).into_future())).await;
    assert!(waits.into_iter().zip(0..).all(|(exit, n)| exit.is_ok_and(|exit| exit.code == code(n))));
    let pages = seen.times(is_page);
    assert_eq!(pages.len(), 6);
    // The burst is two.
    assert!(pages.windows(3).all(|pages| pages[2] - pages[0] >= secs(1)), "{pages:?}");
}

#[tokio::test(start_paused = true)]
async fn a_continue_token_that_has_expired_begins_the_list_anew() {
    let cluster = in_pages();
    let hub = hub(&cluster);
    for n in 0..600 {
        running(&name(n)).after(secs(30)).finished(code(n)).spawn(&cluster);
    }
    let mut has_expired = false;
    let seen = traffic_with(&cluster, move |_, request| {
        let is_first = request.uri.contains("continue=") && !std::mem::replace(&mut has_expired, true);
        is_first.then(|| Fault::status(410))
    });
    let received = Received::new();
    let last = received.by(hub.wait("ci", name(599))).into_future();
    let others = join_all((0..599).map(|n| hub.wait("ci", name(n)).into_future()));
    let (last, others) = tokio::join!(last, others);
    assert_eq!(last.map(|exit| exit.code), Ok(code(599)));
    assert!(others.into_iter().zip(0..).all(|(exit, n)| exit.is_ok_and(|exit| exit.code == code(n))));
    assert_eq!(received.times(is_error), NEVER, "it is no error");
    assert_eq!(seen.times(is_page).len(), 4);
    assert!(cluster.requests().get < 40, "the next LIST begins a second later: {:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn waits_that_leave_or_join_between_two_pages_are_served_correctly() {
    let cluster = in_pages();
    let hub = hub(&cluster);
    for n in 0..600 {
        running(&name(n)).after(secs(60)).finished(code(n)).spawn(&cluster);
    }
    sleep(secs(2)).await;
    let seen =
        traffic_with(&cluster, |_, request| request.uri.contains("continue=").then(|| Fault::Delay(secs(4))));
    let names: Vec<_> = {
        let mut names: Vec<_> = (0..600).map(name).collect();
        names.sort();
        names
    };
    let (first, last) = (&names[0], &names[599]);
    let received = Received::new();
    let deleted = received.by(hub.wait("ci", last)).into_future();
    let between = async {
        sleep(secs(1)).await;
        assert_eq!(seen.times(is_page).len(), 2, "the second page is under way");
        // Its page was made, but not sent yet.
        Life::existing("ci", last).finished(9).removed().spawn(&cluster);
        let received = Received::new();
        // Its page was sent already.
        let exit = received.by(hub.wait("ci", first)).await;
        (exit, received.times(|observed| matches!(observed, Observed::Pod(..)))[0])
    };
    let (deleted, (exit, seen_after)) = tokio::join!(deleted, between);
    assert_eq!(deleted.map(|exit| exit.code), Ok(9), "the watch begins where the LIST was made");
    assert_eq!(received.times(|observed| matches!(observed, Observed::NotFound(_))), NEVER);
    let exit = exit.expect("an exit");
    assert!(exit.code >= 0 && seen_after <= secs(4), "{seen_after:?}");
    assert_eq!((cluster.requests().list, cluster.requests().watch), (2, 2), "{:?}", cluster.requests());
}

/// An empty page of a LIST with this continue token.
fn empty_page(token: &str) -> Fault {
    let metadata = serde_json::json!({ "resourceVersion": "2", "continue": token });
    let list =
        serde_json::json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": [] });
    Fault::Status { code: 200, retry_after: None, body: FaultBody::Json(list) }
}

/// Such a LIST fails, and is retried with a growing delay.
#[tokio::test(start_paused = true)]
async fn a_list_with_a_repeated_token_is_backed_off() {
    let cluster = in_pages();
    let hub = hub(&cluster);
    running("p").after(secs(400)).finished(1).spawn(&cluster);
    let seen = traffic_with(&cluster, |_, request| {
        let token = if request.uri.contains("continue=a") { "b" } else { "a" };
        (request.verb == Verb::List).then(|| empty_page(token))
    });
    let exit = hub.wait("ci", "p").await;
    assert_eq!(exit.map(|exit| exit.code), Ok(1), "the pod is read by GETs");
    // Three pages each time, ten or eleven times.
    let pages = seen.times(is_page).len();
    assert!((24..=36).contains(&pages), "{pages}");
}

/// Like a faulty proxy: each page has another continue token.
#[tokio::test(start_paused = true)]
async fn an_endless_list_is_abandoned_and_delays_no_reads() {
    let cluster = in_pages();
    let hub = hub(&cluster);
    running("early").after(secs(60)).finished(1).spawn(&cluster);
    running("late").after(secs(700)).finished(2).spawn(&cluster);
    let mut page = 0;
    traffic_with(&cluster, move |at, request| {
        page += 1;
        (at < secs(310) && request.verb == Verb::List).then(|| empty_page(&format!("on-{page}")))
    });
    let start = Instant::now();
    let early = async {
        let exit = hub.wait("ci", "early").await;
        (exit, start.elapsed())
    };
    let received = Received::new();
    let late = async {
        let exit = received.by(hub.wait("ci", "late")).await;
        (exit, start.elapsed())
    };
    let both = async { tokio::join!(early, late) };
    let ((early, early_at), (late, late_at)) =
        tokio::time::timeout(secs(2000), both).await.expect("it does not hang");
    assert_eq!(early.map(|exit| exit.code), Ok(1));
    assert!(early_at < secs(61 + 35), "{early_at:?}");
    assert_eq!((late.map(|exit| exit.code), late_at), (Ok(2), secs(701)), "by then there is a watch");
    assert!(received.times(is_error).len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn pods_of_the_same_name_in_two_namespaces_are_distinct() {
    let cluster = Cluster::new();
    let hub = Hub::new(client_of(&cluster), Scope::all());
    let life = |namespace| Life::of(pod(namespace, "p", &["step"])).scheduled("node-1").running();
    life("one").after(secs(10)).finished(1).spawn(&cluster);
    life("two").after(secs(20)).finished(2).spawn(&cluster);
    life("three").after(secs(30)).removed().spawn(&cluster);
    let wait = |namespace| hub.wait(namespace, "p").into_future();
    let late = async {
        sleep(secs(5)).await;
        let received = Received::new();
        let exit = received.by(hub.wait("two", "p")).await;
        assert_eq!(received.times(|observed| matches!(observed, Observed::Pod(Via::Get, _))).len(), 1);
        exit
    };
    let (one, two, three, late) = tokio::join!(wait("one"), wait("two"), wait("three"), late);
    assert_eq!([one, two, late].map(|exit| exit.map(|exit| exit.code)), [Ok(1), Ok(2), Ok(2)]);
    assert_eq!(three.map_err(|failure| failure.reason), Err(FailReason::PodDeleted));
    let requests = cluster.requests();
    assert_eq!((requests.list, requests.watch, requests.get), (0, 1, 1));
    // Dropped before it has joined the hub.
    assert!(hub.wait("one", "p").into_future().now_or_never().is_none());
}

/// The successor of an agent knows only the label.
#[tokio::test(start_paused = true)]
async fn the_pods_of_a_label_are_listed_with_their_uids() {
    for knows_protobuf in [true, false] {
        let cluster = Cluster::new();
        if !knows_protobuf {
            cluster.faults().refuse_protobuf();
        }
        for n in 0..600 {
            running(&name(n)).spawn(&cluster);
        }
        let mut other = pod("ci", "other", &["step"]);
        other["metadata"]["labels"] = serde_json::json!({});
        cluster.create(other).expect("a pod");
        sleep(secs(1)).await;
        let scope = Scope::namespace("ci").labels(super::OURS);
        let found = podwait::pods(&client_of(&cluster), &scope).await.expect("a list");
        assert_eq!((found.len(), cluster.requests().list), (600, 2));
        for pod in found {
            let stored = cluster.get(&pod.namespace, &pod.name).expect("a pod");
            assert_eq!(stored["metadata"]["uid"], pod.uid);
        }
        cluster.faults().push(Verb::List, Fault::status(403));
        let refused = podwait::pods(&client_of(&cluster), &scope).await.map(drop);
        assert_eq!(refused.map_err(|failure| failure.code), Err(403));
    }
}
