//! A pod's JSON, reduced to what the rules read.

use crate::wire::decode::Pod;
use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, RestartAction, RestartPolicy, Terminated,
    Timestamp,
};
use serde_json::{Map, Value, json};

/// The pod as JSON with the fields that the rules read. Messages are left out, since they may quote what a step wrote; but
/// for that of an image that cannot be pulled, which is the runtime's and says whether there is hope.
#[must_use]
pub fn reduce(pod: &Pod) -> Value {
    let snapshot = &pod.snapshot;
    let conditions: Vec<Value> =
        [("DisruptionTarget", &snapshot.disruption_target), ("PodScheduled", &snapshot.pod_scheduled)]
            .into_iter()
            .filter_map(|(name, condition)| {
                condition.as_ref().map(|condition| reduce_condition(name, condition))
            })
            .collect();
    let statuses = |list: &[ContainerStatus]| list.iter().map(reduce_status).collect::<Vec<_>>();
    let containers = |list: &[Container]| list.iter().map(reduce_container).collect::<Vec<_>>();
    let phase = match snapshot.phase {
        Phase::Unrecognized => "Unrecognized",
        Phase::Pending | Phase::Running | Phase::Succeeded | Phase::Failed | Phase::Unknown => {
            snapshot.phase.as_str()
        }
    };
    json!({
        "kind": "Pod",
        "metadata": object([
            ("namespace", json!(pod.namespace)),
            ("name", json!(pod.name)),
            ("uid", json!(snapshot.uid)),
            ("resourceVersion", json!(snapshot.resource_version)),
            ("generation", json!(snapshot.generation)),
            ("deletionTimestamp", json!(snapshot.deletion_timestamp.and_then(rfc3339))),
            ("deletionGracePeriodSeconds", json!(snapshot.deletion_grace_period_seconds)),
        ]),
        "spec": object([
            ("restartPolicy", json!(restart_policy(snapshot.restart_policy))),
            ("terminationGracePeriodSeconds", json!(snapshot.termination_grace_period_seconds)),
            ("schedulingGates", json!(vec![json!({}); usize::from(snapshot.is_scheduling_gated)])),
            ("containers", json!(containers(&snapshot.containers))),
            ("initContainers", json!(containers(&snapshot.init_containers))),
            ("ephemeralContainers", json!(containers(&snapshot.ephemeral_containers))),
        ]),
        "status": object([
            ("phase", json!(phase)),
            ("observedGeneration", json!(snapshot.observed_generation)),
            ("reason", json!(snapshot.reason)),
            ("conditions", json!(conditions)),
            ("containerStatuses", json!(statuses(&snapshot.container_statuses))),
            ("initContainerStatuses", json!(statuses(&snapshot.init_container_statuses))),
            ("ephemeralContainerStatuses", json!(statuses(&snapshot.ephemeral_container_statuses))),
        ]),
    })
}

fn reduce_container(container: &Container) -> Value {
    let rules: Vec<Value> = container
        .restart_policy_rules
        .iter()
        .map(|rule| {
            let action = match rule.action {
                RestartAction::Restart => "Restart",
                RestartAction::RestartAllContainers => "RestartAllContainers",
                RestartAction::Unrecognized => "Unrecognized",
            };
            let operator = if rule.negated { "NotIn" } else { "In" };
            json!({ "action": action, "exitCodes": { "operator": operator, "values": rule.exit_codes } })
        })
        .collect();
    object([
        ("name", json!(container.name)),
        ("restartPolicy", json!(container.restart_policy.map(restart_policy))),
        ("restartPolicyRules", json!(rules)),
    ])
}

fn reduce_status(status: &ContainerStatus) -> Value {
    let state = match &status.state {
        Some(ContainerState::Waiting { reason, message }) => {
            let is_pull = matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff");
            let message = if is_pull { message.as_str() } else { "" };
            json!({ "waiting": object([("reason", json!(reason)), ("message", json!(message))]) })
        }
        Some(ContainerState::Running) => json!({ "running": {} }),
        Some(ContainerState::Terminated(record)) => json!({ "terminated": reduce_terminated(record) }),
        None => json!({}),
    };
    let last_state =
        status.last_terminated.as_ref().map(|record| json!({ "terminated": reduce_terminated(record) }));
    object([
        ("name", json!(status.name)),
        ("restartCount", json!(status.restart_count)),
        ("containerID", json!(status.container_id)),
        ("state", state),
        ("lastState", json!(last_state)),
    ])
}

fn reduce_terminated(record: &Terminated) -> Value {
    object([
        ("exitCode", json!(record.exit_code)),
        ("reason", json!(record.reason)),
        ("startedAt", json!(record.started_at.and_then(rfc3339))),
        ("finishedAt", json!(record.finished_at.and_then(rfc3339))),
        ("containerID", json!(record.container_id)),
    ])
}

fn reduce_condition(name: &str, condition: &Condition) -> Value {
    object([
        ("type", json!(name)),
        ("status", json!(if condition.is_true { "True" } else { "False" })),
        ("reason", json!(condition.reason)),
        ("lastTransitionTime", json!(condition.last_transition_time.and_then(rfc3339))),
    ])
}

const fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "Always",
        RestartPolicy::OnFailure => "OnFailure",
        RestartPolicy::Never => "Never",
    }
}

fn rfc3339(time: Timestamp) -> Option<String> {
    jiff::Timestamp::from_second(time.0).ok().map(|time| time.to_string())
}

/// An object without what says nothing: null, empty text, an empty list. A 0 says something.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| says_something(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}
