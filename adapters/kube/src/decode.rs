//! Pod JSON to [`PodSnapshot`]: everything the rules read and nothing else. Decides nothing.

use crate::json::{Cursor, JsonError, Result};
use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
use std::borrow::Cow;

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
    Json(#[from] JsonError),
    /// A field without which a pod cannot be told from another.
    #[error("not a pod: {0} is missing")]
    Missing(&'static str),
    /// An object of another kind.
    #[error("not a pod but a {0}")]
    Kind(String),
}

/// Reads one pod.
///
/// Lists, objects, strings and numbers may be `null` or absent. What the rules do not read is skipped, whatever it is: a
/// skipped object or list must have its brackets balanced and is not looked at otherwise, so a text that is no JSON there
/// can pass. All of the text must be UTF-8.
///
/// # Errors
/// The text is no JSON, no pod, lacks a name or a uid, or has among the fields that are read one of a wrong type or one
/// twice; a timestamp that cannot be read is an error too, for a deletion must not go unnoticed.
pub fn decode(json: &[u8]) -> Result<Pod, DecodeError> {
    utf8(json)?;
    let mut cursor = Cursor::new(json);
    let read = ReadPod::read(&mut cursor)?;
    cursor.end()?;
    read.pod()
}

/// Checks all of a text at once, also what is going to be skipped.
pub(crate) fn utf8(json: &[u8]) -> Result<()> {
    match std::str::from_utf8(json) {
        Ok(_) => Ok(()),
        Err(error) => Err(JsonError::new("is not UTF-8", error.valid_up_to())),
    }
}

/// What was read of a text, which need not be a pod.
pub(crate) struct ReadPod<'a> {
    kind: Cow<'a, str>,
    pod: Pod,
}

impl<'a> ReadPod<'a> {
    pub(crate) fn read(json: &mut Cursor<'a>) -> Result<Self> {
        let (mut kind, mut metadata, mut spec, mut status) = (None, None, None, None);
        json.object(|json, name| match name {
            b"kind" => json.fill(&mut kind, Cursor::text),
            b"metadata" => json.fill(&mut metadata, |json| json.or_default(Metadata::read)),
            b"spec" => json.fill(&mut spec, |json| json.or_default(Spec::read)),
            b"status" => json.fill(&mut status, |json| json.or_default(Status::read)),
            _ => json.skip().map(drop),
        })?;
        let kind = kind.unwrap_or_default();
        let metadata = metadata.unwrap_or_default();
        let spec = spec.unwrap_or_default();
        let status = status.unwrap_or_default();
        let snapshot = PodSnapshot {
            uid: metadata.uid.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            deletion_timestamp: metadata.deletion_timestamp.flatten(),
            deletion_grace_period_seconds: metadata.deletion_grace_period_seconds.flatten(),
            restart_policy: spec.restart_policy.flatten().unwrap_or_default(),
            termination_grace_period_seconds: spec.termination_grace_period_seconds.flatten(),
            containers: spec.containers.unwrap_or_default(),
            init_containers: spec.init_containers.unwrap_or_default(),
            ephemeral_containers: spec.ephemeral_containers.unwrap_or_default(),
            observed_generation: status.observed_generation.unwrap_or_default(),
            phase: status.phase.unwrap_or_default(),
            reason: status.reason.unwrap_or_default(),
            message: status.message.unwrap_or_default(),
            disruption_target: status.disruption_target,
            pod_scheduled: status.pod_scheduled,
            container_statuses: status.container_statuses.unwrap_or_default(),
            init_container_statuses: status.init_container_statuses.unwrap_or_default(),
            ephemeral_container_statuses: status.ephemeral_container_statuses.unwrap_or_default(),
        };
        let namespace = metadata.namespace.unwrap_or_default();
        Ok(Self { kind, pod: Pod { namespace, name: metadata.name.unwrap_or_default(), snapshot } })
    }

    /// The pod, if it is one.
    pub(crate) fn pod(self) -> Result<Pod, DecodeError> {
        if !matches!(&*self.kind, "" | "Pod") {
            return Err(DecodeError::Kind(self.kind.into_owned()));
        }
        if self.pod.name.is_empty() {
            return Err(DecodeError::Missing("metadata.name"));
        }
        if self.pod.snapshot.uid.is_empty() {
            return Err(DecodeError::Missing("metadata.uid"));
        }
        Ok(self.pod)
    }
}

#[derive(Default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    deletion_timestamp: Option<Option<Timestamp>>,
    deletion_grace_period_seconds: Option<Option<i64>>,
}

impl Metadata {
    fn read(json: &mut Cursor<'_>) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"name" => json.fill(&mut read.name, Cursor::owned),
            b"namespace" => json.fill(&mut read.namespace, Cursor::owned),
            b"uid" => json.fill(&mut read.uid, Cursor::owned),
            b"resourceVersion" => json.fill(&mut read.resource_version, Cursor::owned),
            b"generation" => json.fill(&mut read.generation, |json| json.or_default(Cursor::integer)),
            b"deletionTimestamp" => json.fill(&mut read.deletion_timestamp, time),
            b"deletionGracePeriodSeconds" => {
                json.fill(&mut read.deletion_grace_period_seconds, |json| json.optional(Cursor::integer))
            }
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }
}

#[derive(Default)]
struct Spec {
    restart_policy: Option<Option<RestartPolicy>>,
    termination_grace_period_seconds: Option<Option<i64>>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

impl Spec {
    fn read(json: &mut Cursor<'_>) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"restartPolicy" => json.fill(&mut read.restart_policy, restart_policy),
            b"terminationGracePeriodSeconds" => {
                json.fill(&mut read.termination_grace_period_seconds, |json| json.optional(Cursor::integer))
            }
            b"containers" => json.fill(&mut read.containers, |json| json.list(container)),
            b"initContainers" => json.fill(&mut read.init_containers, |json| json.list(container)),
            b"ephemeralContainers" => json.fill(&mut read.ephemeral_containers, |json| json.list(container)),
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }
}

#[derive(Default)]
struct Status {
    observed_generation: Option<i64>,
    phase: Option<Phase>,
    reason: Option<String>,
    message: Option<String>,
    conditions: Option<()>,
    /// The first of that type.
    disruption_target: Option<Condition>,
    /// The same.
    pod_scheduled: Option<Condition>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

impl Status {
    fn read(json: &mut Cursor<'_>) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"observedGeneration" => {
                json.fill(&mut read.observed_generation, |json| json.or_default(Cursor::integer))
            }
            b"phase" => json.fill(&mut read.phase, |json| Ok(Phase::parse(&json.text()?))),
            b"reason" => json.fill(&mut read.reason, Cursor::owned),
            b"message" => json.fill(&mut read.message, Cursor::owned),
            b"conditions" => {
                let (disruption_target, pod_scheduled) =
                    (&mut read.disruption_target, &mut read.pod_scheduled);
                json.fill(&mut read.conditions, |json| {
                    json.each(|json| condition(json, disruption_target, pod_scheduled))
                })
            }
            b"containerStatuses" => {
                json.fill(&mut read.container_statuses, |json| json.list(container_status))
            }
            b"initContainerStatuses" => {
                json.fill(&mut read.init_container_statuses, |json| json.list(container_status))
            }
            b"ephemeralContainerStatuses" => {
                json.fill(&mut read.ephemeral_container_statuses, |json| json.list(container_status))
            }
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }
}

fn container(json: &mut Cursor<'_>) -> Result<Container> {
    let (mut container_name, mut policy, mut rules) = (None, None, None);
    json.object(|json, name| match name {
        b"name" => json.fill(&mut container_name, Cursor::owned),
        b"restartPolicy" => json.fill(&mut policy, restart_policy),
        b"restartPolicyRules" => json.fill(&mut rules, |json| json.list(restart_rule)),
        _ => json.skip().map(drop),
    })?;
    Ok(Container {
        name: container_name.unwrap_or_default(),
        restart_policy: policy.flatten(),
        restart_policy_rules: rules.unwrap_or_default(),
    })
}

fn restart_policy(json: &mut Cursor<'_>) -> Result<Option<RestartPolicy>> {
    Ok(RestartPolicy::parse(&json.text()?))
}

fn restart_rule(json: &mut Cursor<'_>) -> Result<RestartRule> {
    let (mut action, mut codes) = (None, None);
    json.object(|json, name| match name {
        b"action" => json.fill(&mut action, |json| {
            Ok(match &*json.text()? {
                "Restart" => RestartAction::Restart,
                "RestartAllContainers" => RestartAction::RestartAllContainers,
                _ => RestartAction::Unrecognized,
            })
        }),
        b"exitCodes" => json.fill(&mut codes, |json| json.or_default(exit_codes)),
        _ => json.skip().map(drop),
    })?;
    let (negated, exit_codes) = codes.unwrap_or_default();
    Ok(RestartRule { action: action.unwrap_or(RestartAction::Unrecognized), negated, exit_codes })
}

/// Whether the operator is `NotIn`, and the codes.
fn exit_codes(json: &mut Cursor<'_>) -> Result<(bool, Vec<i32>)> {
    let (mut negated, mut values) = (None, None);
    json.object(|json, name| match name {
        b"operator" => json.fill(&mut negated, |json| Ok(json.text()? == "NotIn")),
        b"values" => json.fill(&mut values, |json| json.list(Cursor::integer)),
        _ => json.skip().map(drop),
    })?;
    Ok((negated.unwrap_or_default(), values.unwrap_or_default()))
}

/// Reads one condition, and keeps it if it is the first of one of these types.
fn condition(
    json: &mut Cursor<'_>,
    disruption_target: &mut Option<Condition>,
    pod_scheduled: &mut Option<Condition>,
) -> Result<()> {
    let (mut r#type, mut is_true, mut reason, mut message, mut last) = (None, None, None, None, None);
    json.object(|json, name| match name {
        b"type" => json.fill(&mut r#type, Cursor::text),
        b"status" => json.fill(&mut is_true, |json| Ok(json.text()? == "True")),
        b"reason" => json.fill(&mut reason, Cursor::text),
        b"message" => json.fill(&mut message, Cursor::text),
        b"lastTransitionTime" => json.fill(&mut last, time),
        _ => json.skip().map(drop),
    })?;
    let slot = match r#type.as_deref() {
        Some("DisruptionTarget") => disruption_target,
        Some("PodScheduled") => pod_scheduled,
        Some(_) | None => return Ok(()),
    };
    slot.get_or_insert_with(|| Condition {
        is_true: is_true.unwrap_or_default(),
        reason: reason.unwrap_or_default().into_owned(),
        message: message.unwrap_or_default().into_owned(),
        last_transition_time: last.flatten(),
    });
    Ok(())
}

fn container_status(json: &mut Cursor<'_>) -> Result<ContainerStatus> {
    let (mut container_name, mut restarts, mut id, mut now, mut last) = (None, None, None, None, None);
    json.object(|json, name| match name {
        b"name" => json.fill(&mut container_name, Cursor::owned),
        b"restartCount" => json.fill(&mut restarts, |json| json.or_default(Cursor::integer)),
        b"containerID" => json.fill(&mut id, Cursor::owned),
        b"state" => json.fill(&mut now, |json| json.or_default(State::read)),
        b"lastState" => json.fill(&mut last, |json| json.or_default(State::read)),
        _ => json.skip().map(drop),
    })?;
    Ok(ContainerStatus {
        name: container_name.unwrap_or_default(),
        restart_count: restarts.unwrap_or_default(),
        container_id: id.unwrap_or_default(),
        state: now.and_then(State::most),
        last_terminated: last.and_then(|last: State<'_>| last.terminated.flatten()),
    })
}

#[derive(Default)]
struct State<'a> {
    /// Reason and message.
    waiting: Option<Option<(Cow<'a, str>, Cow<'a, str>)>>,
    running: Option<bool>,
    terminated: Option<Option<Terminated>>,
}

impl<'a> State<'a> {
    fn read(json: &mut Cursor<'a>) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"waiting" => json.fill(&mut read.waiting, |json| json.optional(waiting)),
            b"running" => json.fill(&mut read.running, |json| Ok(json.skip()? != b"null")),
            b"terminated" => json.fill(&mut read.terminated, |json| json.optional(terminated)),
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }

    /// Where several are set (a bug of some providers), what says most counts.
    fn most(self) -> Option<ContainerState> {
        if let Some(record) = self.terminated.flatten() {
            return Some(ContainerState::Terminated(record));
        }
        if self.running == Some(true) {
            return Some(ContainerState::Running);
        }
        let (reason, message) = self.waiting.flatten()?;
        Some(ContainerState::Waiting { reason: reason.into_owned(), message: message.into_owned() })
    }
}

fn waiting<'a>(json: &mut Cursor<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>)> {
    let (mut reason, mut message) = (None, None);
    json.object(|json, name| match name {
        b"reason" => json.fill(&mut reason, Cursor::text),
        b"message" => json.fill(&mut message, Cursor::text),
        _ => json.skip().map(drop),
    })?;
    Ok((reason.unwrap_or_default(), message.unwrap_or_default()))
}

fn terminated(json: &mut Cursor<'_>) -> Result<Terminated> {
    let mut exit_code = None;
    let (mut reason, mut message, mut started, mut finished, mut id) = (None, None, None, None, None);
    json.object(|json, name| match name {
        b"exitCode" => json.fill(&mut exit_code, Cursor::integer),
        b"reason" => json.fill(&mut reason, Cursor::owned),
        b"message" => json.fill(&mut message, Cursor::owned),
        b"startedAt" => json.fill(&mut started, time),
        b"finishedAt" => json.fill(&mut finished, time),
        b"containerID" => json.fill(&mut id, Cursor::owned),
        _ => json.skip().map(drop),
    })?;
    Ok(Terminated {
        // A record without a code must not read as 0.
        exit_code: exit_code.ok_or_else(|| json.error("has no exitCode"))?,
        reason: reason.unwrap_or_default(),
        message: message.unwrap_or_default(),
        started_at: started.flatten(),
        finished_at: finished.flatten(),
        container_id: id.unwrap_or_default(),
    })
}

fn time(json: &mut Cursor<'_>) -> Result<Option<Timestamp>> {
    json.optional(|json| match json.text()?.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Timestamp(time.as_second())),
        Err(_) => Err(json.error("is no RFC 3339 time")),
    })
}
