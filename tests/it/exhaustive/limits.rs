//! Rules 8, 10, 12 and 13: the reasons to wait, and the limits.

use super::pods::{Change, container, ended, exit, pod, running, waiting, waiting_because};
use super::{check, config, error};
use podwait_core::{Container, ContainerState, Phase, PodSnapshot, RestartPolicy};
use podwait_tests::explore::Seen;
use podwait_tests::model::Config;
use std::time::Duration;

fn up(state: Option<ContainerState>) -> PodSnapshot {
    pod().phase(Phase::Running).step(state)
}

pub(super) fn reasons_to_wait() -> usize {
    check(
        [config(), Config { start_deadline: None, ..config() }],
        &[2700],
        4,
        [
            ("creating", pod().step(waiting("ContainerCreating")).seen()),
            ("ErrImagePull", pod().step(waiting("ErrImagePull")).seen()),
            ("ImagePullBackOff", pod().step(waiting("ImagePullBackOff")).seen()),
            ("CreateContainerConfigError", pod().step(waiting("CreateContainerConfigError")).seen()),
            ("RunContainerError", pod().step(waiting("RunContainerError")).seen()),
            ("Novel", pod().step(waiting("NovelError")).seen()),
            ("InvalidImageName", pod().step(waiting("InvalidImageName")).seen()),
            ("running", up(running()).seen()),
            ("503", error(503)),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn every_reason_of_a_group() -> usize {
    let mut count = 0;
    let reasons = [
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
        "CreateContainerError",
        "PreStartHookError",
        "PostStartHookError",
        "PreCreateHookError",
        "PodInitializing",
        "",
    ];
    for reason in reasons {
        count += check(
            [config()],
            &[1000, 5003, 7007],
            4,
            [
                (reason, pod().step(waiting(reason)).seen()),
                ("ErrImagePull", pod().step(waiting("ErrImagePull")).seen()),
                ("tick", Seen::Tick),
            ],
        );
    }
    count
}

pub(super) fn what_the_registry_said() -> usize {
    const NOT_FOUND: &str = "failed to resolve reference \"r/a:1\": r/a:1: not found";
    const LIMITED: &str = "429 Too Many Requests";
    let pull = |reason: &str, message: &str| pod().step(waiting_because(reason, message)).seen();
    let backing_off =
        |message: &str| pull("ImagePullBackOff", &format!("Back-off pulling image \"r/a:1\"{message}"));
    let init = |message: &str| {
        let init = waiting_because("ErrImagePull", message);
        pod().step(waiting("PodInitializing")).init(container("setup"), init).seen()
    };
    check(
        [Config { image_pull_grace: Duration::from_millis(40_009), start_deadline: None, ..config() }],
        &[8000],
        5,
        [
            ("refused", pull("ErrImagePull", NOT_FOUND)),
            ("limited", pull("ErrImagePull", LIMITED)),
            ("backing off", backing_off("")),
            ("backing off, denied", backing_off(": ErrImagePull: denied: denied")),
            ("backing off, unavailable", backing_off(": RegistryUnavailable: not found")),
            ("init refused", init(NOT_FOUND)),
            ("creating", pod().step(waiting("ContainerCreating")).seen()),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn init_containers_wait_too() -> usize {
    let init = |state| pod().step(waiting("PodInitializing")).init(container("setup"), state);
    let sidecar = || Container { restart_policy: Some(RestartPolicy::Always), ..container("proxy") };
    check(
        [config()],
        &[2700],
        4,
        [
            ("init runs", init(running()).seen()),
            ("init ErrImagePull", init(waiting("ErrImagePull")).seen()),
            ("init config error", init(waiting("CreateContainerConfigError")).seen()),
            ("init InvalidImageName", init(waiting("InvalidImageName")).seen()),
            (
                "init 0, ErrImagePull",
                pod().step(waiting("ErrImagePull")).init(container("setup"), ended(exit(0))).seen(),
            ),
            ("init 5", init(ended(exit(5))).seen()),
            ("failed, init 5", init(ended(exit(5))).phase(Phase::Failed).seen()),
            ("failed, init 0", init(ended(exit(0))).phase(Phase::Failed).seen()),
            (
                "failed, sidecar 5",
                pod().step(waiting("")).init(sidecar(), ended(exit(5))).phase(Phase::Failed).seen(),
            ),
            ("running, sidecar ErrImagePull", up(running()).init(sidecar(), waiting("ErrImagePull")).seen()),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn what_puts_the_start_off() -> usize {
    let init = |state| pod().step(waiting("PodInitializing")).init(container("setup"), state);
    let sidecar = Container { restart_policy: Some(RestartPolicy::Always), ..container("proxy") };
    check(
        [config(), Config { deadline: Some(Duration::from_millis(10_007)), ..config() }],
        &[2700, 4700],
        4,
        [
            ("gated", pod().gated().seen()),
            ("pending", pod().seen()),
            ("init runs", init(running()).seen()),
            ("init crashes", init(waiting("CrashLoopBackOff")).policy(RestartPolicy::Always).seen()),
            (
                "sidecar runs",
                pod().step(waiting("PodInitializing")).init(sidecar, running()).phase(Phase::Pending).seen(),
            ),
            ("running", up(running()).seen()),
            ("503", error(503)),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn init_failures_and_causes() -> usize {
    let init = |state| pod().step(waiting("PodInitializing")).init(container("setup"), state);
    check(
        [config()],
        &[1000],
        4,
        [
            ("init runs", init(running()).seen()),
            ("init runs, deleting", init(running()).deleted(30, 140).seen()),
            ("init 5, deleting", init(ended(exit(5))).deleted(30, 140).seen()),
            ("failed, init 5", init(ended(exit(5))).phase(Phase::Failed).seen()),
            ("failed, init 5, deleting", init(ended(exit(5))).phase(Phase::Failed).deleted(30, 140).seen()),
            ("failed, init 5, Evicted", init(ended(exit(5))).phase(Phase::Failed).reason("Evicted").seen()),
            ("failed, init runs", init(running()).phase(Phase::Failed).seen()),
            ("InvalidImageName, deleting", pod().step(waiting("InvalidImageName")).deleted(30, 140).seen()),
            ("failed, InvalidImageName", pod().phase(Phase::Failed).step(waiting("InvalidImageName")).seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn unknown_lost_and_stuck() -> usize {
    let lost = |pod: PodSnapshot| pod.reason("NodeLost");
    check(
        [config()],
        &[2900],
        5,
        [
            ("pending", pod().seen()),
            ("running", up(running()).seen()),
            ("unknown", up(running()).phase(Phase::Unknown).seen()),
            ("unknown, pending", pod().phase(Phase::Unknown).seen()),
            ("novel phase", up(running()).phase(Phase::Unrecognized).seen()),
            ("lost", lost(up(running())).seen()),
            ("failed, lost", lost(up(running())).phase(Phase::Failed).seen()),
            ("deleting in 3 s", up(running()).deleted(3, 130).seen()),
            ("deleting at once", up(running()).deleted(0, 127).seen()),
            ("lost, deleting", lost(up(running())).deleted(3, 130).seen()),
            ("pull, deleting", pod().step(waiting("ErrImagePull")).deleted(2, 130).seen()),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn the_caller_s_limits() -> usize {
    let deadline = Some(Duration::from_millis(7919));
    let start_deadline = Some(Duration::from_millis(5309));
    check(
        [
            Config { deadline, start_deadline, ..config() },
            Config { deadline, start_deadline: None, ..config() },
            Config { deadline: Some(Duration::from_millis(2003)), ..config() },
        ],
        &[700, 4700],
        3,
        [
            ("pending", pod().seen()),
            ("running", up(running()).seen()),
            ("crashed", up(waiting("CrashLoopBackOff")).policy(RestartPolicy::Always).last(exit(1)).seen()),
            ("rebooted", up(waiting("ContainerCreating")).phase(Phase::Pending).last(exit(1)).seen()),
            ("not ours", pod().uid("b").version("3").seen()),
            ("failed, no record", up(running()).phase(Phase::Failed).seen()),
            ("exit 0", up(ended(exit(0))).seen()),
            ("404", Seen::NotFound),
            ("503", error(503)),
            ("cancel", Seen::Cancel),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn nothing_but_time() -> usize {
    check(
        [config(), Config { start_deadline: None, ..config() }],
        &[0, 1, 3001, 8017, 9013],
        3,
        [("tick", Seen::Tick), ("404", Seen::NotFound), ("pending", pod().seen()), ("410", error(410))],
    )
}
