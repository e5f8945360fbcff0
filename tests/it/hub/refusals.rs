//! Hubs whose requests are refused, for a while or for good.

use super::{NEVER, builder, code, hub, is_watch_list, name, running, secs, traffic, traffic_with};
use futures_util::FutureExt;
use futures_util::future::join_all;
use podwait::{Hub, Scope};
use podwait_sim::{Cluster, Fault, RequestInfo, Verb};
use podwait_tests::client_of;
use std::future::IntoFuture;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Whether the request is for the scope of a hub.
fn is_shared(request: &RequestInfo) -> bool {
    matches!(request.verb, Verb::List | Verb::Watch) && request.name.is_none()
}

/// As from an API server that was just started, without rights and resources.
#[tokio::test(start_paused = true)]
async fn a_working_hub_survives_a_few_refusals() {
    for refusal in [403, 404] {
        let cluster = Cluster::new();
        let hub = hub(&cluster);
        for n in 0..20 {
            running(&name(n)).after(secs(100)).finished(code(n)).spawn(&cluster);
        }
        cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(30)));
        let seen = traffic_with(&cluster, move |at, request| {
            let is_refused = (secs(30)..secs(33)).contains(&at) && is_shared(request);
            is_refused.then(|| Fault::status(refusal))
        });
        let check = async {
            sleep(secs(50)).await;
            assert_eq!(hub.refusal(), None);
        };
        let waits = join_all((0..20).map(|n| hub.wait("ci", name(n)).into_future()));
        let (exits, ()) = tokio::join!(waits, check);
        for (exit, n) in exits.into_iter().zip(0..) {
            assert_eq!(exit.map(|exit| exit.code), Ok(code(n)), "{n}");
        }
        assert_eq!(seen.times(|request| request.verb == Verb::Watch && request.name.is_some()), NEVER);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_with_own_watches_return_to_the_hub_and_miss_no_state() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    // Some pods end meanwhile, the others much later.
    let end = |n: u64| match n {
        0..40 => Duration::from_millis(59_000 + n * 50),
        _ => secs(3000),
    };
    for n in 0..60 {
        running(&name(n)).after(end(n)).finished(code(n)).spawn(&cluster);
    }
    let seen = traffic_with(&cluster, |at, request| {
        (at < secs(30) && is_shared(request)).then(|| Fault::status(403))
    });
    let start = Instant::now();
    let waits = (0..60).map(|n| {
        let wait = hub.wait("ci", name(n)).into_future();
        async move { (wait.await, start.elapsed()) }
    });
    let check = async {
        sleep(secs(50)).await;
        assert_eq!(hub.refusal().map(|failure| failure.code), Some(403));
        // A wait that joins now makes no difference.
        assert!(hub.wait("ci", "other").into_future().now_or_never().is_none());
        assert_eq!(hub.refusal().map(|failure| failure.code), Some(403));
        sleep(secs(60)).await;
        assert_eq!(hub.refusal(), None);
    };
    let (exits, ()) = tokio::join!(join_all(waits), check);
    for ((exit, at), n) in exits.into_iter().zip(0..) {
        assert_eq!(exit.map(|exit| exit.code), Ok(code(n)), "{n}");
        assert_eq!(at, end(n) + secs(1), "{n}: a watch showed it at once");
    }
    let own = seen.times(|request| request.verb == Verb::Watch && request.name.is_some());
    assert_eq!(own.len(), 60, "none was renewed");
    let shared = seen.times(|request| request.verb == Verb::Watch && request.name.is_none());
    assert!((10..=13).contains(&shared.len()), "{shared:?}");
}

/// If rights are missing for good, one request each minute checks them again.
#[tokio::test(start_paused = true)]
async fn a_hub_that_is_refused_for_good_retries_once_a_minute_and_reports_it() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    for n in 0..20 {
        running(&name(n)).after(secs(600)).finished(code(n)).spawn(&cluster);
    }
    // The client has the right to list, but not to watch.
    let seen = traffic_with(&cluster, |_, request| {
        (request.verb == Verb::Watch && request.name.is_none()).then(|| Fault::status(403))
    });
    let check = async {
        for _ in 0..9 {
            sleep(secs(60)).await;
            assert_eq!(hub.refusal().map(|failure| failure.code), Some(403));
        }
    };
    let waits = join_all((0..20).map(|n| hub.wait("ci", name(n)).into_future()));
    let (exits, ()) = tokio::join!(waits, check);
    assert!(exits.into_iter().zip(0..).all(|(exit, n)| exit.is_ok_and(|exit| exit.code == code(n))));
    let shared = seen.times(is_shared);
    assert!((10..=11).contains(&shared.len()), "a watch each time: {shared:?}");
    let own = seen.times(|request| request.verb == Verb::Watch && request.name.is_some());
    assert!(own.len() <= 60, "the own watch continues meanwhile: {}", own.len());
    assert!(hub.refusal().is_some(), "without waits the refusal is kept");
}

#[tokio::test(start_paused = true)]
async fn retry_after_applies_to_all_waits_with_own_watches() {
    let cluster = Cluster::new();
    // Ten requests per second for own watches.
    let hub = builder(&cluster).requests_per_second(1).build();
    for n in 0..100 {
        running(&name(n)).after(secs(100)).finished(code(n)).spawn(&cluster);
    }
    cluster.faults().push(Verb::Get, Fault::status(429).retry_after(30));
    let seen = traffic_with(&cluster, |_, request| is_shared(request).then(|| Fault::status(403)));
    let exits = join_all((0..100).map(|n| hub.wait("ci", name(n)).into_future())).await;
    assert!(exits.into_iter().zip(0..).all(|(exit, n)| exit.is_ok_and(|exit| exit.code == code(n))));
    let held = seen.times(|request| !is_shared(request));
    let held: Vec<_> = held.into_iter().filter(|at| (secs(1)..secs(30)).contains(at)).collect();
    assert_eq!(held, NEVER, "no request for as long as the server requires");
}

/// A `Retry-After` for one wait applies to all, also to a wait that was denied access before, whose budget would run
/// out while its next read is delayed.
#[tokio::test(start_paused = true)]
async fn no_budget_for_denied_access_runs_out_during_a_retry_after() {
    let cluster = Cluster::new();
    for name in ["denied", "throttled"] {
        running(name).after(secs(200)).finished(7).spawn(&cluster);
    }
    let mut is_throttled = false;
    traffic_with(&cluster, move |at, request| {
        let is_get = request.verb == Verb::Get;
        match request.name.as_deref() {
            Some("denied") if is_get && !is_throttled => Some(Fault::status(403)),
            Some("throttled") if is_get && !is_throttled && at > secs(45) => {
                is_throttled = true;
                Some(Fault::status(429).retry_after(60))
            }
            _ => None,
        }
    });
    // Neither pod has the label, so both are read.
    let hub = Hub::new(client_of(&cluster), Scope::namespace("ci").labels("agent=7"));
    let exits = join_all(["denied", "throttled"].map(|name| hub.wait("ci", name).into_future())).await;
    assert_eq!(exits.into_iter().map(|exit| exit.map(|exit| exit.code)).collect::<Vec<_>>(), [Ok(7), Ok(7)]);
}

/// The task of a hub ends with the runtime on which the first wait began.
#[test]
fn waits_return_to_a_hub_whose_task_was_lost() {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().expect("a runtime")
    };
    let (first, second) = (runtime(), runtime());
    let (seen, hub, mut wait) = second.block_on(async {
        let cluster = Cluster::new();
        running("p").after(secs(1000)).finished(5).spawn(&cluster);
        let hub = Hub::new(client_of(&cluster), Scope::namespace("ci"));
        let wait = Box::pin(hub.wait("ci", "p").into_future());
        (traffic(&cluster), hub, wait)
    });
    first.block_on(async {
        assert!(hub.wait("ci", "other").into_future().now_or_never().is_none());
    });
    second.block_on(async { assert!(wait.as_mut().now_or_never().is_none()) });
    drop(first);
    let exit = second.block_on(async {
        sleep(secs(1)).await;
        let exit = tokio::select! {
            exit = wait.as_mut() => panic!("too early: {exit:?}"),
            () = sleep(secs(100)) => wait.as_mut(),
        };
        assert_eq!(seen.times(is_watch_list).len(), 1, "the hub works again");
        exit.await
    });
    assert_eq!(exit.map(|exit| exit.code), Ok(5));
    let watches = seen.times(|request| request.verb == Verb::Watch).len();
    assert!(
        (4..=5).contains(&watches),
        "the own watch, and then the hub's, which is renewed every 290 s: {watches}"
    );
}
