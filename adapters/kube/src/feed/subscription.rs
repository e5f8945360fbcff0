//! One wait's place among those that are fed: what it is told, and when it asks.

use crate::client::{LONGEST_TIME, failure};
use crate::feed::mailbox::{Delivery, Mailbox, Notice};
use crate::feed::table::{Fed, number};
use crate::feed::waits::Waits;
use crate::selection::PodName;
use crate::source::{ApiFailure, Observed, Via};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much longer than asked a source may take for a last look that it began in time.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// First time between two reads of a pod that does not change and is not watched; it grows by half each time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

/// Longest time between two reads of a pod that does not change and is not watched.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// A wait's place.
pub(crate) struct Subscription {
    waits: Arc<Waits>,
    pod: PodName,
    mailbox: Arc<Mailbox>,
    raw: bool,
    /// Whether a LIST will tell of the pod where nobody watches yet.
    is_listed: bool,
    pace: Pace,
}

/// When the next read of a pod is due that is not watched.
enum Pace {
    /// Now: nothing is known yet.
    Now,
    /// Now: what is known came another way.
    Again,
    /// After this time, the pod being at this resourceVersion.
    Interval(Duration, u64),
    /// When the machine says: there is no pod.
    Absent,
    /// When the machine says: the last call failed.
    Asked,
}

/// Nobody feeds the wait any more.
pub(crate) struct Closed;

impl Subscription {
    /// Takes a place. Whether the feed must be started.
    pub(crate) fn new(waits: &Arc<Waits>, pod: PodName, raw: bool, is_listed: bool) -> (Self, bool) {
        let mailbox = Arc::new(Mailbox::default());
        let must_start = waits.join(&pod, &mailbox, raw);
        (Self { waits: Arc::clone(waits), pod, mailbox, raw, is_listed, pace: Pace::Now }, must_start)
    }

    /// For a wait that has been told of its pod before.
    pub(crate) fn again(&mut self) {
        self.pace = Pace::Again;
    }

    /// The next thing that is told, no later than `after` but for a last look. Cancel-safe.
    pub(crate) async fn next(&mut self, after: Duration) -> Result<Observed, Closed> {
        let (start, after) = (Instant::now(), after.min(LONGEST_TIME));
        let mut end = start + after;
        loop {
            let (is_read, fed) = self.waits.state_of(&self.pod);
            let until = if is_read { end } else { start + self.delay(after, fed) };
            match timeout_at(until, self.mailbox.next()).await {
                Ok(Delivery::Observed(observed)) => {
                    self.set_pace(&observed);
                    return Ok(observed);
                }
                Ok(Delivery::Notice(Notice::Changed)) => {}
                Ok(Delivery::Notice(Notice::Closed)) => return Err(Closed),
                Ok(Delivery::Overflowed) => self.waits.ask(&self.pod, Duration::ZERO),
                Err(_) if is_read => return Ok(self.no_answer()),
                Err(_) => {
                    // Meanwhile somebody else may have asked, or the watch may have been opened.
                    let (is_read, fed) = self.waits.state_of(&self.pod);
                    let delay = self.delay(after, fed);
                    let now = Instant::now();
                    if !is_read && start + delay <= now {
                        self.waits.ask(&self.pod, self.patience(delay, after));
                        end = end.max(now + LAST_LOOK);
                    }
                }
            }
        }
    }

    /// What is kept back, until the pod's last words have come.
    pub(crate) fn in_hand(&self) -> Option<Observed> {
        self.waits.lock().in_hand(&self.pod)
    }

    /// Takes back what was told, for the next pod.
    pub(crate) fn take_back(&self, observed: Observed) {
        if let Observed::Pod(pod) | Observed::Deleted(pod) = observed {
            self.waits.take_back(pod.pod);
        }
    }

    /// What it means that a read brings nothing in time. A 404 is no news for long: a pod may be there by now, and an answer
    /// that does not come is no absence. Nor can anybody say then that a pod that is known has not changed.
    fn no_answer(&self) -> Observed {
        let mut table = self.waits.lock();
        if let Some(failure) = table.held_by(&self.pod) {
            // The API server said so to another's read, and means this one, too: what it said to this one before, that access
            // is denied for instance, is no longer its last word. Once it may be sent the read has a second to be answered.
            table.is_behind = true;
            let retry_after = failure.retry_after.map(|left| left + LAST_LOOK);
            return Observed::ApiError(ApiFailure { retry_after, ..failure });
        }
        let is_silence = match self.pace {
            // There was an answer, and it is kept back.
            _ if table.is_held_back(&self.pod) => true,
            Pace::Now | Pace::Asked => true,
            Pace::Interval(..) => table.is_in_turn(&self.pod),
            Pace::Again | Pace::Absent => false,
        };
        if is_silence {
            return Observed::Silence;
        }
        table.is_behind = true;
        Observed::ApiError(failure(Via::Get, 0, "no answer yet"))
    }

    /// How long to wait before a read.
    fn delay(&self, after: Duration, fed: Fed) -> Duration {
        match (&self.pace, fed) {
            (Pace::Now | Pace::Again, Fed::ByList) => after,
            (Pace::Now | Pace::Again, Fed::NotYet) if self.is_listed => after,
            (Pace::Now | Pace::Again, Fed::ByWatch | Fed::Apart | Fed::NotYet) => Duration::ZERO,
            (Pace::Interval(interval, _), Fed::Apart | Fed::NotYet) => (*interval).min(after),
            (Pace::Interval(..), Fed::ByWatch | Fed::ByList) | (Pace::Absent | Pace::Asked, _) => after,
        }
    }

    /// How long a read may wait for others, once it is asked for after so much delay. Whoever has looked less long ago, or
    /// looks for safety's sake, is served after those for whom something hangs on it; a `Retry-After` is not patience.
    fn patience(&self, delay: Duration, after: Duration) -> Duration {
        match self.pace {
            Pace::Interval(..) if delay < after => LONGEST_INTERVAL,
            Pace::Interval(..) => delay,
            Pace::Now | Pace::Again | Pace::Absent | Pace::Asked => delay.min(LONGEST_INTERVAL),
        }
    }

    fn set_pace(&mut self, observed: &Observed) {
        self.pace = match observed {
            Observed::Pod(pod) => {
                let version = number(&pod.pod.snapshot.resource_version);
                let interval = match self.pace {
                    Pace::Interval(interval, last) if last == version => {
                        interval.mul_f32(1.5).min(LONGEST_INTERVAL)
                    }
                    Pace::Interval(..) | Pace::Now | Pace::Again | Pace::Absent | Pace::Asked => {
                        SHORTEST_INTERVAL
                    }
                };
                Pace::Interval(interval, version)
            }
            Observed::NotFound(_) => Pace::Absent,
            Observed::ApiError(_) | Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => {
                Pace::Asked
            }
        };
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.waits.leave(&self.pod, &self.mailbox, self.raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::table::Service;
    use crate::feed::table::tests::{failure, pod};

    const SECOND: Duration = Duration::from_secs(1);

    fn name() -> PodName {
        PodName::new("ci", "p")
    }

    /// A place of which nobody is fed unless the test does it.
    fn place(is_listed: bool) -> (Arc<Waits>, Subscription) {
        let waits = Arc::new(Waits::new(true));
        let (subscription, must_start) = Subscription::new(&waits, name(), false, is_listed);
        assert!(must_start);
        (waits, subscription)
    }

    fn open_watch(waits: &Waits) {
        let mut table = waits.lock();
        (table.is_watching, table.is_open) = (true, true);
    }

    /// How long until a read is asked for, of somebody who has so much patience; it is answered so.
    async fn asks(
        waits: &Waits,
        place: &mut Subscription,
        patience: Duration,
        answer: Observed,
    ) -> Option<Duration> {
        let start = Instant::now();
        let answered = async {
            while waits.lock().send_read().is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let at = start.elapsed();
            waits.lock().deliver("ci/p", answer);
            at
        };
        let (observed, at) = tokio::join!(place.next(patience), async {
            tokio::time::timeout(patience * 2, answered).await.ok()
        });
        assert!(observed.is_ok());
        at
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_not_watched_is_read_at_once_and_then_less_and_less_often() {
        let (waits, mut place) = place(false);
        let mut times = Vec::new();
        for _ in 0..9 {
            times.push(asks(&waits, &mut place, SECOND * 30, pod("u", 1)).await);
        }
        let times: Vec<_> = times.into_iter().flatten().map(|time| time.as_millis() / 100).collect();
        assert_eq!(times, [0, 5, 7, 11, 16, 25, 38, 50, 50]);
        assert_eq!(asks(&waits, &mut place, SECOND * 30, pod("u", 2)).await, Some(SECOND * 5));
        let changed = asks(&waits, &mut place, SECOND * 30, pod("u", 2)).await;
        assert_eq!(changed, Some(Duration::from_millis(500)), "it has changed");
        assert_eq!(asks(&waits, &mut place, SECOND / 10, pod("u", 3)).await, Some(SECOND / 10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_machine_says_when_to_ask_again_after_a_404_an_error_and_while_there_is_a_watch() {
        let (waits, mut place) = place(false);
        let long = SECOND * 20;
        asks(&waits, &mut place, long, Observed::NotFound(Via::Get)).await;
        assert_eq!(asks(&waits, &mut place, long, failure(503)).await, Some(long));
        assert_eq!(asks(&waits, &mut place, long, pod("u", 1)).await, Some(long));
        waits.lock().is_watching = true;
        assert_eq!(asks(&waits, &mut place, long, pod("u", 2)).await, Some(long));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_about_to_be_listed_does_not_ask() {
        let (waits, mut place) = place(true);
        assert_eq!(asks(&waits, &mut place, SECOND * 20, pod("u", 1)).await, Some(SECOND * 20));
        let (late, _) = Subscription::new(&waits, name(), false, true);
        place = late;
        waits.lock().is_watching = true;
        assert_eq!(asks(&waits, &mut place, SECOND * 20, pod("u", 2)).await, Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_brings_nothing_in_time_is_silence_or_no_answer_yet() {
        let (waits, mut place) = place(false);
        let start = Instant::now();
        assert!(matches!(place.next(SECOND * 3).await, Ok(Observed::Silence)));
        assert_eq!(start.elapsed(), SECOND * 3, "a last look may take a second from when it began");
        place.set_pace(&Observed::NotFound(Via::Get));
        let late = place.next(SECOND).await;
        assert!(matches!(late, Ok(Observed::ApiError(ApiFailure { code: 0, .. }))), "a 404 is old by then");
        place.set_pace(&pod("u", 1));
        let late = place.next(SECOND).await;
        assert!(matches!(late, Ok(Observed::ApiError(_))), "nobody watches, and the pod may have changed");
        open_watch(&waits);
        place.set_pace(&pod("u", 1));
        assert!(matches!(place.next(SECOND).await, Ok(Observed::Silence)), "a watch would have told");
        let _ = waits.lock().send_read();
        assert!(matches!(place.next(SECOND).await, Ok(Observed::ApiError(_))), "the server does not answer");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_missed_something_asks_and_whoever_is_sent_away_hears_so() {
        let (waits, mut place) = place(true);
        open_watch(&waits);
        for version in 0..40 {
            waits.lock().deliver("ci/p", pod(&format!("u{version}"), version));
        }
        for _ in 0..32 {
            assert!(matches!(place.next(SECOND).await, Ok(Observed::Pod(_))));
        }
        assert!(matches!(place.next(SECOND).await, Ok(Observed::Silence)));
        assert!(waits.lock().send_read().is_some());
        waits.lock().close(Service::Stopped);
        assert!(matches!(place.next(SECOND).await, Err(Closed)));
    }
}
