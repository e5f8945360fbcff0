//! Pod JSON to [`PodSnapshot`]: everything the rules read and nothing else. Decides nothing.

mod spare;
mod status;
#[cfg(test)]
mod tests;

use crate::wire::json::{Cursor, JsonError, Result};
use podwait_core::{Container, PodSnapshot, RestartAction, RestartPolicy, RestartRule, Timestamp, one_line};
pub use spare::Spare;
use status::Status;
use std::borrow::Cow;

/// Longest kind that an error repeats, in bytes.
const LONGEST_KIND: usize = 64;

/// A pod as read from JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    decode_with(json, &mut Spare::default())
}

/// The same, in memory that was used before.
pub(crate) fn decode_with(json: &[u8], spare: &mut Spare) -> Result<Pod, DecodeError> {
    let mut cursor = Cursor::whole(json)?;
    let read = ReadPod::read(&mut cursor, spare)?;
    cursor.end()?;
    read.pod()
}

/// What was read of a text, which need not be a pod.
pub(crate) struct ReadPod<'a> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    pod: Pod,
}

impl<'a> ReadPod<'a> {
    pub(crate) fn read(json: &mut Cursor<'a>, spare: &mut Spare) -> Result<Self> {
        let (mut api_version, mut kind, mut metadata, mut spec, mut status) = (None, None, None, None, None);
        json.object(|json, name| match name {
            b"apiVersion" => json.fill(&mut api_version, Cursor::text),
            b"kind" => json.fill(&mut kind, Cursor::text),
            b"metadata" => {
                json.fill(&mut metadata, |json| json.or_default(|json| Metadata::read(json, spare)))
            }
            b"spec" => json.fill(&mut spec, |json| json.or_default(|json| Spec::read(json, spare))),
            b"status" => json.fill(&mut status, |json| json.or_default(|json| Status::read(json, spare))),
            _ => json.skip().map(drop),
        })?;
        let api_version = api_version.unwrap_or_default();
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
            is_scheduling_gated: spec.scheduling_gates.is_some_and(|gates| !gates.is_empty()),
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
        Ok(Self {
            api_version,
            kind,
            pod: Pod { namespace, name: metadata.name.unwrap_or_default(), snapshot },
        })
    }

    /// The pod, if it is one.
    pub(crate) fn pod(self) -> Result<Pod, DecodeError> {
        if !matches!(&*self.kind, "" | "Pod") {
            return Err(DecodeError::Kind(one_line(&self.kind, LONGEST_KIND).into_owned()));
        }
        if !matches!(&*self.api_version, "" | "v1") {
            return Err(DecodeError::Kind(format!("Pod of {}", self.api_version)));
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
    fn read(json: &mut Cursor<'_>, spare: &mut Spare) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"name" => json.fill(&mut read.name, |json| spare.owned(json)),
            b"namespace" => json.fill(&mut read.namespace, |json| spare.owned(json)),
            b"uid" => json.fill(&mut read.uid, |json| spare.owned(json)),
            b"resourceVersion" => json.fill(&mut read.resource_version, |json| spare.owned(json)),
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
    scheduling_gates: Option<Vec<()>>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

impl Spec {
    fn read(json: &mut Cursor<'_>, spare: &mut Spare) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"restartPolicy" => json.fill(&mut read.restart_policy, restart_policy),
            b"terminationGracePeriodSeconds" => {
                json.fill(&mut read.termination_grace_period_seconds, |json| json.optional(Cursor::integer))
            }
            b"schedulingGates" => {
                json.fill(&mut read.scheduling_gates, |json| json.list(|json| json.skip().map(drop)))
            }
            b"containers" => json.fill(&mut read.containers, |json| spare.containers(json, container)),
            b"initContainers" => {
                json.fill(&mut read.init_containers, |json| spare.containers(json, container))
            }
            b"ephemeralContainers" => {
                json.fill(&mut read.ephemeral_containers, |json| spare.containers(json, container))
            }
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }
}

fn container(json: &mut Cursor<'_>, spare: &mut Spare) -> Result<Container> {
    let (mut container_name, mut policy, mut rules) = (None, None, None);
    json.object(|json, name| match name {
        b"name" => json.fill(&mut container_name, |json| spare.owned(json)),
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

fn time(json: &mut Cursor<'_>) -> Result<Option<Timestamp>> {
    json.optional(|json| match json.text()?.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Timestamp(time.as_second())),
        Err(_) => Err(json.error("is no RFC 3339 time")),
    })
}
