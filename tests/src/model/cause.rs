//! Rule 4: whether something other than the step ended it.

use super::config::Config;
use super::record::{self, End};
use super::story::{Sight, clean_end};
use super::target::State;
use podwait_core::{Condition, FailReason, Phase, PodSnapshot, Terminated};
use std::time::Duration;

/// Whether the object shows any mark of an outside cause.
pub(super) fn is_marked(pod: &PodSnapshot) -> bool {
    pod.deletion_timestamp.is_some() || disruption(pod).is_some() || reason(pod).is_some()
}

/// The cause of a terminal phase that comes without the target's record.
pub(super) fn of_missing_record(sights: &[Sight<'_>]) -> Option<FailReason> {
    let sight = sights.last()?;
    if sight.pod.phase == Phase::Failed
        && let Some(cause) = reason(sight.pod)
    {
        return Some(cause);
    }
    // What was terminal before anybody interfered was not ended by them.
    if clean_end(sights).is_some() {
        return None;
    }
    if effective_disruption(sight).is_some() {
        return Some(FailReason::Disrupted);
    }
    sight.pod.deletion_timestamp.map(|_| FailReason::PodDeleted)
}

/// The cause that the last sight of a pod that is gone tells of; its deletion alone goes without saying.
pub(super) fn of_pod_that_is_gone(sight: &Sight<'_>) -> Option<FailReason> {
    let said = reason(sight.pod).filter(|_| sight.pod.phase == Phase::Failed);
    said.or_else(|| disruption(sight.pod).map(|_| FailReason::Disrupted))
}

/// The cause of the end that the newest of these sights shows, of which this is the best record.
pub(super) fn of_record(config: &Config, sights: &[Sight<'_>], record: &Terminated) -> Option<FailReason> {
    let sight = sights.last()?;
    let counts = match sight.pod.phase {
        Phase::Failed => true,
        Phase::Pending | Phase::Running => sight.pod.reason != "NodeLost",
        Phase::Succeeded | Phase::Unknown | Phase::Unrecognized => false,
    };
    if let Some(cause) = reason(sight.pod)
        && counts
        && !ended_before_reason(config, sights)
    {
        return Some(cause);
    }
    if clean_end(sights) == Some(Phase::Succeeded) {
        return None;
    }
    if let Some(disruption) = effective_disruption(sight)
        && !ended_before_disruption(config, sights, record, disruption)
    {
        return Some(FailReason::Disrupted);
    }
    let deleted = sight.pod.deletion_timestamp.is_some() && !ended_before_deletion(config, sights, record);
    deleted.then_some(FailReason::PodDeleted)
}

/// (a) What `status.reason` says.
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

/// (c) The condition, whether it counts already or not.
pub(super) fn disruption(pod: &PodSnapshot) -> Option<&Condition> {
    pod.disruption_target.as_ref().filter(|condition| condition.is_true)
}

/// (c) The condition where it counts: the pod is being deleted, or the writer of the condition ends pods without.
fn effective_disruption<'a>(sight: &Sight<'a>) -> Option<&'a Condition> {
    disruption(sight.pod).filter(|condition| {
        sight.pod.deletion_timestamp.is_some()
            || condition.reason == "TerminationByKubelet"
            || (condition.reason == "DeletionByPodGC" && sight.pod.phase == Phase::Failed)
    })
}

/// Only an earlier look at the very end, without the reason, proves that the reason came later. `settle` asks for more:
/// it is there for a reason that is written later than the end that it brought about.
fn ended_before_reason(config: &Config, sights: &[Sight<'_>]) -> bool {
    let seen_without = |index: usize| had_ended(sights, index) && reason(sights[index].pod).is_none();
    config.settle.is_none() && (0..sights.len() - 1).any(seen_without)
}

fn ended_before_disruption(
    config: &Config,
    sights: &[Sight<'_>],
    record: &Terminated,
    disruption: &Condition,
) -> bool {
    let by_kubelet = disruption.reason == "TerminationByKubelet";
    match observed_before(sights, |pod| self::disruption(pod).is_some()) {
        Some(before) => before && !(by_kubelet && config.settle.is_some()),
        // The kubelet kills without a delete and stamps when all is over, so nothing but our own eyes can tell.
        None if by_kubelet => false,
        None => {
            written_before_deletion(sights)
                || is_before(config, record, disruption.last_transition_time.map(|time| time.0))
        }
    }
}

fn ended_before_deletion(config: &Config, sights: &[Sight<'_>], record: &Terminated) -> bool {
    observed_before(sights, |pod| pod.deletion_timestamp.is_some())
        .unwrap_or_else(|| written_before_deletion(sights) || is_before(config, record, requested_at(sights)))
}

/// Our own eyes. Seen ended without the cause is before; seen under the cause, and not ended yet, is after. In a terminal
/// pod everything has ended, whatever an old status still says.
fn observed_before(sights: &[Sight<'_>], is_under: impl Fn(&PodSnapshot) -> bool) -> Option<bool> {
    let mut ends = (0..sights.len()).filter(|index| had_ended(sights, *index));
    if ends.clone().any(|index| !is_under(sights[index].pod)) {
        return Some(true);
    }
    let first = ends.next().unwrap_or(sights.len() - 1);
    let is_open = |sight: &Sight<'_>| is_under(sight.pod) && !sight.pod.phase.is_terminal();
    sights[..first].iter().any(is_open).then_some(false)
}

/// Whether the run whose end the newest sight shows had been seen to be over in an earlier one: all that was seen since
/// is that very end. What is made up tells of no end.
fn had_ended(sights: &[Sight<'_>], index: usize) -> bool {
    let Some(newest) = record::latest_end(sights) else { return false };
    let is_over = |sight: &Sight<'_>| match last_end(sight) {
        Some(end) => end.is_of_same_run(&newest) && !record::is_restarting_all(end.record),
        None => false,
    };
    // A status that forgot the end, or went missing, undoes nothing; only a new run does.
    let tells_nothing = |sight: &Sight<'_>| {
        last_end(sight).is_none()
            && !matches!(&sight.target, Ok(target) if matches!(target.state(), State::Running))
    };
    let (then, since) = (&sights[index], &sights[index..]);
    last_end(then).is_some_and(|end| !record::is_fabricated(end.record))
        && since.iter().all(|sight| is_over(sight) || tells_nothing(sight))
}

fn last_end<'a>(sight: &Sight<'a>) -> Option<End<'a>> {
    End::of(sight.target.as_ref().ok()?)
}

/// Generations: the delete raises the generation, and the end was written by one who had not seen that.
fn written_before_deletion(sights: &[Sight<'_>]) -> bool {
    let Some(newest) = record::latest_end(sights) else { return false };
    let of_this_run = |sight: &&Sight<'_>| {
        let real = last_end(sight).filter(|end| !record::is_fabricated(end.record));
        real.is_some_and(|end| end.is_of_same_run(&newest))
    };
    sights.iter().filter(of_this_run).any(|sight| {
        let (wanted, observed) = (sight.pod.generation, sight.pod.observed_generation);
        sight.pod.deletion_timestamp.is_some() && (1..wanted).contains(&observed)
    })
}

/// Timestamps: the earliest moment at which the delete can have been requested, by the first sight of it. What comes later
/// is a shorter grace, asked for later. The kubelet's last DELETE writes grace 0, or 1 if it is late, over the grace
/// period that was asked for.
fn requested_at(sights: &[Sight<'_>]) -> Option<i64> {
    let (pod, timestamp) =
        sights.iter().find_map(|sight| Some((sight.pod, sight.pod.deletion_timestamp?.0)))?;
    let said = pod.deletion_grace_period_seconds.unwrap_or(0);
    let own = pod.termination_grace_period_seconds.unwrap_or(30);
    let is_overwritten = said <= 1;
    Some(timestamp.saturating_sub(if is_overwritten { own.max(said) } else { said }))
}

/// Timestamps, which name whole seconds: the same second is not before, and no time at all is not before either.
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
