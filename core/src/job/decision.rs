//! What the machine of a Job answers.

use crate::decision::{Exit, Failure};
use crate::reason::{DoneReason, RetryReason};
use crate::text::{in_parentheses, name};
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// The answer to one input about a Job. The same promises as [`Decision`](crate::Decision).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the decision has the time of the next call, or ends the wait"]
pub enum JobDecision {
    /// There is no verdict yet. Call again with any input, or once `after` has passed: then read the Job and list its
    /// pods, or send a tick.
    ///
    /// [`RetryReason::AwaitingTerminatedState`] asks for a list of the pods at once.
    Retry {
        /// How long to wait at most; never zero.
        after: Duration,
        /// What the machine waits for.
        why: RetryReason,
    },
    /// The Job is complete, or failed by the exit of a pod. Latched.
    Done(JobExit),
    /// The Job failed for another reason, or it is not known how it ended. Latched.
    Fail(Failure),
}

impl JobDecision {
    /// The reason code, one snake_case word whatever the decision is.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Retry { why, .. } => why.as_str(),
            Self::Done(exit) => exit.reason.as_str(),
            Self::Fail(failure) => failure.reason.as_str(),
        }
    }

    /// Whether this is the final answer.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Retry { .. } => false,
            Self::Done(_) | Self::Fail(_) => true,
        }
    }
}

/// The final answer: how the Job ended, or the reason why that is not known.
impl From<Result<JobExit, Failure>> for JobDecision {
    fn from(verdict: Result<JobExit, Failure>) -> Self {
        match verdict {
            Ok(exit) => Self::Done(exit),
            Err(failure) => Self::Fail(failure),
        }
    }
}

/// How a Job ended: complete, or failed by the exit of one of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct JobExit {
    /// 0 if the Job is complete, otherwise the exit code of the pod that decided, which is not 0.
    pub code: i32,
    /// Why this is the answer: `completed`, `inferred_from_phase` for a 404 that the policy takes for a success, or the
    /// reason of the pod's exit.
    pub reason: DoneReason,
    /// The rule that decided, by its number in [the book](crate::book::jobs).
    pub rule: u8,
    /// `reason` of the Job's condition, such as `BackoffLimitExceeded`, on one line; may be empty.
    pub condition_reason: String,
    /// `message` of that condition, on one line and cut; may be empty.
    pub condition_message: String,
    /// The pod that decided; `None` if the Job is complete.
    pub pod: Option<Box<JobPodExit>>,
}

/// The pod whose exit made a Job fail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct JobPodExit {
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// The exit of its first container that failed.
    pub exit: Exit,
}

impl JobExit {
    /// Whether the Job is complete.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.code == 0
    }
}

/// One sentence for people, on one line and of at most 2 KiB.
impl fmt::Display for JobExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pod) = &self.pod else {
            return f.write_str(match self.reason {
                DoneReason::InferredFromPhase => "the job is gone, which the policy counts as complete",
                DoneReason::Completed
                | DoneReason::NonzeroExit
                | DoneReason::OomKilled
                | DoneReason::StartError => "the job is complete",
            });
        };
        let said = said(&self.condition_reason, &self.condition_message);
        write!(f, "the job failed{said}; in pod {}, {}", name(&pod.name), pod.exit)
    }
}

/// The words of a condition in parentheses, which are on one line already, or nothing.
pub(super) fn said(reason: &str, message: &str) -> String {
    let of = if reason.is_empty() || message.is_empty() { "" } else { ": " };
    in_parentheses(&alloc::format!("{reason}{of}{message}"))
}
