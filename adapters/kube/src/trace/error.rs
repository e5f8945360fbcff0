//! Why a trace cannot be read.

use super::VERSION;
use podwait_core::PolicyError;
use podwait_wire::DecodeError;
use std::io;

/// Longest line that is read, in bytes. A pod is at most about 3 MB of JSON.
pub(super) const LONGEST_LINE: u64 = 8 << 20;

/// Where and why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TraceError {
    /// The line, counting from 1.
    pub line: u64,
    /// What is wrong with it.
    #[source]
    pub problem: TraceProblem,
}

/// What is wrong with a line of a trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceProblem {
    /// The input cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file ends before its header does.
    #[error("there is no header")]
    NoHeader,
    /// The first line is no header.
    #[error("not the header of a trace: {0}")]
    Header(#[source] serde_json::Error),
    /// The header has an unknown version.
    #[error("the trace has version {0}, this program reads version {VERSION}")]
    Version(u64),
    /// The header's policy is invalid.
    #[error("the policy is invalid: {0}")]
    Policy(#[from] PolicyError),
    /// The line is too long.
    #[error("longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// The line is no event.
    #[error("{0}")]
    Event(#[from] EventError),
    /// The line is no decision.
    #[error("not a decision: {0}")]
    Decision(#[source] serde_json::Error),
    /// Time runs backwards.
    #[error("time goes back from {from} ms to {to} ms")]
    TimeGoesBack {
        /// The time of the line before.
        from: u64,
        /// The time of this line.
        to: u64,
    },
}

/// Why a text is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// No JSON, or a field of a wrong type.
    #[error("not an event: {0}")]
    Json(#[source] serde_json::Error),
    /// The pod in it cannot be read.
    #[error("not a pod: {0}")]
    Pod(#[from] DecodeError),
    /// A required field of this kind of event is missing.
    #[error("an event {event:?} without {field:?}")]
    Missing {
        /// The kind of event, which this version knows.
        event: String,
        /// The field.
        field: &'static str,
    },
    /// A kind of event that this version does not know, cut to a bounded length.
    #[error("unknown event {0:?}")]
    Unknown(String),
}
