//! The machine's own time.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

/// A point on the machine's monotonic time line: whole milliseconds since a start that the caller chooses.
///
/// The machine owns no clock, so every input carries one of these. The unit is milliseconds so that a recorded wait
/// replays exactly: a recording holds the same times that the machine received. All arithmetic saturates, at
/// [`Instant::LAST`]. Timestamps
/// *inside* a pod have their own type, [`crate::Timestamp`].
// One more than the milliseconds: an `Option` of it takes no more room, and a machine has a dozen of those.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The start of the time line.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// The last point of the time line, half a billion years later.
    pub const LAST: Self = Self(NonZeroU64::MAX);

    /// The point `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    /// Milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// The point `duration` later, fractions of a millisecond dropped.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({})", self.as_millis())
    }
}

/// As its milliseconds.
#[cfg(feature = "serde")]
impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_millis().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Instant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_millis)
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
        assert_eq!(late.after(Duration::MAX), Instant::LAST);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::LAST);
        assert_eq!(size_of::<Option<Instant>>(), size_of::<Instant>());
        assert_eq!(Instant::ZERO.since(late), Duration::ZERO);
        assert_eq!(Instant::from_millis(7).since(Instant::from_millis(2)), Duration::from_millis(5));
        assert_eq!(Instant::ZERO.after(Duration::from_micros(1999)), Instant::from_millis(1));
        assert_eq!(Instant::from_millis(42).as_millis(), 42);
        assert_eq!(std::format!("{:?}", Instant::from_millis(42)), "Instant(42)");
    }
}
