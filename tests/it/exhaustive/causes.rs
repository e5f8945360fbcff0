//! Rule 4: outside causes, and the order of cause and end.

use super::pods::{Change, ended, exit, pod, running, waiting};
use super::{check, config};
use podwait_core::{Phase, PodSnapshot, RestartPolicy};
use podwait_tests::explore::Seen;
use podwait_tests::model::Config;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn up() -> PodSnapshot {
    pod().phase(Phase::Running).step(running())
}

/// Ended with 0 at second 100.
fn succeeded() -> PodSnapshot {
    pod().phase(Phase::Succeeded).step(ended(exit(0)))
}

fn failed() -> PodSnapshot {
    pod().phase(Phase::Failed).step(ended(exit(3)))
}

/// Ended, by the container's record only.
fn over(code: i32) -> PodSnapshot {
    pod().phase(Phase::Running).step(ended(exit(code)))
}

pub(super) fn deletion_by_timestamps() -> usize {
    let undated = || {
        let mut record = exit(0);
        record.finished_at = None;
        pod().phase(Phase::Succeeded).step(ended(record))
    };
    check(
        [config(), Config { clock_skew: 2 * SECOND, ..config() }],
        &[1000],
        4,
        [
            ("running", up().seen()),
            ("running, deleted at 102", up().deleted(30, 132).seen()),
            ("running, grace 0 at 131", up().deleted(0, 131).seen()),
            ("pending, deleted", pod().step(waiting("ContainerCreating")).deleted(30, 120).seen()),
            ("no status, deleted at 110", pod().deleted(30, 140).seen()),
            ("0, deleted at 99", succeeded().deleted(30, 129).seen()),
            ("0, deleted at 100", succeeded().deleted(30, 130).seen()),
            ("0, deleted at 101", succeeded().deleted(30, 131).seen()),
            ("3, deleted at 103", failed().deleted(30, 133).seen()),
            ("0, grace 0 at 101", succeeded().deleted(0, 101).seen()),
            ("0, grace 0 at 130", succeeded().deleted(0, 130).seen()),
            ("0, grace 0 at 131", succeeded().deleted(0, 131).gone()),
            ("0, grace 1 at 131", over(0).deleted(1, 131).seen()),
            ("0, grace 1 at 130", over(0).deleted(1, 130).seen()),
            ("0, grace 2 at 103", over(0).deleted(2, 103).seen()),
            ("0 at no time, deleted at 170", undated().deleted(30, 200).seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn deletion_by_our_own_eyes() -> usize {
    let mut count = 0;
    // First a record is seen that is not final. Only the deletion makes it final.
    let always = |pod: PodSnapshot| pod.policy(RestartPolicy::Always);
    let seen = [
        ("running", always(up()).seen()),
        ("running again", always(up()).count(1).seen()),
        ("exit 3", always(over(3)).seen()),
        ("exit 0", always(over(0)).seen()),
        ("ended, no state", always(pod().phase(Phase::Running).step(None).last(exit(3))).seen()),
        (
            "between, 3",
            always(pod().phase(Phase::Running).step(waiting("CrashLoopBackOff")).last(exit(3))).seen(),
        ),
        ("running, deleting", always(up()).deleted(30, 140).seen()),
        (
            "between, deleting",
            always(pod().phase(Phase::Running).step(waiting("CrashLoopBackOff")).last(exit(3)))
                .deleted(30, 120)
                .seen(),
        ),
        ("exit 0, deleting", always(over(0)).deleted(30, 120).seen()),
        ("exit 3 again, deleting", always(over(3)).count(1).deleted(30, 120).seen()),
        ("404", Seen::NotFound),
    ];
    count += check([config()], &[1000], 5, seen.clone());
    count += check([Config { settle: Some(3 * SECOND), ..config() }], &[1000], 4, seen);
    count
}

pub(super) fn deletion_by_generations() -> usize {
    check(
        [config(), Config { settle: Some(3 * SECOND), ..config() }],
        &[1000],
        4,
        [
            ("running", up().generations(1, 1).seen()),
            ("running, deleting", up().generations(2, 2).deleted(30, 125).seen()),
            ("running, deleting, not observed", up().generations(2, 1).deleted(30, 125).seen()),
            ("0, 2/1", succeeded().generations(2, 1).deleted(30, 120).seen()),
            ("0 over, 2/1", over(0).generations(2, 1).deleted(30, 120).seen()),
            ("0, 2/2", succeeded().generations(2, 2).deleted(30, 120).seen()),
            ("0, 2/2, deleted later", succeeded().generations(2, 2).deleted(30, 140).seen()),
            ("0, 2/0", succeeded().generations(2, 0).deleted(30, 120).seen()),
            ("3, 2/1", failed().generations(2, 1).deleted(30, 120).gone()),
            (
                "0 evicted by the API, 2/1",
                over(0).generations(2, 1).disrupted("EvictionByEvictionAPI", 95).deleted(30, 126).seen(),
            ),
            (
                "0 by the kubelet, 2/1",
                succeeded().generations(2, 1).disrupted("TerminationByKubelet", 105).deleted(30, 136).seen(),
            ),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn disruption() -> usize {
    let by_api = |pod: PodSnapshot, since| pod.disrupted("EvictionByEvictionAPI", since);
    let by_kubelet = |pod: PodSnapshot| pod.disrupted("TerminationByKubelet", 120);
    let by_gc = |pod: PodSnapshot, since| pod.disrupted("DeletionByPodGC", since);
    check(
        [
            config(),
            Config { clock_skew: 2 * SECOND, ..config() },
            Config { settle: Some(3 * SECOND), ..config() },
        ],
        &[1000],
        4,
        [
            ("running", up().seen()),
            ("running, about to be evicted", by_api(up(), 95).seen()),
            ("running, being evicted", by_api(up(), 95).deleted(30, 125).seen()),
            ("running, deleting", up().deleted(30, 125).seen()),
            ("0, about to be evicted", by_api(succeeded(), 99).seen()),
            ("0, evicted at 99", by_api(succeeded(), 99).deleted(30, 140).seen()),
            ("0, evicted at 101", by_api(succeeded(), 101).deleted(30, 140).seen()),
            ("3, evicted at 104", by_api(failed(), 104).deleted(30, 134).seen()),
            ("running, by the kubelet", by_kubelet(up()).seen()),
            ("0, by the kubelet", by_kubelet(succeeded()).seen()),
            ("0 over, by the kubelet", by_kubelet(over(0)).seen()),
            ("137, by the kubelet", by_kubelet(pod().phase(Phase::Failed).step(ended(exit(137)))).seen()),
            ("running, by GC", by_gc(up(), 120).seen()),
            ("failed running, by GC", by_gc(up().phase(Phase::Failed), 120).seen()),
            ("3, by GC at 99", by_gc(failed(), 99).seen()),
            ("3, by GC at 120", by_gc(failed(), 120).seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn disruption_of_what_may_restart() -> usize {
    let always = |pod: PodSnapshot| pod.policy(RestartPolicy::Always);
    check(
        [config(), Config { settle: Some(3 * SECOND), ..config() }],
        &[1000],
        5,
        [
            ("running", always(up()).seen()),
            ("exit 0", always(over(0)).seen()),
            ("exit 0, marked", always(over(0)).disrupted("EvictionByEvictionAPI", 95).seen()),
            (
                "exit 0, evicted",
                always(over(0)).disrupted("EvictionByEvictionAPI", 95).deleted(30, 125).seen(),
            ),
            ("exit 0, by the kubelet", always(succeeded()).disrupted("TerminationByKubelet", 120).seen()),
            ("exit 0, Evicted", always(over(0)).phase(Phase::Failed).reason("Evicted").seen()),
            ("exit 0, NodeLost", always(over(0)).phase(Phase::Failed).reason("NodeLost").seen()),
            ("exit 0, running, Evicted", always(over(0)).reason("Evicted").seen()),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn reasons_of_the_pod() -> usize {
    check(
        [config(), Config { settle: Some(3 * SECOND), ..config() }],
        &[1000],
        3,
        [
            ("running", up().seen()),
            ("failed", up().phase(Phase::Failed).seen()),
            ("Evicted", up().phase(Phase::Failed).reason("Evicted").seen()),
            ("Preempting", failed().reason("Preempting").seen()),
            ("Preempted", failed().reason("Preempted").seen()),
            ("Shutdown", failed().reason("Shutdown").seen()),
            ("NodeShutdown", failed().reason("NodeShutdown").seen()),
            ("Terminated", failed().reason("Terminated").seen()),
            ("Terminated, still running", up().reason("Terminated").seen()),
            ("Terminated, 0 under Running", over(0).reason("Terminated").seen()),
            ("Terminated, 0 under Succeeded", succeeded().reason("Terminated").seen()),
            ("Succeeded, Evicted, no record", up().phase(Phase::Succeeded).reason("Evicted").seen()),
            ("NodeLost", failed().reason("NodeLost").seen()),
            ("NodeLost, 0 under Running", over(0).reason("NodeLost").seen()),
            ("DeadlineExceeded", over(0).phase(Phase::Failed).reason("DeadlineExceeded").seen()),
            ("OutOfcpu", pod().phase(Phase::Failed).reason("OutOfcpu").seen()),
            ("OutOfmemory, 3", failed().reason("OutOfmemory").seen()),
            ("NodeAffinity", pod().phase(Phase::Failed).reason("NodeAffinity").seen()),
            ("NodeName", pod().phase(Phase::Failed).reason("NodeName").seen()),
            ("NodePorts", pod().phase(Phase::Failed).reason("NodePorts").seen()),
            (
                "UnexpectedAdmissionError",
                pod().phase(Phase::Failed).reason("UnexpectedAdmissionError").seen(),
            ),
            ("TopologyAffinityError", pod().phase(Phase::Failed).reason("TopologyAffinityError").seen()),
            ("PodOSNotSupported", pod().phase(Phase::Failed).reason("PodOSNotSupported").seen()),
            ("Novel, 0", over(0).phase(Phase::Failed).reason("Novel").seen()),
            ("Novel, 3", failed().reason("Novel").seen()),
            ("Novel, no record", up().phase(Phase::Failed).reason("Novel").seen()),
            ("Novel, running", up().reason("Novel").seen()),
            ("Evicted and deleted", up().phase(Phase::Failed).reason("Evicted").deleted(30, 120).seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn terminal_before_the_cause() -> usize {
    let nothing = |phase| pod().phase(phase).step(running());
    check(
        [config()],
        &[1100, 4000],
        4,
        [
            ("succeeded", nothing(Phase::Succeeded).seen()),
            ("failed", nothing(Phase::Failed).seen()),
            ("succeeded, deleting", nothing(Phase::Succeeded).deleted(30, 120).seen()),
            ("failed, deleting", nothing(Phase::Failed).deleted(30, 120).seen()),
            (
                "succeeded, about to be evicted",
                nothing(Phase::Succeeded).disrupted("EvictionByEvictionAPI", 95).seen(),
            ),
            ("0, deleting", succeeded().deleted(30, 120).seen()),
            ("3, deleting", failed().deleted(30, 120).seen()),
            ("0, by the kubelet", succeeded().disrupted("TerminationByKubelet", 120).seen()),
            ("failed, Evicted", nothing(Phase::Failed).reason("Evicted").seen()),
            ("back to running, deleting", up().deleted(30, 120).seen()),
            ("404", Seen::NotFound),
        ],
    )
}
