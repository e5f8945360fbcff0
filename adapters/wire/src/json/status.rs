//! `status` of a pod.

use super::values::{Object, Text, Time};
use alloc::vec::Vec;
use podwait_core::{Condition, ContainerState, ContainerStatus, Terminated};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status<'a> {
    pub(super) observed_generation: Option<i64>,
    #[serde(borrow)]
    pub(super) phase: Text<'a>,
    pub(super) reason: Text<'a>,
    pub(super) message: Text<'a>,
    conditions: Option<Vec<Object<ConditionView<'a>>>>,
    pub(super) container_statuses: Statuses<'a>,
    pub(super) init_container_statuses: Statuses<'a>,
    pub(super) ephemeral_container_statuses: Statuses<'a>,
}

type Statuses<'a> = Option<Vec<Object<StatusView<'a>>>>;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ConditionView<'a> {
    #[serde(borrow)]
    pub(super) r#type: Text<'a>,
    status: Text<'a>,
    reason: Text<'a>,
    message: Text<'a>,
    last_transition_time: Time,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StatusView<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    restart_count: Option<i32>,
    #[serde(rename = "containerID")]
    container_id: Text<'a>,
    state: Option<Object<State<'a>>>,
    last_state: Option<Object<State<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State<'a> {
    #[serde(borrow)]
    waiting: Option<Object<Waiting<'a>>>,
    running: Option<IgnoredAny>,
    terminated: Option<Object<TerminatedView<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
    message: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TerminatedView<'a> {
    /// Required: a record without a code must not be read as 0.
    exit_code: i32,
    #[serde(default, borrow)]
    reason: Text<'a>,
    #[serde(default)]
    message: Text<'a>,
    #[serde(default)]
    started_at: Time,
    #[serde(default)]
    finished_at: Time,
    #[serde(default, rename = "containerID")]
    container_id: Text<'a>,
}

impl Status<'_> {
    /// The first `DisruptionTarget` and the first `PodScheduled`.
    pub(super) fn conditions(&self) -> (Option<Condition>, Option<Condition>) {
        let first = |kind: &str| {
            let mut all = self.conditions.iter().flatten().map(|Object(condition)| condition);
            all.find(|condition| condition.r#type.0 == kind).map(ConditionView::condition)
        };
        (first("DisruptionTarget"), first("PodScheduled"))
    }
}

impl ConditionView<'_> {
    pub(super) fn condition(&self) -> Condition {
        Condition {
            is_true: self.status.0 == "True",
            reason: self.reason.clone().into_owned(),
            message: self.message.clone().into_owned(),
            last_transition_time: self.last_transition_time.0,
        }
    }
}

pub(super) fn statuses(views: Statuses<'_>) -> Vec<ContainerStatus> {
    let status = |Object(view): Object<StatusView<'_>>| ContainerStatus {
        name: view.name.into_owned(),
        restart_count: view.restart_count.unwrap_or_default(),
        container_id: view.container_id.into_owned(),
        state: view.state.and_then(|Object(state)| state.into_state()),
        last_terminated: view.last_state.and_then(|Object(state)| state.terminated).map(terminated),
    };
    views.into_iter().flatten().map(status).collect()
}

impl State<'_> {
    /// If several are set (a defect of some providers), the one with the most information counts.
    fn into_state(self) -> Option<ContainerState> {
        if let Some(record) = self.terminated {
            return Some(ContainerState::Terminated(terminated(record)));
        }
        if self.running.is_some() {
            return Some(ContainerState::Running);
        }
        let Object(waiting) = self.waiting?;
        let (reason, message) = (waiting.reason.into_owned(), waiting.message.into_owned());
        Some(ContainerState::Waiting { reason, message })
    }
}

fn terminated(Object(view): Object<TerminatedView<'_>>) -> Terminated {
    Terminated {
        exit_code: view.exit_code,
        reason: view.reason.into_owned(),
        message: view.message.into_owned(),
        started_at: view.started_at.0,
        finished_at: view.finished_at.0,
        container_id: view.container_id.into_owned(),
    }
}
