//! Rule 9: the pod does not exist any more.

use super::story::{self, Story};
use super::{Verdict, cause, infer, record};
use podwait_core::{FailReason, OnGone, Phase};

/// The answer for a pod that was seen and is gone. `otherwise` is the reason if there is no better evidence.
pub(super) fn judge(story: &Story<'_>, otherwise: FailReason) -> Verdict {
    if let Some((_, lost)) = story.lost {
        return lost;
    }
    let rule = if otherwise == FailReason::PodReplaced { 1 } else { 9 };
    by_what_was_seen(story, otherwise).by_rule(rule)
}

fn by_what_was_seen(story: &Story<'_>, otherwise: FailReason) -> Verdict {
    let newest = story.newest().expect("a pod that was seen");
    if story.config.on_gone == OnGone::AssumeSuccess && otherwise == FailReason::PodDeleted {
        return Verdict::inferred();
    }
    let latest = record::latest_but_for_success(&story.sights);
    // An earlier sight that was no answer yet, since it could be undone or had not settled, is no evidence of success.
    let is_open = !newest.phase.is_terminal();
    if let Some(record) = latest.filter(|record| record.exit_code != 0 || !is_open) {
        return record::exit(story.config, record, &story.sights, false);
    }
    match story::clean_end(&story.sights) {
        Some(Phase::Succeeded) => infer(story),
        clean => {
            let cause = cause::of_pod_that_is_gone(newest).filter(|_| clean.is_none());
            let failed = clean.is_some() || newest.phase == Phase::Failed;
            let missing = failed.then_some(FailReason::TerminatedStateMissing);
            // An init container that failed without an outside cause ended the pod.
            let init = record::init_failed_for_good(&story.sights).filter(|(_, at)| {
                let pods = || at.iter().map(|at| story.sights[*at].pod);
                // A deletion is never taken back.
                let is_deleted = |at: usize| {
                    story.sights[..=at].iter().any(|sight| sight.pod.deletion_timestamp.is_some())
                };
                at.iter().any(|at| !is_deleted(*at))
                    && pods().any(|pod| cause::disruption(pod).is_none())
                    && pods().any(|pod| cause::reason(pod).is_none())
            });
            if let (None, None, Some((end, _))) = (cause, missing, init) {
                return Verdict::fail(FailReason::InitContainerFailed, Some(end.record.exit_code));
            }
            Verdict::fail(cause.or(missing).unwrap_or(otherwise), story.seen_code())
        }
    }
}
