//! Many waits over one watch, on the simulated cluster in paused time.

mod absences;
mod crowd;
mod labels;
mod pages;
mod refusals;
mod watches;

use futures_util::FutureExt;
use futures_util::future::join_all;
use podwait::{DoneReason, FailReason, Hub, HubBuilder, Observed, Policy, Scope, Via, Wait};
use podwait_sim::{Cluster, Fault, Life, RequestInfo, Step, Terminated, Verb, pod};
use podwait_tests::client_of;
use std::future::IntoFuture;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn hub(cluster: &Cluster) -> Hub {
    builder(cluster).build()
}

fn builder(cluster: &Cluster) -> HubBuilder {
    Hub::builder(client_of(cluster), Scope::namespace("ci"))
}

/// The labels of the fixture's pods.
const OURS: &str = "app.kubernetes.io/managed-by=ci-agent";

/// A pod with this name that runs one second from now.
fn running(name: &str) -> Life {
    Life::of(pod("ci", name, &["step"])).scheduled("node-1").after(secs(1)).running()
}

fn name(n: u64) -> String {
    format!("p-{n}")
}

fn code(n: u64) -> i32 {
    i32::try_from(n % 7).expect("small")
}

/// The received requests, with the time since the recording began.
#[derive(Clone)]
struct Traffic(Instant, Arc<Mutex<Vec<(Duration, RequestInfo)>>>);

/// Records the requests from now on. The rule sets the fault of each request, by its time.
fn traffic_with(
    cluster: &Cluster,
    mut rule: impl FnMut(Duration, &RequestInfo) -> Option<Fault> + Send + 'static,
) -> Traffic {
    let traffic = Traffic(Instant::now(), Arc::default());
    let note = traffic.clone();
    cluster.faults().rule(move |request| {
        let at = note.0.elapsed();
        note.1.lock().expect("no panic").push((at, request.clone()));
        rule(at, request)
    });
    traffic
}

fn traffic(cluster: &Cluster) -> Traffic {
    traffic_with(cluster, |_, _| None)
}

impl Traffic {
    fn all(&self) -> Vec<(Duration, RequestInfo)> {
        self.1.lock().expect("no panic").clone()
    }

    /// The times of the requests of this kind.
    fn times(&self, is_meant: impl Fn(&RequestInfo) -> bool) -> Vec<Duration> {
        self.all().into_iter().filter(|(_, request)| is_meant(request)).map(|(at, _)| at).collect()
    }

    /// The most requests within such a time.
    fn burst(&self, window: Duration) -> usize {
        let times = self.times(|_| true);
        let from = |n: usize| times[n..].iter().take_while(|at| **at < times[n] + window).count();
        (0..times.len()).map(from).max().unwrap_or(0)
    }
}

const NEVER: [Duration; 0] = [];

/// A LIST of all pods in sight, at the beginning of a watch.
fn is_watch_list(request: &RequestInfo) -> bool {
    request.verb == Verb::Watch && request.uri.contains("sendInitialEvents")
}

/// A page of a LIST of the scope.
fn is_page(request: &RequestInfo) -> bool {
    request.verb == Verb::List && request.name.is_none()
}

/// The observations of a wait, with the time since the recording began.
#[derive(Clone)]
struct Received(Instant, Arc<Mutex<Vec<(Duration, Observed)>>>);

impl Received {
    fn new() -> Self {
        Self(Instant::now(), Arc::default())
    }

    fn by(&self, wait: Wait) -> Wait {
        let note = self.clone();
        wait.on_turn(move |turn| {
            note.1.lock().expect("no panic").push((note.0.elapsed(), turn.observed.clone()))
        })
    }

    /// The times of the observations of this kind.
    fn times(&self, is_meant: impl Fn(&Observed) -> bool) -> Vec<Duration> {
        let received = self.1.lock().expect("no panic");
        received.iter().filter(|(_, observed)| is_meant(observed)).map(|(at, _)| *at).collect()
    }
}

fn is_error(observed: &Observed) -> bool {
    matches!(observed, Observed::Failed(_))
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waits_cost_one_watch_and_without_watch_list_a_list_too() {
    for (knows_watch_list, lists, watches) in [(true, 0, 1), (false, 2, 2)] {
        let cluster = Cluster::new();
        if !knows_watch_list {
            cluster.faults().refuse_watch_list();
        }
        a_thousand_waits(&cluster).await;
        let requests = cluster.requests();
        assert_eq!((requests.list, requests.watch, requests.get), (lists, watches, 0), "in two pages");
    }
}

async fn a_thousand_waits(cluster: &Cluster) {
    let hub = hub(cluster);
    for n in 0..1000 {
        running(&name(n)).after(secs(5 + n / 100)).finished(code(n)).spawn(cluster);
    }
    let waits = (0..1000).map(|n| hub.wait("ci", name(n)).into_future());
    for (exit, n) in join_all(waits).await.into_iter().zip(0..) {
        assert_eq!(exit.map(|exit| exit.code), Ok(code(n)), "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_do_not_overtake_a_slow_list() {
    let cluster = Cluster::new();
    cluster.faults().refuse_watch_list();
    let hub = hub(&cluster);
    for n in 0..2000 {
        running(&name(n)).after(secs(5)).finished(code(n)).spawn(&cluster);
    }
    // Four pages, each of which takes longer than the delay after which a silent pod is read.
    for _ in 0..4 {
        cluster.faults().push(Verb::List, Fault::Delay(Duration::from_millis(700)));
    }
    let waits = (0..2000).map(|n| hub.wait("ci", name(n)).into_future());
    for (exit, n) in join_all(waits).await.into_iter().zip(0..) {
        assert_eq!(exit.map(|exit| exit.code), Ok(code(n)), "{n}");
    }
    let requests = cluster.requests();
    assert_eq!((requests.list, requests.watch, requests.get), (4, 2, 0), "the first watch is refused");
}

#[tokio::test(start_paused = true)]
async fn waits_join_and_leave_at_any_time_and_the_watch_ends_with_the_last() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("first").after(secs(20)).finished(1).spawn(&cluster);
    running("quiet").after(secs(600)).finished(2).spawn(&cluster);
    let early = hub.wait("ci", "unborn").into_future();
    let first = hub.wait("ci", "first").into_future();
    let quiet = async {
        sleep(secs(10)).await;
        let (begin, seen) = (Instant::now(), Arc::new(Mutex::new(None)));
        let note = Arc::clone(&seen);
        let look = move |turn: podwait::Turn<'_>| {
            if let Observed::Pod(via, _) = *turn.observed {
                note.lock().expect("no panic").get_or_insert((begin.elapsed(), via));
            }
        };
        let exit = hub.wait("ci", "quiet").on_turn(look).await;
        (exit, seen.lock().expect("no panic").expect("it was seen"))
    };
    let born = async {
        sleep(secs(5)).await;
        running("unborn").after(secs(3)).finished(3).spawn(&cluster);
    };
    let (early, first, (quiet, (after, via)), ()) = tokio::join!(early, first, quiet, born);
    assert_eq!([early, first, quiet].map(|exit| exit.map(|exit| exit.code)), [Ok(3), Ok(1), Ok(2)]);
    assert_eq!((after, via), (Duration::ZERO, Via::Get), "a late wait gets the pod at once");
    let before = cluster.requests();
    assert_eq!((before.list, before.watch), (0, 3), "a watch is renewed every 290 s");
    sleep(secs(3600)).await;
    assert_eq!(cluster.requests(), before, "without waits there are no requests");
    running("next").finished(4).spawn(&cluster);
    assert_eq!(hub.wait("ci", "next").await.map(|exit| exit.code), Ok(4));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_stays_open_watches_until_it_is_dropped() {
    let cluster = Cluster::new();
    let hub = builder(&cluster).stay_open().build();
    for n in 0..3 {
        running(&name(n)).finished(code(n)).spawn(&cluster);
        assert_eq!(hub.wait("ci", name(n)).await.map(|exit| exit.code), Ok(code(n)));
        sleep(secs(60)).await;
    }
    assert_eq!((cluster.requests().list, cluster.requests().watch), (0, 1));
    drop(hub);
    sleep(secs(1)).await;
    let before = cluster.requests();
    sleep(secs(3600)).await;
    assert_eq!(cluster.requests(), before);
}

#[tokio::test(start_paused = true)]
async fn many_late_waits_are_served_by_a_list() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    for n in 0..1000 {
        running(&name(n)).after(secs(60)).finished(code(n)).spawn(&cluster);
    }
    let first = hub.wait("ci", name(0)).into_future();
    let others = async {
        sleep(secs(10)).await;
        join_all((1..1000).map(|n| hub.wait("ci", name(n)).into_future())).await
    };
    let (_, others) = tokio::join!(first, others);
    assert!(others.iter().zip(1..).all(|(exit, n)| exit.as_ref().is_ok_and(|exit| exit.code == code(n))));
    let requests = cluster.requests();
    assert!(requests.list == 2 && requests.get < 300, "one LIST of two pages: {requests:?}");
}

#[tokio::test(start_paused = true)]
async fn any_number_of_missing_pods_is_reported_in_time() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    let start = Instant::now();
    let waits = (0..2000).map(|n| hub.wait("ci", name(n)).into_future());
    for failure in join_all(waits).await {
        assert_eq!(failure.map_err(|failure| failure.reason), Err(FailReason::PodNeverSeen));
    }
    assert!(start.elapsed() < secs(20), "{:?}", start.elapsed());
    let requests = cluster.requests();
    assert!(requests.list < 20 && requests.get < 250, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_missing_in_a_new_list_are_not_found_and_others_are_seen() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("gone").spawn(&cluster);
    running("here").after(secs(100)).finished(5).spawn(&cluster);
    let outage = async {
        sleep(secs(10)).await;
        // All connections break, and the history is compacted.
        cluster.faults().rule(|_| Some(Fault::Reset));
        let life = Life::existing("ci", "gone").removed().spawn(&cluster);
        life.await.expect("no panic").expect("it is removed");
        cluster.compact(cluster.revision());
        sleep(secs(20)).await;
        cluster.faults().clear();
    };
    cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(10)));
    let (gone, here, ()) =
        tokio::join!(hub.wait("ci", "gone").into_future(), hub.wait("ci", "here").into_future(), outage);
    assert_eq!(gone.map_err(|failure| failure.reason), Err(FailReason::PodDeleted));
    assert_eq!(here.map(|exit| exit.code), Ok(5));
    assert!(cluster.requests().list >= 2, "in pages, since the LIST with the watch had failed");
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_continues_from_its_last_bookmark_without_a_list() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("ours").after(secs(200)).finished(6).spawn(&cluster);
    // Writes of other objects raise the resourceVersion, and are compacted.
    let others = async {
        for n in 0..100 {
            Life::of(pod("others", &name(n), &["step"])).scheduled("node-1").spawn(&cluster);
            sleep(secs(1)).await;
        }
        // A bookmark arrived a minute after the watch began; the earlier history is compacted.
        sleep(secs(22)).await;
        cluster.compact(cluster.revision());
    };
    cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(130)));
    let (exit, ()) = tokio::join!(hub.wait("ci", "ours").into_future(), others);
    assert_eq!(exit.map(|exit| exit.code), Ok(6));
    let requests = cluster.requests();
    assert_eq!((requests.list, requests.watch), (0, 2), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_loses_its_label_is_not_deleted() {
    let cluster = Cluster::new();
    let hub = Hub::new(client_of(&cluster), Scope::namespace("ci").labels(OURS));
    let unlabel =
        serde_json::json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "nobody" } } });
    running("ours").after(secs(30)).merge(unlabel).after(secs(100)).finished(3).spawn(&cluster);
    running("deleted").after(secs(30)).removed().spawn(&cluster);
    let (ours, deleted) =
        tokio::join!(hub.wait("ci", "ours").into_future(), hub.wait("ci", "deleted").into_future());
    assert_eq!(ours.map(|exit| exit.code), Ok(3));
    assert_eq!(deleted.map_err(|failure| failure.reason), Err(FailReason::PodDeleted));
    let requests = cluster.requests();
    // The pod outside of the selector is polled, at least every five seconds.
    assert!(requests.list == 0 && (20..40).contains(&requests.get), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_not_polled_delays_no_other_and_still_gets_the_end() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    let policy = || Policy::builder().deadline(Some(secs(3600))).build().expect("a policy");
    let mut busy = running("busy");
    for n in 0..500 {
        let noise = serde_json::json!({ "metadata": { "annotations": { "n": n.to_string() } } });
        busy = busy.after(Duration::from_millis(10)).merge(noise);
    }
    busy.finished(4).spawn(&cluster);
    running("other").after(secs(3)).finished(0).spawn(&cluster);
    let mut slow = Box::pin(hub.wait("ci", "busy").policy(policy()).into_future());
    assert!(slow.as_mut().now_or_never().is_none(), "it has begun");
    let dropped = Box::pin(hub.wait("ci", "busy").into_future());
    assert!(dropped.now_or_never().is_none(), "it has begun, and is over");
    let start = Instant::now();
    assert_eq!(hub.wait("ci", "other").await.map(|exit| exit.code), Ok(0));
    assert_eq!(start.elapsed(), secs(4));
    sleep(secs(100)).await;
    assert_eq!(slow.await.map(|exit| exit.code), Ok(4));
}

#[tokio::test(start_paused = true)]
async fn safety_gets_have_a_budget_whatever_the_number_of_waits() {
    let cluster = Cluster::new();
    let hub = builder(&cluster).requests_per_second(4).build();
    for n in 0..1000 {
        running(&name(n)).after(secs(600)).finished(code(n)).spawn(&cluster);
    }
    let seen = traffic(&cluster);
    let waits = (0..1000).map(|n| hub.wait("ci", name(n)).into_future());
    assert!(join_all(waits).await.iter().all(Result::is_ok));
    // The budget of ten seconds, plus a burst of two seconds.
    assert!(seen.burst(secs(10)) <= 48, "{:?}", seen.all());
    let gets = seen.times(|request| request.verb == Verb::Get).len();
    assert!((2000..2400).contains(&gets), "a silent pod is still read: {gets}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_detected_and_replaced() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    cluster.faults().push(Verb::Watch, Fault::SilentIn(secs(5)));
    for n in 0..20 {
        running(&name(n)).after(secs(60)).finished(code(n)).spawn(&cluster);
    }
    let start = Instant::now();
    let waits = (0..20).map(|n| hub.wait("ci", name(n)).into_future());
    assert!(
        join_all(waits).await.iter().zip(0..).all(|(exit, n)| exit.as_ref().is_ok_and(|e| e.code == code(n)))
    );
    assert!(start.elapsed() < secs(61 + 35), "{:?}", start.elapsed());
    // First there was a safety GET. The watch should have sent the same state within 5 s.
    assert!(cluster.requests().get >= 20, "{:?}", cluster.requests());
}

#[tokio::test(start_paused = true)]
async fn retry_after_applies_to_all_waits() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    for n in 0..100 {
        running(&name(n)).after(secs(20)).finished(code(n)).spawn(&cluster);
    }
    let seen = traffic(&cluster);
    cluster.faults().push(Verb::Watch, Fault::status(429).retry_after(30));
    let waits = (0..100).map(|n| hub.wait("ci", name(n)).into_future());
    assert!(
        join_all(waits).await.iter().zip(0..).all(|(exit, n)| exit.as_ref().is_ok_and(|e| e.code == code(n)))
    );
    let times = seen.times(|_| true);
    assert!(times.len() < 4 && times.iter().all(|at| *at >= secs(30)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_fails_only_its_own_wait() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    let broken = serde_json::json!({ "status": { "containerStatuses": "not a list" } });
    running("broken").after(secs(10)).merge(broken).spawn(&cluster);
    running("fine").after(secs(20)).finished(2).spawn(&cluster);
    let policy = Policy::builder().api_error_budget(secs(40)).build().expect("a policy");
    let (broken, fine) = tokio::join!(
        hub.wait("ci", "broken").policy(policy).into_future(),
        hub.wait("ci", "fine").into_future(),
    );
    assert_eq!(fine.map(|exit| exit.code), Ok(2));
    assert_eq!(broken.map_err(|failure| failure.reason), Err(FailReason::ApiUnavailable));
    assert_eq!(cluster.requests().watch, 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_list_each_wait_watches_its_pod_and_without_watching_it_polls() {
    for (may_watch, watches) in [(true, 21..30), (false, 21..23)] {
        let cluster = Cluster::new();
        cluster.faults().rule(move |request| {
            let is_allowed = request.verb == Verb::Get
                || request.verb == Verb::Watch && may_watch && request.name.is_some();
            (!is_allowed).then(|| Fault::status(403))
        });
        let hub = hub(&cluster);
        assert_eq!(hub.refusal(), None);
        for n in 0..20 {
            running(&name(n)).after(secs(30)).finished(code(n)).spawn(&cluster);
        }
        let waits = (0..20).map(|n| hub.wait("ci", name(n)).into_future());
        let check = async {
            sleep(secs(5)).await;
            assert_eq!(hub.refusal().map(|failure| failure.code), Some(403));
        };
        let (exits, ()) = tokio::join!(join_all(waits), check);
        assert!(exits.iter().zip(0..).all(|(exit, n)| exit.as_ref().is_ok_and(|e| e.code == code(n))));
        let requests = cluster.requests();
        assert_eq!(requests.list, 0, "{requests:?}");
        assert!(watches.contains(&requests.watch), "{requests:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_outside_of_the_scope_has_its_own_watch() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    let other =
        Life::of(pod("other", "p", &["step"])).scheduled("node-1").running().after(secs(3)).finished(1);
    other.spawn(&cluster);
    assert_eq!(hub.wait("other", "p").await.map(|exit| exit.code), Ok(1));
    assert_eq!(cluster.requests().watch, 1, "its own");
    let all = Hub::new(client_of(&cluster), Scope::all());
    assert_eq!(all.wait("other", "p").await.map(|exit| exit.reason), Ok(DoneReason::NonzeroExit));
    assert_eq!((cluster.requests().list, cluster.requests().watch), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn two_waits_for_one_pod_share_its_reads() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    let life = running("p").after(secs(300)).together([
        Step::Terminated { container: "step".into(), how: Terminated::exit(2) },
        Step::Phase("Failed".into()),
    ]);
    life.spawn(&cluster);
    let waits = (0..5).map(|_| hub.wait("ci", "p").container("step").into_future());
    for exit in join_all(waits).await {
        assert_eq!(exit.map(|exit| exit.code), Ok(2));
    }
    assert!(cluster.requests().get <= 11, "{:?}", cluster.requests());
}

/// Waits for other threads, without a deadlock.
fn until(is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < secs(10), "this takes too long");
        std::thread::yield_now();
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_ends_only_its_own_wait() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("a").after(secs(5)).finished(1).spawn(&cluster);
    running("b").after(secs(5)).finished(2).spawn(&cluster);
    let look = |turn: podwait::Turn<'_>| assert!(!matches!(turn.observed, Observed::Pod(..)), "as it must");
    let (first, second) = (hub.wait("ci", "a").on_turn(look), hub.wait("ci", "b"));
    let (first, second) = tokio::join!(tokio::spawn(first.into_future()), second.into_future());
    let panic = first.expect_err("it panics where the wait is polled").into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as it must"));
    assert_eq!(second.map(|exit| exit.code), Ok(2));
}

#[tokio::test(start_paused = true)]
async fn the_observer_of_a_dropped_wait_is_dropped() {
    let cluster = Cluster::new();
    let hub = hub(&cluster);
    running("p").after(secs(60)).finished(1).spawn(&cluster);
    let turns = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&turns);
    let look = move |_: podwait::Turn<'_>| *counter.lock().expect("no panic") += 1;
    let wait = hub.wait("ci", "p").on_turn(look).into_future();
    assert!(tokio::time::timeout(secs(10), wait).await.is_err(), "it is dropped there");
    // Its observer is dropped with it, and not later by the hub's task.
    assert_eq!(Arc::strong_count(&turns), 1);
    assert!(*turns.lock().expect("no panic") > 2);
}

#[test]
fn waits_outlive_the_runtime_that_the_hub_was_started_on() {
    let cluster = Cluster::new();
    let server = tokio::runtime::Runtime::new().expect("a runtime");
    let kubeconfig = server.block_on(cluster.serve()).expect("a server");
    let url = kubeconfig.url();
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    let second = tokio::runtime::Runtime::new().expect("a runtime");
    let config = kube::Config::new(url.parse().expect("a URL"));
    let client = second.block_on(async { podwait::Client::from_config(config) }).expect("a client");
    let hub = Hub::new(client, Scope::namespace("ci"));
    let _entered = server.enter();
    Life::of(pod("ci", "p", &["step"])).running().after(secs(2)).finished(5).spawn(&cluster);
    // The first wait starts the hub's task, and is dropped with its runtime.
    let is_listed = Arc::new(AtomicBool::new(false));
    let note = Arc::clone(&is_listed);
    let wait = hub.wait("ci", "p").on_turn(move |turn| {
        note.fetch_or(matches!(turn.observed, Observed::Pod(..)), Ordering::Relaxed);
    });
    first.spawn(wait.into_future());
    until(|| is_listed.load(Ordering::Relaxed));
    // The second wait uses the open watch, and reads the pod.
    let wait = second.spawn(hub.wait("ci", "p").into_future());
    until(|| cluster.requests().get > 0);
    first.shutdown_background();
    let exit = second.block_on(wait).expect("no panic");
    assert_eq!(exit.map(|exit| exit.code), Ok(5));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_read_reports_no_pod_as_missing() {
    let unreadable = |list: serde_json::Value| Fault::Status {
        code: 200,
        retry_after: None,
        body: podwait_sim::FaultBody::Json(list),
    };
    let metadata = serde_json::json!({ "resourceVersion": "90" });
    for list in [
        serde_json::json!({ "kind": "PodList", "metadata": metadata, "items": [{ "metadata": "none" }] }),
        serde_json::json!({ "kind": "PodList", "metadata": metadata, "items": ["none"] }),
        serde_json::json!({ "kind": "PodList", "metadata": metadata }),
        serde_json::json!({ "kind": "ServiceList", "metadata": metadata, "items": [] }),
    ] {
        let cluster = Cluster::new();
        cluster.faults().refuse_watch_list();
        let hub = hub(&cluster);
        running("p").after(secs(30)).finished(3).spawn(&cluster);
        // After an outage that the wait observed, when it had seen the pod.
        cluster.faults().push(Verb::Watch, Fault::Delay(Duration::ZERO));
        cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(10)));
        cluster.faults().push(Verb::Watch, Fault::status(503));
        let spoil = async {
            sleep(secs(5)).await;
            cluster.faults().push(Verb::List, unreadable(list.clone()));
        };
        let (exit, ()) = tokio::join!(hub.wait("ci", "p").into_future(), spoil);
        assert_eq!(exit.map(|exit| exit.code), Ok(3), "{list}");
        assert_eq!(cluster.requests().list, 3, "{list}");
    }
}

/// Making a wait needs no runtime.
#[test]
fn a_wait_that_is_never_polled_sends_no_request() {
    let cluster = Cluster::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let hub = runtime.block_on(async { Hub::new(client_of(&cluster), Scope::namespace("ci")) });
    let wait = hub.wait("ci", "p").into_future();
    let life = Life::of(pod("ci", "p", &["step"])).running().finished(5);
    runtime.block_on(life.run(&cluster)).expect("a life");
    assert_eq!(cluster.requests(), podwait_sim::RequestCounts::default());
    assert_eq!(runtime.block_on(wait).map(|exit| exit.code), Ok(5));
}
