//! Rules 3, 5 and 6: which records are final, which are real, and the conditions of an exit 0.

use super::pods::{Change, container, ended, exit, made_up, pod, record, rule, running, waiting};
use super::{check, config, error};
use podwait_core::{
    Container, ContainerState, ContainerStatus, OnGone, Phase, PodSnapshot, RestartAction, RestartPolicy,
};
use podwait_tests::explore::Seen;
use podwait_tests::model::Config;
use std::time::Duration;

fn up(state: Option<ContainerState>) -> PodSnapshot {
    pod().phase(Phase::Running).step(state)
}

/// The target with its own restart policy and one rule.
fn ruled(
    mut pod: PodSnapshot,
    policy: Option<RestartPolicy>,
    action: RestartAction,
    code: i32,
) -> PodSnapshot {
    let step = pod.containers.last_mut().expect("a container");
    step.restart_policy = policy;
    step.restart_policy_rules = vec![rule(action, code)];
    pod
}

/// The lives in which restart policies matter.
fn restarts(make: impl Fn(PodSnapshot) -> PodSnapshot) -> usize {
    let between = |reason: &str, code| up(waiting(reason)).last(exit(code));
    check(
        [Config { finalize_budget: Duration::from_millis(1500), ..config() }],
        &[1000],
        4,
        [
            ("running", make(up(running())).seen()),
            ("exit 0", make(up(ended(exit(0)))).seen()),
            ("exit 42", make(up(ended(exit(42)))).seen()),
            ("exit 3", make(up(ended(exit(3)))).seen()),
            ("exit 42 again", make(up(ended(exit(42)))).count(1).seen()),
            ("between, 42", make(between("CrashLoopBackOff", 42)).seen()),
            ("creating, 0", make(between("ContainerCreating", 0)).seen()),
            ("DELETED, exit 42", make(up(ended(exit(42)))).gone()),
            ("DELETED, exit 0", make(up(ended(exit(0)))).gone()),
            ("failed, exit 42", make(up(ended(exit(42)))).phase(Phase::Failed).seen()),
            ("failed, between, 3", make(between("CrashLoopBackOff", 3)).phase(Phase::Failed).seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn restart_policies_of_pods() -> usize {
    let mut count = 0;
    for policy in [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never] {
        count += restarts(|pod| pod.policy(policy));
    }
    count
}

pub(super) fn restart_policies_of_containers() -> usize {
    let mut count = 0;
    for policy in [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never] {
        let pod_policy =
            if policy == RestartPolicy::Never { RestartPolicy::Always } else { RestartPolicy::Never };
        count += restarts(|mut pod| {
            pod.containers[0].restart_policy = Some(policy);
            pod.policy(pod_policy)
        });
    }
    count
}

pub(super) fn restart_rules() -> usize {
    let mut count = 0;
    let never = Some(RestartPolicy::Never);
    for action in [RestartAction::Restart, RestartAction::RestartAllContainers, RestartAction::Unrecognized] {
        count += restarts(|pod| ruled(pod, never, action, 42));
    }
    count
}

pub(super) fn all_containers_restart() -> usize {
    let all = |state| {
        let mut pod = up(state).other(running());
        pod.containers[0].restart_policy = Some(RestartPolicy::Never);
        pod.containers[0].restart_policy_rules = vec![rule(RestartAction::RestartAllContainers, 42)];
        pod
    };
    let other = |mut pod: PodSnapshot, state: Option<ContainerState>| {
        pod.container_statuses[0].state = state;
        pod
    };
    let killed = || record(137, "RestartingAllContainers");
    check(
        [config(), Config { settle: Some(Duration::from_millis(2500)), ..config() }],
        &[1000],
        4,
        [
            ("running", all(running()).seen()),
            ("exit 0", all(ended(exit(0))).seen()),
            ("exit 3", all(ended(exit(3))).seen()),
            ("exit 0, other 42", other(all(ended(exit(0))), ended(exit(42))).seen()),
            ("exit 0, other 7", other(all(ended(exit(0))), ended(exit(7))).seen()),
            ("killed", all(ended(killed())).seen()),
            ("waits to run again", all(waiting("RestartingAllContainers")).last(killed()).seen()),
            ("creating", all(waiting("PodInitializing")).last(killed()).seen()),
            ("running again", all(running()).count(1).seen()),
            ("failed, killed", other(all(ended(killed())), ended(exit(42))).phase(Phase::Failed).seen()),
            ("failed, exit 0", other(all(ended(exit(0))), ended(exit(42))).phase(Phase::Failed).seen()),
            ("deleting, exit 0", all(ended(exit(0))).deleted(30, 120).seen()),
            ("404", Seen::NotFound),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn made_up_codes() -> usize {
    let mut count = 0;
    let lost = |pod: PodSnapshot| pod.phase(Phase::Failed);
    for policy in [RestartPolicy::OnFailure, RestartPolicy::Never, RestartPolicy::Always] {
        let up = |state| up(state).policy(policy);
        count += check(
            [Config { finalize_budget: Duration::from_millis(1500), ..config() }],
            &[1000],
            4,
            [
                ("running", up(running()).seen()),
                ("exit 3", up(ended(exit(3))).seen()),
                ("running again", up(running()).count(1).seen()),
                ("creating, lost", up(waiting("ContainerCreating")).last(made_up()).seen()),
                ("lost", up(ended(made_up())).seen()),
                ("lost again", up(ended(made_up())).count(1).seen()),
                ("unknown again", up(ended(record(255, "Unknown"))).count(1).seen()),
                ("creating again", up(waiting("ContainerCreating")).count(1).seen()),
                ("DELETED, lost", up(ended(made_up())).gone()),
                ("failed, lost", lost(up(ended(made_up()))).seen()),
                ("failed, lost again", lost(up(ended(made_up()))).count(1).seen()),
                ("failed, creating, lost", lost(up(waiting("ContainerCreating"))).last(made_up()).seen()),
                ("failed, creating, 3", lost(up(waiting("ContainerCreating"))).last(exit(3)).seen()),
                ("404", Seen::NotFound),
            ],
        );
    }
    count
}

pub(super) fn a_record_that_is_lost() -> usize {
    let grace = Duration::from_millis(2500);
    let plain = Config { gone_grace: grace, ..config() };
    let green = Config { on_gone: OnGone::AssumeSuccess, ..plain.clone() };
    let limited = Config { deadline: Some(Duration::from_secs(4)), settle: Some(grace), ..plain.clone() };
    // Reads are ahead of the events of a watch.
    let lost = || up(ended(made_up())).phase(Phase::Failed).version("1000");
    check(
        [plain, green, limited],
        &[1000],
        5,
        [
            ("running", up(running()).seen()),
            ("exit 0", up(ended(exit(0))).seen()),
            ("failed, exit 3", up(ended(exit(3))).phase(Phase::Failed).seen()),
            ("failed, no record", pod().phase(Phase::Failed).seen()),
            ("READ lost", lost().read()),
            ("lost", lost().seen()),
            ("READ lost again", lost().count(1).read()),
            ("READ evicted, lost", lost().reason("Evicted").read()),
            ("READ running again", up(running()).count(1).version("1001").read()),
            ("DELETED, lost", lost().deleted(0, 140).gone()),
            ("DELETED, no record", pod().phase(Phase::Failed).deleted(0, 140).gone()),
            ("404", Seen::NotFound),
            ("READ b", up(running()).uid("b").read()),
            ("410", error(410)),
            ("503", error(503)),
            ("tick", Seen::Tick),
        ],
    )
}

pub(super) fn kinds_of_records() -> usize {
    let mut count = 0;
    let kinds = [
        ("ContainerStatusUnknown", 137),
        ("Unknown", 255),
        ("NotFound", -137),
        ("Terminated", 0),
        ("OOMKilled", 137),
        ("OOMKilled", 0),
        ("StartError", 128),
        ("StartError", 0),
        ("ContainerCannotRun", 127),
        ("Error", 1),
        ("Error", 0),
        ("", 0),
        ("Completed", -1_073_741_510),
    ];
    for (reason, code) in kinds {
        let kind = || record(code, reason);
        count += check(
            [config(), Config { settle: Some(Duration::from_millis(2500)), ..config() }],
            &[1000],
            4,
            [
                ("running", up(running()).seen()),
                ("running phase", up(ended(kind())).seen()),
                ("succeeded", up(ended(kind())).phase(Phase::Succeeded).seen()),
                ("failed", up(ended(kind())).phase(Phase::Failed).seen()),
                ("deleting", up(ended(kind())).deleted(30, 120).seen()),
                ("deleted later", up(ended(kind())).deleted(30, 140).seen()),
                ("Evicted", up(ended(kind())).phase(Phase::Failed).reason("Evicted").seen()),
                ("last of a failed pod", up(waiting("")).last(kind()).phase(Phase::Failed).seen()),
                ("tick", Seen::Tick),
            ],
        );
    }
    count
}

pub(super) fn exit_0_of_a_failed_pod() -> usize {
    let failed = |state| up(state).phase(Phase::Failed);
    let sidecar = Container { restart_policy: Some(RestartPolicy::Always), ..container("proxy") };
    check(
        [config()],
        &[1000, 4100],
        3,
        [
            ("running", up(running()).seen()),
            ("alone", failed(ended(exit(0))).seen()),
            ("other 0", failed(ended(exit(0))).other(ended(exit(0))).seen()),
            ("other 1", failed(ended(exit(0))).other(ended(exit(1))).seen()),
            ("other running", failed(ended(exit(0))).other(running()).seen()),
            ("other waiting", failed(ended(exit(0))).other(waiting("ImagePullBackOff")).seen()),
            ("other waits after 0", failed(ended(exit(0))).other(ended(exit(0))).others_wait().seen()),
            (
                "init waits after 0",
                failed(ended(exit(0))).init(container("setup"), ended(exit(0))).others_wait().seen(),
            ),
            (
                "init waits after 1",
                failed(ended(exit(0))).init(container("setup"), ended(exit(1))).others_wait().seen(),
            ),
            ("other lost", failed(ended(exit(0))).other(ended(made_up())).seen()),
            ("sidecar 1", failed(ended(exit(0))).init(sidecar, ended(exit(1))).seen()),
            ("init 1", failed(ended(exit(0))).init(container("setup"), ended(exit(1))).seen()),
            ("other 1, Novel", failed(ended(exit(0))).other(ended(exit(1))).reason("Novel").seen()),
            ("record to come, other 1", failed(waiting("")).other(ended(exit(1))).seen()),
            ("last 0, other 1", failed(waiting("")).last(exit(0)).other(ended(exit(1))).seen()),
            ("last 0", failed(waiting("")).last(exit(0)).seen()),
            ("404", Seen::NotFound),
        ],
    )
}

pub(super) fn settling() -> usize {
    let mut count = 0;
    let settle = Some(Duration::from_millis(2500));
    let sidecar = || Container { restart_policy: Some(RestartPolicy::Always), ..container("proxy") };
    let debugged = || {
        let mut pod = up(ended(exit(0)));
        pod.ephemeral_containers.push(container("debug"));
        let status =
            ContainerStatus { name: "debug".to_owned(), state: running(), ..ContainerStatus::default() };
        pod.ephemeral_container_statuses.push(status);
        pod
    };
    let seen = [
        ("running", up(running()).seen()),
        ("exit 0", up(ended(exit(0))).seen()),
        ("exit 3", up(ended(exit(3))).seen()),
        ("exit 0, pending", up(ended(exit(0))).phase(Phase::Pending).seen()),
        ("exit 0, other running", up(ended(exit(0))).other(running()).seen()),
        ("exit 0, other pulling", up(ended(exit(0))).other(waiting("ErrImagePull")).seen()),
        ("exit 0, other over", up(ended(exit(0))).other(ended(exit(1))).seen()),
        ("exit 0, sidecar running", up(ended(exit(0))).init(sidecar(), running()).seen()),
        ("exit 0, debugged", debugged().seen()),
        ("exit 0, sidecar over", up(ended(exit(0))).init(sidecar(), ended(exit(0))).seen()),
        ("exit 0, Succeeded", up(ended(exit(0))).phase(Phase::Succeeded).seen()),
        ("exit 0, Evicted", up(ended(exit(0))).phase(Phase::Failed).reason("Evicted").seen()),
        ("exit 0, deleted later", up(ended(exit(0))).deleted(30, 140).seen()),
        ("DELETED, exit 0", up(ended(exit(0))).gone()),
        ("Succeeded, no record", pod().phase(Phase::Succeeded).seen()),
        ("Failed, no record", pod().phase(Phase::Failed).seen()),
        ("no status", pod().phase(Phase::Running).seen()),
        ("creating", up(waiting("ContainerCreating")).seen()),
        ("500", error(500)),
        ("404", Seen::NotFound),
        ("tick", Seen::Tick),
    ];
    count += check([Config { settle, ..config() }], &[1300], 4, seen.clone());
    count +=
        check([Config { settle, deadline: Some(Duration::from_millis(3007)), ..config() }], &[1300], 3, seen);
    count
}
