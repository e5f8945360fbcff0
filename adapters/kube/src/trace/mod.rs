//! Traces: one wait as JSON Lines, format version 1.
//!
//! The first line is a [`Header`]. Then come events, each with what was observed and when, and after each event the
//! machine's answer. [`Recorder`] writes them while waiting, [`TraceReader`] reads them, [`replay`] feeds the events to a
//! new machine and compares its answers with the recorded ones.

mod create;
mod error;
mod read;
mod replay;
mod write;

pub use create::create;
pub(crate) use error::clean;
pub use error::{EventError, TraceError, TraceProblem};
pub use podwait_wire::reduce;
pub use read::{TraceLine, TraceReader, read_event};
pub use replay::{Difference, Replay, replay};
pub use write::{Pods, Recorder};

use podwait_core::{Class, Decision, DoneReason, Evidence, FailReason, Policy, RetryReason, WaitMachine};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    /// What happens.
    #[serde(default)]
    pub title: Option<String>,
    /// Whom the trace is about.
    pub target: Target,
    /// The policy of the wait; what is left out has its default.
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

/// Whom a trace is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container; `None` for the pod's only regular one.
    pub container: Option<String>,
    /// The uid that the pod must have, if the caller knew.
    pub uid: Option<String>,
}

impl Target {
    pub(crate) fn machine(&self, policy: Arc<Policy>) -> WaitMachine {
        let mut machine = WaitMachine::new(policy);
        if let Some(container) = &self.container {
            machine = machine.container(container);
        }
        if let Some(uid) = &self.uid {
            machine = machine.uid(uid);
        }
        machine
    }
}

/// A decision as a trace has it: the codes, and not the sentences, which may be worded better one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decided {
    /// Nothing is decided.
    Retry {
        /// What is being waited for.
        why: RetryReason,
        /// Milliseconds until the machine wants to hear something.
        after_ms: u64,
    },
    /// The target's own exit.
    Done {
        /// Why this is the answer.
        reason: DoneReason,
        /// The code.
        exit_code: i32,
        /// Where it comes from.
        evidence: Evidence,
    },
    /// There is none.
    Fail {
        /// Why not.
        reason: FailReason,
        /// Who can do something about it.
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
