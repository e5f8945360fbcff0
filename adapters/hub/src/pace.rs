//! When a wait needs its pod to be read.

use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use core::time::Duration;

/// First interval between two reads of a pod that does not change and is not watched; it grows by half each time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

/// Longest interval between two reads of a pod that does not change and is not watched.
pub(crate) const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// How changes of a pod are noticed without a read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// By events of a watch.
    Watched,
    /// By the LIST that is under way, and then by events.
    Listed,
    /// By the LIST that is about to begin.
    Pending,
    /// Not at all.
    Uncovered,
}

/// When the next read of a pod without a watch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Now: nothing is known yet.
    Now,
    /// Now: the last observation was no read.
    Again,
    /// After this time; the pod is at this resourceVersion.
    Interval(Duration, u64),
    /// When the machine's delay is over: there is no pod.
    Absent,
    /// When the machine's delay is over: the last call failed.
    Asked,
}

impl Pace {
    /// The pace after this delivery.
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

    /// How long to wait before a read, if the machine's own delay is `after`.
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

    /// How long a read may wait for other reads once it is in the queue. A periodic check, or a read of a pod that was
    /// read recently, comes after a read that a decision waits for. A `Retry-After` does not count as patience.
    pub(crate) fn patience(self, delay: Duration, after: Duration) -> Duration {
        match self {
            Self::Interval(..) if delay < after => LONGEST_INTERVAL,
            Self::Interval(..) => delay,
            Self::Now | Self::Again | Self::Absent | Self::Asked => delay.min(LONGEST_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Via;
    use alloc::vec::Vec;

    #[derive(Clone)]
    struct Pod(&'static str);

    impl Object for Pod {
        fn uid(&self) -> &str {
            "u"
        }

        fn resource_version(&self) -> &str {
            self.0
        }
    }

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_pod_that_does_not_change_is_read_ever_less_often() {
        let mut pace = Pace::Now;
        let intervals: Vec<u128> = ["7", "7", "7", "7", "7", "7", "7", "7", "8", "8"]
            .map(|version| {
                pace = pace.next(&Observed::Pod(Via::Get, Pod(version)));
                pace.delay(millis(30_000), Coverage::Uncovered).as_millis()
            })
            .into();
        assert_eq!(intervals, [500, 750, 1_125, 1_687, 2_531, 3_796, 5_000, 5_000, 500, 750]);
    }

    #[test]
    fn a_check_before_the_delay_is_over_is_patient() {
        let interval = Pace::Interval(millis(500), 7);
        for (pace, delay, after, expected) in [
            (interval, 500, 501, LONGEST_INTERVAL),
            (interval, 500, 500, millis(500)),
            (interval, 7_000, 500, millis(7_000)),
            (Pace::Asked, 500, 501, millis(500)),
            (Pace::Asked, 7_000, 7_000, LONGEST_INTERVAL),
        ] {
            assert_eq!(pace.patience(millis(delay), millis(after)), expected, "{pace:?} {delay} {after}");
        }
    }
}
