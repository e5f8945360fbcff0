//! Rules 15 and 16: what the conditions of a Job say about its end.

use super::snapshot::JobSnapshot;
use crate::snapshot::Condition;
use crate::text::{name, one_line};
use alloc::string::String;

/// Longest message of a condition that is kept, in bytes; it becomes a part of a sentence.
const LONGEST_MESSAGE: usize = 400;

/// Longest text of failed indexes that is read, in bytes. The API server limits their number
/// (`maxFailedIndexesForUnlimitedCompletions` in `pkg/apis/batch/validation`).
const LONGEST_INDEXES: usize = 1 << 20;

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    Failed,
}

/// How sure the outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    /// `SuccessCriteriaMet` or `FailureTarget`: the outcome cannot change, but pods may still run.
    Announced,
    /// `Complete` or `Failed`.
    Final,
}

/// What the conditions of a Job say about its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conclusion {
    pub(super) outcome: Outcome,
    pub(super) sign: Sign,
    /// `reason` of the condition, on one line.
    pub(super) reason: String,
    /// `message` of the condition, on one line.
    pub(super) message: String,
    /// `status.failedIndexes` of the same object.
    pub(super) failed_indexes: String,
}

impl Conclusion {
    /// What this object says; `None` if the Job goes on.
    ///
    /// The API server refuses an object with two outcomes (`validateJobStatus`). If one comes nevertheless, it failed:
    /// doubt is never green.
    pub(super) fn of(job: &JobSnapshot) -> Option<Self> {
        let conditions = &job.conditions;
        let signs = [
            (&conditions.failed, Outcome::Failed, Sign::Final),
            (&conditions.failure_target, Outcome::Failed, Sign::Announced),
            (&conditions.complete, Outcome::Complete, Sign::Final),
            (&conditions.success_criteria_met, Outcome::Complete, Sign::Announced),
        ];
        let is_true = |condition: &&Condition| condition.is_true;
        signs.into_iter().find_map(|(condition, outcome, sign)| {
            let condition = condition.as_ref().filter(is_true)?;
            let failed_indexes = Some(&job.failed_indexes).filter(|text| text.len() <= LONGEST_INDEXES);
            Some(Self {
                outcome,
                sign,
                reason: name(&condition.reason).into_owned(),
                message: one_line(&condition.message, LONGEST_MESSAGE).into_owned(),
                failed_indexes: failed_indexes.cloned().unwrap_or_default(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobConditions;

    fn condition(is_true: bool) -> Option<Condition> {
        Some(Condition { is_true, reason: "R".into(), ..Condition::default() })
    }

    fn sign(conditions: JobConditions) -> Option<(Outcome, Sign)> {
        let job = JobSnapshot { conditions, ..JobSnapshot::default() };
        Conclusion::of(&job).map(|conclusion| (conclusion.outcome, conclusion.sign))
    }

    #[test]
    fn a_failure_takes_precedence_and_a_final_condition_over_an_announcement() {
        let all = JobConditions {
            complete: condition(true),
            failed: condition(true),
            success_criteria_met: condition(true),
            failure_target: condition(true),
            suspended: condition(true),
        };
        assert_eq!(sign(all.clone()), Some((Outcome::Failed, Sign::Final)));
        let unfinished = JobConditions { failed: condition(false), ..all.clone() };
        assert_eq!(sign(unfinished.clone()), Some((Outcome::Failed, Sign::Announced)));
        let met = JobConditions { failure_target: None, ..unfinished };
        assert_eq!(sign(met.clone()), Some((Outcome::Complete, Sign::Final)));
        let met = JobConditions { complete: condition(false), ..met };
        assert_eq!(sign(met.clone()), Some((Outcome::Complete, Sign::Announced)));
        assert_eq!(sign(JobConditions { success_criteria_met: condition(false), ..met }), None);
    }
}
