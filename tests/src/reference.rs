//! Pod JSON as serde reads it: the reference for the results and the cost of the decoder.
//!
//! There is one difference from serde's derived code: a list in the place of an object is an error.

use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
use podwait_wire::{Owner, Pod};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt::{self, Formatter};
use std::marker::PhantomData;

/// Reads one pod.
///
/// # Errors
/// As for `podwait_wire::pod`, except that the whole text must be JSON, and that UTF-8 is not checked in skipped
/// values.
pub fn decode(json: &[u8]) -> serde_json::Result<Pod> {
    serde_json::from_slice::<Object<PodView>>(json)?.0.try_into()
}

/// Reads the pod of one line of a watch.
///
/// # Errors
/// The same.
pub fn decode_event(line: &[u8]) -> serde_json::Result<Pod> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[expect(dead_code, reason = "it must be there")]
        r#type: std::borrow::Cow<'a, str>,
        object: Object<PodView>,
    }
    serde_json::from_slice::<Event<'_>>(line)?.object.0.try_into()
}

/// An object, and no other value.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// The fields of a pod's JSON that are read.
#[derive(Deserialize)]
struct PodView {
    #[serde(default, rename = "apiVersion", deserialize_with = "or_default")]
    api_version: String,
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Object<MetadataView>,
    #[serde(default, deserialize_with = "or_default")]
    spec: Object<SpecView>,
    #[serde(default, deserialize_with = "or_default")]
    status: Object<StatusView>,
}

impl TryFrom<PodView> for Pod {
    type Error = serde_json::Error;

    fn try_from(view: PodView) -> serde_json::Result<Self> {
        let PodView {
            api_version,
            kind,
            metadata: Object(metadata),
            spec: Object(spec),
            status: Object(status),
        } = view;
        if !matches!(kind.as_str(), "" | "Pod") || !matches!(api_version.as_str(), "" | "v1") {
            return Err(Error::custom("another kind"));
        }
        if metadata.name.is_empty() {
            return Err(Error::custom("no name"));
        }
        if metadata.uid.is_empty() {
            return Err(Error::custom("no uid"));
        }
        let condition = |name: &str| {
            let mut of_all = status.conditions.iter().map(|Object(condition)| condition);
            of_all.find(|condition| condition.r#type == name).map(|view| Condition {
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
            is_scheduling_gated: !spec.scheduling_gates.is_empty(),
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
        let mut owners = metadata.owner_references.into_iter().map(|Object(owner)| owner);
        let owner = owners.find(|owner| owner.controller == Some(true)).map(|owner| Owner {
            kind: owner.kind,
            name: owner.name,
            uid: owner.uid,
        });
        Ok(Self { namespace: metadata.namespace, name: metadata.name, owner, snapshot })
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
    #[serde(deserialize_with = "or_default")]
    owner_references: Vec<Object<OwnerView>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnerView {
    #[serde(deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    controller: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecView {
    #[serde(deserialize_with = "or_default")]
    restart_policy: String,
    termination_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    scheduling_gates: Vec<IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Object<ContainerView>>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Object<ContainerView>>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_containers: Vec<Object<ContainerView>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerView {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    restart_policy: String,
    #[serde(deserialize_with = "or_default")]
    restart_policy_rules: Vec<Object<RestartRuleView>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RestartRuleView {
    #[serde(deserialize_with = "or_default")]
    action: String,
    #[serde(deserialize_with = "or_default")]
    exit_codes: Object<ExitCodesView>,
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
    conditions: Vec<Object<ConditionView>>,
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<Object<ContainerStatusView>>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<Object<ContainerStatusView>>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_container_statuses: Vec<Object<ContainerStatusView>>,
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
    state: Object<StateView>,
    #[serde(deserialize_with = "or_default")]
    last_state: Object<StateView>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StateView {
    waiting: Option<Object<WaitingView>>,
    running: Option<IgnoredAny>,
    terminated: Option<Object<TerminatedView>>,
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
    /// Required: a record without a code must not count as 0.
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

fn containers(views: Vec<Object<ContainerView>>) -> Vec<Container> {
    let rule = |Object(view): Object<RestartRuleView>| RestartRule {
        action: match view.action.as_str() {
            "Restart" => RestartAction::Restart,
            "RestartAllContainers" => RestartAction::RestartAllContainers,
            _ => RestartAction::Unrecognized,
        },
        negated: view.exit_codes.0.operator == "NotIn",
        exit_codes: view.exit_codes.0.values,
    };
    let container = |Object(view): Object<ContainerView>| Container {
        restart_policy: RestartPolicy::parse(&view.restart_policy),
        restart_policy_rules: view.restart_policy_rules.into_iter().map(rule).collect(),
        name: view.name,
    };
    views.into_iter().map(container).collect()
}

fn statuses(views: Vec<Object<ContainerStatusView>>) -> Vec<ContainerStatus> {
    let status = |Object(view): Object<ContainerStatusView>| ContainerStatus {
        name: view.name,
        restart_count: view.restart_count,
        container_id: view.container_id,
        state: state(view.state.0),
        last_terminated: view.last_state.0.terminated.map(terminated),
    };
    views.into_iter().map(status).collect()
}

/// If several are set (a bug of some providers), the most informative one counts.
fn state(view: StateView) -> Option<ContainerState> {
    if let Some(record) = view.terminated {
        return Some(ContainerState::Terminated(terminated(record)));
    }
    if view.running.is_some() {
        return Some(ContainerState::Running);
    }
    view.waiting
        .map(|Object(waiting)| ContainerState::Waiting { reason: waiting.reason, message: waiting.message })
}

fn terminated(Object(view): Object<TerminatedView>) -> Terminated {
    Terminated {
        exit_code: view.exit_code,
        reason: view.reason,
        message: view.message,
        started_at: view.started_at,
        finished_at: view.finished_at,
        container_id: view.container_id,
    }
}

/// `null` is the default: Go clients write empty lists and objects as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    match rfc3339(&text) {
        Some(time) => Ok(Some(time)),
        None => Err(Error::custom(format_args!("{text:?} is not an RFC 3339 time"))),
    }
}

/// An RFC 3339 time, read by jiff, which itself also accepts other forms, and refuses the last days of the year 9999.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let offset = form.strip_prefix("0000-00-00")?.strip_prefix(['T', 't', ' '])?.strip_prefix("00:00:00")?;
    let offset = match offset.strip_prefix(['.', ',']) {
        None => offset,
        Some(fraction) => {
            let rest = fraction.trim_start_matches('0');
            (1..=9).contains(&(fraction.len() - rest.len())).then_some(rest)?
        }
    };
    let (clock, sign) = match offset {
        "Z" | "z" => ("00:00", 1),
        "+00:00" => (&text[text.len() - 5..], 1),
        "-00:00" => (&text[text.len() - 5..], -1),
        _ => return None,
    };
    let number = |text: &str| text.parse::<i64>().ok();
    let (hours, minutes) = (number(&clock[..2])?, number(&clock[3..])?);
    let time: jiff::civil::DateTime = text[..19].parse().ok()?;
    let second = time.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_secs();
    let second = second - sign * (hours * 3600 + minutes * 60);
    let is_time = hours < 24 && minutes < 60 && (-62_167_219_200..=253_402_300_799).contains(&second);
    is_time.then_some(Timestamp(second))
}
