//! Random numbers from a seed, which never change, on any platform.

use std::time::Duration;

/// Sebastiano Vigna's splitmix64, with integers only: floating point would differ between platforms.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice with the same numbers for the same seed. The numbers of neighbouring seeds are unrelated.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 well-mixed bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0 if `end` is 0. The bias of the remainder does not matter here.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll().checked_rem(end).unwrap_or(0)
    }

    /// True with this probability.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these, all with the same probability.
    ///
    /// # Panics
    /// The list is empty.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let length = u64::try_from(from.len()).expect("a short list");
        from[usize::try_from(self.below(length)).expect("a place in the list")].clone()
    }

    /// One of these, by their weights.
    ///
    /// # Panics
    /// All weights are zero.
    pub fn weighted<T: Copy>(&mut self, from: &[(u64, T)]) -> T {
        let mut left = self.below(from.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in from {
            match left.checked_sub(*weight) {
                Some(less) => left = less,
                None => return *item,
            }
        }
        unreachable!("a number below the sum of the weights")
    }

    /// A time of at least `from` and less than `to` milliseconds.
    pub fn time(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from)))
    }

    /// The same, with the same probability for every doubling: mostly short, sometimes long.
    pub fn skewed_time(&mut self, from: u64, to: u64) -> Duration {
        let octaves = u64::from((to / from.max(1)).max(1).ilog2());
        let low = from.max(1) << self.below(octaves + 1);
        self.time(low, (low * 2).min(to.max(low + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_are_those_of_the_reference_implementation() {
        let mut dice = Dice::new(0);
        assert_eq!([dice.roll(), dice.roll()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn every_outcome_is_drawn_and_no_other() {
        let mut dice = Dice::new(7);
        let rolls: Vec<u64> = (0..200).map(|_| dice.below(3)).collect();
        assert!((0..3).all(|n| rolls.contains(&n)) && rolls.iter().all(|n| *n < 3));
        let words: Vec<_> = (0..200).map(|_| dice.weighted(&[(1, "a"), (0, "never"), (9, "b")])).collect();
        assert!(words.contains(&"a") && words.contains(&"b") && !words.contains(&"never"));
        let times: Vec<_> = (0..400).map(|_| dice.skewed_time(100, 60_000)).collect();
        assert!(times.iter().all(|time| (100..60_000).contains(&time.as_millis())));
        assert!(times.iter().any(|time| time.as_millis() < 200));
        assert!(times.iter().any(|time| time.as_millis() > 40_000));
    }
}
