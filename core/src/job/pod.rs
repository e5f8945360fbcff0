//! Rules 17 and 18: one pod of the Job. How it ended, and whether it can start at all.

use crate::decision::{Decision, Exit, Failure};
use crate::input::{ApiError, Input};
use crate::machine::{State, WaitMachine, Waiting};
use crate::policy::{OnGone, Policy};
use crate::reason::{FailReason, RetryReason};
use crate::rules::exit;
use crate::snapshot::{ContainerState, ContainerStatus, PodSnapshot, Timestamp};
use crate::text::name;
use crate::time::Instant;
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// A pod that has not ended for good, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    /// `metadata.name`
    pub(super) name: String,
    /// For each regular container a wait.
    parts: Vec<Part>,
    /// The phase of the newest object is final.
    is_terminal: bool,
    /// The newest object has a deletionTimestamp.
    pub(super) is_terminating: bool,
    /// Reads have failed since the newest object, so its state may have changed.
    is_outdated: bool,
    /// The latest time in the newest object at which something ended.
    pub(super) ended_at: Option<Timestamp>,
    /// The last end of a run that failed and that its restart policy undid, before the pod was being deleted.
    pub(super) failed_run: Option<Exit>,
}

/// One regular container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    machine: WaitMachine,
    state: PartState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PartState {
    Waits(RetryReason),
    /// A wait for this container alone would end here. Since the pod is still there, the container may yet start.
    Stuck(Box<Failure>),
    Over,
}

/// What a pod that has not ended does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// A container cannot start, and the grace for that is over.
    Stuck,
    Pending,
    Running,
    /// It is being deleted, or is not found any more.
    Terminating,
}

/// Where an object of a pod comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Event,
    Read,
    Deleted,
}

/// The policy for the pods: the limits of the whole wait and of the API server are the Job's.
pub(super) fn policy(policy: &Policy) -> Policy {
    /// As long as a policy allows.
    const NEVER: Duration = Duration::from_secs(366 * 24 * 3600);
    let policy = policy.clone().0.deadline(None).api_error_budget(NEVER).auth_error_budget(NEVER);
    Policy(policy.on_gone(OnGone::Evidence))
}

impl Pod {
    /// A pod that was not seen before.
    pub(super) fn new(name: &str, snapshot: &PodSnapshot, policy: &Arc<Policy>) -> Self {
        let part = |container: &str| Part {
            machine: WaitMachine::new(Arc::clone(policy)).container(container).uid(snapshot.uid.as_str()),
            state: PartState::Waits(RetryReason::Pending),
        };
        Self {
            name: name.to_owned(),
            parts: snapshot.containers.iter().map(|container| part(&container.name)).collect(),
            is_terminal: false,
            is_terminating: false,
            is_outdated: false,
            ended_at: None,
            failed_run: None,
        }
    }

    pub(super) fn see(&mut self, at: Instant, snapshot: &PodSnapshot, origin: Origin) {
        self.is_terminal = snapshot.phase.is_terminal();
        self.is_terminating = snapshot.deletion_timestamp.is_some();
        self.is_outdated = false;
        self.ended_at = ended_at(snapshot).or(self.ended_at);
        let is_there = origin != Origin::Deleted && !self.is_terminal;
        for part in &mut self.parts {
            part.handle(
                at,
                is_there,
                match origin {
                    Origin::Event => Input::Snapshot(snapshot),
                    Origin::Read => Input::Read(snapshot),
                    Origin::Deleted => Input::Deleted(snapshot),
                },
            );
        }
        if is_there && !self.is_terminating {
            let last = self.parts.iter().filter_map(Part::failed_run).max_by_key(|exit| exit.finished_at);
            self.failed_run = last.or_else(|| self.failed_run.take());
        }
    }

    pub(super) fn not_found(&mut self, at: Instant) {
        self.handle(at, Input::NotFound);
    }

    pub(super) fn api_error(&mut self, at: Instant) {
        self.is_outdated = true;
        self.handle(at, Input::ApiError(ApiError::default()));
    }

    pub(super) fn tick(&mut self, at: Instant) {
        if self.next_deadline().is_some_and(|due| due <= at) {
            self.handle(at, Input::Tick);
        }
    }

    fn handle(&mut self, at: Instant, input: Input<'_>) {
        let is_there = !self.is_terminal;
        for part in &mut self.parts {
            part.handle(at, is_there, input);
        }
    }

    /// When a tick is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.parts.iter().filter_map(Part::next_deadline).min()
    }

    pub(super) fn progress(&self) -> Progress {
        if self.is_terminating {
            return Progress::Terminating;
        }
        if self.stuck().is_some() {
            return Progress::Stuck;
        }
        let progress_of = |part: &Part| match &part.state {
            PartState::Waits(RetryReason::ConfirmingDeletion) => Progress::Terminating,
            PartState::Waits(RetryReason::Running | RetryReason::Restarting) | PartState::Over => {
                Progress::Running
            }
            // A node that is lost may return, and a container of an outdated pod may have started.
            PartState::Waits(_) | PartState::Stuck(_) if part.has_run() => Progress::Running,
            PartState::Waits(_) | PartState::Stuck(_) => Progress::Pending,
        };
        self.parts.iter().map(progress_of).max().unwrap_or(Progress::Pending)
    }

    /// Whether something has shown that a container of it was started.
    pub(super) fn has_run(&self) -> bool {
        self.is_terminal || self.parts.iter().any(Part::has_run)
    }

    /// Whether it is over, and a record of a container is missing.
    pub(super) fn lacks_record(&self) -> bool {
        self.is_terminal && !self.is_over()
    }

    /// Whether all its containers have their verdict.
    pub(super) fn is_over(&self) -> bool {
        self.parts.iter().all(|part| part.state == PartState::Over)
    }

    /// The failure of the first container that cannot start, as far as the newest object shows it.
    pub(super) fn stuck(&self) -> Option<&Failure> {
        if self.is_outdated || self.is_terminating {
            return None;
        }
        self.parts.iter().find_map(|part| match &part.state {
            PartState::Stuck(failure) if is_about_the_start(failure) => Some(&**failure),
            PartState::Stuck(_) | PartState::Waits(_) | PartState::Over => None,
        })
    }

    /// What keeps it from starting, for a sentence; may be empty.
    pub(super) fn hindrance(&self) -> String {
        let said = self.parts.iter().find_map(|part| match &part.state {
            PartState::Stuck(failure) => Some(failure.message.clone()),
            PartState::Waits(_) => {
                let said = part.waiting()?.history.as_ref()?.said.as_deref()?;
                Some(said.to_owned())
            }
            PartState::Over => None,
        });
        said.map(|said| format!("pod {}: {said}", name(&self.name))).unwrap_or_default()
    }

    /// How it ended: the first container that exited with another code than 0, else the first without an exit of its
    /// own. `None` if all exited with 0, or it has not ended.
    ///
    /// A run that failed and was to be repeated is the end of a pod that was deleted after it: the Job controller
    /// deletes a pod whose restarts reach the limit (`pastBackoffLimitOnFailure`).
    pub(super) fn end(&self) -> Option<Result<Exit, Failure>> {
        let verdicts = || self.parts.iter().filter_map(|part| part.machine.verdict());
        if let Some(exit) = verdicts().filter_map(Result::ok).find(|exit| !exit.is_success()) {
            return Some(Ok(exit.clone()));
        }
        let failure = verdicts().find_map(Result::err)?;
        match &self.failed_run {
            Some(exit) if failure.reason == FailReason::PodDeleted => Some(Ok(exit.clone())),
            Some(_) | None => Some(Err(failure.clone())),
        }
    }

    /// How it would have ended if it did not exist any more: for a pod that is still there when the Job is over.
    pub(super) fn end_if_gone(&self, at: Instant) -> Option<Result<Exit, Failure>> {
        let mut pod = self.clone();
        let at = pod.parts.iter().map(|part| part.machine.now()).fold(at, Instant::max);
        let grace = pod.parts.first()?.machine.policy().gone_grace();
        for part in &mut pod.parts {
            // The second input ends the confirmation that the first begins.
            let _ = part.machine.handle(at, Input::NotFound);
            let _ = part.machine.handle(at.after(grace), Input::Tick);
        }
        pod.end()
    }
}

impl Part {
    /// `is_there` if the pod is there and has not ended.
    fn handle(&mut self, at: Instant, is_there: bool, input: Input<'_>) {
        let mut next = self.machine.clone();
        self.state = match next.handle(at, input) {
            Decision::Retry { why, .. } => PartState::Waits(why),
            // The verdict of a wait never changes, and what happens to this pod may. So it is not accepted, and the
            // machine decides again when the pod has changed.
            Decision::Fail(failure) if is_there && may_pass(&failure) => {
                self.state = PartState::Stuck(Box::new(failure));
                return;
            }
            Decision::Done(_) | Decision::Fail(_) => PartState::Over,
        };
        self.machine = next;
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            PartState::Waits(_) => self.machine.next_deadline(),
            PartState::Stuck(_) | PartState::Over => None,
        }
    }

    fn waiting(&self) -> Option<&Waiting> {
        match &self.machine.state {
            State::Waiting(waiting) => Some(waiting),
            State::Over(_) => None,
        }
    }

    fn has_run(&self) -> bool {
        match self.waiting() {
            Some(waiting) => waiting.history.as_ref().is_some_and(|history| history.has_started),
            None => true,
        }
    }

    /// The last end of a run that failed, and that its restart policy undid.
    fn failed_run(&self) -> Option<Exit> {
        let history = self.waiting()?.history.as_ref()?;
        let run = history.last_run().filter(|run| run.record.exit_code != 0)?;
        let on_missing = self.machine.policy.0.on_missing_terminated;
        exit::judge(history, &run.record, run.restart_count, false, on_missing).ok()
    }
}

/// The failures that are about a start, and the pod may still start.
const fn is_about_the_start(failure: &Failure) -> bool {
    matches!(
        failure.reason,
        FailReason::ImagePull
            | FailReason::InvalidImageName
            | FailReason::ContainerConfigError
            | FailReason::StartTimeout
    )
}

/// The failures of a pod that is there and has not ended: it may start, its node may return (rule 10).
const fn may_pass(failure: &Failure) -> bool {
    is_about_the_start(failure) || failure.rule == 10
}

/// The latest time at which something in this pod ended, as the Job controller orders its pods (`getFinishedTime` in
/// `pkg/controller/job/backoff_utils.go`).
fn ended_at(pod: &PodSnapshot) -> Option<Timestamp> {
    let finished = |status: &ContainerStatus| match &status.state {
        Some(ContainerState::Terminated(record)) => record.finished_at,
        Some(ContainerState::Waiting { .. } | ContainerState::Running) | None => None,
    };
    let statuses = pod.container_statuses.iter().chain(&pod.init_container_statuses);
    let disruption = || pod.disruption_target.as_ref().and_then(|condition| condition.last_transition_time);
    statuses.filter_map(finished).max().or_else(disruption).or(pod.deletion_timestamp)
}
