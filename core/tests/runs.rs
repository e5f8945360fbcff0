//! What counts as the same run of a container, and whether a step may have finished when its wait fails.

use podwait_core::{
    Container, ContainerState, ContainerStatus, Decision, Failure, Input, Instant, Phase, PodSnapshot,
    Policy, RestartAction, RestartPolicy, RestartRule, Terminated, Timestamp, WaitMachine,
};

fn pod(version: u32, policy: RestartPolicy, status: ContainerStatus) -> PodSnapshot {
    PodSnapshot {
        uid: "u".into(),
        resource_version: version.to_string(),
        restart_policy: policy,
        containers: vec![Container { name: "step".into(), ..Default::default() }],
        container_statuses: vec![status],
        phase: Phase::Running,
        ..Default::default()
    }
}

fn ended(container: &str, id: &str, restart_count: i32, exit_code: i32, finished_at: i64) -> ContainerStatus {
    let (reason, finished_at) = (String::from("Error"), Some(Timestamp(finished_at)));
    let record = Terminated { exit_code, reason, finished_at, container_id: id.into(), ..Default::default() };
    ContainerStatus {
        name: container.into(),
        restart_count,
        state: Some(ContainerState::Terminated(record)),
        ..Default::default()
    }
}

/// The pod after a deletion at that time, with a grace of 30 s.
fn deleting(at: i64, pod: PodSnapshot) -> PodSnapshot {
    PodSnapshot {
        deletion_timestamp: Some(Timestamp(at + 30)),
        deletion_grace_period_seconds: Some(30),
        ..pod
    }
}

/// The answer to these inputs, a second apart.
fn decide(inputs: &[Input<'_>]) -> Decision {
    let mut machine = WaitMachine::new(Policy::default().into()).container("step");
    let handle = |(second, input): (usize, &Input<'_>)| {
        machine.handle(Instant::from_millis(1000 * second as u64), *input)
    };
    inputs.iter().enumerate().map(handle).last().expect("there are inputs")
}

/// The failure, and whether the step may have finished.
#[track_caller]
fn failure(inputs: &[Input<'_>]) -> (&'static str, bool) {
    match decide(inputs) {
        Decision::Fail(Failure { reason, may_have_finished, .. }) => (reason.as_str(), may_have_finished),
        other @ (Decision::Retry { .. } | Decision::Done(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_code_that_comes_again_after_the_deletion_is_not_the_one_from_before() {
    let first = pod(10, RestartPolicy::OnFailure, ended("step", "a", 0, 1, 5));
    let again = deleting(8, pod(11, RestartPolicy::OnFailure, ended("step", "b", 1, 1, 9)));
    let answer = failure(&[Input::Snapshot(&first), Input::Snapshot(&again), Input::Deleted(&again)]);
    assert_eq!(answer.0, "pod_deleted");
}

#[test]
fn a_run_that_is_seen_again_beside_the_deletion_is_still_the_one_from_before() {
    let first = pod(10, RestartPolicy::OnFailure, ended("step", "a", 0, 1, 5));
    // The clocks differ, so the times contradict the order of the observations.
    let same = deleting(2, pod(11, RestartPolicy::OnFailure, ended("step", "a", 0, 1, 5)));
    let answer = decide(&[Input::Snapshot(&first), Input::Snapshot(&same), Input::Deleted(&same)]);
    assert!(matches!(&answer, Decision::Done(exit) if exit.code == 1), "{answer:?}");
}

#[test]
fn the_latest_record_of_a_run_counts() {
    let first = pod(10, RestartPolicy::OnFailure, ended("step", "a", 0, 1, 5));
    let corrected = pod(11, RestartPolicy::OnFailure, ended("step", "a", 0, 2, 5));
    let answer = decide(&[Input::Snapshot(&first), Input::Snapshot(&corrected), Input::NotFound]);
    assert!(matches!(&answer, Decision::Done(exit) if exit.code == 2), "{answer:?}");
}

/// A restarted kubelet may reset restartCount, so ids take precedence.
#[test]
fn a_code_that_is_made_up_for_another_run_is_evidence_of_that_run() {
    for (id, is_another) in [("a", false), ("b", true)] {
        let first = pod(10, RestartPolicy::OnFailure, ended("step", "a", 0, 1, 5));
        let mut lost = pod(11, RestartPolicy::OnFailure, ended("step", id, 0, 137, 9));
        let Some(ContainerState::Terminated(record)) = &mut lost.container_statuses[0].state else {
            unreachable!("it has ended");
        };
        record.reason = "ContainerStatusUnknown".into();
        let answer = decide(&[Input::Snapshot(&first), Input::Snapshot(&lost), Input::NotFound]);
        let is_the_first = matches!(&answer, Decision::Done(exit) if exit.code == 1);
        assert_eq!(is_the_first, !is_another, "{answer:?}");
    }
}

/// The change that the kubelet had not observed may be an edit after the delete, if the times leave no doubt.
#[test]
fn an_end_that_a_kubelet_wrote_before_it_saw_the_deletion_is_later_if_it_is_seconds_later() {
    // The request was within second 100, which ends at 101.
    for (finished_at, expected) in [(99, "nonzero_exit"), (101, "nonzero_exit"), (102, "pod_deleted")] {
        let status = ended("step", "a", 0, 1, finished_at);
        let pod =
            PodSnapshot { generation: 4, observed_generation: 2, ..pod(10, RestartPolicy::Never, status) };
        let answer = decide(&[Input::Snapshot(&deleting(100, pod))]);
        assert_eq!(answer.code(), expected, "{finished_at}");
    }
}

#[test]
fn an_init_container_that_fails_again_after_the_deletion_has_not_failed_by_itself() {
    let rule = RestartRule { action: RestartAction::Restart, negated: false, exit_codes: vec![42] };
    let init = |name: &str| Container {
        name: name.into(),
        restart_policy: Some(RestartPolicy::Never),
        restart_policy_rules: vec![rule.clone()],
    };
    let with = |version, statuses: Vec<ContainerStatus>| PodSnapshot {
        init_containers: vec![init("first"), init("second")],
        init_container_statuses: statuses,
        phase: Phase::Pending,
        ..pod(version, RestartPolicy::Never, ContainerStatus { name: "step".into(), ..Default::default() })
    };
    let done = || ended("first", "", 0, 0, 6);
    for after in [
        // The same container, with another code.
        vec![ended("first", "", 1, 1, 9)],
        // Another container that is the same otherwise, with the code or without.
        vec![done(), ended("second", "", 0, 42, 5)],
        vec![done(), ended("second", "", 0, 1, 5)],
    ] {
        let before = with(10, vec![ended("first", "", 0, 42, 5)]);
        let after = deleting(8, with(11, after));
        let answer = failure(&[Input::Snapshot(&before), Input::Snapshot(&after), Input::Deleted(&after)]);
        assert_eq!(answer.0, "pod_deleted");
    }
}

#[test]
fn a_step_that_may_have_finished_is_distinguished_from_one_that_has_not() {
    use RestartPolicy::{Never, OnFailure};
    let running = || ContainerStatus {
        name: "step".into(),
        state: Some(ContainerState::Running),
        ..Default::default()
    };
    let unstarted = || ContainerStatus { name: "step".into(), ..Default::default() };
    let over = |pod: PodSnapshot| PodSnapshot { phase: Phase::Failed, reason: "Evicted".into(), ..pod };
    let code = |exit_code| ended("step", "a", 0, exit_code, 9);
    for (what, pod, expected) in [
        ("it ran", deleting(5, pod(10, Never, running())), true),
        ("it was killed", deleting(5, pod(10, Never, code(143))), false),
        ("it had done its work when it was killed", deleting(5, pod(10, Never, code(0))), true),
        ("another run may have followed", deleting(5, pod(10, OnFailure, code(143))), true),
        ("none has, the pod is over", over(pod(10, OnFailure, code(143))), false),
        ("it never started", over(pod(10, Never, unstarted())), false),
        ("it might have started since", deleting(5, pod(10, Never, unstarted())), true),
    ] {
        assert_eq!(failure(&[Input::Snapshot(&pod), Input::NotFound]).1, expected, "{what}");
    }
}
