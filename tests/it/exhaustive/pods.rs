//! The pods of the letters, as small changes to one plain pod.

use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
use podwait_tests::explore::Seen;

/// A `Pending` pod with the container `step`, which is never restarted, and no status.
pub(super) fn pod() -> PodSnapshot {
    PodSnapshot {
        uid: "a".to_owned(),
        restart_policy: RestartPolicy::Never,
        termination_grace_period_seconds: Some(30),
        containers: vec![container("step")],
        ..PodSnapshot::default()
    }
}

pub(super) fn container(name: &str) -> Container {
    Container { name: name.to_owned(), ..Container::default() }
}

pub(super) fn rule(action: RestartAction, code: i32) -> RestartRule {
    RestartRule { action, negated: false, exit_codes: vec![code] }
}

pub(super) fn waiting(reason: &str) -> Option<ContainerState> {
    Some(ContainerState::Waiting { reason: reason.to_owned(), message: String::new() })
}

/// The same with a message.
pub(super) fn waiting_because(reason: &str, message: &str) -> Option<ContainerState> {
    Some(ContainerState::Waiting { reason: reason.to_owned(), message: message.to_owned() })
}

pub(super) fn running() -> Option<ContainerState> {
    Some(ContainerState::Running)
}

/// A record of an end at second 100. One container has one end, so its `containerID` contains the code.
pub(super) fn record(code: i32, reason: &str) -> Terminated {
    Terminated {
        exit_code: code,
        reason: reason.to_owned(),
        finished_at: Some(Timestamp(100)),
        container_id: format!("containerd://{code}"),
        ..Terminated::default()
    }
}

pub(super) fn exit(code: i32) -> Terminated {
    record(code, if code == 0 { "Completed" } else { "Error" })
}

pub(super) fn ended(record: Terminated) -> Option<ContainerState> {
    Some(ContainerState::Terminated(record))
}

/// A record that the kubelet makes up.
pub(super) fn made_up() -> Terminated {
    Terminated { exit_code: 137, reason: "ContainerStatusUnknown".to_owned(), ..Terminated::default() }
}

/// Changes to a pod.
pub(super) trait Change: Sized {
    fn phase(self, phase: Phase) -> Self;
    fn reason(self, reason: &str) -> Self;
    fn version(self, version: &str) -> Self;
    fn uid(self, uid: &str) -> Self;
    fn policy(self, policy: RestartPolicy) -> Self;
    /// The target's status.
    fn step(self, state: Option<ContainerState>) -> Self;
    /// The status of another regular container, which the spec gets too.
    fn other(self, state: Option<ContainerState>) -> Self;
    /// The status of an init container, which the spec gets too.
    fn init(self, init: Container, state: Option<ContainerState>) -> Self;
    /// The `state` of every container but the target becomes `lastState`, and they wait.
    fn others_wait(self) -> Self;
    /// `lastState` of the target.
    fn last(self, record: Terminated) -> Self;
    /// `restartCount` of the target, whose record then has another container id.
    fn count(self, count: i32) -> Self;
    /// Deleted with this grace period and this deletionTimestamp, in seconds.
    fn deleted(self, grace: i64, timestamp: i64) -> Self;
    /// `DisruptionTarget` is true since that second.
    fn disrupted(self, reason: &str, since: i64) -> Self;
    /// `metadata.generation` and `status.observedGeneration`.
    fn generations(self, wanted: i64, observed: i64) -> Self;
    fn read(self) -> Seen;
    fn gated(self) -> Self;
    fn seen(self) -> Seen;
    fn gone(self) -> Seen;
}

impl Change for PodSnapshot {
    fn phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    fn reason(mut self, reason: &str) -> Self {
        self.reason = reason.to_owned();
        self
    }

    fn version(mut self, version: &str) -> Self {
        self.resource_version = version.to_owned();
        self
    }

    fn uid(mut self, uid: &str) -> Self {
        self.uid = uid.to_owned();
        self
    }

    fn policy(mut self, policy: RestartPolicy) -> Self {
        self.restart_policy = policy;
        self
    }

    fn step(mut self, state: Option<ContainerState>) -> Self {
        self.container_statuses.push(ContainerStatus {
            name: "step".to_owned(),
            state,
            ..ContainerStatus::default()
        });
        self
    }

    fn other(mut self, state: Option<ContainerState>) -> Self {
        self.containers.insert(0, container("other"));
        let status = ContainerStatus { name: "other".to_owned(), state, ..ContainerStatus::default() };
        self.container_statuses.insert(0, status);
        self
    }

    fn init(mut self, init: Container, state: Option<ContainerState>) -> Self {
        let status = ContainerStatus { name: init.name.clone(), state, ..ContainerStatus::default() };
        self.init_container_statuses.push(status);
        self.init_containers.push(init);
        self
    }

    fn others_wait(mut self) -> Self {
        let statuses = self.container_statuses.iter_mut().chain(&mut self.init_container_statuses);
        for status in statuses.filter(|status| status.name != "step") {
            if let Some(ContainerState::Terminated(record)) = status.state.take() {
                status.last_terminated = Some(record);
            }
            status.state = waiting("CrashLoopBackOff");
        }
        self
    }

    fn last(mut self, record: Terminated) -> Self {
        self.target().last_terminated = Some(record);
        self
    }

    fn count(mut self, count: i32) -> Self {
        let status = self.target();
        status.restart_count = count;
        if let Some(ContainerState::Terminated(record)) = &mut status.state
            && !record.container_id.is_empty()
        {
            record.container_id = format!("containerd://{count}/{}", record.exit_code);
        }
        self
    }

    fn deleted(mut self, grace: i64, timestamp: i64) -> Self {
        self.deletion_timestamp = Some(Timestamp(timestamp));
        self.deletion_grace_period_seconds = Some(grace);
        self
    }

    fn disrupted(mut self, reason: &str, since: i64) -> Self {
        self.disruption_target = Some(Condition {
            is_true: true,
            reason: reason.to_owned(),
            last_transition_time: Some(Timestamp(since)),
            ..Condition::default()
        });
        self
    }

    fn generations(mut self, wanted: i64, observed: i64) -> Self {
        self.generation = wanted;
        self.observed_generation = observed;
        self
    }

    fn seen(self) -> Seen {
        Seen::Pod(self)
    }

    fn read(self) -> Seen {
        Seen::Read(self)
    }

    fn gated(mut self) -> Self {
        self.is_scheduling_gated = true;
        self
    }

    fn gone(self) -> Seen {
        Seen::Deleted(self)
    }
}

trait TargetStatus {
    fn target(&mut self) -> &mut ContainerStatus;
}

impl TargetStatus for PodSnapshot {
    fn target(&mut self) -> &mut ContainerStatus {
        self.container_statuses.iter_mut().find(|status| status.name == "step").expect("a status")
    }
}
