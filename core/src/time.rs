//! The machine's own time.

use core::time::Duration;

/// A point on the machine's monotonic time line: whole milliseconds since a start that the caller chooses.
///
/// The machine owns no clock, so every input carries one of these. The unit is milliseconds so that a recorded wait
/// replays exactly: a recording holds the same times that the machine received. All arithmetic saturates. Timestamps
/// *inside* a pod have their own type, [`crate::Timestamp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Instant(u64);

impl Instant {
    /// The start of the time line.
    pub const ZERO: Self = Self(0);

    /// The point `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The point `duration` later, fractions of a millisecond dropped.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

/// Whole milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::from_millis(u64::MAX - 1);
        assert_eq!(late.after(Duration::MAX), Instant::from_millis(u64::MAX));
        assert_eq!(Instant::ZERO.since(late), Duration::ZERO);
        assert_eq!(Instant::from_millis(7).since(Instant::from_millis(2)), Duration::from_millis(5));
        assert_eq!(Instant::ZERO.after(Duration::from_micros(1999)), Instant::from_millis(1));
        assert_eq!(Instant::from_millis(42).as_millis(), 42);
    }
}
