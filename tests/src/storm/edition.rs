//! The set of random lives and weather grew once. An older seed must mean the same run for ever.

/// The first seed of the second edition.
pub const SECOND: u64 = 1_000_000_000;

/// The set of lives and weather of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// The lives and the weather of the first storms.
    First,
    /// These, and more of both.
    Second,
}

impl Edition {
    /// The edition of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        if seed < SECOND { Self::First } else { Self::Second }
    }
}
