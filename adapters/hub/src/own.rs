//! A pod that has a watch by name, or is only read.

use crate::link::Link;
use podwait_core::Instant;

/// Why a pod has a watch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The pod is outside of the scope, there is no scope, or the caller chose this.
    Chosen,
    /// The API server refuses the watch of the scope. `is_covered` once the watch of the scope is open again and has
    /// shown the pod.
    Refused { is_covered: bool },
}

/// The watch of one pod.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) cause: Cause,
    pub(crate) may_watch: bool,
    pub(crate) link: Link,
    /// The server no longer has the history since the pod's last change.
    pub(crate) has_expired: bool,
    /// The last call has failed.
    pub(crate) is_failing: bool,
    /// Until when a watch that ended normally counts as open, because it is about to be resumed.
    pub(crate) goes_on_until: Instant,
    /// When to check the watch next.
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
