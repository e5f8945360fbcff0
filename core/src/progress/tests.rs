//! The stages in the words of Kubernetes, their counts and their limits.

use super::*;
use crate::input::ApiError;
use crate::snapshot::{Condition, ContainerStatus, RestartPolicy, Terminated, Timestamp};
use alloc::vec;
use core::time::Duration;

fn pod(version: u32) -> PodSnapshot {
    PodSnapshot {
        uid: "u".into(),
        resource_version: format!("{version}"),
        restart_policy: RestartPolicy::OnFailure,
        containers: vec![Container { name: "step".into(), ..Container::default() }],
        ..PodSnapshot::default()
    }
}

fn status(container: &str, state: ContainerState) -> ContainerStatus {
    ContainerStatus { name: container.into(), state: Some(state), ..ContainerStatus::default() }
}

fn waiting(reason: &str, message: &str) -> ContainerState {
    ContainerState::Waiting { reason: reason.into(), message: message.into() }
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

/// A machine with its log.
#[derive(Default)]
struct Wait {
    machine: Option<WaitMachine>,
    log: ProgressLog,
}

impl Wait {
    /// What is new after this input.
    fn see(&mut self, seconds: u64, input: Input<'_>) -> Option<(Stage, String, u64, u32)> {
        let machine = self.machine.get_or_insert_with(|| WaitMachine::new(Default::default()));
        let _ = machine.handle(at(seconds), input);
        let progress = self.log.see(machine, input)?.clone();
        Some((progress.stage, progress.message, progress.since.as_millis() / 1000, progress.failures))
    }
}

#[test]
fn each_stage_is_named_once_with_the_words_of_kubernetes() {
    let mut wait = Wait::default();
    let new = |stage, message: &str, since, failures| Some((stage, message.into(), since, failures));
    assert_eq!(wait.see(0, Input::NotFound), new(Stage::Absent, "the pod does not exist yet", 0, 0));
    assert_eq!(wait.see(1, Input::NotFound), None);
    let limit = wait.log.last().and_then(|progress| progress.limit);
    assert_eq!(limit, Some(Limit { at: at(10), reason: FailReason::PodNeverSeen }));

    let message = "0/3 nodes are available:\n3 Insufficient cpu.";
    let condition = Condition {
        is_true: false,
        reason: "Unschedulable".into(),
        message: message.into(),
        ..Condition::default()
    };
    let unscheduled = PodSnapshot { pod_scheduled: Some(condition), ..pod(1) };
    let text = "no node was found for the pod (Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.)";
    assert_eq!(wait.see(2, Input::Snapshot(&unscheduled)), new(Stage::Unscheduled, text, 2, 0));
    let limit = wait.log.last().and_then(|progress| progress.limit);
    assert_eq!(limit, Some(Limit { at: at(600), reason: FailReason::StartTimeout }));
    let gated = PodSnapshot { is_scheduling_gated: true, ..pod(2) };
    let text = "scheduling gates hold the pod back";
    assert_eq!(
        wait.see(3, Input::Snapshot(&gated)),
        new(Stage::Unscheduled, text, 2, 0),
        "the stage goes on"
    );

    let preparing =
        |version, state| PodSnapshot { container_statuses: vec![status("step", state)], ..pod(version) };
    let creating = preparing(3, waiting("ContainerCreating", ""));
    let text = "the node prepares container step (ContainerCreating)";
    assert_eq!(wait.see(4, Input::Snapshot(&creating)), new(Stage::Starting, text, 4, 0));
    let running = preparing(4, ContainerState::Running);
    assert_eq!(
        wait.see(5, Input::Snapshot(&running)),
        new(Stage::Running, "container step is running", 5, 0)
    );
    // An older object changes nothing.
    assert_eq!(wait.see(6, Input::Snapshot(&creating)), None);
    let mut back_off = preparing(5, waiting("CrashLoopBackOff", "back-off 20s"));
    back_off.container_statuses[0].last_terminated =
        Some(Terminated { exit_code: 3, ..Terminated::default() });
    back_off.container_statuses[0].restart_count = 1;
    let text = "container step exited with code 3 and will be started again (CrashLoopBackOff: back-off 20s)";
    assert_eq!(wait.see(7, Input::Snapshot(&back_off)), new(Stage::Restarting, text, 7, 2));
    let deleted = PodSnapshot {
        deletion_timestamp: Some(Timestamp(1)),
        deletion_grace_period_seconds: Some(30),
        ..preparing(6, ContainerState::Running)
    };
    let text = "the pod is being deleted, with a grace period of 30 s";
    assert_eq!(wait.see(8, Input::Snapshot(&deleted)), new(Stage::Terminating, text, 8, 0));
}

#[test]
fn attempts_are_counted_and_the_stage_lasts_through_the_back_off() {
    let mut wait = Wait::default();
    let pull = |version, reason| {
        let state = waiting(reason, "tls: handshake");
        PodSnapshot { container_statuses: vec![status("step", state)], ..pod(version) }
    };
    let seen: vec::Vec<_> = ["ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"]
        .iter()
        .zip(1..)
        .filter_map(|(reason, version)| wait.see(u64::from(version), Input::Snapshot(&pull(version, reason))))
        .map(|(stage, _, since, failures)| (stage, since, failures))
        .collect();
    assert_eq!(
        seen,
        [(Stage::Image, 1, 1), (Stage::Image, 1, 1), (Stage::Image, 1, 2), (Stage::Image, 1, 2)]
    );
    let limit = wait.log.last().and_then(|progress| progress.limit);
    assert_eq!(limit, Some(Limit { at: at(121), reason: FailReason::ImagePull }));
}

#[test]
fn init_containers_are_numbered_without_sidecars() {
    let init =
        |name: &str, restart_policy| Container { name: name.into(), restart_policy, ..Container::default() };
    let done = ContainerState::Terminated(Terminated::default());
    let pod = PodSnapshot {
        init_containers: vec![
            init("clone", None),
            init("proxy", Some(RestartPolicy::Always)),
            init("setup", None),
        ],
        init_container_statuses: vec![
            status("clone", done),
            status("proxy", ContainerState::Running),
            status("setup", ContainerState::Running),
        ],
        container_statuses: vec![status("step", waiting("PodInitializing", ""))],
        ..pod(1)
    };
    let seen = Wait::default().see(0, Input::Read(&pod)).map(|(stage, message, ..)| (stage, message));
    assert_eq!(seen, Some((Stage::Init, "init container setup (2 of 2) is running".into())));
}

#[test]
fn a_server_that_fails_is_named_and_the_pod_again_after_it() {
    let mut wait = Wait::default();
    let running = PodSnapshot { container_statuses: vec![status("step", ContainerState::Running)], ..pod(1) };
    let error = ApiError { code: 503, is_status: true, retry_after: None, message: "no leader" };
    assert!(wait.see(0, Input::Read(&running)).is_some());
    let text = "the API server cannot be read (no leader)";
    assert_eq!(wait.see(5, Input::ApiError(error)), Some((Stage::ApiFailure, text.into(), 5, 1)));
    assert_eq!(wait.see(6, Input::ApiError(error)), None);
    assert_eq!(wait.log.last().map(|progress| (progress.since, progress.failures)), Some((at(5), 2)));
    let again = wait.see(7, Input::Read(&running)).map(|(stage, _, since, _)| (stage, since));
    assert_eq!(again, Some((Stage::Running, 7)));
    // A pod that is gone, whose final state may still come.
    let policy = crate::Policy::builder().gone_grace(Duration::from_secs(3)).build();
    let mut wait =
        Wait { machine: policy.ok().map(|policy| WaitMachine::new(policy.into())), ..Wait::default() };
    assert!(wait.see(0, Input::Read(&running)).is_some());
    let gone = wait.see(1, Input::NotFound).map(|(stage, _, since, _)| (stage, since));
    assert_eq!(gone, Some((Stage::Gone, 1)));
    assert_eq!(wait.see(9, Input::Tick), None, "it has its answer");
}
