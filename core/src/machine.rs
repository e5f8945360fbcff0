//! The machine: the only file that changes state.

mod wake;

use crate::decision::{Decision, Exit, Failure};
use crate::history::History;
use crate::input::{ApiError, Input};
use crate::policy::{OnGone, OnMissingTerminated, Policy};
use crate::reason::{FailReason, RetryReason};
use crate::rules::api::ApiFailure;
use crate::rules::target::Target;
use crate::rules::{cause, exit, identity, restart, target, waiting};
use crate::snapshot::{ContainerState, Phase, PodSnapshot};
use crate::time::Instant;
use crate::timers::{LastWord, Timers, set};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

/// Finds out how one container of one pod ended.
///
/// There is one method to call, [`handle`](Self::handle): it takes one input with its time and gives one
/// [`Decision`] back. Nothing is queued and nothing has to be drained.
///
/// * `Retry { after, why }`: come back with a new input, or with [`Input::Tick`] once `after` has passed. Coming
///   back early is harmless: an early tick changes no verdict and postpones no wake-up.
/// * `Done(exit)`: the target's own exit.
/// * `Fail(failure)`: there is no exit that the step itself produced.
///
/// `Done` and `Fail` never change: later inputs get the same answer.
///
/// The machine does no I/O and owns no clock, no randomness and no global state. The same policy and the same
/// inputs give the same decisions. Time that runs backwards counts as no time passed. Snapshots may be skipped,
/// repeated or stale; missing facts never make an answer greener.
///
/// ```
/// use podwait_core::{Decision, Input, Instant, Phase, PodSnapshot, RetryReason, WaitMachine};
/// use podwait_core::{Container, ContainerState, ContainerStatus, RestartPolicy, Terminated};
///
/// let mut machine = WaitMachine::new(Default::default()).container("step");
/// let mut pod = PodSnapshot {
///     uid: "5f1d".into(),
///     resource_version: "110".into(),
///     restart_policy: RestartPolicy::Never,
///     containers: vec![Container { name: "step".into(), ..Default::default() }],
///     phase: Phase::Succeeded,
///     ..Default::default()
/// };
/// // The phase is there, the exit is not: do not guess, come back soon.
/// let decision = machine.handle(Instant::from_millis(1000), Input::Snapshot(&pod));
/// assert!(matches!(decision, Decision::Retry { why: RetryReason::AwaitingTerminatedState, .. }));
///
/// let terminated = Terminated { exit_code: 0, reason: "Completed".into(), ..Default::default() };
/// pod.resource_version = "111".into();
/// pod.container_statuses = vec![ContainerStatus {
///     name: "step".into(),
///     state: Some(ContainerState::Terminated(terminated)),
///     ..Default::default()
/// }];
/// let decision = machine.handle(Instant::from_millis(1400), Input::Snapshot(&pod));
/// assert!(matches!(decision, Decision::Done(exit) if exit.code == 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitMachine {
    policy: Arc<Policy>,
    container: Option<String>,
    /// The uid the caller expects, or the first one seen.
    uid: Option<String>,
    now: Instant,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is decided.
    Waiting(Box<Waiting>),
    /// The last word.
    Over(Box<Decision>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Waiting {
    timers: Timers,
    /// The pod as far as it was seen; `None` before its first snapshot.
    history: Option<History>,
    /// What is being waited for as long as reads succeed.
    situation: RetryReason,
    /// When the caller is to come back, and why.
    wake: Option<(Instant, RetryReason)>,
    /// How often the present situation was retried, for the backoff.
    attempt: u32,
    /// API errors in a row.
    errors: u32,
    /// 410s in a row, and the last of them.
    relists: (u32, Instant),
    /// Time between good reads of a terminal pod that missed the record, and the last of them.
    missing: Missing,
    last_word: LastWord,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Missing {
    observed: Duration,
    last_read: Option<Instant>,
}

impl WaitMachine {
    /// A machine under `policy` for the pod's only regular container. Share one `Arc` between many machines.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        let waiting = Waiting {
            timers: Timers::default(),
            history: None,
            situation: RetryReason::AwaitingPod,
            wake: None,
            attempt: 0,
            errors: 0,
            relists: (0, Instant::ZERO),
            missing: Missing::default(),
            last_word: LastWord::default(),
        };
        Self {
            policy,
            container: None,
            uid: None,
            now: Instant::ZERO,
            state: State::Waiting(Box::new(waiting)),
        }
    }

    /// Sets the target: the container whose exit is wanted, of whatever list. Call it before the first input.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// Pins the pod's uid, as the answer to a create gives it. Without it the first pod seen of that name is
    /// taken. Call it before the first input.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The last word, once there is one.
    #[must_use]
    pub fn verdict(&self) -> Option<&Decision> {
        match &self.state {
            State::Waiting(_) => None,
            State::Over(decision) => Some(decision),
        }
    }

    /// Takes one input that happened at `at`, and answers.
    pub fn handle(&mut self, at: Instant, input: Input<'_>) -> Decision {
        let waiting = match &mut self.state {
            State::Waiting(waiting) => waiting,
            State::Over(decision) => return (**decision).clone(),
        };
        self.now = self.now.max(at);
        let mut wait = Wait {
            policy: &self.policy,
            container: self.container.as_deref(),
            uid: &mut self.uid,
            at: self.now,
            waiting,
        };
        let decision = wait.handle(input);
        if decision.is_final() {
            self.state = State::Over(Box::new(decision.clone()));
        }
        decision
    }
}

/// One call of [`WaitMachine::handle`].
struct Wait<'m> {
    policy: &'m Policy,
    container: Option<&'m str>,
    uid: &'m mut Option<String>,
    at: Instant,
    waiting: &'m mut Waiting,
}

/// What a good read says about the pod.
enum Reading {
    Verdict(Result<Exit, Failure>),
    /// The pod is terminal and the target's record is missing.
    Missing,
    Waiting(RetryReason),
}

impl Wait<'_> {
    fn handle(&mut self, input: Input<'_>) -> Decision {
        let at = self.at;
        let timers = &mut self.waiting.timers;
        timers.started.get_or_insert(at);
        timers.heard.get_or_insert(at);
        if self.waiting.history.is_none() {
            timers.idle.get_or_insert(at);
        }
        let verdict = match input {
            Input::Snapshot(pod) => self.snapshot(pod, false),
            Input::Deleted(pod) => self.snapshot(pod, true),
            Input::NotFound => self.not_found(),
            Input::ApiError(error) => return self.api_error(error),
            Input::Tick => None,
            Input::Cancel => {
                let message = String::from("the wait was cancelled");
                Some(Err(Failure::new(FailReason::Cancelled, message, self.seen_code())))
            }
        };
        match verdict.or_else(|| self.expired()) {
            Some(Ok(exit)) => Decision::Done(exit),
            Some(Err(failure)) => Decision::Fail(failure),
            None => self.retry(matches!(input, Input::Tick)),
        }
    }

    fn snapshot(&mut self, pod: &PodSnapshot, deleted: bool) -> Option<Result<Exit, Failure>> {
        self.good_read();
        if let Some(verdict) = self.identify(pod, deleted) {
            return verdict;
        }
        let found = match target::find(pod, self.container) {
            Ok(found) => found,
            Err(failure) => return Some(Err(failure)),
        };
        let history = self.waiting.history.get_or_insert(History::NEW);
        history.record(pod, &found);
        let reading = self.read(pod, &found, deleted);
        self.set_timers(pod, &found);
        match reading {
            Reading::Verdict(Ok(exit)) if self.must_settle(&exit, deleted) => {
                let since = self.waiting.timers.settling.as_ref().map_or(self.at, |settling| settling.0);
                self.waiting.timers.settling = Some(Box::new((since, exit)));
                self.situate(RetryReason::Running)
            }
            Reading::Verdict(verdict) => Some(verdict),
            Reading::Missing | Reading::Waiting(_) if deleted => Some(self.gone(FailReason::PodDeleted)),
            Reading::Missing => self.missing(pod, &found),
            Reading::Waiting(why) => {
                self.waiting.timers.settling = None;
                self.situate(why)
            }
        }
    }

    /// Rule 1. `None` if the snapshot is our pod's and newer than what is known; otherwise what it means.
    fn identify(&mut self, pod: &PodSnapshot, deleted: bool) -> Option<Option<Result<Exit, Failure>>> {
        let expected = self.uid.get_or_insert_with(|| pod.uid.clone());
        let Some(history) = &self.waiting.history else {
            // Another pod's last traces, or a stale read: ours is not there yet.
            return (*expected != pod.uid).then(|| self.situate(RetryReason::AwaitingPod));
        };
        let is_older = identity::is_older(&pod.resource_version, &history.resource_version);
        let situation = self.waiting.situation;
        if *expected != pod.uid {
            let replaced = !is_older && !deleted;
            return Some(if replaced {
                Some(self.gone(FailReason::PodReplaced))
            } else {
                self.situate(situation)
            });
        }
        match (is_older, deleted) {
            (false, _) => None,
            // A uid never comes back, so a deletion counts even if its object is older than what was seen.
            (true, true) => Some(Some(self.gone(FailReason::PodDeleted))),
            (true, false) => Some(self.situate(situation)),
        }
    }

    /// Rules 3 to 7: what the newest snapshot says.
    fn read(&self, pod: &PodSnapshot, found: &Target<'_>, deleted: bool) -> Reading {
        let history = self.history();
        let phase = history.phase;
        if let Some(record) = found.terminated()
            && !restart::is_restarting_all(record)
            && (deleted || restart::is_final(pod, found, record, phase.is_terminal()))
        {
            let restart_count = found.status.map_or(0, |status| status.restart_count);
            let run = history.run.as_deref().filter(|run| run.is_same(record, restart_count));
            let record = run.map_or(record, |run| &run.record);
            let settling = self.policy.0.settle.is_some();
            if let Some(cause) = cause::of_end(pod, history, record, settling, self.policy.0.clock_skew) {
                return Reading::Verdict(Err(cause::failure(cause, pod, Some(record))));
            }
            if exit::is_fabricated(record) {
                return Reading::Verdict(Err(exit::unknown(&found.spec.name, record)));
            }
            return Reading::Verdict(exit::judge(&found.spec.name, record, restart_count, phase, Some(pod)));
        }
        if phase.is_terminal() {
            if let Some(cause) = cause::of_pod(pod, history) {
                let record = history.run.as_deref().map(|run| &run.record);
                return Reading::Verdict(Err(cause::failure(cause, pod, record)));
            }
            return match waiting::failed_init_container(pod, found) {
                Some(failure) => Reading::Verdict(Err(failure)),
                None => Reading::Missing,
            };
        }
        if let Some(stuck) =
            waiting::stuck(pod, found).find(|stuck| stuck.group == waiting::Group::InvalidImageName)
        {
            return Reading::Verdict(Err(stuck.failure()));
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

    /// Starts and cancels the timers that depend on what the pod shows.
    fn set_timers(&mut self, pod: &PodSnapshot, found: &Target<'_>) {
        let at = self.at;
        let terminal = self.history().phase.is_terminal();
        let ended = matches!(found.state(), Some(ContainerState::Terminated(_)));
        let idle = !terminal && !ended && !found.is_running() && !restart::is_between_restarts(pod, found);
        let timers = &mut self.waiting.timers;
        timers.absent = None;
        set(&mut timers.idle, at, idle);
        set(
            &mut timers.node_lost,
            at,
            !terminal && (pod.phase == Phase::Unknown || pod.reason == "NodeLost"),
        );
        set(&mut timers.terminating, at, !terminal && pod.deletion_timestamp.is_some());
        timers.set_graces(at, waiting::stuck(pod, found).filter(|_| !terminal));
        let scheduler = pod.pod_scheduled.as_ref().filter(|condition| !condition.is_true);
        self.waiting.last_word.set(scheduler.map_or("", |condition| &condition.message));
    }

    fn must_settle(&self, exit: &Exit, deleted: bool) -> bool {
        self.policy.0.settle.is_some() && exit.code == 0 && !deleted && !exit.pod_phase.is_terminal()
    }

    /// Rule 7: a good read of a terminal pod without the target's record.
    fn missing(&mut self, pod: &PodSnapshot, found: &Target<'_>) -> Option<Result<Exit, Failure>> {
        let missing = &mut self.waiting.missing;
        if let Some(last_read) = missing.last_read.replace(self.at) {
            missing.observed = missing.observed.saturating_add(self.at.since(last_read));
        }
        if missing.observed < self.policy.0.finalize_budget {
            return self.situate(RetryReason::AwaitingTerminatedState);
        }
        let history = self.history();
        if let Some(run) = history.run.as_deref() {
            let name = &found.spec.name;
            return Some(exit::judge(name, &run.record, run.restart_count, history.phase, Some(pod)));
        }
        if history.proves_success() {
            return Some(self.infer());
        }
        Some(Err(self.terminated_state_missing()))
    }

    fn not_found(&mut self) -> Option<Result<Exit, Failure>> {
        self.good_read();
        if self.waiting.history.is_some() {
            return Some(self.gone(FailReason::PodDeleted));
        }
        if self.policy.0.on_gone == OnGone::AssumeSuccess {
            return Some(Ok(exit::inferred(self.container.unwrap_or_default(), Phase::Unrecognized)));
        }
        self.waiting.timers.absent.get_or_insert(self.at);
        self.situate(RetryReason::AwaitingPod)
    }

    /// Rule 9: the pod is gone; what had been seen decides.
    fn gone(&mut self, how: FailReason) -> Result<Exit, Failure> {
        let history = self.history();
        if self.policy.0.on_gone == OnGone::AssumeSuccess && how == FailReason::PodDeleted {
            return Ok(exit::inferred(&history.container, history.phase));
        }
        if let Some(run) = history.run.as_deref() {
            return exit::judge(&history.container, &run.record, run.restart_count, history.phase, None);
        }
        if history.proves_success() {
            return self.infer();
        }
        if let Some(failure) = &history.disrupted {
            return Err((**failure).clone());
        }
        if history.phase.is_terminal() {
            return Err(self.terminated_state_missing());
        }
        let what = if how == FailReason::PodReplaced { "replaced by another of its name" } else { "deleted" };
        let message = format!("the pod was {what} before the step's exit was known; run it again");
        Err(Failure::new(how, message, None))
    }

    fn infer(&self) -> Result<Exit, Failure> {
        match self.policy.0.on_missing_terminated {
            OnMissingTerminated::Infer => Ok(exit::inferred(&self.history().container, Phase::Succeeded)),
            OnMissingTerminated::Fail => Err(self.terminated_state_missing()),
        }
    }

    fn terminated_state_missing(&self) -> Failure {
        let phase = self.history().phase.as_str();
        let message = format!("the pod is {phase}, and nobody published how the step ended; run it again");
        Failure::new(FailReason::TerminatedStateMissing, message, None)
    }

    /// Rule 11.
    fn api_error(&mut self, error: ApiError<'_>) -> Decision {
        let at = self.at;
        let failure = ApiFailure::of(error.code);
        self.waiting.missing.last_read = None;
        self.waiting.last_word.set(error.message);
        let floor = match failure {
            ApiFailure::Expired => Duration::ZERO,
            ApiFailure::Rejected => {
                return Decision::Fail(self.api_failure(failure));
            }
            ApiFailure::Unauthorized | ApiFailure::Forbidden => {
                let since = self.waiting.timers.auth_error.map_or(at, |(since, _)| since);
                self.waiting.timers.auth_error = Some((since, failure));
                error.retry_after.unwrap_or_default()
            }
            ApiFailure::Throttled | ApiFailure::Transient => {
                self.waiting.timers.api_error.get_or_insert(at);
                error.retry_after.unwrap_or_default()
            }
        };
        if failure != ApiFailure::Expired {
            self.waiting.timers.heard = Some(at);
        }
        match self.expired() {
            Some(Ok(exit)) => return Decision::Done(exit),
            Some(Err(failure)) => return Decision::Fail(failure),
            None => {}
        }
        let why = failure.retry_reason();
        let delay = self.next_error_delay(why).max(floor);
        self.waiting.wake = Some((self.at.after(delay), why));
        self.wait()
    }

    /// Rule 12: the verdict of the timer that expired first, if one has.
    fn expired(&self) -> Option<Result<Exit, Failure>> {
        let (expires, timer) = self.next_timer()?;
        (expires <= self.at).then(|| self.verdict_of(timer))
    }

    /// The facts of a pod that has been seen.
    fn history(&self) -> &History {
        static NOTHING: History = History::NEW;
        self.waiting.history.as_ref().unwrap_or(&NOTHING)
    }

    /// An exit code that was seen, for a failure to carry along.
    fn seen_code(&self) -> Option<i32> {
        self.history().run.as_deref().map(|run| run.record.exit_code)
    }
}
