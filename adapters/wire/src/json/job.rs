//! A Job.

use super::pod::Metadata;
use super::status::ConditionView;
use super::values::{Object, Text, Time};
use crate::error::DecodeError;
use crate::job::Job;
use crate::kind::Kind;
use crate::selector::Selector;
use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use podwait_core::{CompletionMode, JobConditions, JobSnapshot, PodReplacementPolicy};
use serde::Deserialize;

/// Reads a Job from all of a text.
pub(crate) fn job(json: &[u8]) -> Result<Job, DecodeError> {
    super::read::<Object<JobView<'_>>>(json)?.0.job()
}

/// A Job's JSON, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct JobView<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
    metadata: Option<Object<Metadata<'a>>>,
    spec: Option<Object<Spec<'a>>>,
    status: Option<Object<Status<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    suspend: Option<bool>,
    parallelism: Option<i32>,
    completions: Option<i32>,
    #[serde(borrow)]
    completion_mode: Text<'a>,
    backoff_limit: Option<i32>,
    backoff_limit_per_index: Option<i32>,
    max_failed_indexes: Option<i32>,
    active_deadline_seconds: Option<i64>,
    managed_by: Text<'a>,
    pod_replacement_policy: Text<'a>,
    ttl_seconds_after_finished: Option<i32>,
    selector: Option<Object<SelectorView<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SelectorView<'a> {
    #[serde(borrow)]
    match_labels: Option<BTreeMap<Cow<'a, str>, Text<'a>>>,
    match_expressions: Option<Vec<Object<Requirement<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Requirement<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    operator: Text<'a>,
    values: Option<Vec<Text<'a>>>,
}

impl SelectorView<'_> {
    fn into_text(self) -> String {
        let mut selector = Selector::default();
        for (key, value) in self.match_labels.iter().flatten() {
            selector.label(key, &value.0);
        }
        for Object(requirement) in self.match_expressions.iter().flatten() {
            let values: Vec<&str> = requirement.values.iter().flatten().map(|value| &*value.0).collect();
            selector.expression(&requirement.key.0, &requirement.operator.0, &values);
        }
        selector.into_text()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    conditions: Option<Vec<Object<ConditionView<'a>>>>,
    start_time: Time,
    active: Option<i32>,
    ready: Option<i32>,
    succeeded: Option<i32>,
    failed: Option<i32>,
    terminating: Option<i32>,
    uncounted_terminated_pods: Option<Object<Uncounted<'a>>>,
    completed_indexes: Text<'a>,
    failed_indexes: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Uncounted<'a> {
    #[serde(borrow)]
    succeeded: Option<Vec<Text<'a>>>,
    failed: Option<Vec<Text<'a>>>,
}

impl JobView<'_> {
    /// The Job, if it is one.
    pub(super) fn job(self) -> Result<Job, DecodeError> {
        DecodeError::check_kind(Kind::JOB, &self.kind.0, &self.api_version.0)?;
        let metadata = self.metadata.unwrap_or_default().0;
        let spec = self.spec.unwrap_or_default().0;
        let status = self.status.unwrap_or_default().0;
        let uncounted = status.uncounted_terminated_pods.unwrap_or_default().0;
        let snapshot = JobSnapshot {
            uid: metadata.uid.into_owned(),
            resource_version: metadata.resource_version.into_owned(),
            generation: metadata.generation.unwrap_or_default(),
            deletion_timestamp: metadata.deletion_timestamp.0,
            suspend: spec.suspend.unwrap_or_default(),
            parallelism: spec.parallelism,
            completions: spec.completions,
            completion_mode: CompletionMode::parse(&spec.completion_mode.0),
            backoff_limit: spec.backoff_limit,
            backoff_limit_per_index: spec.backoff_limit_per_index,
            max_failed_indexes: spec.max_failed_indexes,
            active_deadline_seconds: spec.active_deadline_seconds,
            managed_by: spec.managed_by.into_owned(),
            pod_replacement_policy: PodReplacementPolicy::parse(&spec.pod_replacement_policy.0),
            ttl_seconds_after_finished: spec.ttl_seconds_after_finished,
            conditions: conditions(status.conditions),
            start_time: status.start_time.0,
            active: status.active.unwrap_or_default(),
            ready: status.ready.unwrap_or_default(),
            succeeded: status.succeeded.unwrap_or_default(),
            failed: status.failed.unwrap_or_default(),
            terminating: status.terminating,
            uncounted_succeeded: texts(uncounted.succeeded),
            uncounted_failed: texts(uncounted.failed),
            completed_indexes: status.completed_indexes.into_owned(),
            failed_indexes: status.failed_indexes.into_owned(),
        };
        let (namespace, name) = (metadata.namespace.into_owned(), metadata.name.into_owned());
        let selector = spec.selector.unwrap_or_default().0.into_text();
        Job { namespace, name, selector, snapshot }.identified()
    }
}

/// The first of each type.
fn conditions(views: Option<Vec<Object<ConditionView<'_>>>>) -> JobConditions {
    let mut conditions = JobConditions::default();
    for Object(view) in views.into_iter().flatten() {
        if let Some(slot) = conditions.get_mut(&view.r#type.0) {
            slot.get_or_insert_with(|| view.condition());
        }
    }
    conditions
}

fn texts(texts: Option<Vec<Text<'_>>>) -> Vec<String> {
    texts.into_iter().flatten().map(Text::into_owned).collect()
}
