//! How many requests may be sent, and when.

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
        Self { interval, burst, times: Mutex::new(Times { next: now, held_until: now }) }
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

    /// `Retry-After`, which holds for everybody.
    pub(crate) fn hold(&self, time: Duration) {
        if self.interval.is_zero() {
            return;
        }
        let until = Instant::now() + time.min(LONGEST_HOLD);
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.held_until = times.held_until.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        budget.hold(Duration::from_secs(3));
        assert_eq!(budget.not_before(slot) - slot, Duration::from_secs(3));
        budget.hold(Duration::from_secs(1));
        assert_eq!(budget.not_before(slot) - slot, Duration::from_secs(3));
        budget.hold(Duration::from_secs(1 << 40));
        assert_eq!(budget.not_before(slot) - slot, LONGEST_HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_is_held() {
        let budget = Budget::unlimited();
        budget.hold(Duration::from_secs(3));
        assert!((0..1000).all(|_| budget.not_before(budget.reserve()) == Instant::now()));
    }
}
