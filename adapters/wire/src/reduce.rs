//! A pod as JSON, reduced to the fields that the rules read.

#[cfg(test)]
mod tests;

use crate::pod::{Owner, Pod};
use crate::time::format_rfc3339;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    Terminated, Timestamp,
};
use serde_json::{Map, Value, json};

/// The pod as JSON with the fields that the rules read. [`pod`](crate::pod()) reads it again, and it leads to the same
/// decisions.
///
/// Messages are left out, because they may quote a step's output. The message of a failed image pull stays: it comes
/// from the runtime, and shows whether the failure is permanent.
#[must_use]
pub fn reduce(pod: &Pod) -> Value {
    let snapshot = &pod.snapshot;
    json!({
        "kind": "Pod",
        "metadata": object([
            ("namespace", json!(pod.namespace)),
            ("name", json!(pod.name)),
            ("uid", json!(snapshot.uid)),
            ("resourceVersion", json!(snapshot.resource_version)),
            ("generation", json!(snapshot.generation)),
            ("deletionTimestamp", time(snapshot.deletion_timestamp)),
            ("deletionGracePeriodSeconds", json!(snapshot.deletion_grace_period_seconds)),
            ("ownerReferences", list(pod.owner.as_slice(), owner)),
        ]),
        "spec": object([
            ("restartPolicy", json!(policy(snapshot.restart_policy))),
            ("terminationGracePeriodSeconds", json!(snapshot.termination_grace_period_seconds)),
            ("schedulingGates", json!(vec![json!({}); usize::from(snapshot.is_scheduling_gated)])),
            ("containers", list(&snapshot.containers, container)),
            ("initContainers", list(&snapshot.init_containers, container)),
            ("ephemeralContainers", list(&snapshot.ephemeral_containers, container)),
        ]),
        "status": status(snapshot),
    })
}

fn owner(owner: &Owner) -> Value {
    json!({ "kind": owner.kind, "name": owner.name, "uid": owner.uid, "controller": true })
}

fn status(snapshot: &PodSnapshot) -> Value {
    let conditions: Vec<Value> =
        [("DisruptionTarget", &snapshot.disruption_target), ("PodScheduled", &snapshot.pod_scheduled)]
            .into_iter()
            .filter_map(|(name, found)| found.as_ref().map(|found| condition(name, found)))
            .collect();
    let phase = match snapshot.phase {
        Phase::Unrecognized => "Unrecognized",
        Phase::Pending | Phase::Running | Phase::Succeeded | Phase::Failed | Phase::Unknown => {
            snapshot.phase.as_str()
        }
    };
    object([
        ("phase", json!(phase)),
        ("observedGeneration", json!(snapshot.observed_generation)),
        ("reason", json!(snapshot.reason)),
        ("conditions", json!(conditions)),
        ("containerStatuses", list(&snapshot.container_statuses, container_status)),
        ("initContainerStatuses", list(&snapshot.init_container_statuses, container_status)),
        ("ephemeralContainerStatuses", list(&snapshot.ephemeral_container_statuses, container_status)),
    ])
}

fn container(container: &Container) -> Value {
    let rules = list(&container.restart_policy_rules, |rule| {
        let action = match rule.action {
            RestartAction::Restart => "Restart",
            RestartAction::RestartAllContainers => "RestartAllContainers",
            RestartAction::Unrecognized => "Unrecognized",
        };
        let operator = if rule.negated { "NotIn" } else { "In" };
        json!({ "action": action, "exitCodes": { "operator": operator, "values": rule.exit_codes } })
    });
    object([
        ("name", json!(container.name)),
        ("restartPolicy", json!(container.restart_policy.map(policy))),
        ("restartPolicyRules", rules),
    ])
}

fn container_status(status: &ContainerStatus) -> Value {
    let state = match &status.state {
        Some(ContainerState::Waiting { reason, message }) => {
            let is_pull = matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff");
            let message = if is_pull { message.as_str() } else { "" };
            json!({ "waiting": object([("reason", json!(reason)), ("message", json!(message))]) })
        }
        Some(ContainerState::Running) => json!({ "running": {} }),
        Some(ContainerState::Terminated(record)) => json!({ "terminated": terminated(record) }),
        None => json!({}),
    };
    let last = status.last_terminated.as_ref().map(|record| json!({ "terminated": terminated(record) }));
    object([
        ("name", json!(status.name)),
        ("restartCount", json!(status.restart_count)),
        ("containerID", json!(status.container_id)),
        ("state", state),
        ("lastState", json!(last)),
    ])
}

fn terminated(record: &Terminated) -> Value {
    object([
        ("exitCode", json!(record.exit_code)),
        ("reason", json!(record.reason)),
        ("startedAt", time(record.started_at)),
        ("finishedAt", time(record.finished_at)),
        ("containerID", json!(record.container_id)),
    ])
}

fn condition(name: &str, condition: &Condition) -> Value {
    object([
        ("type", json!(name)),
        ("status", json!(if condition.is_true { "True" } else { "False" })),
        ("reason", json!(condition.reason)),
        ("lastTransitionTime", time(condition.last_transition_time)),
    ])
}

const fn policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    }
}

fn time(time: Option<Timestamp>) -> Value {
    json!(time.and_then(format_rfc3339))
}

fn list<T>(of: &[T], reduce: impl FnMut(&T) -> Value) -> Value {
    of.iter().map(reduce).collect()
}

/// An object without empty values: null, empty text, an empty list. A 0 is kept.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| says_something(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<String, Value>>())
}
