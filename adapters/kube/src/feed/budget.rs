//! How many requests may be sent, and when.

use crate::source::ApiFailure;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Longest time that one `Retry-After` keeps everybody quiet. Who asks again after that is told again, if the server means it;
/// a proxy that asks for hours on behalf of one request must not cost thousands of waits their last look, within a minute
/// where access is denied.
const LONGEST_HOLD: Duration = Duration::from_secs(30);

/// A budget of requests per second, which several may share. Who wants to send reserves a time to do so.
pub(crate) struct Budget {
    /// The time between two requests; zero without a limit.
    interval: Duration,
    /// How much of it may be saved up.
    burst: Duration,
    times: Mutex<Times>,
}

struct Times {
    /// When the next request would be sent if they were sent evenly.
    next: Instant,
    /// The API server wants to be left alone until then.
    held_until: Instant,
    /// What it said.
    held_by: Option<ApiFailure>,
}

impl Budget {
    /// So many requests per second, and for a moment twice as many.
    pub(crate) fn per_second(requests: u32) -> Self {
        let interval = Duration::from_secs(1) / requests.max(1);
        Self::new(interval, Duration::from_secs(2))
    }

    /// No limit, and nothing is held: one wait on one pod has the machine's.
    pub(crate) fn unlimited() -> Self {
        Self::new(Duration::ZERO, Duration::ZERO)
    }

    fn new(interval: Duration, burst: Duration) -> Self {
        let now = Instant::now();
        Self { interval, burst, times: Mutex::new(Times { next: now, held_until: now, held_by: None }) }
    }

    /// The time from which on one request may be sent. It counts as sent.
    pub(crate) fn reserve(&self) -> Instant {
        let now = Instant::now();
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let next = times.next.max(now);
        times.next = next + self.interval;
        let saved = self.burst.saturating_sub(self.interval);
        next.checked_sub(saved).map_or(now, |earliest| earliest.max(now))
    }

    /// When a request that was reserved for `slot` may be sent now that others have been answered.
    pub(crate) fn not_before(&self, slot: Instant) -> Instant {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).held_until.max(slot)
    }

    /// Takes note of what a failure says of the next requests: `Retry-After` holds for everybody.
    pub(crate) fn heed(&self, failure: &ApiFailure) {
        let Some(time) = failure.retry_after.filter(|_| !self.interval.is_zero()) else { return };
        let until = Instant::now() + time.min(LONGEST_HOLD);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if until > times.held_until {
            (times.held_until, times.held_by) = (until, Some(failure.clone()));
        }
    }

    /// Until when requests are held, and because of which failure.
    pub(crate) fn held(&self) -> Option<(Instant, ApiFailure)> {
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.held_by.clone().map(|failure| (times.held_until, failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Via;

    fn failure(code: u16) -> ApiFailure {
        crate::client::failure(Via::Get, code, "so it is")
    }

    fn asks_for(seconds: u64, code: u16) -> ApiFailure {
        ApiFailure { retry_after: Some(Duration::from_secs(seconds)), ..failure(code) }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_once_what_was_saved_is_spent() {
        let budget = Budget::per_second(10);
        let start = Instant::now();
        let slots: Vec<Duration> = (0..40).map(|_| budget.reserve() - start).collect();
        assert!(slots[..20].iter().all(Duration::is_zero), "{slots:?}");
        assert_eq!([slots[20], slots[39]].map(|slot| slot.as_millis()), [100, 2000]);
        tokio::time::advance(Duration::from_secs(60)).await;
        let again: Vec<Duration> = (0..20).map(|_| budget.reserve() - Instant::now()).collect();
        assert!(again.iter().all(Duration::is_zero), "a burst is saved up again: {again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_holds_for_all_and_has_a_bound() {
        let budget = Budget::per_second(10);
        let slot = budget.reserve();
        budget.heed(&failure(500));
        assert_eq!((budget.not_before(slot), budget.held()), (slot, None));
        for (code, seconds, expected) in [(429, 3, 3), (503, 1, 3), (504, 1 << 40, LONGEST_HOLD.as_secs())] {
            budget.heed(&asks_for(seconds, code));
            assert_eq!((budget.not_before(slot) - slot).as_secs(), expected);
        }
        let expected = (slot + LONGEST_HOLD, asks_for(1 << 40, 504));
        assert_eq!(budget.held(), Some(expected), "whoever asked for the longest time is named");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_is_held() {
        let budget = Budget::unlimited();
        budget.heed(&asks_for(3, 429));
        assert_eq!(budget.held(), None);
        assert!((0..1000).all(|_| budget.not_before(budget.reserve()) == Instant::now()));
    }
}
