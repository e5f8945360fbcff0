//! Rule 4: whether something other than the step ended it.

use super::config::Config;
use super::record::{self, End};
use super::story::{Sight, clean_end};
use super::target::State;
use podwait_core::{Condition, ContainerState, ContainerStatus, FailReason, Phase, PodSnapshot, Terminated};
use std::time::Duration;

/// Whether the object has any sign of an outside cause.
pub(super) fn is_marked(pod: &PodSnapshot) -> bool {
    pod.deletion_timestamp.is_some() || disruption(pod).is_some() || reason(pod).is_some()
}

/// The cause of a terminal phase without the target's record.
pub(super) fn of_missing_record(sights: &[Sight<'_>]) -> Option<FailReason> {
    let sight = sights.last()?;
    if sight.pod.phase == Phase::Failed
        && let Some(cause) = reason(sight.pod)
    {
        return Some(cause);
    }
    // A pod that was terminal before the first outside cause was not ended by that cause.
    if clean_end(sights).is_some() {
        return None;
    }
    if let Some(cause) = said_while_open(sights) {
        return Some(cause);
    }
    if effective_disruption(sight).is_some() {
        return Some(FailReason::Disrupted);
    }
    sight.pod.deletion_timestamp.map(|_| FailReason::PodDeleted)
}

/// The cause in the last sight of a pod that is gone. Its deletion alone does not count.
pub(super) fn of_pod_that_is_gone(sight: &Sight<'_>) -> Option<FailReason> {
    let said =
        reason(sight.pod).filter(|_| sight.pod.phase == Phase::Failed).or_else(|| open_reason(sight.pod));
    said.or_else(|| disruption(sight.pod).map(|_| FailReason::Disrupted))
}

/// An end of a container in the newest sight, or a made-up record of one.
pub(super) struct Seen<'s, 'a> {
    pub(super) sights: &'s [Sight<'a>],
    /// The sights that showed this end.
    pub(super) at: Vec<usize>,
    pub(super) record: &'s Terminated,
    /// A kubelet that had not yet observed the deletion wrote one of them.
    pub(super) written_before_deletion: bool,
    /// It is the end of an init container.
    pub(super) of_init: bool,
    /// A reason or a kubelet's condition that was first seen after the end may have been its cause (policy `settle`).
    pub(super) is_doubted: bool,
}

/// The cause of the target's end in the newest of these sights. `record` is the best record of that end.
pub(super) fn of_record(config: &Config, sights: &[Sight<'_>], record: &Terminated) -> Option<FailReason> {
    let at = (0..sights.len()).filter(|index| had_ended(sights, *index)).collect();
    let written_before_deletion = written_before_deletion(sights);
    let is_doubted = config.settle.is_some();
    of_end(config, &Seen { sights, at, record, written_before_deletion, is_doubted, of_init: false })
}

/// The cause of an end.
pub(super) fn of_end(config: &Config, seen: &Seen<'_, '_>) -> Option<FailReason> {
    let sight = seen.sights.last()?;
    let said =
        reason(sight.pod).filter(|_| sight.pod.phase == Phase::Failed).or_else(|| open_reason(sight.pod));
    if let Some(earlier) = said_while_open(seen.before()) {
        return said.or(Some(earlier));
    }
    // Only an earlier sight of this end without the reason proves that the reason came later, and only if no other run
    // could follow that end.
    let ended_first = !seen.is_doubted
        && !seen.is_followed()
        && seen.at.iter().any(|at| reason(seen.sights[*at].pod).is_none());
    if said.is_some() && !ended_first {
        return said;
    }
    if clean_end(seen.sights) == Some(Phase::Succeeded) {
        return None;
    }
    if let Some(disruption) = effective_disruption(sight)
        && !seen.is_before_disruption(config, disruption)
    {
        return Some(FailReason::Disrupted);
    }
    let deleted = was_deleted(seen.sights) && !seen.is_before_deletion(config);
    deleted.then_some(FailReason::PodDeleted)
}

/// Whether something other than its containers has made the pod `Failed`.
pub(super) fn has_ended(sight: &Sight<'_>) -> bool {
    let runs = |status: &ContainerStatus| matches!(status.state, Some(ContainerState::Running));
    let beside_one_that_runs = sight.pod.container_statuses.iter().any(runs);
    reason(sight.pod).is_some()
        || effective_disruption(sight).is_some()
        || (sight.pod.deletion_timestamp.is_some() && beside_one_that_runs)
}

impl<'a> Seen<'_, 'a> {
    /// Whether another run of the target could follow, as of the last sight of this end.
    fn is_followed(&self) -> bool {
        if self.of_init {
            return false;
        }
        let last = self.at.last().map(|at| &self.sights[*at]);
        let target = last.and_then(|sight| Some((sight, sight.target.as_ref().ok()?)));
        target.is_some_and(|(sight, target)| target.is_followed(sight.pod, self.record))
    }

    /// The sights before the first that showed the end.
    fn before(&self) -> &[Sight<'a>] {
        &self.sights[..self.at.first().copied().unwrap_or(self.sights.len() - 1)]
    }

    fn is_before_disruption(&self, config: &Config, disruption: &Condition) -> bool {
        let by_kubelet = disruption.reason == "TerminationByKubelet";
        match self.observed_before(|sights| {
            sights.last().is_some_and(|sight| self::disruption(sight.pod).is_some())
        }) {
            Some(before) => before && !(by_kubelet && self.is_doubted),
            // The kubelet kills without a deletion, and writes the time after the end, so that only the order of sights
            // is evidence.
            None if by_kubelet => false,
            None => {
                self.written_before_deletion
                    || is_before(config, self.record, disruption.last_transition_time.map(|time| time.0))
            }
        }
    }

    fn is_before_deletion(&self, config: &Config) -> bool {
        let rewritten = || is_rewritten(self.sights) && self.sights.last().is_some_and(knows_of_deletion);
        self.observed_before(was_deleted).unwrap_or_else(|| {
            if self.written_before_deletion {
                return !self.may_be_behind_an_edit(config);
            }
            !rewritten() && is_before(config, self.record, requested_at(self.sights))
        })
    }

    /// Whether the generations may differ because of an unseen edit after the deletion: the times show clearly that the
    /// end came later. The first generation precedes both.
    fn may_be_behind_an_edit(&self, config: &Config) -> bool {
        let is_first = self.at.iter().any(|at| self.sights[*at].pod.observed_generation == 1);
        let request = requested_at(self.sights).filter(|_| !is_rewritten(self.sights));
        let end = self.record.finished_at.map(|time| time.0);
        let clearly = request.zip(end).is_some_and(|(request, end)| {
            end.saturating_sub(seconds_up(config.clock_skew)) > request.saturating_add(1)
        });
        clearly && !is_first
    }

    /// The order by sights. An end seen without the cause came before it; a sight with the cause and without the end
    /// shows that the end came after it. In a terminal pod every container has ended, whatever an old status has.
    ///
    /// `is_under` returns whether the cause is in the sights up to one of them.
    fn observed_before(&self, is_under: impl Fn(&[Sight<'a>]) -> bool) -> Option<bool> {
        let until = |at: usize| &self.sights[..=at];
        if self.at.iter().any(|at| !is_under(until(*at))) {
            return Some(true);
        }
        let is_open = |at: usize| is_under(until(at)) && !self.sights[at].pod.phase.is_terminal();
        (0..self.before().len()).any(is_open).then_some(false)
    }
}

/// Whether the pod was being deleted in any of these sights. A deletion is never taken back: a restored store may not
/// have it any more, but the kubelet has observed it.
pub(super) fn was_deleted(sights: &[Sight<'_>]) -> bool {
    sights.iter().any(|sight| sight.pod.deletion_timestamp.is_some())
}

/// The first reason of a pod that was not over.
pub(super) fn said_while_open(sights: &[Sight<'_>]) -> Option<FailReason> {
    sights.iter().find_map(|sight| open_reason(sight.pod))
}

/// The cause by `status.reason` of a pod that is not over. A node that has just reported is not lost.
fn open_reason(pod: &PodSnapshot) -> Option<FailReason> {
    let is_open = matches!(pod.phase, Phase::Pending | Phase::Running);
    reason(pod).filter(|cause| is_open && *cause != FailReason::NodeLost)
}

/// (a) The cause by `status.reason`.
pub(super) fn reason(pod: &PodSnapshot) -> Option<FailReason> {
    match pod.reason.as_str() {
        "Evicted" => Some(FailReason::Evicted),
        "Preempting" | "Preempted" => Some(FailReason::Disrupted),
        "Shutdown" | "NodeShutdown" | "Terminated" => Some(FailReason::NodeShutdown),
        "NodeLost" => Some(FailReason::NodeLost),
        "DeadlineExceeded" => Some(FailReason::DeadlineExceeded),
        "UnexpectedAdmissionError"
        | "NodeAffinity"
        | "NodeName"
        | "NodePorts"
        | "TopologyAffinityError"
        | "PodOSNotSupported" => Some(FailReason::RejectedByNode),
        other => other.starts_with("OutOf").then_some(FailReason::RejectedByNode),
    }
}

/// (c) The condition, whether or not it counts yet.
pub(super) fn disruption(pod: &PodSnapshot) -> Option<&Condition> {
    pod.disruption_target.as_ref().filter(|condition| condition.is_true)
}

/// (c) The condition if it counts: the pod is being deleted, or the writer of the condition ends pods without a
/// deletion.
fn effective_disruption<'a>(sight: &Sight<'a>) -> Option<&'a Condition> {
    disruption(sight.pod).filter(|condition| {
        sight.pod.deletion_timestamp.is_some()
            || condition.reason == "TerminationByKubelet"
            || (condition.reason == "DeletionByPodGC" && sight.pod.phase == Phase::Failed)
    })
}

/// Whether an earlier sight showed the end of the run whose end the newest sight shows: all sights since then show that
/// end. A made-up record shows no end.
fn had_ended(sights: &[Sight<'_>], index: usize) -> bool {
    let Some(newest) = record::latest_end(sights) else { return false };
    let is_over = |sight: &Sight<'_>| match last_end(sight) {
        Some(end) => newest.is_of_same_run(&end) && !record::is_restarting_all(end.record),
        None => false,
    };
    // A status that no longer has the end, or is missing, does not undo the end; only a new run does.
    let shows_no_end = |sight: &Sight<'_>| {
        last_end(sight).is_none()
            && !matches!(&sight.target, Ok(target) if matches!(target.state(), State::Running))
    };
    let (then, since) = (&sights[index], &sights[index..]);
    last_end(then).is_some_and(|end| !record::is_fabricated(end.record))
        && since.iter().all(|sight| is_over(sight) || shows_no_end(sight))
}

fn last_end<'a>(sight: &Sight<'a>) -> Option<End<'a>> {
    End::of(sight.target.as_ref().ok()?)
}

/// Generations: the deletion raises the generation, and the kubelet that wrote the end had not observed that.
fn written_before_deletion(sights: &[Sight<'_>]) -> bool {
    let Some(newest) = record::latest_end(sights) else { return false };
    let of_this_run = |sight: &&Sight<'_>| {
        let real = last_end(sight).filter(|end| !record::is_fabricated(end.record));
        real.is_some_and(|end| newest.is_of_same_run(&end))
    };
    sights.iter().filter(of_this_run).any(|sight| is_written_before_deletion(sight.pod))
}

pub(super) fn is_written_before_deletion(pod: &PodSnapshot) -> bool {
    pod.deletion_timestamp.is_some() && (1..pod.generation).contains(&pod.observed_generation)
}

/// The kubelet had observed the newest generation, including the deletion, at its last write.
fn knows_of_deletion(sight: &Sight<'_>) -> bool {
    sight.pod.observed_generation > 0 && sight.pod.observed_generation >= sight.pod.generation
}

/// The first sight of the deletion already showed the kubelet's last DELETE.
fn is_rewritten(sights: &[Sight<'_>]) -> bool {
    let first = sights.iter().find(|sight| sight.pod.deletion_timestamp.is_some());
    first.is_some_and(|sight| sight.pod.deletion_grace_period_seconds.unwrap_or(0) <= 1)
}

/// Timestamps: the earliest time at which the deletion can have been requested, by its first sight. Later sights may
/// have a shorter grace period of a later request. The kubelet's last DELETE replaces the requested grace period by 0,
/// or by 1 if it is late.
fn requested_at(sights: &[Sight<'_>]) -> Option<i64> {
    let (pod, timestamp) =
        sights.iter().find_map(|sight| Some((sight.pod, sight.pod.deletion_timestamp?.0)))?;
    let said = pod.deletion_grace_period_seconds.unwrap_or(0);
    let own = pod.termination_grace_period_seconds.unwrap_or(30);
    let is_overwritten = said <= 1;
    Some(timestamp.saturating_sub(if is_overwritten { own.max(said) } else { said }))
}

/// Timestamps, which have whole seconds: the same second is not before, and a missing time is not before either.
fn is_before(config: &Config, record: &Terminated, cause: Option<i64>) -> bool {
    let skew = seconds_up(config.clock_skew);
    match (record.finished_at, cause) {
        (Some(finished), Some(cause)) => finished.0.saturating_add(skew) < cause,
        _ => false,
    }
}

fn seconds_up(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}
