//! The facts about a Job that the rules read, with Kubernetes' own names.
//!
//! An adapter fills a [`JobSnapshot`] from a Job's object (`batch/v1`) and decides nothing.

use crate::snapshot::{Condition, Timestamp};
use alloc::string::String;
use alloc::vec::Vec;

/// One observation of one Job, from a GET, a LIST or a watch event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct JobSnapshot {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `metadata.generation`; 0 when absent.
    pub generation: i64,
    /// `metadata.deletionTimestamp`
    pub deletion_timestamp: Option<Timestamp>,

    /// `spec.suspend`
    pub suspend: bool,
    /// `spec.parallelism`; the API server sets 1 if the field is absent.
    pub parallelism: Option<i32>,
    /// `spec.completions`; `None` means that the success of any pod is enough.
    pub completions: Option<i32>,
    /// `spec.completionMode`
    pub completion_mode: CompletionMode,
    /// `spec.backoffLimit`
    pub backoff_limit: Option<i32>,
    /// `spec.backoffLimitPerIndex` (KEP-3850)
    pub backoff_limit_per_index: Option<i32>,
    /// `spec.maxFailedIndexes` (KEP-3850)
    pub max_failed_indexes: Option<i32>,
    /// `spec.activeDeadlineSeconds`
    pub active_deadline_seconds: Option<i64>,
    /// `spec.managedBy` (KEP-4368); empty when absent.
    pub managed_by: String,
    /// `spec.podReplacementPolicy` (KEP-3939)
    pub pod_replacement_policy: PodReplacementPolicy,
    /// `spec.ttlSecondsAfterFinished`
    pub ttl_seconds_after_finished: Option<i32>,

    /// `status.conditions`
    pub conditions: JobConditions,
    /// `status.startTime`
    pub start_time: Option<Timestamp>,
    /// `status.active`: pods that are pending or running, and not being deleted.
    pub active: i32,
    /// `status.ready`; 0 when absent.
    pub ready: i32,
    /// `status.succeeded`
    pub succeeded: i32,
    /// `status.failed`
    pub failed: i32,
    /// `status.terminating` (KEP-3939); `None` before Kubernetes 1.28.
    pub terminating: Option<i32>,
    /// `status.uncountedTerminatedPods.succeeded`: the uids of pods that are not in `succeeded` yet.
    pub uncounted_succeeded: Vec<String>,
    /// `status.uncountedTerminatedPods.failed`: likewise.
    pub uncounted_failed: Vec<String>,
    /// `status.completedIndexes`, such as `1,3-5`; empty when absent.
    pub completed_indexes: String,
    /// `status.failedIndexes`, likewise (KEP-3850).
    pub failed_indexes: String,
}

/// The conditions of a Job that the rules read, each whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct JobConditions {
    /// `Complete`
    pub complete: Option<Condition>,
    /// `Failed`
    pub failed: Option<Condition>,
    /// `SuccessCriteriaMet` (KEP-3998): the Job will be `Complete` when its pods are gone.
    pub success_criteria_met: Option<Condition>,
    /// `FailureTarget` (KEP-3329): the Job will be `Failed` when its pods are gone.
    pub failure_target: Option<Condition>,
    /// `Suspended`
    pub suspended: Option<Condition>,
}

impl JobConditions {
    /// The place of the condition with this `type`; `None` if the rules do not read it.
    pub fn get_mut(&mut self, of_type: &str) -> Option<&mut Option<Condition>> {
        match of_type {
            "Complete" => Some(&mut self.complete),
            "Failed" => Some(&mut self.failed),
            "SuccessCriteriaMet" => Some(&mut self.success_criteria_met),
            "FailureTarget" => Some(&mut self.failure_target),
            "Suspended" => Some(&mut self.suspended),
            _ => None,
        }
    }
}

/// `spec.completionMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CompletionMode {
    /// Every success counts. Also what an absent mode means.
    #[default]
    NonIndexed,
    /// Each index needs a success.
    Indexed,
    /// A mode that this version does not know; the Job controller leaves such a Job alone.
    Unrecognized,
}

impl CompletionMode {
    /// The mode of that name; an empty name is `NonIndexed`.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "" | "NonIndexed" => Self::NonIndexed,
            "Indexed" => Self::Indexed,
            _ => Self::Unrecognized,
        }
    }
}

/// `spec.podReplacementPolicy`: when the Job controller replaces a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PodReplacementPolicy {
    /// As soon as the pod is being deleted or has failed. Also what an absent policy means.
    #[default]
    TerminatingOrFailed,
    /// When the pod has ended.
    Failed,
    /// A policy that this version does not know.
    Unrecognized,
}

impl PodReplacementPolicy {
    /// The policy of that name; an empty name is `TerminatingOrFailed`.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "" | "TerminatingOrFailed" => Self::TerminatingOrFailed,
            "Failed" => Self::Failed,
            _ => Self::Unrecognized,
        }
    }
}

impl JobSnapshot {
    /// Whether something has shown that a pod of the Job ran.
    pub(crate) fn has_run(&self) -> bool {
        self.ready > 0 || self.failed > 0 || self.has_successes() || !self.uncounted_failed.is_empty()
    }

    /// Whether a pod of the Job has succeeded.
    pub(crate) fn has_successes(&self) -> bool {
        self.succeeded > 0 || !self.uncounted_succeeded.is_empty()
    }

    /// How many pods the Job has at a time, from now on (`manageJob` of the Job controller). Without `completions`
    /// the controller starts no pod after the first success, and waits for those that are there.
    pub(crate) fn wanted(&self) -> usize {
        let count = |number: i32| usize::try_from(number).unwrap_or(0);
        let parallelism = self.parallelism.map_or(1, count);
        let Some(completions) = self.completions else {
            return if self.has_successes() { 1 } else { parallelism };
        };
        let succeeded = count(self.succeeded).saturating_add(self.uncounted_succeeded.len());
        let over = succeeded
            .saturating_add(indexes(&self.failed_indexes).map(|(first, last)| last - first + 1).sum());
        count(completions).saturating_sub(over).min(parallelism)
    }
}

/// The intervals of a text such as `1,3-5`. What is not one is left out.
pub(crate) fn indexes(text: &str) -> impl Iterator<Item = (usize, usize)> {
    text.split(',').filter_map(|interval| {
        let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
        // An index is less than completions, which is an i32.
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first as usize, last as usize))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn indexes_are_read_as_the_controller_writes_them() {
        assert_eq!(indexes("1,3-5,7").collect::<Vec<_>>(), [(1, 1), (3, 5), (7, 7)]);
        for nothing in ["", ",", "x", "5-3", "-1", "1-2-3", "4294967296"] {
            assert_eq!(indexes(nothing).count(), 0, "{nothing}");
        }
    }

    #[test]
    fn a_job_wants_as_many_pods_as_it_lacks_successes() {
        let job = JobSnapshot { parallelism: Some(3), completions: Some(5), ..JobSnapshot::default() };
        assert_eq!(job.wanted(), 3);
        assert_eq!(JobSnapshot { succeeded: 3, ..job.clone() }.wanted(), 2);
        let uncounted = vec!["a".into()];
        assert_eq!(JobSnapshot { succeeded: 3, uncounted_succeeded: uncounted, ..job.clone() }.wanted(), 1);
        assert_eq!(JobSnapshot { succeeded: 1, failed_indexes: "0,2-3".into(), ..job.clone() }.wanted(), 1);
        assert_eq!(JobSnapshot { succeeded: 9, ..job.clone() }.wanted(), 0);
        assert_eq!(JobSnapshot { parallelism: Some(-1), ..job.clone() }.wanted(), 0);
        assert_eq!(JobSnapshot { completions: None, ..job.clone() }.wanted(), 3);
        assert_eq!(JobSnapshot { completions: None, succeeded: 1, ..job }.wanted(), 1);
        assert_eq!(JobSnapshot::default().wanted(), 1);
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        assert_eq!(CompletionMode::parse(""), CompletionMode::NonIndexed);
        assert_eq!(CompletionMode::parse("Indexed"), CompletionMode::Indexed);
        assert_eq!(CompletionMode::parse("indexed"), CompletionMode::Unrecognized);
        assert_eq!(PodReplacementPolicy::parse(""), PodReplacementPolicy::TerminatingOrFailed);
        assert_eq!(PodReplacementPolicy::parse("Failed"), PodReplacementPolicy::Failed);
        assert_eq!(PodReplacementPolicy::parse("Never"), PodReplacementPolicy::Unrecognized);
    }
}
