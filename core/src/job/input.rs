//! The inputs of the machine of a Job.

use super::snapshot::JobSnapshot;
use crate::input::ApiError;
use crate::snapshot::PodSnapshot;

/// One event, passed to [`crate::JobMachine::handle`] together with its time.
///
/// The Job and its pods are read and watched apart from each other, so their inputs may come in any order. The pods of
/// a Job whose uid is not known yet are ignored: pass the Job first, and list its pods after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobInput<'a> {
    /// The Job from a watch event ADDED or MODIFIED, or from a source that may be stale, as
    /// [`Input::Snapshot`](crate::Input::Snapshot).
    Snapshot(&'a JobSnapshot),
    /// The Job from a consistent read, as [`Input::Read`](crate::Input::Read).
    Read(&'a JobSnapshot),
    /// A watch event DELETED of a watch by name, with the last stored object that it carries.
    Deleted(&'a JobSnapshot),
    /// A GET answered that this Job does not exist. Only a `Status` about this Job counts.
    NotFound,
    /// A call about the Job's object failed.
    ApiError(ApiError<'a>),
    /// A pod from a watch event ADDED or MODIFIED. Pods of other owners are ignored.
    Pod(JobPod<'a>),
    /// A watch event DELETED of a pod, with the last stored object. A selector of the watch must be one that a pod
    /// cannot leave, or the deletion must be confirmed.
    PodDeleted(JobPod<'a>),
    /// All pods of the Job, from a complete, consistent LIST that began after the newest input about any of them. A
    /// pod that is not in it does not exist any more.
    Pods(&'a [JobPod<'a>]),
    /// A call about the Job's pods failed. It never ends the wait: the Job's conditions are enough.
    PodsError(ApiError<'a>),
    /// Nothing but time has passed.
    Tick,
    /// The caller cancels the wait.
    Cancel,
}

/// An object of a pod that may be a pod of the Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobPod<'a> {
    /// `metadata.name`
    pub name: &'a str,
    /// The uid in the pod's controller ownerReference; empty if it has none.
    pub owner: &'a str,
    /// The pod.
    pub snapshot: &'a PodSnapshot,
}
