//! Delays that double up to a cap.

use crate::time::millis;
use core::time::Duration;

/// The delay before retry number `attempt` (0 is the first): `initial` doubled `attempt` times, at most `max`.
///
/// With a `seed` the delay is drawn from its upper half, never above the cap, so that many waits do not retry at the
/// same time. Same arguments, same delay.
pub(crate) fn next_delay(initial: Duration, max: Duration, attempt: u32, seed: Option<u64>) -> Duration {
    let cap = millis(max).max(1);
    let doubled = 1u64.checked_shl(attempt).map_or(u64::MAX, |factor| millis(initial).saturating_mul(factor));
    let full = doubled.clamp(1, cap);
    let Some(seed) = seed else { return Duration::from_millis(full) };
    let half = full / 2;
    Duration::from_millis((half + splitmix64(seed ^ u64::from(attempt)) % (full - half + 1)).max(1))
}

/// Sebastiano Vigna's splitmix64: one well-mixed number for one input.
const fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn doubles_up_to_the_cap_and_never_overflows() {
        let delays: [u64; 7] =
            core::array::from_fn(|attempt| millis(next_delay(INITIAL, MAX, attempt as u32, None)));
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 5000, 5000]);
        for attempt in [31, 32, 63, 64, u32::MAX] {
            assert_eq!(next_delay(INITIAL, MAX, attempt, None), MAX);
        }
        assert_eq!(next_delay(Duration::ZERO, Duration::ZERO, 0, None), Duration::from_millis(1));
    }

    #[test]
    fn jitter_is_seeded_and_stays_in_the_upper_half() {
        for seed in 0..200 {
            for attempt in 0..8 {
                let full = next_delay(INITIAL, MAX, attempt, None);
                let jittered = next_delay(INITIAL, MAX, attempt, Some(seed));
                assert!(
                    jittered <= full && jittered >= full / 2,
                    "{seed} {attempt}: {jittered:?} of {full:?}"
                );
                assert_eq!(jittered, next_delay(INITIAL, MAX, attempt, Some(seed)));
            }
        }
        assert_ne!(next_delay(INITIAL, MAX, 3, Some(1)), next_delay(INITIAL, MAX, 3, Some(2)));
    }

    #[test]
    fn splitmix64_is_the_published_one() {
        // The first two numbers of the reference implementation seeded with 0.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn jitter_reaches_both_ends_and_differs_from_attempt_to_attempt() {
        let four = Duration::from_millis(4);
        let delays: alloc::collections::BTreeSet<u64> =
            (0..200).map(|seed| millis(next_delay(four, four, 0, Some(seed)))).collect();
        assert_eq!(delays.into_iter().collect::<alloc::vec::Vec<_>>(), [2, 3, 4]);
        let capped: alloc::collections::BTreeSet<_> =
            (10..40).map(|attempt| next_delay(MAX, MAX, attempt, Some(7))).collect();
        assert!(capped.len() > 20, "the seed is mixed with the attempt");
    }
}
