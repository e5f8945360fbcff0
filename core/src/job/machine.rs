//! The machine of a Job and its state.

use super::decision::{JobDecision, JobExit};
use super::input::JobInput;
use super::wait::Waiting;
use crate::decision::Failure;
use crate::policy::Policy;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::ops::ControlFlow;

/// Finds out how a Job ended: complete, or failed, and by which of its pods.
///
/// It is used as a [`WaitMachine`](crate::WaitMachine), with the same promises: one input with its time, one decision,
/// and `Done` and `Fail` never change. A host delivers the Job's object and its pods' objects, calls
/// [`handle`](Self::handle), and when [`next_deadline`](Self::next_deadline) has come it reads both again or sends a
/// tick. Without the right to list pods it may deliver the Job alone: then a Job that fails has no exit code.
///
/// ```
/// use podwait_core::{
///     Condition, Instant, JobConditions, JobDecision, JobInput, JobMachine, JobSnapshot, RetryReason,
/// };
///
/// let mut machine = JobMachine::new(Default::default());
/// let mut job = JobSnapshot { uid: "7a0c".into(), resource_version: "80".into(), ..Default::default() };
/// let decision = machine.handle(Instant::ZERO, JobInput::Read(&job));
/// assert!(matches!(decision, JobDecision::Retry { why: RetryReason::AwaitingPod, .. }));
///
/// job.resource_version = "95".into();
/// job.conditions.complete = Some(Condition { is_true: true, ..Default::default() });
/// let decision = machine.handle(Instant::from_millis(9000), JobInput::Snapshot(&job));
/// assert!(matches!(decision, JobDecision::Done(exit) if exit.is_success()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobMachine {
    policy: Arc<Policy>,
    now: Instant,
    /// The time that the last decision named.
    due: Instant,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is decided.
    Waiting(Box<Waiting>),
    /// The final answer.
    Over(Box<Over>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Over {
    uid: Option<String>,
    verdict: Result<JobExit, Failure>,
}

impl JobMachine {
    /// A machine under `policy`. Its limits count for the Job as for a pod, and those about containers for the
    /// containers of each pod of the Job.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        let waiting = Waiting::new(&policy);
        Self { policy, now: Instant::ZERO, due: Instant::ZERO, state: State::Waiting(Box::new(waiting)) }
    }

    /// Pins the Job's uid. Without it the first Job seen of that name is taken. After the first input it changes
    /// nothing.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        if let State::Waiting(waiting) = &mut self.state {
            waiting.object.pin(uid.into());
        }
        self
    }

    /// The uid of the Job: the caller's, or the first one seen.
    #[must_use]
    pub fn job_uid(&self) -> Option<&str> {
        match &self.state {
            State::Waiting(waiting) => waiting.object.uid(),
            State::Over(over) => over.uid.as_deref(),
        }
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

    /// When the next input is due, a tick at least: the end of the newest [`JobDecision::Retry`]. Before the first input
    /// this is now; `None` once there is a final answer.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(_) => Some(self.due),
            State::Over(_) => None,
        }
    }

    /// The final answer, once there is one.
    #[must_use]
    pub fn verdict(&self) -> Option<Result<&JobExit, &Failure>> {
        match &self.state {
            State::Waiting(_) => None,
            State::Over(over) => Some(over.verdict.as_ref()),
        }
    }

    /// Takes one input that happened at `at`, and answers.
    pub fn handle(&mut self, at: Instant, input: JobInput<'_>) -> JobDecision {
        let waiting = match &mut self.state {
            State::Waiting(waiting) => waiting,
            State::Over(over) => return JobDecision::from(over.verdict.clone()),
        };
        self.now = self.now.max(at);
        match waiting.handle(&self.policy, self.now, input) {
            ControlFlow::Continue((after, why)) => {
                self.due = self.now.after(after);
                JobDecision::Retry { after, why }
            }
            ControlFlow::Break(verdict) => {
                let uid = waiting.object.uid().map(String::from);
                self.state = State::Over(Box::new(Over { uid, verdict: verdict.clone() }));
                JobDecision::from(verdict)
            }
        }
    }
}
