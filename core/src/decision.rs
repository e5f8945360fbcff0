//! What the machine answers.

use crate::reason::{Class, DoneReason, FailReason, RetryReason};
use crate::rules::words::{doubt, not_by_the_step};
use crate::snapshot::{Phase, Timestamp};
use crate::text::{name, quote};
use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// The answer to one input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the decision has the time of the next call, or ends the wait"]
pub enum Decision {
    /// There is no verdict yet. Call again with any input, or with a tick once `after` has passed.
    ///
    /// `after` is never zero and never reaches past the machine's next own timer. An earlier call is harmless.
    Retry {
        /// How long to wait at most.
        after: Duration,
        /// What the machine waits for.
        why: RetryReason,
    },
    /// The target's own exit. Latched: no later input changes it.
    Done(Exit),
    /// There is no exit that the step itself produced. Latched: no later input changes it.
    Fail(Failure),
}

impl Decision {
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

/// The final answer: the target's own exit, or the reason why there is none.
impl From<Result<Exit, Failure>> for Decision {
    fn from(verdict: Result<Exit, Failure>) -> Self {
        match verdict {
            Ok(exit) => Self::Done(exit),
            Err(failure) => Self::Fail(failure),
        }
    }
}

/// How the target ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Exit {
    /// `exitCode`, an i32 in Kubernetes: Windows codes and negative ones exist.
    pub code: i32,
    /// Whether the code was observed or inferred.
    pub evidence: Evidence,
    /// Why this is the answer.
    pub reason: DoneReason,
    /// The rule that decided, by its number in [the book](crate::book).
    pub rule: u8,
    /// The container whose exit this is.
    pub container: String,
    /// The record's own `reason`, such as `Completed`; empty when there is none.
    pub container_reason: String,
    /// The record's `message`: the text that the step wrote to its termination message path; empty when there is none.
    /// It is the step's own output: keep it out of logs and metrics where that matters.
    pub container_message: String,
    /// The record says `OOMKilled`: a process of the container, or with a limit of the pod perhaps of another container, was
    /// killed for memory.
    pub oom_killed: bool,
    /// `startedAt`, as reported by the node.
    pub started_at: Option<Timestamp>,
    /// `finishedAt`, as reported by the node.
    pub finished_at: Option<Timestamp>,
    /// `restartCount`, as reported. Best effort in Kubernetes: a kubelet restart may reset it.
    pub restart_count: i32,
    /// The container's `containerID`; empty when the status has none.
    pub container_id: String,
    /// The pod's phase when this was decided.
    pub pod_phase: Phase,
}

impl Exit {
    /// Which run this is, counting from 1: one more than the restarts.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        u32::try_from(self.restart_count).unwrap_or(0).saturating_add(1)
    }

    /// Whether the step succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.code == 0
    }
}

/// One sentence for people, on one line and of at most 1 KiB. It quotes the runtime if the command could not be
/// started, and never the step's output.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = name(&self.container);
        match self.reason {
            DoneReason::Completed if self.evidence == Evidence::Inferred => {
                write!(f, "container {name} exited 0, inferred by its kubelet")?;
            }
            DoneReason::Completed => write!(f, "container {name} exited 0")?,
            DoneReason::NonzeroExit => {
                let doubt = doubt(self.code, &self.container_reason, &self.container_id);
                write!(f, "container {name} exited {}{doubt}", self.code)?;
            }
            DoneReason::OomKilled => {
                write!(f, "a process of container {name} or of its pod was killed for memory, ")?;
                write!(f, "and the container exited {}", self.code)?;
            }
            DoneReason::StartError => {
                let said = quote("", not_by_the_step(&self.container_reason, &self.container_message));
                let of = if said.is_empty() { "" } else { ": " };
                write!(f, "container {name} could not start its command (code {}{of}{said})", self.code)?;
            }
            DoneReason::InferredFromPhase if self.pod_phase == Phase::Succeeded => {
                write!(f, "container {name} exited 0, inferred from phase Succeeded")?;
            }
            DoneReason::InferredFromPhase => {
                write!(f, "the pod is gone, which the policy counts as exit 0 of container {name}")?;
            }
        }
        if self.restart_count > 0 {
            write!(f, " on attempt {}", self.attempt())?;
        }
        Ok(())
    }
}

/// Where an exit code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Evidence {
    /// A `terminated` record of the target.
    Observed,
    /// The pod's phase, or under `on_gone: assume_success` its absence.
    Inferred,
}

impl Evidence {
    /// The snake_case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Inferred => "inferred",
        }
    }
}

/// Why there is no exit that the step itself produced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("{message}")]
#[non_exhaustive]
pub struct Failure {
    /// The reason code.
    pub reason: FailReason,
    /// The rule that decided, by its number in [the book](crate::book).
    pub rule: u8,
    /// One sentence for people: what happened, from which facts, what to do. It quotes messages of the pod, its node
    /// and the API server, and never the step's output. It is on one line, without control characters, and of at most 1
    /// KiB.
    pub message: String,
    /// An exit code that was seen, if any. Information, never a result.
    pub exit_code: Option<i32>,
    /// Whether the step may have run to its end: nothing shows the contrary, or it exited 0 when it was stopped.
    ///
    /// It is false if the newest state of the pod shows that the step never started, or that it ended with another
    /// code. It is true if that state may be out of date: the pod is gone, or no read of the API server has succeeded
    /// since.
    pub may_have_finished: bool,
}

impl Failure {
    pub(crate) const fn new(reason: FailReason, message: String, exit_code: Option<i32>) -> Self {
        Self { reason, rule: reason.rule(), message, exit_code, may_have_finished: true }
    }

    pub(crate) const fn by_rule(mut self, rule: u8) -> Self {
        self.rule = rule;
        self
    }

    /// Where the failure has to be fixed.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.reason.class()
    }

    /// Whether the step can be run again without the risk that finished work runs twice: the cluster refused or stopped
    /// the step (eviction, preemption, drain, node shutdown), and the step cannot have finished. A plain deletion of
    /// the pod does not count, because it may have been intended.
    #[must_use]
    pub const fn is_safe_to_rerun(&self) -> bool {
        !self.may_have_finished && self.reason.is_by_the_cluster()
    }
}
