//! What an input means: the rules in their order.

use super::{Older, Waiting};
use crate::decision::{Exit, Failure};
use crate::history::{History, Run};
use crate::input::{ApiError, Input};
use crate::policy::{OnGone, OnMissingTerminated, Policy};
use crate::reason::{FailReason, RetryReason};
use crate::rules::api::ApiFailure;
use crate::rules::cause::End;
use crate::rules::target::Target;
use crate::rules::waiting::Stuck;
use crate::rules::{cause, exit, identity, restart, target, waiting};
use crate::snapshot::{ContainerState, ContainerStatus, Phase, PodSnapshot};
use crate::time::Instant;
use crate::timers::{Absent, AuthError, Grace, Start, set};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::ops::ControlFlow;
use core::time::Duration;

/// One call of [`WaitMachine::handle`].
pub(super) struct Wait<'m> {
    pub(super) policy: &'m Policy,
    pub(super) container: Option<&'m str>,
    pub(super) uid: &'m mut Option<String>,
    pub(super) at: Instant,
    pub(super) waiting: &'m mut Waiting,
}

/// What a good read says about the pod.
enum Reading {
    Verdict(Result<Exit, Failure>),
    /// The pod is terminal and the target's record is missing.
    Missing,
    Waiting(RetryReason),
}

/// Where a snapshot comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A watch, or another source that may be stale.
    Event,
    /// A consistent read.
    Read,
    /// A watch event DELETED.
    Deleted,
}

/// What a snapshot is, compared with the earlier ones.
enum Identity {
    /// Our pod, as it is now.
    Ours,
    /// An older state of the pod that has the name.
    Older,
    /// It says nothing about our pod.
    Ignored,
    /// An older state of our pod, from the event of its deletion.
    Deleted,
    /// Another pod has the name.
    Namesake,
}

/// The verdict, or when to come back and why.
pub(super) type Answer = ControlFlow<Result<Exit, Failure>, (Duration, RetryReason)>;

impl Wait<'_> {
    pub(super) fn handle(&mut self, input: Input<'_>) -> Answer {
        let at = self.at;
        let timers = &mut self.waiting.timers;
        timers.started.get_or_insert(at);
        timers.heard.get_or_insert(at);
        if self.waiting.history.is_none() && timers.start == Start::Off {
            timers.start = Start::Counts(at);
        }
        let verdict = match input {
            Input::Snapshot(pod) => self.snapshot(pod, Origin::Event),
            Input::Read(pod) => self.snapshot(pod, Origin::Read),
            Input::Deleted(pod) => self.snapshot(pod, Origin::Deleted),
            Input::NotFound => self.not_found(),
            Input::ApiError(error) => self.api_error(error),
            Input::Tick => None,
            Input::Cancel => {
                let message = String::from("the wait was cancelled");
                Some(Err(Failure::new(FailReason::Cancelled, message, self.seen_code())))
            }
        };
        match verdict {
            Some(verdict) => ControlFlow::Break(verdict),
            None => self.answer(matches!(input, Input::Tick)),
        }
    }

    fn snapshot(&mut self, pod: &PodSnapshot, origin: Origin) -> Option<Result<Exit, Failure>> {
        self.good_read(origin == Origin::Read);
        let deleted = origin == Origin::Deleted;
        match self.identify(pod, origin) {
            Identity::Ours => {}
            Identity::Older => return self.older(),
            Identity::Ignored => return self.situate(self.waiting.situation),
            Identity::Deleted => return Some(self.gone(FailReason::PodDeleted)),
            Identity::Namesake => return self.absent(true),
        }
        if origin == Origin::Read || self.waiting.history.is_none() {
            self.waiting.timers.absent = None;
        }
        let found = match target::find(pod, self.container) {
            Ok(found) => found,
            Err(failure) => return Some(Err(failure)),
        };
        let stuck = Stuck::in_pod(pod, &found);
        if origin == Origin::Read {
            let lost = self.lost_record(pod, &found, &stuck);
            let since = self.waiting.timers.lost_record.as_ref().map_or(self.at, |lost| lost.since);
            self.waiting.timers.lost_record = lost.map(|failure| Box::new(Grace { since, failure }));
            if self.waiting.timers.lost_record.is_some() {
                return self.situate(RetryReason::ConfirmingLostRecord);
            }
        }
        self.waiting.older = None;
        let history = self.waiting.history.get_or_insert(History::NEW);
        history.record(pod, &found);
        let reading = self.read(pod, &found, &stuck, deleted);
        self.set_timers(pod, &found, &stuck);
        if let Reading::Verdict(Ok(exit)) = &reading
            && !deleted
            && self.must_settle(exit, pod)
        {
            let since = self.waiting.timers.settling.as_ref().map_or(self.at, |settling| settling.0);
            self.waiting.timers.settling = Some(Box::new((since, exit.clone())));
            return self.situate(RetryReason::Running);
        }
        self.waiting.timers.settling = None;
        match reading {
            Reading::Verdict(verdict) => Some(verdict),
            Reading::Missing | Reading::Waiting(_) if deleted => Some(self.gone(FailReason::PodDeleted)),
            Reading::Missing => self.missing().filter(|_| !self.waiting.is_confirming()),
            Reading::Waiting(why) => self.situate(why),
        }
    }

    /// Rule 1: which pod the object is, and whether the object is newer than the last one.
    fn identify(&mut self, pod: &PodSnapshot, origin: Origin) -> Identity {
        let is_ours = *self.uid.get_or_insert_with(|| pod.uid.clone()) == pod.uid;
        let Some(history) = &self.waiting.history else {
            return match (is_ours, origin) {
                (true, _) => Identity::Ours,
                // The deletion of another pod says nothing about ours.
                (false, Origin::Deleted) => Identity::Ignored,
                (false, Origin::Event | Origin::Read) => Identity::Namesake,
            };
        };
        let is_older = identity::is_older(&pod.resource_version, &history.resource_version);
        match (is_ours, origin) {
            // A uid is never used again, so a deletion counts even if its object is older than the newest one seen.
            (true, Origin::Deleted) if is_older => Identity::Deleted,
            (true, Origin::Deleted) => Identity::Ours,
            (false, Origin::Deleted) => Identity::Ignored,
            (_, Origin::Event | Origin::Read) if is_older && !self.has_gone_back(origin) => Identity::Older,
            (true, Origin::Event | Origin::Read) => Identity::Ours,
            (false, Origin::Event | Origin::Read) => Identity::Namesake,
        }
    }

    /// Whether an object that is older than the newest one seen has to be accepted: the store was restored from a
    /// backup, and its resourceVersions went back permanently (etcd's revision is part of the snapshot). A stale cache
    /// returns old objects too, but not to consistent reads, and not for long.
    fn has_gone_back(&mut self, origin: Origin) -> bool {
        let at = self.at;
        let older = self.waiting.older.get_or_insert_with(|| Box::new(Older { since: at, read: None }));
        match origin {
            Origin::Read => at.since(*older.read.get_or_insert(at)) >= self.policy.0.unknown_grace,
            Origin::Event | Origin::Deleted => false,
        }
    }

    /// An object that is older than the newest one seen. It changes nothing until the bound, which is for callers
    /// without consistent reads.
    fn older(&mut self) -> Option<Result<Exit, Failure>> {
        let policy = &self.policy.0;
        let limit = policy.api_error_budget.saturating_add(policy.unknown_grace);
        let since = self.waiting.older.as_ref().map_or(self.at, |older| older.since);
        if self.at.since(since) < limit {
            return self.situate(self.waiting.situation);
        }
        let message = format!(
            "the API server shows only states of the pod that are older than the state that it showed {limit:?} ago"
        );
        Some(Err(Failure::new(FailReason::ApiUnavailable, message, self.seen_code()).by_rule(1)))
    }

    /// Rule 5: what it comes to that a consistent read shows that the record is lost, where the record that was there before may
    /// still be found. Nothing is taken in of that read: what lies between it and what was seen before is looked for.
    fn lost_record(&mut self, pod: &PodSnapshot, found: &Target<'_>, stuck: &Stuck<'_>) -> Option<Failure> {
        let before = self.waiting.history.as_ref()?;
        if self.policy.0.gone_grace.is_zero() || !found.terminated().is_some_and(exit::is_fabricated) {
            return None;
        }
        let mut after = before.clone();
        after.record(pod, found);
        let before = self.waiting.history.replace(after);
        let reading = self.read(pod, found, stuck, false);
        self.waiting.history = before;
        match reading {
            Reading::Verdict(Err(failure)) if failure.reason == FailReason::ContainerStatusUnknown => {
                Some(failure)
            }
            Reading::Verdict(_) | Reading::Missing | Reading::Waiting(_) => None,
        }
    }

    /// Rules 3 to 7: what the newest snapshot says.
    fn read(&self, pod: &PodSnapshot, found: &Target<'_>, stuck: &Stuck<'_>, deleted: bool) -> Reading {
        let history = self.history();
        let phase = history.phase;
        if let Some(record) = found.terminated()
            && !restart::is_restarting_all(record)
            && (deleted || restart::is_final(pod, found, record, phase.is_terminal()))
        {
            let restart_count = found.status.map_or(0, |status| status.restart_count);
            let run = history.run.as_deref().filter(|run| run.is_same(record, restart_count, true));
            let record = run.map_or(record, |run| &run.record);
            let end = End { record, run, unfinished: history.unfinished };
            let settling = self.policy.0.settle.is_some();
            if let Some(cause) = cause::of_end(pod, history, end, settling, self.policy.0.clock_skew) {
                return Reading::Verdict(Err(cause::failure(cause, pod, Some(record))));
            }
            if exit::is_fabricated(record) {
                return Reading::Verdict(Err(exit::unknown(&found.spec.name, record)));
            }
            let on_missing = self.policy.0.on_missing_terminated;
            let verdict = exit::judge(history, record, restart_count, cause::has_ended(pod), on_missing);
            let is_kept = found.terminated().is_some_and(exit::is_fabricated);
            return Reading::Verdict(if is_kept { by_rule(5, verdict) } else { verdict });
        }
        if phase.is_terminal() {
            let failed = waiting::failed_init_container(pod, found);
            let cause = cause::of_pod(pod, history).filter(|_| !self.init_failed_by_itself(pod));
            return match (cause, failed) {
                (Some(cause), _) => {
                    let record = history.run.as_deref().map(|run| &run.record);
                    Reading::Verdict(Err(cause::failure(cause, pod, record)))
                }
                (None, Some((spec, _, record))) => {
                    Reading::Verdict(Err(waiting::init_failure(&spec.name, record, &found.spec.name)))
                }
                (None, None) => Reading::Missing,
            };
        }
        if let Some(invalid) = &stuck.invalid_image_name {
            let failure = Failure { exit_code: self.seen_code(), ..invalid.failure() };
            return Reading::Verdict(Err(failure));
        }
        Reading::Waiting(if pod.deletion_timestamp.is_some() {
            RetryReason::PodTerminating
        } else if restart::is_between_restarts(pod, found) {
            RetryReason::Restarting
        } else if found.is_running() {
            RetryReason::Running
        } else {
            RetryReason::Pending
        })
    }

    /// Whether an init container before the target failed before an outside cause stopped the pod.
    fn init_failed_by_itself(&self, pod: &PodSnapshot) -> bool {
        let history = self.history();
        history.failed_init.as_deref().filter(|failed| failed.is_for_good()).is_some_and(|failed| {
            let run = &failed.run;
            let end = End { record: &run.record, run: Some(run), unfinished: failed.unfinished };
            cause::of_end(pod, history, end, false, self.policy.0.clock_skew).is_none()
        })
    }

    /// Starts and cancels the timers that depend on the pod's state.
    fn set_timers(&mut self, pod: &PodSnapshot, found: &Target<'_>, stuck: &Stuck<'_>) {
        let at = self.at;
        let terminal = self.history().phase.is_terminal();
        let ended = matches!(found.state(), Some(ContainerState::Terminated(_)));
        let idle = !terminal && !ended && !found.is_running() && !restart::is_between_restarts(pod, found);
        let rests = pod.is_scheduling_gated || waiting::is_init_running(pod, found);
        let timers = &mut self.waiting.timers;
        timers.start.set(at, idle, rests);
        set(
            &mut timers.node_lost,
            at,
            !terminal && (pod.phase == Phase::Unknown || pod.reason == "NodeLost"),
        );
        set(&mut timers.terminating, at, !terminal && pod.deletion_timestamp.is_some());
        let stuck = if terminal { &Stuck::default() } else { stuck };
        timers.set_graces(at, stuck);
    }

    /// Whether an exit 0 must wait for the phase. A kubelet that ends a pod publishes nothing before all containers
    /// have ended (`SyncTerminatingPod`), so another container that still runs shows that the step ended by itself.
    fn must_settle(&self, exit: &Exit, pod: &PodSnapshot) -> bool {
        let runs = |status: &ContainerStatus| status.state == Some(ContainerState::Running);
        self.policy.0.settle.is_some()
            && self.waiting.timers.lost_record.is_none()
            && exit.code == 0
            && !exit.pod_phase.is_terminal()
            && !pod.container_statuses.iter().chain(&pod.init_container_statuses).any(runs)
    }

    /// Rule 7: a good read of a terminal pod without the target's record.
    fn missing(&mut self) -> Option<Result<Exit, Failure>> {
        let (budget, errors) = (self.policy.0.finalize_budget, self.policy.0.api_error_budget);
        let missing = &mut self.waiting.missing;
        if let Some(last_read) = missing.last_read.replace(self.at) {
            missing.observed = missing.observed.saturating_add(self.at.since(last_read));
        }
        // If errors and reads alternate, neither budget ever runs out.
        let since = *missing.since.get_or_insert(self.at);
        let is_late = self.at >= since.after(errors).after(budget);
        let is_behind = self.waiting.timers.behind_until.is_some_and(|until| self.at < until);
        if (missing.observed < budget && !is_late) || is_behind {
            return self.situate(RetryReason::AwaitingTerminatedState);
        }
        let history = self.history();
        if let Some(run) = history.last_run() {
            return Some(self.judge(run));
        }
        if history.proves_success() {
            return Some(self.infer());
        }
        Some(Err(self.terminated_state_missing()))
    }

    fn not_found(&mut self) -> Option<Result<Exit, Failure>> {
        self.good_read(true);
        if self.waiting.history.is_none() && self.policy.0.on_gone == OnGone::AssumeSuccess {
            return Some(Ok(exit::inferred(self.container.unwrap_or_default(), Phase::Unrecognized)));
        }
        self.absent(false)
    }

    /// Rule 9: the pod is not found. If it was never seen, it may not exist yet; if it was seen, its final state may
    /// still come.
    fn absent(&mut self, has_namesake: bool) -> Option<Result<Exit, Failure>> {
        if self.waiting.timers.lost_record.is_some() {
            // It went meanwhile, and the record was lost before.
            return self.situate(self.waiting.situation);
        }
        let since = self.waiting.timers.absent.map_or(self.at, |absent| absent.since);
        let absent = Absent { since, has_namesake };
        let is_seen = self.waiting.history.is_some();
        if is_seen && self.policy.0.on_gone == OnGone::AssumeSuccess {
            return Some(self.gone(absent.how()));
        }
        self.waiting.timers.absent = Some(absent);
        self.situate(if is_seen { RetryReason::ConfirmingDeletion } else { RetryReason::AwaitingPod })
    }

    /// Rule 9: the pod is gone; the facts seen before decide.
    pub(super) fn gone(&self, how: FailReason) -> Result<Exit, Failure> {
        if let Some(lost) = &self.waiting.timers.lost_record {
            return Err(lost.failure.clone());
        }
        let rule = if how == FailReason::PodReplaced { 1 } else { 9 };
        by_rule(rule, self.last_seen(how))
    }

    fn last_seen(&self, how: FailReason) -> Result<Exit, Failure> {
        let history = self.history();
        if self.policy.0.on_gone == OnGone::AssumeSuccess && how == FailReason::PodDeleted {
            return Ok(exit::inferred(&history.container, history.phase));
        }
        // An exit 0 that was not accepted when it was seen (it could still be undone, or waited for the phase) is no
        // proof of success.
        let is_open = !history.phase.is_terminal();
        if let Some(run) = history.last_run().filter(|run| run.record.exit_code != 0 || !is_open) {
            return self.judge(run);
        }
        if history.proves_success() {
            return self.infer();
        }
        if let Some(failure) = &history.disrupted {
            return Err(Failure { exit_code: self.seen_code(), ..(**failure).clone() });
        }
        if history.phase == Phase::Failed || history.clean_terminal.is_some() {
            return Err(self.terminated_state_missing());
        }
        if let Some(failed) = history.failed_init.as_deref().filter(|failed| failed.is_by_itself()) {
            return Err(waiting::init_failure(&failed.container, &failed.run.record, &history.container));
        }
        let what = if how == FailReason::PodReplaced {
            "replaced by another pod of the same name"
        } else {
            "deleted"
        };
        let message = format!("the pod was {what} before the step's exit was known; run it again");
        Err(Failure::new(how, message, self.seen_code()))
    }

    /// The verdict for the end of a run that was seen earlier.
    fn judge(&self, run: &Run) -> Result<Exit, Failure> {
        let on_missing = self.policy.0.on_missing_terminated;
        exit::judge(self.history(), &run.record, run.restart_count, false, on_missing)
    }

    fn infer(&self) -> Result<Exit, Failure> {
        match self.policy.0.on_missing_terminated {
            OnMissingTerminated::Infer => Ok(exit::inferred(&self.history().container, Phase::Succeeded)),
            OnMissingTerminated::Fail => Err(self.terminated_state_missing()),
        }
    }

    fn terminated_state_missing(&self) -> Failure {
        let (phase, said) = (self.history().phase.as_str(), self.history().said());
        let message =
            format!("the pod is {phase}{said}, and no record shows how the step ended; run it again");
        Failure::new(FailReason::TerminatedStateMissing, message, None)
    }

    /// Rule 11.
    fn api_error(&mut self, error: ApiError<'_>) -> Option<Result<Exit, Failure>> {
        let at = self.at;
        let failure = ApiFailure::of(&error);
        self.waiting.missing.last_read = None;
        self.waiting.timers.behind_until = None;
        if self.waiting.is_confirming() {
            return match failure {
                ApiFailure::Expired | ApiFailure::Rejected | ApiFailure::Forbidden => {
                    Some(self.gone(self.waiting.gone().map_or(FailReason::PodDeleted, Absent::how)))
                }
                ApiFailure::Unauthorized | ApiFailure::Throttled | ApiFailure::Transient => None,
            };
        }
        self.waiting.last_word.set(error.message);
        let floor = match failure {
            ApiFailure::Expired => {
                self.waiting.timers.expired.get_or_insert(at);
                Duration::ZERO
            }
            ApiFailure::Rejected => {
                return Some(Err(self.api_failure(failure)));
            }
            ApiFailure::Unauthorized | ApiFailure::Forbidden => {
                let since = self.waiting.timers.auth_error.map_or(at, |error| error.since);
                self.waiting.timers.auth_error = Some(AuthError { since, failure, rests: false });
                error.retry_after.unwrap_or_default()
            }
            ApiFailure::Throttled | ApiFailure::Transient => {
                self.waiting.timers.api_error.get_or_insert(at);
                if let Some(error) = &mut self.waiting.timers.auth_error {
                    error.rests = true;
                }
                error.retry_after.unwrap_or_default()
            }
        };
        self.waiting.timers.heard = Some(at);
        let why = failure.retry_reason();
        let delay = self.next_error_delay(why).max(floor);
        self.waiting.wake = Some((at.after(delay), why));
        None
    }

    /// The facts of a pod that has been seen.
    pub(super) fn history(&self) -> &History {
        static NOTHING: History = History::NEW;
        self.waiting.history.as_ref().unwrap_or(&NOTHING)
    }

    /// An exit code that was seen, for the failure's field.
    pub(super) fn seen_code(&self) -> Option<i32> {
        self.history().run.as_deref().map(|run| run.record.exit_code)
    }
}

/// The verdict, attributed to a rule other than its usual one.
fn by_rule(rule: u8, verdict: Result<Exit, Failure>) -> Result<Exit, Failure> {
    verdict.map(|exit| Exit { rule, ..exit }).map_err(|failure| failure.by_rule(rule))
}
