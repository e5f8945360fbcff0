//! Which inputs count as sights of the pod, the race for the record, and the API's failures.

use super::pods::{Change, container, ended, exit, pod, running, waiting};
use super::{check, config, error, page, step};
use podwait_core::{
    Container, ContainerState, OnGone, OnMissingTerminated, Phase, RestartPolicy, Terminated,
};
use podwait_tests::explore::{Alphabet, Seen};
use podwait_tests::model::{Config, Goal};
use std::time::Duration;

pub(super) fn identity_and_order() -> usize {
    let mut count = 0;
    let seen = [
        ("running 5", pod().phase(Phase::Running).step(running()).version("5").seen()),
        ("pending 010", pod().step(waiting("ContainerCreating")).version("010").seen()),
        ("succeeded 9, no record", pod().phase(Phase::Succeeded).version("9").seen()),
        ("exit 3, 11", pod().phase(Phase::Failed).step(ended(exit(3))).version("11").seen()),
        ("running, x", pod().phase(Phase::Running).step(running()).version("x").seen()),
        ("b running 12", pod().uid("b").phase(Phase::Running).step(running()).version("12").seen()),
        ("b exit 0, 7", pod().uid("b").phase(Phase::Succeeded).step(ended(exit(0))).version("7").seen()),
        ("b deleted 13", pod().uid("b").version("13").gone()),
        ("deleted 8", pod().phase(Phase::Running).step(running()).version("8").gone()),
        ("404", Seen::NotFound),
        ("tick", Seen::Tick),
    ];
    for (uid, length) in [(None, 5), (Some("a"), 4), (Some("b"), 4)] {
        let goal = Goal { uid: uid.map(str::to_owned), ..step() };
        count += Alphabet::new(config(), goal, &[1000], seen.clone()).check(length);
    }
    count
}

pub(super) fn a_store_that_goes_back() -> usize {
    let up = || pod().phase(Phase::Running).step(running());
    let killed = || pod().phase(Phase::Succeeded).step(ended(exit(0)));
    let seen = [
        ("running 50, read", up().version("50").read()),
        ("deleting 55", up().deleted(30, 140).version("55").seen()),
        ("running 10, read", up().version("10").read()),
        ("exit 0, 12, read", killed().version("12").read()),
        ("exit 3, 13, event", pod().phase(Phase::Failed).step(ended(exit(3))).version("13").seen()),
        ("succeeded 14, no record, read", pod().phase(Phase::Succeeded).version("14").read()),
        ("b running 15, read", up().uid("b").version("15").read()),
        ("503", error(503)),
        ("404", Seen::NotFound),
    ];
    check([config()], &[1000, 6011], 4, seen)
}

pub(super) fn nothing_but_old_objects() -> usize {
    let up = || pod().phase(Phase::Running).step(running());
    check(
        [config(), Config { unknown_grace: Duration::from_secs(30), ..config() }],
        &[4700],
        6,
        [
            ("running 50", up().version("50").seen()),
            ("running 10", up().version("10").seen()),
            ("b running 12, read", up().uid("b").version("12").read()),
            ("running 11, read", up().version("11").read()),
            ("503", error(503)),
        ],
    )
}

pub(super) fn another_pod_of_the_name() -> usize {
    let other = || pod().uid("b").phase(Phase::Running).step(running());
    let goal = Goal { uid: Some("a".to_owned()), ..step() };
    let seen = [
        ("b", other().seen()),
        ("b, read", other().read()),
        ("b deleted", other().gone()),
        ("pending", pod().seen()),
        ("404", Seen::NotFound),
        ("410", error(410)),
        ("503", error(503)),
        ("tick", Seen::Tick),
    ];
    let unbounded = Config { start_deadline: None, ..config() };
    [config(), unbounded]
        .into_iter()
        .map(|config| Alphabet::new(config, goal.clone(), &[1000, 3001], seen.clone()).check(4))
        .sum()
}

pub(super) fn the_target_in_the_spec() -> usize {
    let mut count = 0;
    let two = || pod().phase(Phase::Running).step(ended(exit(3))).other(ended(exit(0)));
    let mut none = pod();
    none.containers.clear();
    let seen = [
        ("one", pod().phase(Phase::Running).step(ended(exit(3))).seen()),
        ("two", two().seen()),
        ("two, deleted", two().gone()),
        ("none", none.seen()),
        ("404", Seen::NotFound),
    ];
    for container in [None, Some("step"), Some("other"), Some("nobody"), Some("")] {
        let goal = Goal { container: container.map(str::to_owned), uid: None };
        count += Alphabet::new(config(), goal, &[1000], seen.clone()).check(3);
    }
    count
}

pub(super) fn the_race_for_the_record() -> usize {
    let strict = OnMissingTerminated::Fail;
    check(
        [config(), Config { on_missing_terminated: strict, ..config() }],
        &[1200, 2900],
        3,
        [
            ("running", pod().phase(Phase::Running).step(running()).seen()),
            ("succeeded, no record", pod().phase(Phase::Succeeded).step(running()).seen()),
            ("failed, no record", pod().phase(Phase::Failed).step(running()).seen()),
            ("failed, no status", pod().phase(Phase::Failed).seen()),
            ("succeeded, exit 0", pod().phase(Phase::Succeeded).step(ended(exit(0))).seen()),
            ("failed, exit 0", pod().phase(Phase::Failed).step(ended(exit(0))).seen()),
            ("stale", pod().phase(Phase::Running).step(running()).version("1").seen()),
            ("500", error(500)),
            ("410", error(410)),
            ("404", Seen::NotFound),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn the_race_by_the_clock() -> usize {
    check(
        [config()],
        &[1500, 4000, 8017],
        5,
        [
            ("succeeded, no record", pod().phase(Phase::Succeeded).seen()),
            ("500", error(500)),
            ("tick", Seen::Tick),
        ],
    )
}

/// The record that the kubelet writes for an init container that the runtime no longer has.
fn inferred() -> Terminated {
    Terminated { reason: "Completed".to_owned(), ..Terminated::default() }
}

pub(super) fn other_lists_than_containers() -> usize {
    let mut count = 0;
    let with = |phase, state: Option<ContainerState>| {
        let sidecar = Container { restart_policy: Some(RestartPolicy::Always), ..container("proxy") };
        let pod = pod().phase(phase).step(waiting("PodInitializing"));
        let mut pod = pod.init(sidecar, state.clone()).init(container("setup"), state);
        pod.ephemeral_containers.push(container("debug"));
        pod
    };
    for name in ["setup", "proxy", "debug"] {
        let seen = [
            ("pending", with(Phase::Pending, running()).seen()),
            ("exit 0", with(Phase::Pending, ended(exit(0))).seen()),
            ("exit 0, inferred", with(Phase::Running, ended(inferred())).seen()),
            ("exit 3", with(Phase::Pending, ended(exit(3))).seen()),
            ("succeeded, no record", with(Phase::Succeeded, running()).seen()),
            ("failed, no record", with(Phase::Failed, running()).seen()),
            ("failed, exit 0", with(Phase::Failed, ended(exit(0))).seen()),
            ("failed, exit 3", with(Phase::Failed, ended(exit(3))).seen()),
            ("404", Seen::NotFound),
        ];
        for on_missing_terminated in [OnMissingTerminated::Infer, OnMissingTerminated::Fail] {
            let config = Config { on_missing_terminated, ..config() };
            count += Alphabet::new(config, Goal::container(name), &[4000], seen.clone()).check(4);
        }
    }
    count
}

pub(super) fn errors_of_the_api() -> usize {
    let throttled = |seconds| Seen::Error { code: 429, is_status: true, retry_after: Some(seconds) };
    check(
        [config(), Config { start_deadline: None, jitter_seed: Some(7), ..config() }],
        &[1000, 4500],
        3,
        [
            ("running", pod().phase(Phase::Running).step(running()).seen()),
            ("pending", pod().seen()),
            ("404", Seen::NotFound),
            ("no answer", error(0)),
            ("503", error(503)),
            ("429 for 3 s", throttled(3)),
            ("429 for a day", throttled(86_400)),
            ("401", error(401)),
            ("403", error(403)),
            ("410", error(410)),
            ("410 of a proxy", page(410)),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn budgets_of_the_api() -> usize {
    let budgets =
        |start_deadline| Config { start_deadline, absent_grace: Duration::from_secs(60), ..config() };
    check(
        [budgets(None), budgets(Some(Duration::from_secs(60)))],
        &[700, 3900],
        4,
        [
            ("good read", pod().seen()),
            ("503", error(503)),
            ("401", error(401)),
            ("410", error(410)),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn versions_of_any_length() -> usize {
    let version = |version: &str| pod().version(version);
    check(
        [config()],
        &[1000],
        4,
        [
            ("9", version("9").phase(Phase::Running).step(running()).seen()),
            ("10, succeeded", version("10").phase(Phase::Succeeded).seen()),
            ("2^64, failed", version("18446744073709551616").phase(Phase::Failed).seen()),
            ("2^64 + 1", version("18446744073709551617").step(waiting("")).seen()),
            ("no version", version("0x11").phase(Phase::Succeeded).seen()),
            ("b 11", version("11").uid("b").seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn refusals_and_odd_codes() -> usize {
    check(
        [config()],
        &[1000],
        3,
        [
            ("running", pod().phase(Phase::Running).step(running()).seen()),
            ("400", error(400)),
            ("405", error(405)),
            ("406", error(406)),
            ("415", error(415)),
            ("422", error(422)),
            ("400 of a proxy", page(400)),
            ("405 of a proxy", page(405)),
            ("406 of a proxy", page(406)),
            ("415 of a proxy", page(415)),
            ("422 of a proxy", page(422)),
            ("404 of something else", error(404)),
            ("408", error(408)),
            ("409", error(409)),
            ("418", error(418)),
            ("301", error(301)),
            ("500", error(500)),
            ("504", error(504)),
            ("999", error(999)),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn confirming_a_deletion() -> usize {
    let grace = Duration::from_secs(3);
    let plain = Config { gone_grace: grace, ..config() };
    let limited = Config { deadline: Some(Duration::from_secs(5)), settle: Some(grace), ..plain.clone() };
    let long = Config { gone_grace: Duration::from_secs(40), ..config() };
    let up = || pod().phase(Phase::Running).step(running());
    let seen = [
        ("running, read", up().read()),
        ("deleting", up().deleted(30, 140).seen()),
        ("exit 0 under Running", up().step(ended(exit(0))).seen()),
        ("exit 3", pod().phase(Phase::Failed).step(ended(exit(3))).seen()),
        ("succeeded, no record", pod().phase(Phase::Succeeded).seen()),
        ("succeeded, no record, read", pod().phase(Phase::Succeeded).read()),
        ("DELETED exit 0", pod().phase(Phase::Succeeded).step(ended(exit(0))).deleted(0, 140).gone()),
        ("b running", up().uid("b").seen()),
        ("404", Seen::NotFound),
        ("410", error(410)),
        ("403", error(403)),
        ("503", error(503)),
        ("422", error(422)),
        ("tick", Seen::Tick),
    ];
    check([plain, limited], &[1000, 2011], 4, seen.clone()) + check([long], &[1000, 2011], 3, seen)
}

pub(super) fn gone() -> usize {
    let policies = [OnGone::Evidence, OnGone::AssumeSuccess];
    let configs = policies.into_iter().flat_map(|on_gone| {
        let missing = [OnMissingTerminated::Infer, OnMissingTerminated::Fail];
        missing.map(|on_missing_terminated| Config { on_gone, on_missing_terminated, ..config() })
    });
    let crashed = || pod().phase(Phase::Running).step(waiting("CrashLoopBackOff")).last(exit(3));
    check(
        configs,
        &[1000],
        4,
        [
            ("running", pod().phase(Phase::Running).step(running()).seen()),
            ("succeeded", pod().phase(Phase::Succeeded).step(running()).seen()),
            ("failed", pod().phase(Phase::Failed).step(running()).seen()),
            ("crashed", crashed().seen()),
            (
                "disrupted",
                pod().phase(Phase::Running).step(running()).disrupted("PreemptionByScheduler", 100).seen(),
            ),
            ("deleting", pod().phase(Phase::Running).step(running()).deleted(30, 140).seen()),
            ("404", Seen::NotFound),
            ("DELETED running", pod().phase(Phase::Running).step(running()).deleted(0, 110).gone()),
            ("DELETED unmarked", pod().phase(Phase::Running).step(running()).gone()),
            ("DELETED succeeded", pod().phase(Phase::Succeeded).gone()),
            ("DELETED succeeded late", pod().phase(Phase::Succeeded).deleted(0, 140).gone()),
            ("DELETED failed", pod().phase(Phase::Failed).gone()),
            ("DELETED exit 0", pod().phase(Phase::Succeeded).step(ended(exit(0))).deleted(0, 140).gone()),
            (
                "DELETED exit 0 just now",
                pod().phase(Phase::Succeeded).step(ended(exit(0))).deleted(0, 102).gone(),
            ),
            ("replaced", pod().uid("b").seen()),
            ("tick", Seen::Tick),
        ],
    )
}
