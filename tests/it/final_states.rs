//! Pods that ended and were deleted during an outage, on the simulated cluster in paused time.

use podwait::{FailReason, Hub, Policy, Scope, Wait, wait};
use podwait_sim::{Cluster, Fault, Life, RequestInfo, Terminated, Verb, pod};
use podwait_tests::client_of;
use serde_json::json;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The ways of waiting that watch.
#[derive(Clone, Copy, Debug)]
enum Way {
    Alone,
    Hub,
    Labelled,
}

const WAYS: [Way; 3] = [Way::Alone, Way::Hub, Way::Labelled];

impl Way {
    fn hub(self, cluster: &Cluster) -> Option<Hub> {
        let scope = Scope::namespace("ci");
        match self {
            Self::Alone => None,
            Self::Hub => Some(Hub::new(client_of(cluster), scope)),
            Self::Labelled => {
                Some(Hub::new(client_of(cluster), scope.labels("app.kubernetes.io/managed-by=ci-agent")))
            }
        }
    }

    fn wait(self, cluster: &Cluster) -> Wait {
        match self.hub(cluster) {
            None => wait(client_of(cluster), "ci", "p"),
            Some(hub) => hub.wait("ci", "p"),
        }
    }
}

/// The API server cannot be reached from 10 s to 40 s.
fn outage(cluster: &Cluster) {
    outage_and_then(cluster, |_| None);
}

/// The same outage. After it, `then` returns the fault of each request.
fn outage_and_then(cluster: &Cluster, mut then: impl FnMut(&RequestInfo) -> Option<Fault> + Send + 'static) {
    cluster.faults().push(Verb::Watch, Fault::ResetIn(secs(10)));
    let start = Instant::now();
    cluster.faults().rule(move |request| match start.elapsed() {
        time if time < secs(10) => None,
        time if time < secs(40) => Some(Fault::Reset),
        _ => then(request),
    });
}

fn running(name: &str) -> Life {
    Life::of(pod("ci", name, &["step"])).scheduled("node-1").after(secs(1)).running()
}

/// The answer in short, and its time.
async fn answer(wait: Wait) -> (Result<i32, FailReason>, Duration) {
    let start = Instant::now();
    let outcome = wait.await;
    (outcome.map(|exit| exit.code).map_err(|failure| failure.reason), start.elapsed())
}

/// The answer for such a life with the outage.
async fn behind_an_outage(way: Way, life: Life) -> (Result<i32, FailReason>, Duration) {
    let cluster = Cluster::new();
    outage(&cluster);
    life.spawn(&cluster);
    answer(way.wait(&cluster)).await
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_lost_during_an_outage_is_found_in_the_history() {
    let lost = |life: Life| {
        let terminated =
            podwait_sim::Step::Terminated { container: "step".into(), how: Terminated::unknown() };
        life.after(secs(1)).together([terminated, podwait_sim::Step::Phase("Failed".into())])
    };
    let ended = || running("p").after(secs(19)).terminated("step", Terminated::exit(7));
    let never = || running("p").after(secs(18));
    for way in [Some(Way::Alone), Some(Way::Hub), Some(Way::Labelled), None] {
        for (life, expected) in [(ended(), Ok(7)), (never(), Err(FailReason::ContainerStatusUnknown))] {
            let cluster = Cluster::new();
            outage(&cluster);
            lost(life).spawn(&cluster);
            let wait =
                way.map_or_else(|| wait(client_of(&cluster), "ci", "p").poll(), |way| way.wait(&cluster));
            let (outcome, time) = answer(wait).await;
            assert_eq!(outcome, expected, "{way:?}");
            assert!(time < secs(51), "{way:?} {time:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ended_and_was_deleted_during_an_outage_has_its_own_end() {
    type Make = fn() -> Life;
    let lives: [(Make, Result<i32, FailReason>); 4] = [
        (|| running("p").after(secs(19)).finished(7).after(secs(1)).delete(0), Ok(7)),
        // Only for one second was it observable that the exit preceded the deletion.
        (
            || running("p").after(secs(19)).terminated("step", Terminated::exit(0)).after(secs(1)).delete(0),
            Ok(0),
        ),
        (
            || running("p").after(secs(19)).failed("Evicted", "").after(secs(1)).delete(0),
            Err(FailReason::Evicted),
        ),
        (
            || {
                let first = running("p").after(secs(19)).finished(7).after(secs(1)).removed();
                first.after(secs(1)).created(pod("ci", "p", &["step"])).scheduled("node-1").running()
            },
            Ok(7),
        ),
    ];
    for way in WAYS {
        for (life, expected) in lives {
            let (answer, at) = behind_an_outage(way, life()).await;
            assert_eq!(answer, expected, "{way:?}");
            assert!(at < secs(46), "{way:?}: {at:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compacted_history_delays_no_answer() {
    for way in WAYS {
        let cluster = Cluster::new();
        outage(&cluster);
        running("p").after(secs(19)).finished(7).after(secs(1)).delete(0).spawn(&cluster);
        let forget = async {
            sleep(secs(30)).await;
            cluster.compact(cluster.revision());
        };
        let ((answer, at), ()) = tokio::join!(answer(way.wait(&cluster)), forget);
        assert_eq!(answer, Err(FailReason::PodDeleted), "{way:?}");
        assert!(at < secs(50), "{way:?}: {at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_working_watch_needs_no_probe() {
    for way in WAYS {
        let cluster = Cluster::new();
        running("p").after(secs(100)).finished(7).after(secs(1)).delete(0).spawn(&cluster);
        assert_eq!(answer(way.wait(&cluster)).await.0, Ok(7), "{way:?}");
        assert_eq!(cluster.requests().watch, 1, "{way:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_probe_brings_the_final_states_of_all_pods_missing_in_a_list() {
    let cluster = Cluster::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    outage_and_then(&cluster, move |request| {
        note.lock().expect("no panic").push(request.verb);
        None
    });
    let hub = Way::Hub.hub(&cluster).expect("one");
    for n in 0..100 {
        let life = running(&format!("p-{n}")).after(secs(15)).after(Duration::from_millis(n * 100));
        life.finished(i32::try_from(n).expect("small")).after(secs(1)).delete(0).spawn(&cluster);
    }
    let waits = (0..100).map(|n| hub.wait("ci", format!("p-{n}")).into_future());
    for (exit, n) in futures_util::future::join_all(waits).await.into_iter().zip(0..) {
        assert_eq!(exit.map(|exit| exit.code), Ok(n), "{n}");
    }
    let seen = seen.lock().expect("no panic");
    let count = |verb| seen.iter().filter(|seen| **seen == verb).count();
    // The hub's watch; a probe for the pod whose read detected the end of the outage; and a probe for all pods missing
    // in the LIST.
    assert_eq!((count(Verb::List), count(Verb::Watch)), (1, 3), "{seen:?}");
    assert!(count(Verb::Get) < 20, "{seen:?}");
}

/// A confirmed absence is a better answer than a limit that runs out meanwhile.
#[tokio::test(start_paused = true)]
async fn no_limit_decides_while_an_absence_is_confirmed() {
    for way in WAYS {
        let mut endings = Vec::new();
        // A read shows the absence a moment after 40 s. It is confirmed three seconds later.
        for deadline in (38..48).map(secs) {
            let cluster = Cluster::new();
            outage_and_then(&cluster, |request| {
                (request.verb == Verb::Watch).then_some(Fault::SilentAfter { events: 0 })
            });
            running("p").after(secs(19)).finished(7).after(secs(1)).delete(0).spawn(&cluster);
            let policy = Policy::builder().deadline(deadline).build().expect("a policy");
            endings.push((deadline, answer(way.wait(&cluster).policy(policy)).await));
        }
        let is_gone = |answer: &Result<i32, FailReason>| *answer == Err(FailReason::PodDeleted);
        let (gone, late): (Vec<_>, Vec<_>) =
            endings.into_iter().partition(|(_, (answer, _))| is_gone(answer));
        assert!(late.iter().all(|(deadline, (answer, _))| {
            *answer == Err(FailReason::Deadline) && gone.iter().all(|(later, _)| deadline < later)
        }));
        let confirmed = gone.iter().map(|(_, (_, at))| *at).max().expect("some are gone");
        assert!(confirmed < secs(46), "{way:?}: {gone:?}");
        let hurried: Vec<_> = gone.iter().filter(|(_, (_, at))| *at < confirmed).collect();
        assert!(hurried.len() >= 2, "{way:?}: {gone:?}");
        for (deadline, (_, at)) in hurried {
            assert!(at.abs_diff(*deadline) < secs(1), "{way:?}: {deadline:?} {at:?}");
        }
    }
}

/// The next outage begins while an absence is confirmed, and lasts for longer than the budget.
#[tokio::test(start_paused = true)]
async fn an_absence_counts_even_if_all_later_reads_fail() {
    type Make = fn(Life) -> Life;
    let afterwards: [(Make, FailReason); 2] = [
        (|life| life, FailReason::PodDeleted),
        (
            |life| life.after(secs(1)).created(pod("ci", "p", &["step"])).scheduled("node-1").running(),
            FailReason::PodReplaced,
        ),
    ];
    for way in WAYS {
        for (afterwards, expected) in afterwards {
            let cluster = Cluster::new();
            let mut reads = 0;
            outage_and_then(&cluster, move |request| {
                let is_read = matches!(request.verb, Verb::Get | Verb::List) && reads == 0;
                reads += i32::from(is_read);
                (!is_read).then_some(Fault::Reset)
            });
            afterwards(running("p").after(secs(19)).finished(7).after(secs(1)).removed()).spawn(&cluster);
            let (answer, at) = answer(way.wait(&cluster)).await;
            assert_eq!(answer, Err(expected), "{way:?}");
            assert!(at < secs(49), "{way:?}: {at:?}");
        }
    }
}

/// The loss of a label is no end.
#[tokio::test(start_paused = true)]
async fn a_pod_that_only_lost_its_label_has_no_final_state() {
    let unlabelled = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "nobody" } } });
    let life = running("p").after(secs(19)).merge(unlabelled).after(secs(60)).finished(7);
    let (answer, at) = behind_an_outage(Way::Labelled, life).await;
    assert_eq!(answer, Ok(7));
    assert!(at < secs(90), "{at:?}");
}
