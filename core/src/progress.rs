//! Why a wait goes on, in Kubernetes' words.

#[cfg(test)]
mod tests;

use crate::input::Input;
use crate::machine::{State, WaitMachine, Waiting};
use crate::reason::{FailReason, Stage};
use crate::rules::restart::{is_between_restarts, is_sidecar};
use crate::rules::target::{self, Target};
use crate::rules::waiting::Stuck;
use crate::snapshot::{Container, ContainerState, PodSnapshot};
use crate::text::{in_parentheses, name, quote};
use crate::time::Instant;
use alloc::format;
use alloc::string::String;

/// What a wait waits for: the value for people and logs. It never decides anything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Progress {
    /// What it waits for.
    pub stage: Stage,
    /// The same as one line for people of at most 1 KiB, with the words of Kubernetes: `container step could not pull its image
    /// (ErrImagePull: ...)`.
    pub message: String,
    /// The time of the observation, in the machine's time.
    pub at: Instant,
    /// Since when this stage was seen without another one between, in the machine's time.
    pub since: Instant,
    /// How often it failed in this stage, as far as that was seen: attempts to pull an image, runs of the container, calls to the
    /// API server in a row. 0 where nothing fails.
    pub failures: u32,
    /// The limit that ends the wait if nothing changes; `None` if no limit runs.
    pub limit: Option<Limit>,
}

/// A limit of the policy that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Limit {
    /// When it expires, in the machine's time.
    pub at: Instant,
    /// The failure that it becomes.
    pub reason: FailReason,
}

/// Follows one wait, for a caller that shows why the wait goes on.
///
/// ```
/// use podwait_core::{Input, Instant, ProgressLog, Stage, WaitMachine};
///
/// let (mut machine, mut log) = (WaitMachine::new(Default::default()), ProgressLog::default());
/// let _ = machine.handle(Instant::ZERO, Input::NotFound);
/// let progress = log.see(&machine, Input::NotFound).expect("it is new");
/// assert_eq!((progress.stage, &*progress.message), (Stage::Absent, "the pod does not exist yet"));
/// assert_eq!(log.see(&machine, Input::Tick), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProgressLog {
    /// What the newest object of the pod says.
    pod: Option<Shown>,
    last: Option<Progress>,
}

/// What one object of a pod says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    stage: Stage,
    message: String,
    failures: u32,
    /// The object is about an attempt that failed, and not about the time after it.
    is_attempt: bool,
}

impl ProgressLog {
    /// Takes the input that the machine has just handled. Returns what the wait waits for if that has changed: another stage, or
    /// another message. Nothing once the wait has its answer.
    pub fn see(&mut self, machine: &WaitMachine, input: Input<'_>) -> Option<&Progress> {
        let State::Waiting(waiting) = &machine.state else { return None };
        if let Input::Snapshot(pod) | Input::Read(pod) = input
            && waiting.is_newest(pod)
        {
            self.show(pod, machine.container.as_deref());
        }
        let now = machine.now;
        let (shown, began) = self.now(waiting);
        let limit = waiting
            .next_timer(&machine.policy)
            .and_then(|(at, timer)| timer.fail_reason().map(|reason| Limit { at, reason }));
        let Shown { stage, message, failures, .. } = shown;
        let before = self.last.as_ref().filter(|last| last.stage == stage);
        let since = began.unwrap_or_else(|| before.map_or(now, |last| last.since));
        let is_new = before.is_none_or(|last| last.message != message);
        self.last = Some(Progress { stage, message, at: now, since, failures, limit });
        self.last.as_ref().filter(|_| is_new)
    }

    /// What the wait waits for, after the last input; `None` before the first one.
    #[must_use]
    pub const fn last(&self) -> Option<&Progress> {
        self.last.as_ref()
    }

    /// Takes in an object of the pod.
    fn show(&mut self, pod: &PodSnapshot, container: Option<&str>) {
        let Ok(found) = target::find(pod, container) else { return };
        let mut shown = Shown::of(pod, &found);
        if let Some(before) = self.pod.take().filter(|before| before.stage == shown.stage) {
            let is_another = shown.is_attempt && !before.is_attempt;
            shown.failures = shown.failures.max(before.failures.saturating_add(u32::from(is_another)));
        }
        self.pod = Some(shown);
    }

    /// What is known now, and since when that is so, if a timer of the machine shows that.
    fn now(&self, waiting: &Waiting) -> (Shown, Option<Instant>) {
        let timers = &waiting.timers;
        let plain =
            |stage, message: &str| Shown { stage, message: message.into(), failures: 0, is_attempt: false };
        let auth = timers.auth_error.as_ref().map(|error| error.since);
        if let Some(since) = [timers.api_error, auth, timers.expired].into_iter().flatten().min() {
            let message = format!("the API server cannot be read{}", waiting.last_word.in_parentheses());
            let failures = waiting.errors;
            return (Shown { failures, ..plain(Stage::ApiFailure, &message) }, Some(since));
        }
        if let Some(gone) = waiting.gone() {
            let message = "the pod is gone; its final state may still come";
            return (plain(Stage::Gone, message), Some(gone.since));
        }
        if let Some(lost) = &timers.lost_record {
            let message = "the record of the container's end is lost; an earlier one may still come";
            return (plain(Stage::Gone, message), Some(lost.since));
        }
        match (&self.pod, timers.absent) {
            (Some(shown), _) => (shown.clone(), None),
            (None, Some(absent)) if absent.has_namesake => {
                (plain(Stage::Absent, "another pod has this name"), Some(absent.since))
            }
            (None, _) => (plain(Stage::Absent, "the pod does not exist yet"), None),
        }
    }
}

impl Shown {
    fn new(stage: Stage, message: String) -> Self {
        Self { stage, message, failures: 0, is_attempt: false }
    }

    /// The first of these that holds keeps the target from its end.
    fn of(pod: &PodSnapshot, target: &Target<'_>) -> Self {
        let step = name(&target.spec.name);
        if pod.phase.is_terminal() {
            let phase = pod.phase.as_str();
            return Self::new(
                Stage::Record,
                format!("the pod is {phase}, and the record of its end is missing"),
            );
        }
        if pod.deletion_timestamp.is_some() {
            let message = match pod.deletion_grace_period_seconds {
                Some(grace) => format!("the pod is being deleted, with a grace period of {grace} s"),
                None => String::from("the pod is being deleted"),
            };
            return Self::new(Stage::Terminating, message);
        }
        if target.is_running() {
            return Self::new(Stage::Running, format!("container {step} is running"));
        }
        if is_between_restarts(pod, target) {
            return Self::between_restarts(target);
        }
        if pod.is_scheduling_gated {
            return Self::new(Stage::Unscheduled, String::from("scheduling gates hold the pod back"));
        }
        if let Some(scheduled) = pod.pod_scheduled.as_ref().filter(|condition| !condition.is_true) {
            let said = in_parentheses(&quote(&scheduled.reason, &scheduled.message));
            return Self::new(Stage::Unscheduled, format!("no node was found for the pod{said}"));
        }
        let stuck = Stuck::in_pod(pod, target);
        if let Some(waiting) = stuck.image_pull {
            let (message, is_attempt) = (waiting.failure().message, waiting.is_attempt());
            return Self { failures: 1, is_attempt, ..Self::new(Stage::Image, message) };
        }
        if let Some(waiting) = stuck.config_error {
            return Self { failures: 1, ..Self::new(Stage::Config, waiting.failure().message) };
        }
        Self::starting(pod, target)
    }

    fn between_restarts(target: &Target<'_>) -> Self {
        let step = name(&target.spec.name);
        let code = target.terminated().or_else(|| target.last_terminated()).map(|record| record.exit_code);
        let ended = code.map_or(String::new(), |code| format!(" exited with code {code} and"));
        let said = match target.state() {
            Some(ContainerState::Waiting { reason, message }) => in_parentheses(&quote(reason, message)),
            Some(ContainerState::Terminated(_) | ContainerState::Running) | None => String::new(),
        };
        let runs = target.status.map_or(0, |status| status.restart_count).saturating_add(1);
        let failures = u32::try_from(runs).unwrap_or(0);
        let message = format!("container {step}{ended} will be started again{said}");
        Self { failures, ..Self::new(Stage::Restarting, message) }
    }

    /// Nothing is wrong: the node prepares the pod.
    fn starting(pod: &PodSnapshot, target: &Target<'_>) -> Self {
        let total = pod.init_containers.iter().filter(|container| !is_sidecar(container)).count();
        let is_current = |container: &Container| {
            let state = target.init.get(&container.name).and_then(|status| status.state.as_ref());
            !is_sidecar(container)
                && !matches!(state, Some(ContainerState::Terminated(record)) if record.exit_code == 0)
        };
        let before = target.kind.init_containers_before(pod.init_containers.len());
        let waits_for = pod.init_containers[..before].iter().find(|container| is_current(container));
        if let Some(container) = waits_for {
            let ordinary = pod.init_containers.iter().filter(|container| !is_sidecar(container));
            let number = ordinary.take_while(|other| other.name != container.name).count() + 1;
            let state = target.init.get(&container.name).and_then(|status| status.state.as_ref());
            let is_running = matches!(state, Some(ContainerState::Running));
            let what = if is_running { "is running" } else { "is being prepared" };
            let init = name(&container.name);
            return Self::new(Stage::Init, format!("init container {init} ({number} of {total}) {what}"));
        }
        let step = name(&target.spec.name);
        let said = match target.state() {
            Some(ContainerState::Waiting { reason, message }) => in_parentheses(&quote(reason, message)),
            Some(ContainerState::Terminated(_) | ContainerState::Running) | None => String::new(),
        };
        Self::new(Stage::Starting, format!("the node prepares container {step}{said}"))
    }
}
