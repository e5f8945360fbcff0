//! What the newest object says about a Job that goes on.

use super::snapshot::{JobSnapshot, PodReplacementPolicy};
use crate::text::name;
use alloc::string::String;

/// The facts that the rules need while a Job goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// `spec.suspend`
    pub(super) is_suspended: bool,
    /// It has a deletionTimestamp.
    pub(super) is_terminating: bool,
    /// `spec.podReplacementPolicy`
    pub(super) replacement: PodReplacementPolicy,
    /// How many pods it has at a time.
    pub(super) wanted: usize,
    /// `status.active`
    pub(super) active: usize,
    /// `status.ready` is not 0.
    pub(super) is_ready: bool,
    /// A pod of it has run.
    pub(super) has_run: bool,
    /// A pod of it has succeeded.
    pub(super) has_successes: bool,
    /// `spec.managedBy`, if that is another controller, on one line.
    pub(super) managed_by: Option<String>,
}

/// The value of `managedBy` that means the Job controller of Kubernetes (`JobControllerName` in `k8s.io/api/batch/v1`).
const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

impl Facts {
    pub(super) fn of(job: &JobSnapshot) -> Self {
        let managed_by = Some(name(&job.managed_by)).filter(|by| !by.is_empty() && by != JOB_CONTROLLER);
        Self {
            is_suspended: job.suspend,
            is_terminating: job.deletion_timestamp.is_some(),
            replacement: job.pod_replacement_policy,
            wanted: job.wanted(),
            active: usize::try_from(job.active).unwrap_or(0),
            is_ready: job.ready > 0,
            has_run: job.has_run(),
            has_successes: job.has_successes(),
            managed_by: managed_by.map(|by| by.into_owned()),
        }
    }
}
