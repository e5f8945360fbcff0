//! What is told of a log.

use bytes::Bytes;
use podwait_wire::ApiFailure;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

/// What a [`LogStream`](crate::LogStream) tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogEvent {
    /// A line, or a part of one that is longer than 64 KiB.
    Line(LogLine),
    /// Lines are missing, or may be.
    Gap(LogGap),
    /// A log cannot be read; it is tried again. Told once until it can.
    Trouble(LogTrouble),
    /// The node gives the lines of this container without times, though it was asked for them. They are handed on as they come;
    /// what breaks is read again from the beginning, and only if that is still what it was. Reported once.
    Untimed(Arc<str>),
}

/// A line, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The container that wrote it.
    pub container: Arc<str>,
    /// Which run of the container, counting from 1, as far as the API server knew when it was read.
    pub attempt: u32,
    /// When the container's runtime got the line, by the node's clock. `None` from a node that does not say.
    pub time: Option<SystemTime>,
    /// What the container wrote, without the line's end. It is a part of a larger buffer: copy what is kept for long.
    pub text: Bytes,
    /// The line begins with this.
    pub is_first: bool,
    /// The line ends with this. A last line without an end never does.
    pub ends_line: bool,
}

/// A part of a log that is missing, or may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogGap {
    /// The container.
    pub container: Arc<str>,
    /// The runs of which something is missing.
    pub attempts: RangeInclusive<u32>,
    /// The time of the last line before it; `None` from the beginning.
    pub after: Option<SystemTime>,
    /// The time of the first line after it; `None` to the end.
    pub before: Option<SystemTime>,
    /// Why.
    pub reason: GapReason,
}

/// Why a part of a log is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The kubelet began a new file, and serves no older one. What was written to the old one in the moment of the change,
    /// or while nobody read, is missing.
    Rotated,
    /// The pod, or what the node kept of the run, is gone. If the last line is there, nobody can say so any more.
    Gone,
    /// The log could not be read to its end within the time that [`Logs::drain`](crate::Logs::drain) leaves.
    Unreadable,
}

/// A log that cannot be read for now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogTrouble {
    /// The container.
    pub container: Arc<str>,
    /// What the API server, or the kubelet behind it, says.
    pub failure: ApiFailure,
}

impl GapReason {
    /// The snake_case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Gone => "gone",
            Self::Unreadable => "unreadable",
        }
    }
}
