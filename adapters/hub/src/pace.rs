//! When a wait needs its pod to be read.

use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use core::time::Duration;

/// First time between two reads of a pod that does not change and is not watched; it grows by half each time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

/// Longest time between two reads of a pod that does not change and is not watched.
pub(crate) const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// How a pod is covered, if it is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// By events.
    Watched,
    /// By the LIST that is under way, and then by events.
    Listed,
    /// By the LIST that is about to be.
    Pending,
    /// By nothing.
    Uncovered,
}

/// When the next read of a pod is due that is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Now: nothing is known yet.
    Now,
    /// Now: what is known came another way.
    Again,
    /// After this time, the pod being at this resourceVersion.
    Interval(Duration, u64),
    /// When the machine says: there is no pod.
    Absent,
    /// When the machine says: the last call failed.
    Asked,
}

impl Pace {
    /// After this was delivered.
    pub(crate) fn next<O: Object>(self, observed: &Observed<O>) -> Self {
        match observed {
            Observed::Pod(_, pod) => {
                let version = parse_resource_version(pod.resource_version());
                let interval = match self {
                    Self::Interval(interval, last) if last == version => {
                        interval.saturating_mul(3).min(LONGEST_INTERVAL * 2) / 2
                    }
                    Self::Interval(..) | Self::Now | Self::Again | Self::Absent | Self::Asked => {
                        SHORTEST_INTERVAL
                    }
                };
                Self::Interval(interval.min(LONGEST_INTERVAL), version)
            }
            Observed::NotFound(_) => Self::Absent,
            Observed::Failed(_) | Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => {
                Self::Asked
            }
        }
    }

    /// How long to wait before a read, where the machine comes back after that time.
    pub(crate) fn delay(self, after: Duration, coverage: Coverage) -> Duration {
        match (self, coverage) {
            (Self::Now | Self::Again, Coverage::Listed | Coverage::Pending) => after,
            (Self::Now | Self::Again, Coverage::Watched | Coverage::Uncovered) => Duration::ZERO,
            (Self::Interval(interval, _), Coverage::Pending | Coverage::Uncovered) => interval.min(after),
            (Self::Interval(..), Coverage::Watched | Coverage::Listed) | (Self::Absent | Self::Asked, _) => {
                after
            }
        }
    }

    /// How long a read may wait for others, once it is asked for after so much delay. A read for safety, or of a pod
    /// that was read a short time ago, comes after a read that a decision waits for. A `Retry-After` is not patience.
    pub(crate) fn patience(self, delay: Duration, after: Duration) -> Duration {
        match self {
            Self::Interval(..) if delay < after => LONGEST_INTERVAL,
            Self::Interval(..) => delay,
            Self::Now | Self::Again | Self::Absent | Self::Asked => delay.min(LONGEST_INTERVAL),
        }
    }
}
