//! What is drawn by lot grew once; a seed that was written down before means the same run for ever.

/// The seed from which on a seed is of the second edition.
pub const SECOND: u64 = 1_000_000_000;

/// What can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// The lives and the weather that the first storms had.
    First,
    /// More of both, beside them.
    Second,
}

impl Edition {
    /// Of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        if seed < SECOND { Self::First } else { Self::Second }
    }
}
