//! Traces: one wait as JSON Lines, format version 1.
//!
//! The first line is a [`Header`]. After it come events, each with an observation and its time, and after each event
//! the machine's answer. [`Recorder`] writes a trace during a wait, [`TraceReader`] reads it, and [`replay`] feeds the
//! events to a new machine and compares its answers with the recorded ones.

mod create;
mod error;
mod read;
mod replay;
mod write;

pub use create::create;
pub use error::{EventError, TraceError, TraceProblem};
pub use read::{TraceLine, TraceReader, read_event};
pub use replay::{Difference, Replay, replay};
pub use write::{Pods, Recorder};

use crate::wait::Wait;
use podwait_core::{
    Class, Decision, DoneReason, Evidence, FailReason, Policy, RetryReason, Target, WaitMachine,
};
use serde::{Deserialize, Serialize};

/// The version of the format.
const VERSION: u64 = 1;

/// The first line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Header {
    /// The version of the format.
    podwait_trace: u64,
    /// A short name.
    #[serde(default)]
    pub id: Option<String>,
    /// A description of the recorded events.
    #[serde(default)]
    pub title: Option<String>,
    /// What the wait is for.
    pub target: Target,
    /// The policy of the wait; omitted fields have their defaults.
    #[serde(default)]
    pub policy: Policy,
}

impl Default for Header {
    fn default() -> Self {
        Self::new(Target::default(), Policy::default())
    }
}

impl Header {
    /// A header for a wait on this target.
    #[must_use]
    pub fn new(target: Target, policy: Policy) -> Self {
        Self { podwait_trace: VERSION, id: None, title: None, target, policy }
    }

    /// A machine for the wait.
    #[must_use]
    pub fn machine(&self) -> WaitMachine {
        self.target.machine(self.policy.clone().into())
    }
}

/// A decision in a trace: the codes, not the sentences, whose wording may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decided {
    /// Nothing is decided.
    Retry {
        /// The reason to wait.
        why: RetryReason,
        /// Milliseconds until the machine needs the next input.
        after_ms: u64,
    },
    /// The target's own exit.
    Done {
        /// Why this is the answer.
        reason: DoneReason,
        /// The code.
        exit_code: i32,
        /// Where the code comes from.
        evidence: Evidence,
    },
    /// There is no exit of the target.
    Fail {
        /// Why there is none.
        reason: FailReason,
        /// Where the failure has to be fixed.
        class: Class,
        /// A code that was seen.
        exit_code: Option<i32>,
    },
}

impl From<&Decision> for Decided {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::Retry { after, why } => {
                Self::Retry { why: *why, after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX) }
            }
            Decision::Done(exit) => {
                Self::Done { reason: exit.reason, exit_code: exit.code, evidence: exit.evidence }
            }
            Decision::Fail(failure) => {
                Self::Fail { reason: failure.reason, class: failure.class(), exit_code: failure.exit_code }
            }
        }
    }
}

impl Wait {
    /// The header of a trace of this wait: its target and its effective policy.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::new(self.target().clone(), self.machine().policy().clone())
    }
}
