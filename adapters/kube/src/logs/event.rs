//! The events of a log.

use bytes::Bytes;
use podwait_wire::ApiFailure;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

/// An event of a [`LogStream`](crate::LogStream).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogEvent {
    /// A line, or a part of one that is longer than 64 KiB.
    Line(LogLine),
    /// Lines are missing, or may be.
    Gap(LogGap),
    /// A log cannot be read; the stream retries. Reported once until the log can be read.
    Trouble(LogTrouble),
    /// The node sends the lines of this container without times, although times were requested. The lines are reported
    /// as they arrive. After a break the log is read again from the beginning, and continues only if the beginning is
    /// unchanged. Reported once.
    Untimed(Arc<str>),
}

/// A line, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The container that wrote it.
    pub container: Arc<str>,
    /// Which run of the container, counting from 1, as known to the API server when the line was read.
    pub attempt: u32,
    /// When the container's runtime received the line, by the node's clock. `None` if the node sends no times.
    pub time: Option<SystemTime>,
    /// The container's text, without the line's end. It is a part of a larger buffer: copy it to keep it for long.
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
    /// The runs with missing lines.
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
    /// The kubelet began a new file, and serves no older one. Lines are missing that were written to the old file
    /// during the change, or before they could be read.
    Rotated,
    /// The pod, or the node's log of the run, is gone. Whether the last line is there cannot be known any more.
    Gone,
    /// The log could not be read to its end within the limits of [`Logs::drain`](crate::Logs::drain).
    Unreadable,
}

/// A log that cannot be read for now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogTrouble {
    /// The container.
    pub container: Arc<str>,
    /// The error of the API server, or of the kubelet behind it.
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
