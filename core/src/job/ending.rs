//! Rules 15 and 16: a Job whose end is certain, until it can be answered.

use super::conditions::{Conclusion, Outcome, Sign};
use super::snapshot::JobSnapshot;
use crate::policy::Policy;
use crate::reason::RetryReason;
use crate::time::{Instant, millis};
use core::time::Duration;

/// A Job whose conditions say how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) conclusion: Conclusion,
    pub(super) stage: Stage,
    /// When the limit of the stage began.
    pub(super) since: Instant,
}

/// What is missing for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The last condition.
    Condition,
    /// A list of the pods.
    Pods,
    /// The records of pods that are over; the limit is that of the stage before.
    Records,
}

impl Ending {
    /// What this object adds.
    ///
    /// A condition that ends a Job is never taken back, so it counts in an old object too.
    pub(super) fn see(ending: &mut Option<Self>, at: Instant, job: &JobSnapshot) {
        let Some(conclusion) = Conclusion::of(job) else { return };
        let stage = match conclusion.sign {
            Sign::Announced => Stage::Condition,
            Sign::Final => Stage::Pods,
        };
        if ending.as_ref().is_none_or(|ending| ending.stage < stage) {
            *ending = Some(Self { conclusion, stage, since: at });
        }
    }

    /// No other condition will come.
    pub(super) fn object_is_over(&mut self, at: Instant) {
        if self.stage == Stage::Condition {
            (self.stage, self.since) = (Stage::Pods, at);
        }
    }

    /// The pods were listed, or cannot be.
    pub(super) fn pods_are_read(&mut self) {
        if self.stage == Stage::Pods {
            self.stage = Stage::Records;
        }
    }

    /// When the Job is answered at the latest, and what it waits for until then.
    pub(super) fn limit(&self, policy: &Policy, lacks_records: bool) -> (Instant, RetryReason) {
        let (limit, why) = match (self.stage, self.conclusion.outcome) {
            (Stage::Condition, Outcome::Complete | Outcome::Failed) => {
                (policy.0.unknown_grace, RetryReason::AwaitingTerminalCondition)
            }
            (Stage::Records, Outcome::Failed) if !lacks_records => {
                (Duration::ZERO, RetryReason::AwaitingTerminatedState)
            }
            (Stage::Pods | Stage::Records, Outcome::Failed) => {
                (policy.0.finalize_budget, RetryReason::AwaitingTerminatedState)
            }
            (Stage::Pods | Stage::Records, Outcome::Complete) => {
                (Duration::ZERO, RetryReason::AwaitingTerminatedState)
            }
        };
        (self.since.after(limit), why)
    }

    /// The first time after `at` that is a multiple of `finalize_max` after the stage began.
    pub(super) fn next_read(&self, policy: &Policy, at: Instant) -> Instant {
        let interval = millis(policy.0.finalize_max).max(1);
        let passed = millis(at.since(self.since)) / interval;
        self.since.after(Duration::from_millis(interval.saturating_mul(passed.saturating_add(1))))
    }
}
