//! A pod that is watched by its name, or only read.

use crate::link::Link;
use podwait_core::Instant;

/// Why a pod has a watch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It is outside of the scope, there is no scope, or the caller wants it so.
    Chosen,
    /// The API server refuses the watch of the scope. `is_covered` once that one is open again and has shown the pod.
    Refused { is_covered: bool },
}

/// The watch of one pod.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) cause: Cause,
    pub(crate) may_watch: bool,
    pub(crate) link: Link,
    /// The server does not know any more what has happened since the pod's last change.
    pub(crate) has_expired: bool,
    /// The last call has failed.
    pub(crate) is_failing: bool,
    /// Until when a watch that has ended in the course of things is as good as open, since it is about to go on.
    pub(crate) goes_on_until: Instant,
    /// When its watch is looked at next.
    pub(crate) alarm: Option<Instant>,
}

impl Own {
    pub(crate) const fn new(now: Instant, cause: Cause, may_watch: bool) -> Self {
        Self {
            cause,
            may_watch,
            link: Link::down(now),
            has_expired: false,
            is_failing: false,
            goes_on_until: Instant::ZERO,
            alarm: None,
        }
    }
}
