//! Waits by a watch and by polls, on the simulated cluster in paused time: hours pass in milliseconds.

use podwait::{DoneReason, Exit, FailReason, Failure, Policy, Wait, wait};
use podwait_sim::{Cluster, Fault, Life, Terminated, Verb, pod};
use podwait_tests::client_of;
use std::time::Duration;
use tokio::time::Instant;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A pod `ci/p` with the container `step` and a sidecar, which runs one second from now.
fn started() -> Life {
    Life::of(pod("ci", "p", &["step", "istio-proxy"]))
        .scheduled("node-1")
        .containers_creating()
        .after(secs(1))
        .running()
}

fn wait_on(cluster: &Cluster) -> Wait {
    wait(client_of(cluster), "ci", "p").container("step")
}

/// Waits in both ways for `ci/p` with this life, each on its own cluster.
async fn both(life: impl Fn() -> Life, prepare: impl Fn(&Cluster)) -> [Result<Exit, Failure>; 2] {
    let one = async |poll: bool| {
        let cluster = Cluster::new();
        prepare(&cluster);
        let kubelet = life().spawn(&cluster);
        let wait = wait_on(&cluster);
        let outcome = if poll { wait.poll().await } else { wait.await };
        kubelet.abort();
        outcome
    };
    [one(false).await, one(true).await]
}

#[track_caller]
fn assert_exits(outcomes: &[Result<Exit, Failure>], reason: DoneReason, code: i32) {
    for outcome in outcomes {
        let exit = outcome.as_ref().unwrap_or_else(|failure| panic!("{failure:?}"));
        assert_eq!((exit.reason, exit.code), (reason, code));
    }
}

#[track_caller]
fn assert_fails(outcomes: &[Result<Exit, Failure>], reason: FailReason) {
    for outcome in outcomes {
        assert_eq!(outcome.as_ref().map_err(|failure| failure.reason), Err(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn the_exit_code_of_the_step_is_the_answer_whatever_the_sidecar_does() {
    let life = || {
        started()
            .after(secs(90))
            .terminated("istio-proxy", Terminated::exit(9))
            .after(secs(5))
            .terminated("step", Terminated::exit(3))
    };
    assert_exits(&both(life, |_| {}).await, DoneReason::NonzeroExit, 3);
}

#[tokio::test(start_paused = true)]
async fn a_terminal_phase_waits_for_the_record() {
    let life = || {
        started()
            .after(secs(60))
            .phase("Succeeded")
            .after(Duration::from_millis(700))
            .terminated("step", Terminated::exit(0))
    };
    assert_exits(&both(life, |_| {}).await, DoneReason::Completed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_never_comes_is_inferred_after_15_s() {
    let start = Instant::now();
    assert_exits(&both(|| started().phase("Succeeded"), |_| {}).await, DoneReason::InferredFromPhase, 0);
    // Each of the two waits takes one second until the phase; the delay of reads may add a little.
    assert!((secs(32)..secs(36)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_fails(&both(|| started().phase("Failed"), |_| {}).await, FailReason::TerminatedStateMissing);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_step_that_exits_0_is_no_success() {
    let life = || started().after(secs(60)).delete(30).after(secs(6)).finished(0).after(secs(6)).removed();
    assert_fails(&both(life, |_| {}).await, FailReason::PodDeleted);
}

#[tokio::test(start_paused = true)]
async fn a_late_pod_is_awaited_and_a_missing_one_is_reported() {
    let late = || {
        Life::existing("ci", "p")
            .after(secs(8))
            .created(pod("ci", "p", &["step"]))
            .scheduled("n")
            .running()
            .finished(0)
    };
    assert_exits(&both(late, |_| {}).await, DoneReason::Completed, 0);
    let start = Instant::now();
    assert_fails(&both(|| Life::existing("ci", "other"), |_| {}).await, FailReason::PodNeverSeen);
    assert!((secs(20)..secs(22)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_404_that_is_not_about_this_pod_is_no_absence() {
    let proxy =
        Fault::Status { code: 404, retry_after: None, body: podwait_sim::FaultBody::Text("no route".into()) };
    let other = Fault::status(404);
    let outcomes = both(
        || started().after(secs(60)).finished(0),
        |cluster| {
            for fault in [&proxy, &other, &proxy, &other] {
                cluster.faults().push(Verb::Get, fault.clone());
            }
        },
    );
    assert_exits(&outcomes.await, DoneReason::Completed, 0);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_to_the_second() {
    for poll in [false, true] {
        let cluster = Cluster::new();
        cluster.faults().push(Verb::Get, Fault::status(429).retry_after(40));
        let kubelet = started().finished(0).spawn(&cluster);
        let start = Instant::now();
        let outcome = if poll { wait_on(&cluster).poll().await } else { wait_on(&cluster).await };
        assert_exits(&[outcome], DoneReason::Completed, 0);
        assert!(start.elapsed() >= secs(40), "{:?}", start.elapsed());
        assert_eq!(cluster.requests().get, 2, "poll {poll}");
        kubelet.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_does_not_delay_the_timers() {
    let policy = || Policy::builder().deadline(secs(25)).build().expect("a policy");
    for poll in [false, true] {
        let cluster = Cluster::new();
        cluster.faults().rule(|_| Some(Fault::Hang));
        let start = Instant::now();
        let wait = wait_on(&cluster).policy(policy());
        let outcome = if poll { wait.poll().await } else { wait.await };
        assert_fails(&[outcome], FailReason::Deadline);
        assert!((secs(25)..secs(27)).contains(&start.elapsed()), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_within_the_budget_is_survived_and_a_longer_one_is_reported() {
    for (outage, survives) in [(secs(200), true), (secs(400), false)] {
        for fault in [Fault::Reset, Fault::status(503), Fault::status(500)] {
            let outcomes = both(
                || started().after(secs(20)).finished(0),
                |cluster| {
                    let (begin, fault) = (Instant::now() + secs(10), fault.clone());
                    cluster.faults().rule(move |_| {
                        (begin..begin + outage).contains(&Instant::now()).then(|| fault.clone())
                    });
                },
            );
            let outcomes = outcomes.await;
            if survives {
                assert_exits(&outcomes, DoneReason::Completed, 0);
            } else {
                // The watch that was open before the outage still works, and may bring the answer.
                assert_fails(&outcomes[1..], FailReason::ApiUnavailable);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_break_in_any_way_lose_nothing() {
    let faults = [
        Fault::CutAfter { events: 0 },
        Fault::CutAfter { events: 1 },
        Fault::CutMidLine { events: 0 },
        Fault::CutMidLine { events: 1 },
        Fault::ResetAfter { events: 0 },
        Fault::ResetAfter { events: 1 },
        Fault::SilentAfter { events: 0 },
        Fault::SilentAfter { events: 1 },
        Fault::Hang,
        Fault::Reset,
        Fault::status(410),
        Fault::status(503),
        Fault::status(403),
        Fault::status(429).retry_after(7),
    ];
    for fault in faults {
        let cluster = Cluster::new();
        cluster.faults().rule({
            let fault = fault.clone();
            move |request| (request.verb == Verb::Watch).then(|| fault.clone())
        });
        let kubelet = started()
            .after(secs(600))
            .phase("Failed")
            .after(secs(1))
            .terminated("step", Terminated::exit(5))
            .spawn(&cluster);
        let start = Instant::now();
        assert_exits(&[wait_on(&cluster).await], DoneReason::NonzeroExit, 5);
        let (took, requests) = (start.elapsed(), cluster.requests());
        // The answer comes within the interval of safety GETs, and without too many requests: ten minutes of polling
        // every 5 s are 120 GETs.
        assert!((secs(602)..secs(635)).contains(&took), "{fault:?}: {took:?}");
        assert!(requests.get < 200 && requests.watch < 100, "{fault:?}: {requests:?}");
        kubelet.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_history_is_compacted_starts_again() {
    let cluster = Cluster::new();
    cluster.faults().push(Verb::Watch, Fault::Delay(secs(2)));
    let kubelet = started().after(secs(60)).finished(4).spawn(&cluster);
    let compactor = {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            cluster.compact(cluster.revision());
        })
    };
    assert_exits(&[wait_on(&cluster).await], DoneReason::NonzeroExit, 4);
    assert!(cluster.requests().watch >= 2, "{:?}", cluster.requests());
    kubelet.abort();
    compactor.abort();
}

/// As after the restart of API servers, or after hours in a busy cluster: no watch from the pod's own resourceVersion
/// is possible.
#[tokio::test(start_paused = true)]
async fn a_pod_whose_last_change_is_compacted_is_still_watched() {
    let cluster = Cluster::new();
    let other = Life::of(pod("ci", "other", &["step"])).after(secs(100)).scheduled("node-1").running();
    let compactor = {
        let cluster = cluster.clone();
        tokio::spawn(async move {
            other.run(&cluster).await.expect("the life of another pod");
            cluster.compact(cluster.revision());
        })
    };
    // The pod is gone as soon as it has ended.
    let kubelet = started().after(secs(3600)).finished(4).removed().spawn(&cluster);
    assert_exits(&[wait_on(&cluster).await], DoneReason::NonzeroExit, 4);
    let requests = cluster.requests();
    // After each watch there is another one, and a GET between them.
    assert!(requests.get <= 3600 / 30 + 2 * 3600 / 290 + 3, "{requests:?}");
    assert!(requests.watch <= 2 * 3600 / 290 + 3, "{requests:?}");
    compactor.abort();
    kubelet.abort();
}

#[tokio::test(start_paused = true)]
async fn a_quiet_pod_costs_one_watch_at_a_time_and_a_get_every_30_s() {
    let cluster = Cluster::new();
    // Another pod raises the cluster's resourceVersion, so that bookmarks are ahead of our pod.
    let other = Life::of(pod("ci", "other", &["step"])).after(secs(100)).scheduled("node-1").running();
    other.spawn(&cluster);
    let kubelet = started().after(secs(3600)).finished(0).spawn(&cluster);
    assert_exits(&[wait_on(&cluster).await], DoneReason::Completed, 0);
    let requests = cluster.requests();
    assert!(requests.get <= 3600 / 30 + 3600 / 290 + 3, "{requests:?}");
    assert!(requests.watch <= 3600 / 290 + 2, "{requests:?}");
    assert_eq!(requests.list, 0);
    kubelet.abort();
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_another_uid_is_not_ours() {
    let cluster = Cluster::new();
    let kubelet = started().finished(0).spawn(&cluster);
    let policy = Policy::builder().start_deadline(secs(20)).build().expect("a policy");
    let outcome = wait_on(&cluster).uid("the-one-we-created").policy(policy).await;
    assert_fails(&[outcome], FailReason::PodReplaced);
    kubelet.abort();
}

#[tokio::test(start_paused = true)]
async fn invalid_names_are_refused_without_a_request() {
    let cluster = Cluster::new();
    for (namespace, name) in [("ci", "../nodes/a"), ("ci/x", "a"), ("ci", "A")] {
        let outcome = wait(client_of(&cluster), namespace, name).await;
        assert_fails(&[outcome], FailReason::ApiRejected);
    }
    assert_eq!(cluster.requests().get, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_leaves_nothing_behind() {
    let cluster = Cluster::new();
    let kubelet = started().spawn(&cluster);
    let waited = tokio::time::timeout(secs(100), wait_on(&cluster)).await;
    assert!(waited.is_err(), "the pod runs for ever");
    let before = cluster.requests();
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(cluster.requests(), before);
    kubelet.abort();
}
