//! When the caller is to come back, and what a timer that ran out means.

use super::Wait;
use crate::backoff::next_delay;
use crate::decision::{Exit, Failure};
use crate::reason::{FailReason, RetryReason};
use crate::rules::api::ApiFailure;
use crate::time::Instant;
use crate::timers::Grace;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// The machine's own timers, in the order in which they speak when they run out together.
#[derive(Clone, Copy)]
pub(super) enum Timer<'a> {
    /// The exit that was waiting for the phase.
    Settle(&'a Exit),
    /// The failure that a waiting reason becomes.
    Grace(&'a Failure),
    NodeLost,
    Terminating,
    Absent,
    AuthError(ApiFailure),
    ApiError,
    Start,
    Deadline,
    Silence,
}

impl Wait<'_> {
    /// The timer that runs out first.
    pub(super) fn next_timer(&self) -> Option<(Instant, Timer<'_>)> {
        let policy = &self.policy.0;
        let timers = &self.waiting.timers;
        let deletion_grace = self.history().deletion.map_or(Duration::ZERO, |deletion| deletion.grace);
        let terminating = deletion_grace.saturating_add(policy.unknown_grace);
        let own = [
            timers
                .settling
                .as_ref()
                .and_then(|settling| due(settling.0, policy.settle, Timer::Settle(&settling.1))),
            timers.image_pull.as_ref().and_then(|grace| due_grace(grace, policy.image_pull_grace)),
            timers.config_error.as_ref().and_then(|grace| due_grace(grace, policy.config_error_grace)),
            timers.node_lost.and_then(|since| due(since, policy.unknown_grace, Timer::NodeLost)),
            timers.terminating.and_then(|since| due(since, terminating, Timer::Terminating)),
            timers.absent.and_then(|since| due(since, policy.absent_grace, Timer::Absent)),
            timers
                .auth_error
                .and_then(|(since, why)| due(since, policy.auth_error_budget, Timer::AuthError(why))),
            timers.api_error.and_then(|since| due(since, policy.api_error_budget, Timer::ApiError)),
            timers.idle.and_then(|since| due(since, policy.start_deadline, Timer::Start)),
            timers.started.and_then(|since| due(since, policy.deadline, Timer::Deadline)),
        ];
        let next = own.into_iter().flatten().min_by_key(|(at, _)| *at);
        // A caller that only ticks never reads. While the target runs that is its own affair; otherwise every wait
        // has a bound, and where no timer gives one, silence does.
        let is_bounded = match self.waiting.situation {
            RetryReason::Running | RetryReason::Restarting => true,
            RetryReason::AwaitingTerminatedState => false,
            RetryReason::AwaitingPod
            | RetryReason::Pending
            | RetryReason::PodTerminating
            | RetryReason::ApiThrottled
            | RetryReason::ApiError
            | RetryReason::Relist => next.is_some(),
        };
        let silence = timers.heard.and_then(|since| due(since, policy.api_error_budget, Timer::Silence));
        next.into_iter().chain(silence.filter(|_| !is_bounded)).min_by_key(|(at, _)| *at)
    }

    /// What it means that this timer ran out.
    pub(super) fn verdict_of(&self, timer: Timer<'_>) -> Result<Exit, Failure> {
        let policy = &self.policy.0;
        let (reason, message) = match timer {
            Timer::Settle(exit) => return Ok(exit.clone()),
            Timer::Grace(failure) => return Err(failure.clone()),
            Timer::NodeLost => (
                FailReason::NodeLost,
                format!("the pod's node was lost for {:?}; run it again", policy.unknown_grace),
            ),
            Timer::Terminating => (
                FailReason::PodDeleted,
                String::from("the pod was deleted and its node never said how the step ended; run it again"),
            ),
            Timer::Absent => {
                (FailReason::PodNeverSeen, format!("no such pod appeared within {:?}", policy.absent_grace))
            }
            Timer::AuthError(failure) => return Err(self.api_failure(failure)),
            Timer::ApiError => return Err(self.api_failure(ApiFailure::Transient)),
            Timer::Start => {
                let limit = policy.start_deadline.unwrap_or_default();
                let word = self.waiting.last_word.in_parentheses();
                (FailReason::StartTimeout, format!("the step did not start within {limit:?}{word}"))
            }
            Timer::Deadline => {
                let limit = policy.deadline.unwrap_or_default();
                (FailReason::Deadline, format!("the step did not end within {limit:?}"))
            }
            Timer::Silence => (
                FailReason::ApiUnavailable,
                format!("the API server was not read for {:?}", policy.api_error_budget),
            ),
        };
        Err(Failure::new(reason, message, self.seen_code()))
    }

    /// A failure of the API server with what it said last.
    pub(super) fn api_failure(&self, failure: ApiFailure) -> Failure {
        let what = failure.complaint();
        let message = format!("the API server {what}{}", self.waiting.last_word.in_parentheses());
        Failure::new(failure.fail_reason(), message, self.seen_code())
    }

    /// A good read: the API server works.
    pub(super) fn good_read(&mut self) {
        self.waiting.timers.clear_errors(self.at);
        self.waiting.errors = 0;
        // The wait for the API server is over; what the pod waits for takes its place.
        let situation = self.waiting.situation;
        self.waiting.wake = self.waiting.wake.filter(|(_, why)| *why == situation);
    }

    /// Sets what is being waited for. `None`, since that decides nothing.
    pub(super) fn situate(&mut self, why: RetryReason) -> Option<Result<Exit, Failure>> {
        if self.waiting.situation != why {
            self.waiting.situation = why;
            self.waiting.attempt = 0;
            self.waiting.wake = None;
        }
        None
    }

    /// Answers that nothing is decided. A wake-up that was promised is kept until it is due.
    pub(super) fn retry(&mut self, is_tick: bool) -> (Duration, RetryReason) {
        let promised = self.waiting.wake.filter(|(wake, _)| *wake > self.at);
        let why = self.waiting.wake.map_or(self.waiting.situation, |(_, why)| why);
        let delay = match why {
            RetryReason::AwaitingPod => promised.is_none().then(|| self.next_delay()),
            RetryReason::AwaitingTerminatedState => promised.is_none().then(|| {
                // The last read of the budget falls on its end.
                let missing = &self.waiting.missing;
                let left = self.policy.0.finalize_budget.saturating_sub(missing.observed);
                self.next_delay().min(left.max(Duration::from_millis(1)))
            }),
            RetryReason::ApiThrottled | RetryReason::ApiError | RetryReason::Relist => {
                promised.is_none().then(|| self.next_error_delay(why))
            }
            // A snapshot is what these wait for, so it starts the silence anew; a tick does not.
            RetryReason::Pending
            | RetryReason::Running
            | RetryReason::Restarting
            | RetryReason::PodTerminating => {
                (promised.is_none() || !is_tick).then_some(self.policy.0.reobserve)
            }
        };
        if let Some(delay) = delay {
            self.waiting.wake = Some((self.at.after(delay), why));
        }
        self.wait()
    }

    /// The promised wake-up as an answer, never past the next own timer.
    pub(super) fn wait(&self) -> (Duration, RetryReason) {
        let (wake, why) = self
            .waiting
            .wake
            .unwrap_or_else(|| (self.at.after(self.policy.0.reobserve), self.waiting.situation));
        let next = self.next_timer().map_or(wake, |(timer, _)| wake.min(timer));
        (next.since(self.at).max(Duration::from_millis(1)), why)
    }

    /// The delay after one more API error in a row.
    ///
    /// The backoff of 410s grows while they come close together, good reads in between or not: a watch that
    /// expires at once is no reason to spin.
    pub(super) fn next_error_delay(&mut self, why: RetryReason) -> Duration {
        if why != RetryReason::Relist {
            self.waiting.errors = self.waiting.errors.saturating_add(1);
            return self.backoff(self.waiting.errors - 1);
        }
        let (count, last) = self.waiting.relists;
        let in_a_row = self.at.since(last) < self.policy.0.finalize_max.saturating_mul(2);
        let count = if in_a_row { count } else { 0 };
        self.waiting.relists = (count.saturating_add(1), self.at);
        self.backoff(count)
    }

    fn next_delay(&mut self) -> Duration {
        self.waiting.attempt = self.waiting.attempt.saturating_add(1);
        self.backoff(self.waiting.attempt - 1)
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let policy = &self.policy.0;
        next_delay(policy.finalize_initial, policy.finalize_max, attempt, policy.jitter_seed)
    }
}

/// When a timer runs out that began at `since` and may last `limit`.
fn due(since: Instant, limit: impl Into<Option<Duration>>, timer: Timer<'_>) -> Option<(Instant, Timer<'_>)> {
    Some((since.after(limit.into()?), timer))
}

fn due_grace(grace: &Grace, limit: Duration) -> Option<(Instant, Timer<'_>)> {
    due(grace.since, limit, Timer::Grace(&grace.failure))
}
