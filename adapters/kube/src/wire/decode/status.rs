//! `status` of a pod.

use super::{Spare, time};
use crate::wire::json::{Cursor, Result};
use podwait_core::{Condition, ContainerState, ContainerStatus, Phase, Terminated};
use std::borrow::Cow;

#[derive(Default)]
pub(super) struct Status {
    pub(super) observed_generation: Option<i64>,
    pub(super) phase: Option<Phase>,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) conditions: Option<()>,
    /// The first of that type.
    pub(super) disruption_target: Option<Condition>,
    /// The same.
    pub(super) pod_scheduled: Option<Condition>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) init_container_statuses: Option<Vec<ContainerStatus>>,
    pub(super) ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

impl Status {
    pub(super) fn read(json: &mut Cursor<'_>, spare: &mut Spare) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"observedGeneration" => {
                json.fill(&mut read.observed_generation, |json| json.or_default(Cursor::integer))
            }
            b"phase" => json.fill(&mut read.phase, |json| Ok(Phase::parse(&json.text()?))),
            b"reason" => json.fill(&mut read.reason, |json| spare.owned(json)),
            b"message" => json.fill(&mut read.message, |json| spare.owned(json)),
            b"conditions" => {
                let (disruption_target, pod_scheduled) =
                    (&mut read.disruption_target, &mut read.pod_scheduled);
                json.fill(&mut read.conditions, |json| {
                    json.each(|json| condition(json, spare, disruption_target, pod_scheduled))
                })
            }
            b"containerStatuses" => {
                json.fill(&mut read.container_statuses, |json| spare.statuses(json, container_status))
            }
            b"initContainerStatuses" => {
                json.fill(&mut read.init_container_statuses, |json| spare.statuses(json, container_status))
            }
            b"ephemeralContainerStatuses" => json
                .fill(&mut read.ephemeral_container_statuses, |json| spare.statuses(json, container_status)),
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }
}

/// Reads one condition, and keeps it if it is the first of one of these types.
fn condition(
    json: &mut Cursor<'_>,
    spare: &mut Spare,
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
        reason: spare.own(reason.unwrap_or_default()),
        message: spare.own(message.unwrap_or_default()),
        last_transition_time: last.flatten(),
    });
    Ok(())
}

fn container_status(json: &mut Cursor<'_>, spare: &mut Spare) -> Result<ContainerStatus> {
    let (mut container_name, mut restarts, mut id, mut now, mut last) = (None, None, None, None, None);
    json.object(|json, name| match name {
        b"name" => json.fill(&mut container_name, |json| spare.owned(json)),
        b"restartCount" => json.fill(&mut restarts, |json| json.or_default(Cursor::integer)),
        b"containerID" => json.fill(&mut id, |json| spare.owned(json)),
        b"state" => json.fill(&mut now, |json| json.or_default(|json| State::read(json, spare))),
        b"lastState" => json.fill(&mut last, |json| json.or_default(|json| State::read(json, spare))),
        _ => json.skip().map(drop),
    })?;
    Ok(ContainerStatus {
        name: container_name.unwrap_or_default(),
        restart_count: restarts.unwrap_or_default(),
        container_id: id.unwrap_or_default(),
        state: now.and_then(|now| now.most(spare)),
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
    fn read(json: &mut Cursor<'a>, spare: &mut Spare) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"waiting" => json.fill(&mut read.waiting, |json| json.optional(waiting)),
            b"running" => json.fill(&mut read.running, |json| Ok(json.skip()? != b"null")),
            b"terminated" => {
                json.fill(&mut read.terminated, |json| json.optional(|json| terminated(json, spare)))
            }
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }

    /// Where several are set (a bug of some providers), what says most counts.
    fn most(self, spare: &mut Spare) -> Option<ContainerState> {
        if let Some(record) = self.terminated.flatten() {
            return Some(ContainerState::Terminated(record));
        }
        if self.running == Some(true) {
            return Some(ContainerState::Running);
        }
        let (reason, message) = self.waiting.flatten()?;
        Some(ContainerState::Waiting { reason: spare.own(reason), message: spare.own(message) })
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

fn terminated(json: &mut Cursor<'_>, spare: &mut Spare) -> Result<Terminated> {
    let mut exit_code = None;
    let (mut reason, mut message, mut started, mut finished, mut id) = (None, None, None, None, None);
    json.object(|json, name| match name {
        b"exitCode" => json.fill(&mut exit_code, Cursor::integer),
        b"reason" => json.fill(&mut reason, |json| spare.owned(json)),
        b"message" => json.fill(&mut message, |json| spare.owned(json)),
        b"startedAt" => json.fill(&mut started, time),
        b"finishedAt" => json.fill(&mut finished, time),
        b"containerID" => json.fill(&mut id, |json| spare.owned(json)),
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
