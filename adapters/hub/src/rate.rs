//! How many requests may be sent, and when.

use crate::failure::ApiFailure;
use core::time::Duration;
use podwait_core::Instant;

/// Longest time for which one `Retry-After` pauses all requests. A server that needs more time sends the header again.
/// If a proxy asks for hours in the answer to one request, thousands of waits must still get their final read, within a
/// minute if access is denied.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A limit of requests per second. Each request reserves a time before it is sent.
#[derive(Clone, Debug)]
pub(crate) struct RateLimiter {
    /// Milliseconds between two requests, times 1000; zero without a limit.
    interval_us: u64,
    /// How much unused time may accumulate, in the same unit.
    burst_us: u64,
    /// When the next request would be sent at an even rate, in microseconds.
    next_us: u64,
    paused: Option<(Instant, ApiFailure)>,
}

impl RateLimiter {
    /// This many requests per second, with a burst of twice as many. 0 counts as 1.
    pub(crate) const fn per_second(requests: u32) -> Self {
        let requests = if requests == 0 { 1 } else { requests };
        let interval_us = 1_000_000 / requests as u64;
        Self {
            interval_us: if interval_us == 0 { 1 } else { interval_us },
            burst_us: 2_000_000,
            next_us: 0,
            paused: None,
        }
    }

    /// No limit, and no pause: a single wait has the machine's own backoff.
    pub(crate) const fn unlimited() -> Self {
        Self { interval_us: 0, burst_us: 0, next_us: 0, paused: None }
    }

    /// Reserves one request. Returns the time when it may be sent.
    pub(crate) fn reserve(&mut self, now: Instant) -> Instant {
        let now_us = now.as_millis().saturating_mul(1000);
        let next = self.next_us.max(now_us);
        self.next_us = next.saturating_add(self.interval_us);
        let saved = self.burst_us.saturating_sub(self.interval_us);
        Instant::from_millis(next.saturating_sub(saved).div_ceil(1000)).max(now)
    }

    /// When a request that was reserved for `slot` may be sent, after answers to other requests.
    pub(crate) fn not_before(&self, slot: Instant) -> Instant {
        self.paused.as_ref().map_or(slot, |(until, _)| slot.max(*until))
    }

    /// Obeys `Retry-After`, for all requests.
    pub(crate) fn heed(&mut self, now: Instant, failure: &ApiFailure) {
        let Some(time) = failure.retry_after.filter(|_| self.interval_us > 0) else { return };
        let until = now.after(time.min(LONGEST_PAUSE));
        if self.paused.as_ref().is_none_or(|(paused, _)| until > *paused) {
            self.paused = Some((until, failure.clone()));
        }
    }

    /// Until when requests are paused, and because of which failure.
    pub(crate) fn paused(&self, now: Instant) -> Option<(Instant, &ApiFailure)> {
        self.paused.as_ref().filter(|(until, _)| *until > now).map(|(until, failure)| (*until, failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Via;
    use alloc::vec::Vec;

    fn asks_for(seconds: u64, code: u16) -> ApiFailure {
        let retry_after = Some(Duration::from_secs(seconds));
        ApiFailure { retry_after, ..ApiFailure::new(Via::Get, code, "so it is") }
    }

    const START: Instant = Instant::from_millis(5000);

    #[test]
    fn requests_are_spread_once_what_was_saved_is_spent() {
        let mut rate = RateLimiter::per_second(10);
        let slots: Vec<Duration> = (0..40).map(|_| rate.reserve(START).since(START)).collect();
        assert!(slots[..20].iter().all(Duration::is_zero), "{slots:?}");
        assert_eq!([slots[20], slots[39]].map(|slot| slot.as_millis()), [100, 2000]);
        let later = START.after(Duration::from_secs(60));
        assert!((0..20).all(|_| rate.reserve(later) == later), "a burst is saved up again");
    }

    #[test]
    fn retry_after_holds_for_all_and_has_a_bound() {
        let mut rate = RateLimiter::per_second(10);
        let slot = rate.reserve(START);
        rate.heed(START, &ApiFailure::new(Via::Get, 500, "so it is"));
        assert_eq!((rate.not_before(slot), rate.paused(START)), (slot, None));
        for (code, seconds, expected) in [(429, 3, 3), (503, 1, 3), (504, 1 << 40, 30)] {
            rate.heed(START, &asks_for(seconds, code));
            assert_eq!(rate.not_before(slot).since(slot).as_secs(), expected);
        }
        let until = START.after(LONGEST_PAUSE);
        assert_eq!(rate.paused(START), Some((until, &asks_for(1 << 40, 504))));
        assert_eq!(rate.paused(until), None);
        for other in [asks_for(30, 429), asks_for(29, 429)] {
            rate.heed(START, &other);
            assert_eq!(rate.paused(START), Some((until, &asks_for(1 << 40, 504))), "it is no longer");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_paused() {
        let mut rate = RateLimiter::unlimited();
        rate.heed(START, &asks_for(3, 429));
        assert_eq!(rate.paused(START), None);
        assert!((0..1000).all(|_| rate.reserve(START) == START));
    }
}
