//! Rule 14: the Job's object. Its identity, absence and limits, and the errors of the API server.
//!
//! The rules of pods hold for it unchanged (1, 9, 11, 12 and 13), so a [`WaitMachine`] decides. It receives of the Job
//! what those rules read: the uid and the resourceVersion. What happens in the Job is not its business, so its pod
//! runs for as long as the Job is there.

use super::decision::JobExit;
use super::input::JobPod;
use super::snapshot::JobSnapshot;
use crate::decision::{Decision, Failure};
use crate::input::{ApiError, Input};
use crate::machine::{State, WaitMachine};
use crate::policy::Policy;
use crate::reason::{DoneReason, FailReason, RetryReason};
use crate::snapshot::{Container, ContainerState, ContainerStatus, Phase, PodSnapshot};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use core::time::Duration;

/// The wait for the Job's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object(pub(super) WaitMachine);

/// What the rules about the object say.
pub(super) enum Standing {
    /// The Job is there; come back after that time at the latest.
    There(Duration),
    /// It is not there, or cannot be read, for now.
    Unknown(Duration, RetryReason),
    /// The wait is over: the Job is gone, or cannot be read for too long, or the caller's limit ran out.
    Over(Box<Result<JobExit, Failure>>),
}

impl Object {
    /// `start_deadline` is about pods.
    pub(super) fn new(policy: &Policy) -> Self {
        Self(WaitMachine::new(Arc::new(Policy(policy.clone().0.start_deadline(None)))))
    }

    /// As [`WaitMachine::uid`].
    pub(super) fn pin(&mut self, uid: String) {
        self.0 = self.0.clone().uid(uid);
    }

    pub(super) fn uid(&self) -> Option<&str> {
        self.0.pod_uid()
    }

    /// Whether the newest object that was accepted is this one, and not a newer one.
    pub(super) fn has_accepted(&self, job: &JobSnapshot) -> bool {
        let State::Waiting(waiting) = &self.0.state else { return false };
        let version = waiting.history.as_ref().map(|history| &history.resource_version);
        self.uid() == Some(&job.uid) && version == Some(&job.resource_version)
    }

    /// Whether the pod is one of this Job: by its controller ownerReference, since anybody can set a label.
    pub(super) fn owns(&self, pod: &JobPod<'_>) -> bool {
        !pod.owner.is_empty() && self.uid() == Some(pod.owner)
    }

    pub(super) fn snapshot(&mut self, at: Instant, job: &JobSnapshot) {
        let _ = self.0.handle(at, Input::Snapshot(&as_object(job)));
    }

    pub(super) fn read(&mut self, at: Instant, job: &JobSnapshot) {
        let _ = self.0.handle(at, Input::Read(&as_object(job)));
    }

    pub(super) fn deleted(&mut self, at: Instant, job: &JobSnapshot) {
        let _ = self.0.handle(at, Input::Deleted(&as_object(job)));
    }

    pub(super) fn not_found(&mut self, at: Instant) {
        let _ = self.0.handle(at, Input::NotFound);
    }

    pub(super) fn api_error(&mut self, at: Instant, error: ApiError<'_>) {
        let _ = self.0.handle(at, Input::ApiError(error));
    }

    /// The state at this time. `is_seen` if the Job was seen before.
    pub(super) fn standing(&mut self, at: Instant, is_seen: bool) -> Standing {
        match self.0.handle(at, Input::Tick) {
            Decision::Retry { after, why: RetryReason::Running } => Standing::There(after),
            Decision::Retry { after, why: RetryReason::AwaitingPod } => {
                Standing::Unknown(after, RetryReason::AwaitingJob)
            }
            Decision::Retry { after, why } => Standing::Unknown(after, why),
            Decision::Done(exit) => Standing::Over(Box::new(Ok(JobExit {
                code: exit.code,
                reason: DoneReason::InferredFromPhase,
                rule: 14,
                condition_reason: String::new(),
                condition_message: String::new(),
                pod: None,
            }))),
            Decision::Fail(failure) => Standing::Over(Box::new(Err(self.in_words_of_jobs(failure, is_seen)))),
        }
    }

    fn in_words_of_jobs(&self, failure: Failure, is_seen: bool) -> Failure {
        let policy = &self.0.policy.0;
        let reason = failure.reason;
        let message = if reason == FailReason::PodNeverSeen {
            format!("no such job appeared within {:?}", policy.absent_grace)
        } else if reason == FailReason::PodReplaced && !is_seen {
            let grace = policy.absent_grace;
            format!("another job has this name, and the expected one did not appear within {grace:?}")
        } else if reason == FailReason::PodReplaced {
            String::from(
                "another job of this name took its place before it was seen to be complete or failed",
            )
        } else if reason == FailReason::PodDeleted {
            String::from("the job was deleted before it was seen to be complete or failed")
        } else if reason == FailReason::Deadline {
            format!("the job did not end within {:?}", policy.deadline.unwrap_or_default())
        } else if reason == FailReason::Forbidden || failure.rule == 1 {
            // The first mention is the machine's own, others are quoted.
            failure.message.replacen("the pod", "the job", 1)
        } else {
            failure.message
        };
        Failure { message, rule: 14, exit_code: None, may_have_finished: true, ..failure }
    }
}

/// What the rules about an object read of a Job: which one it is, and how new.
fn as_object(job: &JobSnapshot) -> PodSnapshot {
    const NAME: &str = "job";
    PodSnapshot {
        uid: job.uid.clone(),
        resource_version: job.resource_version.clone(),
        phase: Phase::Running,
        containers: vec![Container { name: NAME.into(), ..Container::default() }],
        container_statuses: vec![ContainerStatus {
            name: NAME.into(),
            state: Some(ContainerState::Running),
            ..ContainerStatus::default()
        }],
        ..PodSnapshot::default()
    }
}
