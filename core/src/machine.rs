//! The machine and its state. `machine/wait.rs` handles inputs, `machine/wake.rs` decides when to come back.

mod wait;
mod wake;

use crate::decision::{Decision, Exit, Failure};
use crate::history::History;
use crate::input::Input;
use crate::policy::Policy;
use crate::reason::{FailReason, RetryReason};
use crate::snapshot::PodSnapshot;
use crate::time::Instant;
use crate::timers::{Absent, LastWord, Timers};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::ops::ControlFlow;
use core::time::Duration;
use wait::Wait;

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
/// repeated or stale; a missing fact never turns a failure into a success.
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
    pub(crate) policy: Arc<Policy>,
    pub(crate) container: Option<String>,
    /// The uid the caller expects, or the first one seen.
    pub(crate) uid: Option<String>,
    pub(crate) now: Instant,
    pub(crate) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is decided.
    Waiting(Box<Waiting>),
    /// The final answer.
    Over(Box<Result<Exit, Failure>>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) timers: Timers,
    /// The known facts about the pod; `None` before its first snapshot.
    pub(crate) history: Option<History>,
    /// The reason to wait as long as reads succeed.
    pub(crate) situation: RetryReason,
    /// When the caller is to come back, and why.
    pub(crate) wake: Option<(Instant, RetryReason)>,
    /// How often the present situation was retried, for the backoff.
    pub(crate) attempt: u32,
    /// API errors in a row.
    pub(crate) errors: u32,
    /// 410s in a row, and the last of them.
    pub(crate) relists: (u32, Instant),
    pub(crate) missing: Missing,
    pub(crate) last_word: LastWord,
    /// Since when every object is older than the newest accepted one. Boxed, because it is rare.
    pub(crate) older: Option<Box<Older>>,
}

/// A stretch of objects that are older than the newest accepted one (rule 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Older {
    /// The first of them.
    pub(crate) since: Instant,
    /// The first from a consistent read.
    pub(crate) read: Option<Instant>,
}

impl Waiting {
    /// The absence of a pod that was seen before, while its final state may still come.
    pub(crate) fn gone(&self) -> Option<Absent> {
        self.timers.absent.filter(|_| self.history.is_some())
    }

    /// Whether the newest accepted object is not the pod's present state: the machine waits for what came after it.
    pub(crate) fn is_confirming(&self) -> bool {
        self.gone().is_some() || self.timers.lost_record.is_some()
    }

    /// Whether this object is the newest accepted one.
    pub(crate) fn is_newest(&self, pod: &PodSnapshot) -> bool {
        self.history.as_ref().is_some_and(|history| history.resource_version == pod.resource_version)
    }

    /// Whether the newest accepted object is the pod's present state, as far as a caller can know.
    fn is_current(&self, uid: Option<&str>, input: &Input<'_>) -> bool {
        match input {
            Input::Snapshot(pod) | Input::Read(pod) => !self.is_confirming() && uid == Some(&pod.uid),
            Input::Tick | Input::Cancel => !self.is_confirming() && !self.timers.is_failing(),
            Input::Deleted(_) | Input::NotFound | Input::ApiError(_) => false,
        }
    }
}

/// How long the target's record of a terminal pod has been missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Time between good reads without the record.
    pub(crate) observed: Duration,
    /// The last of these reads, if no error came since.
    pub(crate) last_read: Option<Instant>,
    /// The first of them.
    pub(crate) since: Option<Instant>,
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
            older: None,
        };
        let state = State::Waiting(Box::new(waiting));
        Self { policy, container: None, uid: None, now: Instant::ZERO, state }
    }

    /// Sets the target: the container whose exit is wanted, from any of the pod's lists. After the first input this
    /// changes nothing.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        if !self.has_begun() {
            self.container = Some(name.into());
        }
        self
    }

    /// Pins the pod's uid, as the answer to a create gives it. Without it the first pod seen of that name is
    /// taken. After the first input it changes nothing.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        if !self.has_begun() {
            self.uid = Some(uid.into());
        }
        self
    }

    fn has_begun(&self) -> bool {
        match &self.state {
            State::Waiting(waiting) => waiting.timers.started.is_some(),
            State::Over(_) => true,
        }
    }

    /// The uid of the pod that is waited for: the caller's, or the first one seen. A pod of another uid is another pod.
    #[must_use]
    pub fn pod_uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The time of the latest input.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// When the next input is due, a tick at least: the end of the newest [`Decision::Retry`]. Before the first input
    /// this is now; `None` once there is a final answer.
    ///
    /// For loops that do not keep the decision: loops over many machines, or after a restore.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let State::Waiting(waiting) = &self.state else { return None };
        let Some((wake, _)) = waiting.wake else { return Some(self.now) };
        let timer = waiting.next_timer(&self.policy).map(|(at, _)| at);
        Some(timer.map_or(wake, |at| at.min(wake)).max(self.now.after(Duration::from_millis(1))))
    }

    /// The final answer, once there is one.
    #[must_use]
    pub fn verdict(&self) -> Option<Result<&Exit, &Failure>> {
        match &self.state {
            State::Waiting(_) => None,
            State::Over(verdict) => Some((**verdict).as_ref()),
        }
    }

    /// Takes one input that happened at `at`, and answers.
    pub fn handle(&mut self, at: Instant, input: Input<'_>) -> Decision {
        let waiting = match &mut self.state {
            State::Waiting(waiting) => waiting,
            State::Over(verdict) => return Decision::from((**verdict).clone()),
        };
        self.now = self.now.max(at);
        let mut wait = Wait {
            policy: &self.policy,
            container: self.container.as_deref(),
            uid: &mut self.uid,
            at: self.now,
            waiting,
        };
        match wait.handle(input) {
            ControlFlow::Continue((after, why)) => Decision::Retry { after, why },
            ControlFlow::Break(mut verdict) => {
                if let Err(failure) = &mut verdict {
                    let is_current = waiting.is_current(self.uid.as_deref(), &input);
                    failure.may_have_finished = match &waiting.history {
                        Some(history) => history.may_have_finished(is_current),
                        // A container that the spec does not have cannot run.
                        None => failure.reason != FailReason::ContainerNotInSpec,
                    };
                }
                self.state = State::Over(Box::new(verdict.clone()));
                Decision::from(verdict)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{WaitMachine, Waiting};

    /// An agent may hold ten thousand machines. The names and versions of the pod add some 100 bytes.
    #[test]
    fn a_waiting_machine_is_small() {
        let size = size_of::<WaitMachine>() + size_of::<Waiting>();
        assert!(size <= 464, "{size} bytes");
    }
}
