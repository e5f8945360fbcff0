//! Rules 3 to 6: the target's `terminated` record, its evidence, and its answer.

use super::Verdict;
use super::cause;
use super::config::Config;
use super::story::{Sight, clean_end};
use super::target::{List, State, Target};
use podwait_core::{DoneReason, Evidence, FailReason, OnMissingTerminated, Phase, Terminated};

/// The result of the target's record in the newest sight.
pub(super) enum Ending {
    /// The answer.
    Final(Verdict),
    /// The answer, unless the awaited phase contradicts it (policy `settle`).
    Unsettled(Verdict),
}

/// The end of the target, if the newest of these sights shows a final one.
pub(super) fn ending(config: &Config, sights: &[Sight<'_>]) -> Option<Ending> {
    let sight = sights.last()?;
    let target = sight.target.as_ref().ok()?;
    let State::Ended(record) = target.state() else { return None };
    let is_over = sight.gone || sight.phase.is_terminal();
    if is_restarting_all(record) || !(is_over || target.is_final(sight.pod, record)) {
        return None;
    }
    // A made-up record does not count if the real record of that run was seen.
    let shown = record;
    let record = latest(sights).unwrap_or(shown);
    if let Some(reason) = cause::of_record(config, sights, record) {
        return Some(Ending::Final(Verdict::fail(reason, Some(record.exit_code)).by_rule(4)));
    }
    let verdict = if is_fabricated(record) {
        Verdict::fail(FailReason::ContainerStatusUnknown, Some(record.exit_code))
    } else {
        exit(config, record, sights, cause::has_ended(sight))
    };
    // A real code is kept over a later made-up one, by rule 5.
    let verdict = if is_fabricated(shown) { verdict.by_rule(5) } else { verdict };
    let completed = matches!(verdict, Verdict::Done { code: 0, .. });
    // The kubelet ends a pod's containers together, and publishes no end before the last one: beside a running
    // container the target ended by itself.
    let unsettled = config.settle.is_some()
        && completed
        && !is_over
        && !target
            .others(sight.pod)
            .any(|other| other.list != List::Ephemeral && matches!(other.state(), State::Running));
    Some(if unsettled { Ending::Unsettled(verdict) } else { Ending::Final(verdict) })
}

/// The real record of the latest run, from any of these sights.
pub(super) fn latest<'a>(sights: &[Sight<'a>]) -> Option<&'a Terminated> {
    latest_end(sights).map(|end| end.record)
}

/// The same, unless a clean `Succeeded` shows that there was a later run, which was not seen.
pub(super) fn latest_but_for_success<'a>(sights: &[Sight<'a>]) -> Option<&'a Terminated> {
    latest_with_followers(sights).map(|(record, _)| record)
}

/// The same, with whether another run could follow it, by the last sight that showed it.
pub(super) fn latest_with_followers<'a>(sights: &[Sight<'a>]) -> Option<(&'a Terminated, bool)> {
    let end = latest_end(sights)?;
    let shows = |sight: &&Sight<'_>| {
        let shown = sight.target.as_ref().ok().and_then(End::of);
        shown.is_some_and(|shown| !is_fabricated(shown.record) && end.is_of_same_run(&shown))
    };
    let last = sights.iter().rev().find(shows)?;
    let target = last.target.as_ref().ok()?;
    let newest = sights.last()?.target.as_ref().ok()?;
    let speaks = newest.list != List::Ephemeral && !newest.is_sidecar();
    let is_followed = target.is_followed(last.pod, end.record);
    let outlived =
        clean_end(sights) == Some(Phase::Succeeded) && speaks && end.record.exit_code != 0 && is_followed;
    Some((end.record, is_followed)).filter(|_| !outlived)
}

/// The end of that run.
pub(super) fn latest_end<'a>(sights: &[Sight<'a>]) -> Option<End<'a>> {
    let mut latest: Option<End<'a>> = None;
    for target in sights.iter().filter_map(|sight| sight.target.as_ref().ok()) {
        latest = match (target.state(), End::of(target)) {
            (State::Running, _) => None,
            (_, Some(end)) if is_restarting_all(end.record) => None,
            (_, Some(end)) if is_fabricated(end.record) => latest.filter(|known| known.is_of_same_run(&end)),
            // A container ends once: a later record of the same end cannot have more evidence.
            (_, Some(end)) => latest.filter(|known| known.is_of_same_run(&end)).or(Some(end)),
            (State::Waiting { .. } | State::Unreported | State::Ended(_), None) => latest,
        };
    }
    latest
}

/// The end of one run of the target.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) record: &'a Terminated,
    restart_count: i32,
    /// It is in the container's state, and not in its last state.
    is_current: bool,
}

impl<'a> End<'a> {
    /// The last end in a status.
    pub(super) fn of(target: &Target<'a>) -> Option<Self> {
        let restart_count = target.status?.restart_count;
        match target.state() {
            State::Ended(record) => Some(Self { record, restart_count, is_current: true }),
            State::Waiting { last: Some(record), .. } => {
                Some(Self { record, restart_count, is_current: false })
            }
            State::Waiting { last: None, .. } | State::Running | State::Unreported => None,
        }
    }

    /// Whether this and a later record are of the same run. A made-up record may lack the container's id. Two real
    /// records with different codes or times are of two runs, and a higher restart count shows another run.
    pub(super) fn is_of_same_run(&self, later: &End<'_>) -> bool {
        let are_real = !is_fabricated(self.record) && !is_fabricated(later.record);
        let times = (self.record.finished_at, later.record.finished_at);
        let other_time = matches!(times, (Some(mine), Some(theirs)) if mine != theirs);
        if are_real && (self.record.exit_code != later.record.exit_code || other_time) {
            return false;
        }
        let (mine, theirs) = (&self.record.container_id, &later.record.container_id);
        if mine.is_empty() || theirs.is_empty() {
            self.restart_count == later.restart_count
        } else {
            mine == theirs && !(later.is_current && later.restart_count > self.restart_count)
        }
    }
}

/// The answer by this real record. `is_outlived` is true if something other than the containers made the pod `Failed`
/// later.
pub(super) fn exit(config: &Config, record: &Terminated, sights: &[Sight<'_>], is_outlived: bool) -> Verdict {
    let sight = sights.last().expect("the sight that shows the end");
    let evidence = if is_inferred(sights, record) { Evidence::Inferred } else { Evidence::Observed };
    let done = |reason| Verdict::done(record.exit_code, reason, evidence);
    match (record.reason.as_str(), record.exit_code) {
        ("OOMKilled", 0) => Verdict::fail(FailReason::OomKilled, Some(0)),
        ("OOMKilled", _) => done(DoneReason::OomKilled),
        ("StartError" | "ContainerCannotRun", _) => done(DoneReason::StartError),
        (_, 0) if sight.phase == Phase::Failed && !is_failure_explained(sight) && !is_outlived => {
            Verdict::fail(FailReason::PhaseContradictsExitCode, Some(0))
        }
        (_, 0)
            if evidence == Evidence::Inferred
                && config.on_missing_terminated == OnMissingTerminated::Fail =>
        {
            Verdict::fail(FailReason::TerminatedStateMissing, Some(0))
        }
        (_, 0) => done(DoneReason::Completed),
        (_, _) => done(DoneReason::NonzeroExit),
    }
}

/// An init container's 0 that the kubelet infers from the pod's initialisation: a runtime that has the container
/// reports an id and times.
fn is_inferred(sights: &[Sight<'_>], record: &Terminated) -> bool {
    let newest = sights.last().and_then(|sight| sight.target.as_ref().ok());
    let is_init = newest.is_some_and(|target| target.list == List::Init && !target.is_sidecar());
    let traces = [record.started_at.is_some(), record.finished_at.is_some(), !record.container_id.is_empty()];
    is_init && record.exit_code == 0 && traces == [false; 3]
}

/// Rule 6: the pod is `Failed` because of another container that is not a native sidecar. Only a `terminated` state
/// with code 0 is a success to `getPhase`; a regular container that has ended and waits counts as a failure whatever
/// its code was.
fn is_failure_explained(sight: &Sight<'_>) -> bool {
    let Ok(target) = &sight.target else { return false };
    let failed = |other: Target<'_>| match (other.list, other.state()) {
        (List::Ephemeral, _) => false,
        (List::Init, _) if other.is_sidecar() => false,
        (List::Regular, State::Waiting { last: Some(_), .. }) => true,
        (_, State::Ended(record) | State::Waiting { last: Some(record), .. }) => record.exit_code != 0,
        (_, State::Waiting { last: None, .. } | State::Running | State::Unreported) => false,
    };
    sight.pod.reason.is_empty() && target.others(sight.pod).any(failed)
}

/// Rule 5: a record that the kubelet, the runtime or a provider wrote without the real code.
pub(super) fn is_fabricated(record: &Terminated) -> bool {
    matches!(
        (record.reason.as_str(), record.exit_code),
        ("ContainerStatusUnknown" | "Unknown" | "NotFound", _)
            | ("Terminated" | "StartError" | "ContainerCannotRun", 0)
    ) || record.reason == "Error" && is_error_without_end(record)
}

/// An `Error` of CRI-O without a code, or of containerd without a start.
fn is_error_without_end(record: &Terminated) -> bool {
    let is_never_started = record.started_at.is_some_and(|at| at.0 == 0);
    match record.container_id.split_once("://") {
        Some(("cri-o", _)) => record.exit_code == -1,
        Some(("containerd", _)) => record.exit_code != 0 && is_never_started,
        Some(_) | None => false,
    }
}

/// KEP-5532: this is no end of the container, but the beginning of the next run of all containers.
pub(super) fn is_restarting_all(record: &Terminated) -> bool {
    record.reason == "RestartingAllContainers"
}

/// Rule 7: the first init container before the target whose last run failed, with that end.
pub(super) fn failed_init<'a>(sight: &Sight<'a>) -> Option<(&'a str, End<'a>)> {
    let target = sight.target.as_ref().ok()?;
    target.init_before(sight.pod).filter(|init| !init.is_sidecar()).find_map(|init| {
        // `getPhase` counts a container that waits after a failure as failed.
        let end = End { is_current: true, ..End::of(&init)? };
        let has_failed = end.record.exit_code != 0 && !is_restarting_all(end.record);
        has_failed.then_some((init.container.name.as_str(), end))
    })
}

/// The init container of the newest sight that has failed for good, with its end and the sights that showed it.
pub(super) fn init_failed_for_good<'a>(sights: &[Sight<'a>]) -> Option<(End<'a>, Vec<usize>)> {
    let real = |sight| failed_init(sight).filter(|(_, end)| !is_fabricated(end.record));
    let sight = sights.last()?;
    let (name, newest) = real(sight)?;
    let target = sight.target.as_ref().ok()?;
    let mut inits = target.init_before(sight.pod);
    let init = inits.find(|init| init.container.name == name)?;
    if init.is_restarted(sight.pod, newest.record) {
        return None;
    }
    let is_same = |(other, end): (&str, End<'_>)| other == name && end.is_of_same_run(&newest);
    let stretch = sights.iter().rev().take_while(|sight| real(sight).is_some_and(is_same)).count();
    Some((newest, (sights.len() - stretch..sights.len()).collect()))
}

/// Whether that container had failed before anything else stopped the pod.
pub(super) fn init_failed_by_itself(config: &Config, sights: &[Sight<'_>]) -> bool {
    let Some((newest, at)) = init_failed_for_good(sights) else { return false };
    let written_before_deletion = at.iter().any(|at| cause::is_written_before_deletion(sights[*at].pod));
    let seen = cause::Seen {
        sights,
        at,
        record: newest.record,
        written_before_deletion,
        is_doubted: false,
        of_init: true,
    };
    cause::of_end(config, &seen).is_none()
}
