//! Writes pods in both encodings, with fields that a later version may add.

use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, RestartAction, RestartPolicy, RestartRule,
    Terminated, Timestamp,
};
use podwait_wire::Pod;
use serde_json::{Value, json};

/// A message that is being written.
#[derive(Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn integer(self, number: u64, value: i64) -> Self {
        self.varint(number << 3).varint(value as u64)
    }

    pub(crate) fn bytes(self, number: u64, value: &[u8]) -> Self {
        let mut message = self.varint(number << 3 | 2).varint(value.len() as u64);
        message.0.extend(value);
        message
    }

    pub(crate) fn text(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    fn all<T>(self, number: u64, of: &[T], write: impl Fn(&T) -> Self) -> Self {
        of.iter().fold(self, |message, one| message.bytes(number, &write(one).0))
    }

    fn some<T>(self, value: &Option<T>, write: impl FnOnce(Self, &T) -> Self) -> Self {
        match value {
            Some(value) => write(self, value),
            None => self,
        }
    }

    fn time(self, number: u64, time: &Option<Timestamp>) -> Self {
        self.some(time, |message, time| {
            message.bytes(number, &Self::default().integer(1, time.0).integer(2, 5).0)
        })
    }

    /// Adds fields that a later version may add.
    pub(crate) fn strange(self) -> Self {
        let mut message = self.varint(99 << 3 | 1);
        message.0.extend([1; 8]);
        let mut message = message.varint(98 << 3 | 5);
        message.0.extend([1; 4]);
        message.text(500, "new").integer(501, -1)
    }
}

pub(crate) fn protobuf(pod: &Pod) -> Vec<u8> {
    let snapshot = &pod.snapshot;
    let metadata = Message::default()
        .text(1, &pod.name)
        .text(3, &pod.namespace)
        .text(5, &snapshot.uid)
        .strange()
        .text(6, &snapshot.resource_version)
        .integer(7, snapshot.generation)
        .time(9, &snapshot.deletion_timestamp)
        .some(&snapshot.deletion_grace_period_seconds, |message, seconds| message.integer(10, *seconds))
        .bytes(13, &Message::default().text(1, "Workload").text(4, "other").0)
        .some(&pod.owner, |message, one| {
            let owner = Message::default().text(1, &one.kind).text(3, &one.name).text(4, &one.uid);
            message.bytes(13, &owner.integer(6, 1).integer(7, 0).0)
        });
    let spec = Message::default()
        .all(2, &snapshot.containers, container)
        .text(3, policy(snapshot.restart_policy))
        .some(&snapshot.termination_grace_period_seconds, |message, seconds| message.integer(4, *seconds))
        .all(20, &snapshot.init_containers, container)
        .strange()
        .all(34, &snapshot.ephemeral_containers, |one| {
            Message::default().bytes(1, &container(one).0).strange()
        });
    let spec = if snapshot.is_scheduling_gated { spec.bytes(38, b"") } else { spec };
    let status = Message::default()
        .text(1, snapshot.phase.as_str())
        .some(&snapshot.disruption_target, |message, one| {
            message.bytes(2, &condition("DisruptionTarget", one).0)
        })
        .some(&snapshot.pod_scheduled, |message, one| message.bytes(2, &condition("PodScheduled", one).0))
        .text(3, &snapshot.message)
        .text(4, &snapshot.reason)
        .all(8, &snapshot.container_statuses, container_status)
        .all(10, &snapshot.init_container_statuses, container_status)
        .all(13, &snapshot.ephemeral_container_statuses, container_status)
        .integer(17, snapshot.observed_generation)
        .strange();
    Message::default().bytes(1, &metadata.0).bytes(2, &spec.0).strange().bytes(3, &status.0).0
}

fn container(one: &Container) -> Message {
    let rule = |rule: &RestartRule| {
        // One value packed and the others not: a parser must accept both.
        let mut codes = Message::default().text(1, if rule.negated { "NotIn" } else { "In" });
        let (first, rest) = rule.exit_codes.split_at(rule.exit_codes.len().min(1));
        let packed =
            first.iter().fold(Message::default(), |packed, code| packed.varint(i64::from(*code) as u64));
        codes = codes.bytes(2, &packed.0);
        codes = rest.iter().fold(codes, |codes, code| codes.integer(2, i64::from(*code)));
        Message::default().text(1, action(rule.action)).bytes(2, &codes.0)
    };
    Message::default()
        .text(1, &one.name)
        .strange()
        .some(&one.restart_policy, |message, own| message.text(24, policy(*own)))
        .all(25, &one.restart_policy_rules, rule)
}

fn container_status(one: &ContainerStatus) -> Message {
    let state = match &one.state {
        None => Message::default(),
        Some(ContainerState::Running) => Message::default().bytes(2, b""),
        Some(ContainerState::Waiting { reason, message }) => {
            Message::default().bytes(1, &Message::default().text(1, reason).text(2, message).0)
        }
        Some(ContainerState::Terminated(record)) => Message::default().bytes(3, &terminated(record).0),
    };
    Message::default()
        .text(1, &one.name)
        .bytes(2, &state.0)
        .some(&one.last_terminated, |message, record| {
            message.bytes(3, &Message::default().bytes(3, &terminated(record).0).0)
        })
        .integer(5, i64::from(one.restart_count))
        .text(8, &one.container_id)
}

fn terminated(record: &Terminated) -> Message {
    Message::default()
        .integer(1, i64::from(record.exit_code))
        .integer(2, 9)
        .text(3, &record.reason)
        .text(4, &record.message)
        .time(5, &record.started_at)
        .time(6, &record.finished_at)
        .text(7, &record.container_id)
}

fn condition(kind: &str, one: &Condition) -> Message {
    Message::default()
        .text(1, kind)
        .text(2, if one.is_true { "True" } else { "Unknown" })
        .bytes(3, b"")
        .time(4, &one.last_transition_time)
        .text(5, &one.reason)
        .text(6, &one.message)
}

fn policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    }
}

fn action(action: RestartAction) -> &'static str {
    match action {
        RestartAction::Restart => "Restart",
        RestartAction::RestartAllContainers => "RestartAllContainers",
        RestartAction::Unrecognized => "New",
    }
}

pub(crate) fn as_json(pod: &Pod) -> Value {
    let snapshot = &pod.snapshot;
    let time = |time: &Option<Timestamp>| {
        json!(time.map(|time| jiff::Timestamp::from_second(time.0).expect("in range").to_string()))
    };
    let record = |record: &Terminated| {
        json!({ "exitCode": record.exit_code, "reason": record.reason, "message": record.message, "signal": 9,
            "startedAt": time(&record.started_at), "finishedAt": time(&record.finished_at), "containerID": record.container_id })
    };
    let condition = |kind: &str, one: &Option<Condition>| {
        one.as_ref().map(|one| {
            json!({ "type": kind, "status": if one.is_true { "True" } else { "Unknown" }, "reason": one.reason,
                "message": one.message, "lastTransitionTime": time(&one.last_transition_time) })
        })
    };
    let conditions: Vec<_> = [
        condition("DisruptionTarget", &snapshot.disruption_target),
        condition("PodScheduled", &snapshot.pod_scheduled),
    ]
    .into_iter()
    .flatten()
    .collect();
    let containers = |list: &[Container]| -> Value {
        list.iter()
            .map(|one| {
                let rules = one.restart_policy_rules.iter().map(|rule| {
                    json!({ "action": action(rule.action), "exitCodes": {
                        "operator": if rule.negated { "NotIn" } else { "In" }, "values": rule.exit_codes } })
                });
                json!({ "name": one.name, "restartPolicy": one.restart_policy.map(policy),
                    "restartPolicyRules": rules.collect::<Vec<_>>(), "new": [{}] })
            })
            .collect()
    };
    let statuses = |list: &[ContainerStatus]| -> Value {
        list.iter()
            .map(|one| {
                let state = match &one.state {
                    None => Value::Null,
                    Some(ContainerState::Running) => json!({ "running": {} }),
                    Some(ContainerState::Waiting { reason, message }) => {
                        json!({ "waiting": { "reason": reason, "message": message } })
                    }
                    Some(ContainerState::Terminated(own)) => json!({ "terminated": record(own) }),
                };
                json!({ "name": one.name, "state": state, "restartCount": one.restart_count,
                    "lastState": { "terminated": one.last_terminated.as_ref().map(record) }, "containerID": one.container_id })
            })
            .collect()
    };
    let other = json!({ "kind": "Workload", "name": "", "uid": "other" });
    let owner = pod.owner.iter().map(
        |one| json!({ "kind": one.kind, "name": one.name, "uid": one.uid, "controller": true, "blockOwnerDeletion": false }),
    );
    let owners: Vec<_> = core::iter::once(other).chain(owner).collect();
    json!({
        "metadata": { "name": pod.name, "namespace": pod.namespace, "uid": snapshot.uid,
            "resourceVersion": snapshot.resource_version, "generation": snapshot.generation, "new": null,
            "deletionTimestamp": time(&snapshot.deletion_timestamp),
            "deletionGracePeriodSeconds": snapshot.deletion_grace_period_seconds,
            "ownerReferences": owners },
        "spec": { "containers": containers(&snapshot.containers), "restartPolicy": policy(snapshot.restart_policy),
            "terminationGracePeriodSeconds": snapshot.termination_grace_period_seconds,
            "initContainers": containers(&snapshot.init_containers),
            "ephemeralContainers": containers(&snapshot.ephemeral_containers),
            "schedulingGates": if snapshot.is_scheduling_gated { json!([{}]) } else { json!([]) } },
        "status": { "phase": snapshot.phase.as_str(), "conditions": conditions, "message": snapshot.message,
            "reason": snapshot.reason, "containerStatuses": statuses(&snapshot.container_statuses),
            "initContainerStatuses": statuses(&snapshot.init_container_statuses),
            "ephemeralContainerStatuses": statuses(&snapshot.ephemeral_container_statuses),
            "observedGeneration": snapshot.observed_generation },
    })
}

pub(crate) fn in_envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = Message::default().text(1, "v1").text(2, kind);
    [b"k8s\0", &*Message::default().bytes(1, &meta.0).bytes(2, raw).text(3, "").text(4, "").0].concat()
}
