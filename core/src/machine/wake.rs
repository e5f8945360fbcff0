//! When the caller is to come back, and what an expired timer means.

use super::Waiting;
use super::wait::{Answer, Wait};
use crate::backoff::next_delay;
use crate::decision::{Exit, Failure};
use crate::policy::Policy;
use crate::reason::{FailReason, RetryReason};
use crate::rules::api::ApiFailure;
use crate::text::{in_parentheses, one_line};
use crate::time::Instant;
use crate::timers::{Absent, Start};
use alloc::format;
use alloc::string::String;
use core::ops::ControlFlow;
use core::time::Duration;

/// Longest uid that is quoted, in bytes: longer than those of Kubernetes.
const LONGEST_UID: usize = 64;

/// The machine's own timers, in their order of precedence when they expire together.
#[derive(Clone, Copy)]
pub(crate) enum Timer<'a> {
    /// The exit that waits for the phase.
    Settle(&'a Exit),
    /// The failure that a waiting reason becomes.
    Grace(&'a Failure),
    NodeLost,
    Terminating,
    Absent(Absent),
    Gone(Absent),
    /// The failure for a record that is lost.
    LostRecord(&'a Failure),
    AuthError(ApiFailure),
    ApiError,
    Start,
    Deadline,
    Silence,
}

impl Timer<'_> {
    /// The failure that it becomes; `None` for a success.
    pub(crate) const fn fail_reason(self) -> Option<FailReason> {
        Some(match self {
            Self::Settle(_) => return None,
            Self::Grace(failure) | Self::LostRecord(failure) => failure.reason,
            Self::NodeLost => FailReason::NodeLost,
            Self::Terminating => FailReason::PodDeleted,
            Self::Absent(absent) if absent.has_namesake => FailReason::PodReplaced,
            Self::Absent(_) => FailReason::PodNeverSeen,
            Self::Gone(gone) => gone.how(),
            Self::AuthError(failure) => failure.fail_reason(),
            Self::ApiError | Self::Silence => FailReason::ApiUnavailable,
            Self::Start => FailReason::StartTimeout,
            Self::Deadline => FailReason::Deadline,
        })
    }
}

/// The timer that expires first of those added so far; of two that expire together, the one added first.
struct Earliest<'a>(Option<(Instant, Timer<'a>)>);

impl<'a> Earliest<'a> {
    /// A timer that began at `since` and may last `limit`.
    fn run(&mut self, since: Option<Instant>, limit: Option<Duration>, timer: Timer<'a>) {
        let Some((since, limit)) = since.zip(limit) else { return };
        let at = since.after(limit);
        if self.0.as_ref().is_none_or(|(earliest, _)| at < *earliest) {
            self.0 = Some((at, timer));
        }
    }
}

impl Waiting {
    /// The timer that expires first.
    pub(crate) fn next_timer(&self, policy: &Policy) -> Option<(Instant, Timer<'_>)> {
        let (policy, waiting, timers) = (&policy.0, self, &self.timers);
        let deletion = waiting.history.as_ref().and_then(|history| history.deletion);
        let deletion_grace = deletion.map_or(Duration::ZERO, |deletion| deletion.grace);
        let terminating = deletion_grace.saturating_add(policy.unknown_grace);
        let mut next = Earliest(None);
        if let Some(lost) = &timers.lost_record {
            next.run(Some(lost.since), Some(policy.gone_grace), Timer::LostRecord(&lost.failure));
            next.run(timers.started, policy.deadline, Timer::LostRecord(&lost.failure));
            return next.0;
        }
        if let Some(gone) = waiting.gone() {
            // The known facts are from before the absence, so no other timer may decide; the answer is the same for
            // each of these.
            next.run(Some(gone.since), Some(policy.gone_grace), Timer::Gone(gone));
            next.run(timers.started, policy.deadline, Timer::Gone(gone));
            return next.0;
        }
        // While reads fail or return older objects, the pod's state may have changed: these timers decide at the next
        // good read, even if that is late.
        if !timers.is_failing() && waiting.older.is_none() {
            if let Some(settling) = &timers.settling {
                next.run(Some(settling.0), policy.settle, Timer::Settle(&settling.1));
            }
            if let Some(pull) = timers.image_pull.as_deref() {
                next.run(pull.refusals.since(), Some(Duration::ZERO), Timer::Grace(&pull.failure));
                next.run(Some(pull.since), Some(policy.image_pull_grace), Timer::Grace(&pull.failure));
            }
            if let Some(grace) = &timers.config_error {
                next.run(Some(grace.since), Some(policy.config_error_grace), Timer::Grace(&grace.failure));
            }
            next.run(timers.node_lost, Some(policy.unknown_grace), Timer::NodeLost);
            next.run(timers.terminating, Some(terminating), Timer::Terminating);
            if let Some(absent) = timers.absent {
                next.run(Some(absent.since), Some(policy.absent_grace), Timer::Absent(absent));
            }
            if let (Some((at, _)), Some(until)) = (&mut next.0, timers.behind_until) {
                *at = (*at).max(until);
            }
        }
        if let Some(error) = timers.auth_error.filter(|error| !error.rests) {
            next.run(Some(error.since), Some(policy.auth_error_budget), Timer::AuthError(error.failure));
        }
        next.run(timers.api_error, Some(policy.api_error_budget), Timer::ApiError);
        next.run(timers.expired, Some(policy.api_error_budget), Timer::ApiError);
        if let Start::Counts(from) = timers.start {
            next.run(Some(from), policy.start_deadline, Timer::Start);
        }
        next.run(timers.started, policy.deadline, Timer::Deadline);
        // A caller may send only ticks and never read. While the target runs that is allowed; otherwise every wait has
        // a bound, and if no timer gives one, the silence limit does.
        let is_bounded = match waiting.situation {
            // A step whose exit 0 waits for the phase does not run any more.
            RetryReason::Running | RetryReason::Restarting => timers.settling.is_none() || next.0.is_some(),
            RetryReason::AwaitingTerminatedState => false,
            RetryReason::AwaitingPod
            | RetryReason::Pending
            | RetryReason::PodTerminating
            | RetryReason::ConfirmingDeletion
            | RetryReason::ConfirmingLostRecord
            | RetryReason::ApiThrottled
            | RetryReason::ApiError
            | RetryReason::Relist => next.0.is_some(),
        };
        if !is_bounded {
            next.run(timers.heard, Some(policy.api_error_budget), Timer::Silence);
        }
        next.0
    }
}

impl Wait<'_> {
    /// The verdict when this timer expires.
    pub(super) fn verdict_of(&self, timer: Timer<'_>) -> Result<Exit, Failure> {
        let policy = &self.policy.0;
        let (reason, message) = match timer {
            Timer::Settle(exit) => return Ok(exit.clone()),
            Timer::Grace(failure) => return Err(Failure { exit_code: self.seen_code(), ..failure.clone() }),
            Timer::NodeLost => (
                FailReason::NodeLost,
                format!(
                    "the pod's node was lost for {:?}{}; run it again",
                    policy.unknown_grace,
                    self.hindrance()
                ),
            ),
            Timer::Terminating => (
                FailReason::PodDeleted,
                String::from(
                    "the pod was deleted, and its node never reported how the step ended; run it again",
                ),
            ),
            Timer::Absent(absent) if absent.has_namesake => (
                FailReason::PodReplaced,
                format!(
                    "another pod has this name, and the pod with uid {} did not appear within {:?}; run it again",
                    one_line(self.uid.as_deref().unwrap_or_default(), LONGEST_UID),
                    policy.absent_grace
                ),
            ),
            Timer::Absent(_) => {
                (FailReason::PodNeverSeen, format!("no such pod appeared within {:?}", policy.absent_grace))
            }
            Timer::Gone(gone) => return self.gone(gone.how()),
            Timer::LostRecord(failure) => return Err(failure.clone()),
            Timer::AuthError(failure) => return Err(self.api_failure(failure)),
            Timer::ApiError => return Err(self.api_failure(ApiFailure::Transient)),
            Timer::Start => {
                let limit = policy.start_deadline.unwrap_or_default();
                let why = self.hindrance();
                (FailReason::StartTimeout, format!("the step did not start within {limit:?}{why}"))
            }
            Timer::Deadline => {
                let limit = policy.deadline.unwrap_or_default();
                let why = self.hindrance();
                (FailReason::Deadline, format!("the step did not end within {limit:?}{why}"))
            }
            Timer::Silence => (
                FailReason::ApiUnavailable,
                format!("the API server was not read for {:?}", policy.api_error_budget),
            ),
        };
        let failure = Failure::new(reason, message, self.seen_code());
        Err(if let Timer::Terminating = timer { failure.by_rule(10) } else { failure })
    }

    /// The reason to wait, in parentheses, or nothing for a step that runs.
    fn hindrance(&self) -> String {
        let timers = &self.waiting.timers;
        if timers.api_error.is_some() || timers.auth_error.is_some() || timers.expired.is_some() {
            let word = &self.waiting.last_word.0;
            let of = if word.is_empty() { "" } else { ": " };
            return format!(" (the API server could not be read{of}{word})");
        }
        let failure = timers.image_pull.as_deref().map(|pull| &pull.failure);
        if let Some(failure) = failure.or_else(|| timers.config_error.as_ref().map(|grace| &grace.failure)) {
            return in_parentheses(&failure.message);
        }
        let Some(history) = &self.waiting.history else { return String::from(" (the pod was not seen yet)") };
        let said = history.said();
        if history.phase.is_terminal() {
            return format!(
                " (the pod is {}{said}, and the record of the step's end is missing)",
                history.phase.as_str()
            );
        }
        said
    }

    /// A failure of the API server with its last message.
    pub(super) fn api_failure(&self, failure: ApiFailure) -> Failure {
        let what = failure.phrase();
        let message = format!("the API server {what}{}", self.waiting.last_word.in_parentheses());
        Failure::new(failure.fail_reason(), message, self.seen_code())
    }

    /// A good read: the API server works.
    pub(super) fn good_read(&mut self, is_consistent: bool) {
        let is_behind = !is_consistent && self.waiting.older.is_some();
        let timers = &mut self.waiting.timers;
        timers.clear_errors(self.at, is_consistent, is_behind, self.policy.0.finalize_initial);
        self.waiting.errors = 0;
        // The wait for the API server is over; the pod's own situation is the reason again.
        let situation = self.waiting.situation;
        self.waiting.wake = self.waiting.wake.filter(|(_, why)| *why == situation);
    }

    /// Sets the reason to wait. Returns `None`, because this decides nothing.
    pub(super) fn situate(&mut self, why: RetryReason) -> Option<Result<Exit, Failure>> {
        let why = match (&self.waiting.timers.lost_record, self.waiting.gone()) {
            (Some(_), _) => RetryReason::ConfirmingLostRecord,
            (None, Some(_)) => RetryReason::ConfirmingDeletion,
            (None, None) => why,
        };
        if self.waiting.situation != why {
            self.waiting.situation = why;
            self.waiting.attempt = 0;
            self.waiting.wake = None;
        }
        None
    }

    /// Rule 12, and the answer if nothing else decided: the verdict of an expired timer, or the promised wake-up, which
    /// is never later than the machine's next timer.
    pub(super) fn answer(&mut self, is_tick: bool) -> Answer {
        let next = match self.waiting.next_timer(self.policy) {
            Some((at, timer)) if at <= self.at => return ControlFlow::Break(self.verdict_of(timer)),
            next => next.map(|(at, _)| at),
        };
        let (wake, why) = self.promise(is_tick);
        let after = next.map_or(wake, |next| next.min(wake)).since(self.at);
        ControlFlow::Continue((after.max(Duration::from_millis(1)), why))
    }

    /// When the caller is to come back, and why. A wake-up that was promised is kept until it is due.
    fn promise(&mut self, is_tick: bool) -> (Instant, RetryReason) {
        let why = self.waiting.wake.map_or(self.waiting.situation, |(_, why)| why);
        if let Some((wake, why)) = self.waiting.wake
            && wake > self.at
            && (is_tick || !is_steady(why))
        {
            return (wake, why);
        }
        let delay = match why {
            RetryReason::AwaitingPod => self.next_delay(),
            RetryReason::AwaitingTerminatedState => {
                // The last read of the budget is at its end. A tick reads nothing, so it uses up none of the budget.
                let left = self.policy.0.finalize_budget.saturating_sub(self.waiting.missing.observed);
                let delay = self.next_delay();
                if is_tick { delay } else { delay.min(left.max(Duration::from_millis(1))) }
            }
            RetryReason::ApiThrottled | RetryReason::ApiError | RetryReason::Relist => {
                self.next_error_delay(why)
            }
            RetryReason::Pending
            | RetryReason::Running
            | RetryReason::Restarting
            | RetryReason::PodTerminating => self.policy.0.reobserve,
            // Only the timer of the confirmation ends it.
            RetryReason::ConfirmingDeletion | RetryReason::ConfirmingLostRecord => self.policy.0.gone_grace,
        };
        *self.waiting.wake.insert((self.at.after(delay), why))
    }

    /// The delay after one more API error in a row.
    ///
    /// The backoff grows while 410s come close together, even with good reads between them: a watch that expires at
    /// once must not cause a busy loop.
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

/// Whether any snapshot ends this wait, so that each snapshot restarts the silence limit; a tick does not.
const fn is_steady(why: RetryReason) -> bool {
    match why {
        RetryReason::Pending
        | RetryReason::Running
        | RetryReason::Restarting
        | RetryReason::PodTerminating
        | RetryReason::ConfirmingDeletion
        | RetryReason::ConfirmingLostRecord => true,
        RetryReason::AwaitingPod
        | RetryReason::AwaitingTerminatedState
        | RetryReason::ApiThrottled
        | RetryReason::ApiError
        | RetryReason::Relist => false,
    }
}
