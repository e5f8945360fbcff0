//! Every verdict explains itself in one sentence: what happened, from which facts, what to do.

use podwait_core::{
    ApiError, Condition, Container, ContainerState, ContainerStatus, Decision, Input, Instant, Phase,
    PodSnapshot, Policy, RestartPolicy, Terminated, Timestamp, WaitMachine,
};
use std::time::Duration;

fn pod(phase: Phase, state: Option<ContainerState>) -> PodSnapshot {
    PodSnapshot {
        uid: "u".into(),
        resource_version: "10".into(),
        restart_policy: RestartPolicy::Never,
        containers: vec![Container { name: "step".into(), ..Default::default() }],
        container_statuses: vec![ContainerStatus { name: "step".into(), state, ..Default::default() }],
        phase,
        ..Default::default()
    }
}

fn exit(exit_code: i32, reason: &str, finished_at: i64) -> Option<ContainerState> {
    let (reason, finished_at) = (reason.into(), Some(Timestamp(finished_at)));
    Some(ContainerState::Terminated(Terminated { exit_code, reason, finished_at, ..Default::default() }))
}

fn disrupted(reason: &str, at: i64) -> Option<Condition> {
    let last_transition_time = Some(Timestamp(at));
    Some(Condition { is_true: true, reason: reason.into(), message: String::new(), last_transition_time })
}

/// The verdict for these inputs, a second apart, followed by ticks.
#[track_caller]
fn decide(inputs: &[Input<'_>]) -> Decision {
    let policy = Policy::builder().deadline(Duration::from_secs(3600)).build().expect("a policy");
    let mut machine = WaitMachine::new(policy.into());
    let mut last = None;
    for (second, input) in inputs.iter().enumerate() {
        last = Some(machine.handle(Instant::from_millis(1000 * second as u64), *input));
    }
    for after in [700, 3600] {
        last = last
            .filter(Decision::is_final)
            .or_else(|| Some(machine.handle(Instant::from_millis(after * 1000), Input::Tick)));
    }
    last.expect("there are inputs")
}

/// The sentence of that verdict.
#[track_caller]
fn say(inputs: &[Input<'_>]) -> String {
    match decide(inputs) {
        Decision::Done(exit) => exit.to_string(),
        Decision::Fail(failure) => failure.to_string(),
        retry @ Decision::Retry { .. } => panic!("{retry:?}"),
    }
}

#[test]
fn exits() {
    let mut again = pod(Phase::Failed, exit(137, "OOMKilled", 5));
    again.container_statuses[0].restart_count = 2;
    let cases = [
        (pod(Phase::Running, exit(0, "Completed", 5)), "container step exited 0"),
        (pod(Phase::Running, exit(3, "Error", 5)), "container step exited 3"),
        (
            again,
            "a process of container step or of its pod was killed for memory, and the container exited 137 on attempt 3",
        ),
        (
            pod(Phase::Failed, exit(128, "StartError", 5)),
            "container step could not start its command (code 128)",
        ),
    ];
    for (pod, sentence) in cases {
        assert_eq!(say(&[Input::Snapshot(&pod)]), sentence);
    }
    let clean = pod(Phase::Succeeded, None);
    assert_eq!(
        say(&[Input::Snapshot(&clean), Input::NotFound]),
        "container step exited 0, inferred from phase Succeeded"
    );
}

#[test]
fn causes() {
    let because = |reason: &str, state| PodSnapshot { reason: reason.into(), ..pod(Phase::Failed, state) };
    let deleting = |at: i64, grace, state| PodSnapshot {
        deletion_timestamp: Some(Timestamp(at)),
        deletion_grace_period_seconds: Some(grace),
        ..pod(Phase::Running, state)
    };
    let cases = [
        (
            because("Evicted", None),
            "the pod was evicted (Evicted) before the step's exit was known; run it again",
        ),
        (
            PodSnapshot {
                disruption_target: disrupted("EvictionByEvictionAPI", 4),
                ..because("Evicted", exit(143, "Error", 6))
            },
            "the pod was evicted (Evicted) 2 s before the step exited 143; run it again",
        ),
        (
            PodSnapshot {
                disruption_target: disrupted("EvictionByEvictionAPI", 6),
                ..because("Evicted", exit(143, "Error", 6))
            },
            "the pod was evicted (Evicted) before the step exited 143; run it again",
        ),
        (
            PodSnapshot {
                disruption_target: disrupted("TerminationByKubelet", 4),
                ..because("Evicted", exit(143, "Error", 6))
            },
            "the pod was evicted (Evicted) before the step exited 143; run it again",
        ),
        (
            PodSnapshot {
                disruption_target: disrupted("EvictionByEvictionAPI", 4),
                ..deleting(34, 30, exit(0, "Completed", 6))
            },
            "the pod was disrupted (EvictionByEvictionAPI) 2 s before the step exited 0; run it again",
        ),
        (
            because("Terminated", None),
            "the node was shut down (Terminated) before the step's exit was known; run it again",
        ),
        (
            because("NodeLost", None),
            "the node was lost (NodeLost) before the step's exit was known; run it again",
        ),
        (because("OutOfcpu", None), "the node refused to run the pod (OutOfcpu); run it again"),
        (
            because("DeadlineExceeded", exit(0, "Completed", 9)),
            "the pod ran past its activeDeadlineSeconds (DeadlineExceeded) before the step exited 0; give it more time or make it faster",
        ),
        (
            deleting(34, 30, exit(143, "Error", 10)),
            "the pod was deleted 6 s before the step exited 143; run it again",
        ),
        (
            deleting(34, 30, exit(137, "ContainerStatusUnknown", 10)),
            "the pod was deleted and the step's exit is not known (137 is made up); run it again",
        ),
        (
            deleting(12, 1, exit(143, "Error", 10)),
            "the pod was deleted before the step exited 143; run it again",
        ),
    ];
    for (pod, sentence) in cases {
        assert_eq!(say(&[Input::Snapshot(&pod)]), sentence);
    }
}

#[test]
fn doubts() {
    let oom = pod(Phase::Running, exit(0, "OOMKilled", 5));
    assert_eq!(
        say(&[Input::Snapshot(&oom)]),
        "a process of container step or of its pod was killed for memory, yet the container exited 0"
    );
    let contradiction = pod(Phase::Failed, exit(0, "Completed", 5));
    assert_eq!(
        say(&[Input::Snapshot(&contradiction)]),
        "container step exited 0, yet its pod is Failed and no other container explains it"
    );
    let lost = pod(Phase::Failed, exit(137, "ContainerStatusUnknown", 5));
    assert_eq!(
        say(&[Input::Snapshot(&lost)]),
        "the node lost container step; 137 (ContainerStatusUnknown) is not its exit code, run the step again"
    );
    let failed = pod(Phase::Failed, None);
    assert_eq!(
        say(&[Input::Snapshot(&failed), Input::NotFound]),
        "the pod is Failed, and no record shows how the step ended; run it again"
    );
}

#[test]
fn absences() {
    let running = pod(Phase::Running, Some(ContainerState::Running));
    let other = PodSnapshot { uid: "v".into(), resource_version: "11".into(), ..running.clone() };
    assert_eq!(say(&[Input::NotFound]), "no such pod appeared within 10s");
    assert_eq!(
        say(&[Input::Snapshot(&running), Input::NotFound]),
        "the pod was deleted before the step's exit was known; run it again"
    );
    assert_eq!(
        say(&[Input::Snapshot(&running), Input::Snapshot(&other)]),
        "the pod was replaced by another pod of the same name before the step's exit was known; run it again"
    );
}

#[test]
fn waits_that_end() {
    let waiting = |reason: &str, message: &str| {
        pod(Phase::Pending, Some(ContainerState::Waiting { reason: reason.into(), message: message.into() }))
    };
    let mut unschedulable = pod(Phase::Pending, None);
    unschedulable.pod_scheduled =
        Some(Condition { message: "0/3 nodes are available".into(), ..Default::default() });
    let mut scheduled = pod(Phase::Pending, None);
    scheduled.pod_scheduled =
        Some(Condition { is_true: true, message: "bound".into(), ..Default::default() });
    let running = pod(Phase::Running, Some(ContainerState::Running));
    let cases = [
        (
            waiting("ErrImagePull", "no such image"),
            "container step could not pull its image (ErrImagePull: no such image)",
        ),
        (waiting("ImagePullBackOff", ""), "container step could not pull its image (ImagePullBackOff)"),
        (
            waiting("CreateContainerConfigError", "secret \"x\" not found"),
            "container step could not be created (CreateContainerConfigError: secret \"x\" not found)",
        ),
        (
            waiting("InvalidImageName", ""),
            "container step has an image name that cannot be parsed (InvalidImageName)",
        ),
        (unschedulable, "the step did not start within 600s (0/3 nodes are available)"),
        (scheduled, "the step did not start within 600s"),
        (
            PodSnapshot { phase: Phase::Unknown, ..running.clone() },
            "the pod's node was lost for 120s; run it again",
        ),
        (
            PodSnapshot {
                deletion_timestamp: Some(Timestamp(30)),
                deletion_grace_period_seconds: Some(30),
                ..running.clone()
            },
            "the pod was deleted, and its node never reported how the step ended; run it again",
        ),
        (running, "the step did not end within 3600s"),
    ];
    for (pod, sentence) in cases {
        assert_eq!(say(&[Input::Snapshot(&pod)]), sentence);
    }
}

#[test]
fn the_api_server_is_quoted() {
    let error =
        |code| Input::ApiError(ApiError { code, is_status: true, retry_after: None, message: "so it says" });
    let cases = [
        (503, "the API server returned no usable response for too long (so it says)"),
        (401, "the API server does not accept the credentials (so it says)"),
        (403, "the API server denies access to the pod (so it says)"),
        (422, "the API server rejects the request (so it says)"),
    ];
    for (code, sentence) in cases {
        assert_eq!(say(&[error(code)]), sentence);
    }
    assert_eq!(say(&[Input::Cancel]), "the wait was cancelled");
}

#[test]
fn a_code_that_was_seen_goes_along_with_a_failure() {
    let mut between = pod(Phase::Running, exit(7, "Error", 5));
    between.restart_policy = RestartPolicy::OnFailure;
    let record = Terminated { exit_code: 7, reason: "Error".into(), ..Default::default() };
    let mut stuck = between.clone();
    stuck.resource_version = "11".into();
    stuck.container_statuses[0].last_terminated = Some(record);
    for (reason, at) in [("InvalidImageName", 1000), ("ErrImagePull", 121_000)] {
        let (reason, message) = (reason.into(), String::new());
        stuck.container_statuses[0].state = Some(ContainerState::Waiting { reason, message });
        let mut machine = WaitMachine::new(Default::default());
        let _ = machine.handle(Instant::ZERO, Input::Snapshot(&between));
        let _ = machine.handle(Instant::from_millis(1000), Input::Snapshot(&stuck));
        let decision = machine.handle(Instant::from_millis(at), Input::Tick);
        assert!(matches!(&decision, Decision::Fail(failure) if failure.exit_code == Some(7)), "{decision:?}");
    }
}

#[test]
fn targets_that_cannot_be_found() {
    let snapshot = |names: &[&str]| {
        let container = |name: &&str| Container { name: (*name).into(), ..Default::default() };
        PodSnapshot { containers: names.iter().map(container).collect(), ..pod(Phase::Running, None) }
    };
    let cases = [
        (None, &["step", "proxy"][..], "no container was named and the pod has 2: step, proxy; name one"),
        (None, &[], "no container was named and the pod has none"),
        (Some("step"), &["build", "proxy"], "the pod has no container named step; it has build, proxy"),
    ];
    for (target, names, expected) in cases {
        let mut machine = WaitMachine::new(std::sync::Arc::default());
        if let Some(target) = target {
            machine = machine.container(target);
        }
        let decision = machine.handle(Instant::from_millis(0), Input::Snapshot(&snapshot(names)));
        assert!(
            matches!(&decision, Decision::Fail(failure) if failure.to_string() == expected),
            "{decision:?}"
        );
    }
}

/// A verdict names the rule that decided, which is not always the usual rule of its reason code.
#[test]
fn rules() {
    let rule = |inputs: &[Input<'_>]| match decide(inputs) {
        Decision::Done(exit) => exit.rule,
        Decision::Fail(failure) => failure.rule,
        retry @ Decision::Retry { .. } => panic!("{retry:?}"),
    };
    let deleted = PodSnapshot {
        deletion_timestamp: Some(Timestamp(40)),
        deletion_grace_period_seconds: Some(30),
        ..pod(Phase::Running, Some(ContainerState::Running))
    };
    let killed = PodSnapshot {
        resource_version: "11".into(),
        container_statuses: pod(Phase::Succeeded, exit(0, "Completed", 12)).container_statuses,
        phase: Phase::Succeeded,
        ..deleted.clone()
    };
    let succeeded = pod(Phase::Succeeded, None);
    let mut crashed = pod(Phase::Running, exit(3, "Error", 5));
    crashed.restart_policy = RestartPolicy::OnFailure;
    let mut made_up = crashed.clone();
    made_up.resource_version = "11".into();
    made_up.phase = Phase::Failed;
    made_up.container_statuses[0].state = exit(137, "ContainerStatusUnknown", 0);
    let cases: [(&[Input<'_>], u8); 9] = [
        (&[Input::Snapshot(&pod(Phase::Running, exit(3, "Error", 5)))], 3),
        (&[Input::Snapshot(&deleted), Input::Snapshot(&killed)], 4),
        (&[Input::Snapshot(&pod(Phase::Failed, exit(137, "OOMKilled", 5)))], 5),
        (&[Input::Snapshot(&crashed), Input::Snapshot(&made_up)], 5),
        (&[Input::Snapshot(&pod(Phase::Failed, exit(0, "Completed", 5)))], 6),
        (&[Input::Snapshot(&succeeded), Input::NotFound], 9),
        (&[Input::Snapshot(&crashed), Input::NotFound], 9),
        (&[Input::Snapshot(&deleted), Input::NotFound], 9),
        (&[Input::Snapshot(&deleted)], 10),
    ];
    for (inputs, expected) in cases {
        assert_eq!(rule(inputs), expected, "{:?}", decide(inputs));
    }
}

/// A step is run again only if it cannot have finished.
#[test]
fn what_may_be_run_again() {
    let safe = |inputs: &[Input<'_>]| match decide(inputs) {
        Decision::Fail(failure) => (failure.reason.as_str(), failure.is_safe_to_rerun()),
        other @ (Decision::Retry { .. } | Decision::Done(_)) => panic!("{other:?}"),
    };
    let with = |reason: &str, state: Option<ContainerState>| PodSnapshot {
        reason: reason.into(),
        ..pod(Phase::Failed, state)
    };
    let waiting =
        || Some(ContainerState::Waiting { reason: "ContainerCreating".into(), message: String::new() });
    let drained = |code| PodSnapshot {
        disruption_target: disrupted("EvictionByEvictionAPI", 10),
        deletion_timestamp: Some(Timestamp(40)),
        deletion_grace_period_seconds: Some(30),
        ..pod(Phase::Failed, exit(code, "Error", 12))
    };
    let running = pod(Phase::Running, Some(ContainerState::Running));
    let newer = |pod: PodSnapshot| PodSnapshot { resource_version: "11".into(), ..pod };
    let cases: [(&[Input<'_>], (&str, bool)); 10] = [
        (&[Input::Snapshot(&with("OutOfcpu", None))], ("rejected_by_node", true)),
        (&[Input::Snapshot(&with("Evicted", waiting()))], ("evicted", true)),
        (&[Input::Snapshot(&with("Evicted", exit(143, "Error", 5)))], ("evicted", true)),
        (&[Input::Snapshot(&drained(143))], ("disrupted", true)),
        // The step may have finished by then.
        (&[Input::Snapshot(&drained(0))], ("disrupted", false)),
        (&[Input::Snapshot(&with("Evicted", exit(0, "Completed", 5)))], ("evicted", false)),
        // It is not known how the step ended.
        (&[Input::Snapshot(&running), Input::Snapshot(&newer(with("Evicted", None)))], ("evicted", false)),
        (&[Input::Snapshot(&with("Evicted", exit(137, "ContainerStatusUnknown", 5)))], ("evicted", false)),
        (&[Input::Snapshot(&with("NodeLost", None))], ("node_lost", false)),
        // The deletion may have been intended.
        (&[Input::Snapshot(&running), Input::NotFound], ("pod_deleted", false)),
    ];
    for (inputs, expected) in cases {
        assert_eq!(safe(inputs), expected, "{:?}", decide(inputs));
    }
}
