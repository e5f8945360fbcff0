//! Pod JSON to [`PodSnapshot`]: everything the rules read and nothing else. Decides nothing.

use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
use serde::{Deserialize, Deserializer};

/// A pod as read from JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`; empty when absent.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// What the rules read.
    pub snapshot: PodSnapshot,
}

/// Why some JSON is no pod.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No JSON, or a field of another type than a pod's.
    #[error("not readable as a pod: {0}")]
    Json(#[from] serde_json::Error),
    /// A field without which a pod cannot be told from another.
    #[error("not a pod: {0} is missing")]
    Missing(&'static str),
    /// An object of another kind.
    #[error("not a pod but a {0}")]
    Kind(String),
}

/// Reads one pod.
///
/// Lists and objects may be `null` or absent. What the rules do not read is skipped, whatever it is.
///
/// # Errors
/// The text is no JSON, no pod, lacks a name or a uid, or has a field of a wrong type among those that are read; a
/// timestamp that cannot be read is an error too, for a deletion must not go unnoticed.
pub fn decode(json: &[u8]) -> Result<Pod, DecodeError> {
    serde_json::from_slice::<PodView>(json)?.try_into()
}

/// A pod's JSON, as far as it is read.
#[derive(Deserialize)]
pub(crate) struct PodView {
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    metadata: MetadataView,
    #[serde(default, deserialize_with = "or_default")]
    spec: SpecView,
    #[serde(default, deserialize_with = "or_default")]
    status: StatusView,
}

impl TryFrom<PodView> for Pod {
    type Error = DecodeError;

    fn try_from(view: PodView) -> Result<Self, DecodeError> {
        let PodView { kind, metadata, spec, status } = view;
        if !matches!(kind.as_str(), "" | "Pod") {
            return Err(DecodeError::Kind(kind));
        }
        if metadata.name.is_empty() {
            return Err(DecodeError::Missing("metadata.name"));
        }
        if metadata.uid.is_empty() {
            return Err(DecodeError::Missing("metadata.uid"));
        }
        let condition = |name: &str| {
            status.conditions.iter().find(|condition| condition.r#type == name).map(|view| Condition {
                is_true: view.status == "True",
                reason: view.reason.clone(),
                message: view.message.clone(),
                last_transition_time: view.last_transition_time,
            })
        };
        let snapshot = PodSnapshot {
            disruption_target: condition("DisruptionTarget"),
            pod_scheduled: condition("PodScheduled"),
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            deletion_timestamp: metadata.deletion_timestamp,
            deletion_grace_period_seconds: metadata.deletion_grace_period_seconds,
            restart_policy: RestartPolicy::parse(&spec.restart_policy).unwrap_or_default(),
            termination_grace_period_seconds: spec.termination_grace_period_seconds,
            containers: containers(spec.containers),
            init_containers: containers(spec.init_containers),
            ephemeral_containers: containers(spec.ephemeral_containers),
            observed_generation: status.observed_generation,
            phase: Phase::parse(&status.phase),
            reason: status.reason,
            message: status.message,
            container_statuses: statuses(status.container_statuses),
            init_container_statuses: statuses(status.init_container_statuses),
            ephemeral_container_statuses: statuses(status.ephemeral_container_statuses),
        };
        Ok(Self { namespace: metadata.namespace, name: metadata.name, snapshot })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetadataView {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    namespace: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    #[serde(deserialize_with = "or_default")]
    resource_version: String,
    #[serde(deserialize_with = "or_default")]
    generation: i64,
    #[serde(deserialize_with = "timestamp")]
    deletion_timestamp: Option<Timestamp>,
    deletion_grace_period_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecView {
    #[serde(deserialize_with = "or_default")]
    restart_policy: String,
    termination_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<ContainerView>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<ContainerView>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_containers: Vec<ContainerView>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerView {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    restart_policy: String,
    #[serde(deserialize_with = "or_default")]
    restart_policy_rules: Vec<RestartRuleView>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RestartRuleView {
    #[serde(deserialize_with = "or_default")]
    action: String,
    #[serde(deserialize_with = "or_default")]
    exit_codes: ExitCodesView,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExitCodesView {
    #[serde(deserialize_with = "or_default")]
    operator: String,
    #[serde(deserialize_with = "or_default")]
    values: Vec<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusView {
    #[serde(deserialize_with = "or_default")]
    observed_generation: i64,
    #[serde(deserialize_with = "or_default")]
    phase: String,
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<ConditionView>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatusView>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatusView>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_container_statuses: Vec<ContainerStatusView>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConditionView {
    #[serde(deserialize_with = "or_default")]
    r#type: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
    #[serde(deserialize_with = "timestamp")]
    last_transition_time: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatusView {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    restart_count: i32,
    #[serde(rename = "containerID", deserialize_with = "or_default")]
    container_id: String,
    #[serde(deserialize_with = "or_default")]
    state: StateView,
    #[serde(deserialize_with = "or_default")]
    last_state: StateView,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StateView {
    waiting: Option<WaitingView>,
    running: Option<serde::de::IgnoredAny>,
    terminated: Option<TerminatedView>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WaitingView {
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TerminatedView {
    /// Required: a record without a code must not read as 0.
    exit_code: i32,
    #[serde(default, deserialize_with = "or_default")]
    reason: String,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
    #[serde(default, deserialize_with = "timestamp")]
    started_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "timestamp")]
    finished_at: Option<Timestamp>,
    #[serde(default, rename = "containerID", deserialize_with = "or_default")]
    container_id: String,
}

fn containers(views: Vec<ContainerView>) -> Vec<Container> {
    let rule = |view: RestartRuleView| RestartRule {
        action: match view.action.as_str() {
            "Restart" => RestartAction::Restart,
            "RestartAllContainers" => RestartAction::RestartAllContainers,
            _ => RestartAction::Unrecognized,
        },
        negated: view.exit_codes.operator == "NotIn",
        exit_codes: view.exit_codes.values,
    };
    let container = |view: ContainerView| Container {
        restart_policy: RestartPolicy::parse(&view.restart_policy),
        restart_policy_rules: view.restart_policy_rules.into_iter().map(rule).collect(),
        name: view.name,
    };
    views.into_iter().map(container).collect()
}

fn statuses(views: Vec<ContainerStatusView>) -> Vec<ContainerStatus> {
    let status = |view: ContainerStatusView| ContainerStatus {
        name: view.name,
        restart_count: view.restart_count,
        container_id: view.container_id,
        state: state(view.state),
        last_terminated: view.last_state.terminated.map(terminated),
    };
    views.into_iter().map(status).collect()
}

/// Where several are set (a bug of some providers), what says most counts.
fn state(view: StateView) -> Option<ContainerState> {
    if let Some(record) = view.terminated {
        return Some(ContainerState::Terminated(terminated(record)));
    }
    if view.running.is_some() {
        return Some(ContainerState::Running);
    }
    view.waiting.map(|waiting| ContainerState::Waiting { reason: waiting.reason, message: waiting.message })
}

fn terminated(view: TerminatedView) -> Terminated {
    Terminated {
        exit_code: view.exit_code,
        reason: view.reason,
        message: view.message,
        started_at: view.started_at,
        finished_at: view.finished_at,
        container_id: view.container_id,
    }
}

/// `null` is the default: Go clients write empty lists and objects so.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Some(Timestamp(time.as_second()))),
        Err(_) => Err(serde::de::Error::custom(format_args!("{text:?} is not an RFC 3339 time"))),
    }
}
