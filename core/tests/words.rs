//! Sentences quote messages of the pod, its node and the API server, and never the step's output.

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

fn disruption(reason: &str, message: &str) -> Option<Condition> {
    let (reason, message, last_transition_time) = (reason.into(), message.into(), Some(Timestamp(4)));
    Some(Condition { is_true: true, reason, message, last_transition_time })
}

/// The sentence of the verdict for these inputs, a second apart, followed by ticks.
#[track_caller]
fn say(inputs: &[Input<'_>]) -> String {
    let mut machine = WaitMachine::new(std::sync::Arc::default());
    let inputs = inputs.iter().enumerate().map(|(second, input)| (1000 * second as u64, *input));
    for (at, input) in inputs.chain([(700_000, Input::Tick)]) {
        match machine.handle(Instant::from_millis(at), input) {
            Decision::Retry { .. } => {}
            Decision::Done(exit) => return exit.to_string(),
            Decision::Fail(failure) => return failure.to_string(),
        }
    }
    panic!("no verdict");
}

fn said(reason: &str, message: &str) -> PodSnapshot {
    PodSnapshot { reason: reason.into(), message: message.into(), ..pod(Phase::Failed, None) }
}

/// A record of a container with this `message`.
fn record(exit_code: i32, reason: &str, message: &str) -> Option<ContainerState> {
    Some(ContainerState::Terminated(Terminated {
        exit_code,
        reason: reason.into(),
        message: message.into(),
        ..Default::default()
    }))
}

fn waiting(reason: &str, message: &str) -> Option<ContainerState> {
    Some(ContainerState::Waiting { reason: reason.into(), message: message.into() })
}

#[test]
fn messages_of_the_pod() {
    let evicted = said("Evicted", "The node was low on resource: memory. ");
    let rejected =
        said("OutOfcpu", "Node didn't have enough resource: cpu, requested: 1, used: 8, capacity: 8");
    let by_api = |message: &str| PodSnapshot {
        disruption_target: disruption("EvictionByEvictionAPI", message),
        deletion_timestamp: Some(Timestamp(34)),
        deletion_grace_period_seconds: Some(30),
        ..pod(Phase::Failed, exit(143, "Error", 6))
    };
    let kubelet_says = "Pod was evicted: ephemeral local storage usage exceeds the total limit";
    let by_kubelet = PodSnapshot {
        disruption_target: disruption("TerminationByKubelet", kubelet_says),
        ..said("Evicted", "")
    };
    let provider = said("ProviderFailed", "quota is used up");
    let contradicts = PodSnapshot {
        reason: "Novel".into(),
        message: "why".into(),
        ..pod(Phase::Failed, exit(0, "Completed", 5))
    };
    let lost =
        pod(Phase::Failed, record(137, "ContainerStatusUnknown", "The container could not be located"));
    let cases: [(&[Input<'_>], &str); 8] = [
        (
            &[Input::Snapshot(&evicted)],
            "the pod was evicted (Evicted: The node was low on resource: memory.) before the step's exit was known; run it again",
        ),
        (
            &[Input::Snapshot(&rejected)],
            "the node refused to run the pod (OutOfcpu: Node didn't have enough resource: cpu, requested: 1, used: 8, capacity: 8); run it again",
        ),
        (
            &[Input::Snapshot(&by_api("Eviction API: evicting"))],
            "the pod was disrupted (EvictionByEvictionAPI: Eviction API: evicting) 2 s before the step exited 143; run it again",
        ),
        (
            &[Input::Snapshot(&by_kubelet)],
            "the pod was evicted (Evicted: Pod was evicted: ephemeral local storage usage exceeds the total limit) before the step's exit was known; run it again",
        ),
        // The same when the pod is gone by then.
        (
            &[Input::Snapshot(&provider), Input::NotFound],
            "the pod is Failed (ProviderFailed: quota is used up), and no record shows how the step ended; run it again",
        ),
        (
            &[Input::Snapshot(&by_kubelet), Input::NotFound],
            "the pod was evicted (Evicted: Pod was evicted: ephemeral local storage usage exceeds the total limit) before the step's exit was known; run it again",
        ),
        (
            &[Input::Snapshot(&contradicts)],
            "container step exited 0, yet its pod is Failed (Novel: why) and no other container explains it",
        ),
        (
            &[Input::Snapshot(&lost)],
            "the node lost container step; 137 (ContainerStatusUnknown: The container could not be located) is not its exit code, run the step again",
        ),
    ];
    for (inputs, sentence) in cases {
        assert_eq!(say(inputs), sentence);
    }
}

/// The runtime's message about a command that never ran is quoted; the step's own termination message is not.
#[test]
fn records_speak_where_the_step_did_not_write_them() {
    let init = |state| PodSnapshot {
        init_containers: vec![Container { name: "clone".into(), ..Default::default() }],
        init_container_statuses: vec![ContainerStatus { name: "clone".into(), state, ..Default::default() }],
        ..pod(Phase::Failed, None)
    };
    let lost_by = |runtime: &str| {
        let mut pod = pod(Phase::Failed, record(255, "Error", "token=hunter2"));
        if let Some(ContainerState::Terminated(record)) = &mut pod.container_statuses[0].state {
            record.container_id = format!("{runtime}://a");
        }
        pod
    };
    let cases = [
        (
            pod(
                Phase::Failed,
                record(128, "StartError", "exec: \"helo\": executable file\nnot found in $PATH"),
            ),
            "container step could not start its command (code 128: exec: \"helo\": executable file not found in $PATH)",
        ),
        (
            pod(Phase::Failed, record(127, "ContainerCannotRun", "no such file")),
            "container step could not start its command (code 127: no such file)",
        ),
        (pod(Phase::Failed, record(3, "Error", "token=hunter2")), "container step exited 3"),
        (pod(Phase::Failed, record(255, "Error", "token=hunter2")), "container step exited 255"),
        (
            lost_by("cri-o"),
            "container step exited 255 (which is also what CRI-O writes where it has lost the code)",
        ),
        (
            lost_by("containerd"),
            "container step exited 255 (which is also what containerd writes where its shim was killed)",
        ),
        (lost_by("docker"), "container step exited 255"),
        (
            init(record(1, "Error", "token=hunter2")),
            "init container clone failed with code 1, so container step never started",
        ),
        (
            init(record(137, "OOMKilled", "token=hunter2")),
            "init container clone failed with code 137 (OOMKilled), so container step never started",
        ),
        (
            init(record(128, "StartError", "exec: \"gti\": not found")),
            "init container clone failed with code 128 (StartError: exec: \"gti\": not found), so container step never started",
        ),
        (
            init(record(137, "ContainerStatusUnknown", "The container could not be located")),
            "init container clone was lost by its node (ContainerStatusUnknown: The container could not be located); run the step again",
        ),
    ];
    for (pod, sentence) in cases {
        assert_eq!(say(&[Input::Snapshot(&pod)]), sentence);
    }
}

/// When a limit is reached, the sentence says what the wait was for.
#[test]
fn limits_say_what_was_being_waited_for() {
    let late = |inputs: &[Input<'_>]| {
        let policy = Policy::builder().deadline(Duration::from_secs(20)).build().expect("a policy");
        let mut machine = WaitMachine::new(policy.into());
        for (second, input) in inputs.iter().enumerate() {
            let _ = machine.handle(Instant::from_millis(1000 * second as u64), *input);
        }
        // Quotes are kept when the machine is saved and restored.
        let mut machine = WaitMachine::restore(machine.save()).expect("it was saved");
        match machine.handle(Instant::from_millis(20_000), Input::Tick) {
            Decision::Fail(failure) => failure.to_string(),
            other @ (Decision::Retry { .. } | Decision::Done(_)) => panic!("{other:?}"),
        }
    };
    let init = |state| PodSnapshot {
        init_containers: vec![Container { name: "clone".into(), ..Default::default() }],
        init_container_statuses: vec![ContainerStatus { name: "clone".into(), state, ..Default::default() }],
        ..pod(Phase::Pending, waiting("PodInitializing", ""))
    };
    let mut sidecar = init(Some(ContainerState::Running));
    sidecar.init_containers[0].restart_policy = Some(RestartPolicy::Always);
    let crio = Some(ContainerState::Terminated(Terminated {
        exit_code: 255,
        reason: "Error".into(),
        container_id: "cri-o://1".into(),
        ..Default::default()
    }));
    let unscheduled = |reason: &str, message: &str| {
        let (reason, message) = (reason.into(), message.into());
        let pod_scheduled = Some(Condition { reason, message, ..Default::default() });
        PodSnapshot { pod_scheduled, ..pod(Phase::Pending, None) }
    };
    let pending = |reason: &str, message: &str| pod(Phase::Pending, waiting(reason, message));
    let deleting = PodSnapshot {
        deletion_timestamp: Some(Timestamp(30)),
        deletion_grace_period_seconds: Some(30),
        ..pending("ContainerCreating", "")
    };
    let cases = [
        (unscheduled("Unschedulable", "0/3 nodes are available"), "0/3 nodes are available"),
        (unscheduled("SchedulingGated", ""), "SchedulingGated"),
        (
            pending("ErrImagePull", "429 Too Many Requests"),
            "container step could not pull its image (ErrImagePull: 429 Too Many Requests)",
        ),
        (
            pending("CreateContainerConfigError", "secret \"x\" not found"),
            "container step could not be created (CreateContainerConfigError: secret \"x\" not found)",
        ),
        (pending("ContainerCreating", ""), "container step waits (ContainerCreating)"),
        (
            pending("CrashLoopBackOff", "back-off 40s restarting failed container"),
            "container step waits (CrashLoopBackOff: back-off 40s restarting failed container)",
        ),
        (init(Some(ContainerState::Running)), "init container clone is running"),
        (
            init(waiting("CrashLoopBackOff", "back-off 40s")),
            "init container clone waits (CrashLoopBackOff: back-off 40s)",
        ),
        (init(exit(1, "Error", 5)), "init container clone ended with code 1"),
        (init(exit(0, "Completed", 5)), "container step waits (PodInitializing)"),
        (init(waiting("PodInitializing", "")), "container step waits (PodInitializing)"),
        (sidecar, "container step waits (PodInitializing)"),
        (
            init(crio),
            "init container clone ended with code 255 (which is also what CRI-O writes where it has lost the code)",
        ),
        (deleting, "the pod is being deleted"),
    ];
    for (pod, what) in cases {
        assert_eq!(late(&[Input::Snapshot(&pod)]), format!("the step did not end within 20s ({what})"));
    }
    let error =
        |message| Input::ApiError(ApiError { code: 503, is_status: true, retry_after: None, message });
    let pod = unscheduled("", "0/3 nodes are available");
    for (message, what) in [
        ("etcd is down", "the API server could not be read: etcd is down"),
        (" \n", "the API server could not be read"),
    ] {
        let sentence = late(&[Input::Snapshot(&pod), error(message)]);
        assert_eq!(sentence, format!("the step did not end within 20s ({what})"));
    }
    // A message from before the API server recovered is not quoted.
    assert_eq!(
        late(&[error("etcd is down"), Input::Snapshot(&pod)]),
        "the step did not end within 20s (0/3 nodes are available)"
    );
    assert_eq!(late(&[Input::Tick]), "the step did not end within 20s (the pod was not seen yet)");
}

/// The message of an attempt stays while the kubelet only says that it waits.
#[test]
fn a_back_off_does_not_forget_what_the_registry_said() {
    let refused = pod(Phase::Pending, waiting("ErrImagePull", "r.example/a:1: not found"));
    let mut backing_off =
        pod(Phase::Pending, waiting("ImagePullBackOff", "Back-off pulling image \"r.example/a:1\""));
    backing_off.resource_version = "11".into();
    assert_eq!(
        say(&[Input::Snapshot(&refused), Input::Snapshot(&backing_off)]),
        "container step could not pull its image (ErrImagePull: r.example/a:1: not found)"
    );
}

#[test]
fn a_deadline_during_any_kind_of_api_error_reports_the_error() {
    let pending = pod(Phase::Pending, waiting("ContainerCreating", ""));
    let error = |code| Input::ApiError(ApiError { code, is_status: true, retry_after: None, message: "why" });
    for code in [503, 403, 410] {
        let policy = Policy::builder().deadline(Duration::from_secs(10)).build().expect("a good policy");
        let mut machine = WaitMachine::new(policy.into());
        for (at, input) in [(0, Input::Read(&pending)), (1000, error(code))] {
            let decision = machine.handle(Instant::from_millis(at), input);
            assert!(matches!(decision, Decision::Retry { .. }), "{code}: {decision:?}");
        }
        let decision = machine.handle(Instant::from_millis(10_000), Input::Tick);
        let Decision::Fail(failure) = decision else { panic!("{code}: {decision:?}") };
        let expected = "the step did not end within 10s (the API server could not be read: why)";
        assert_eq!(failure.message, expected, "{code}");
    }
}
