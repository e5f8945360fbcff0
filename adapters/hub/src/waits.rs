//! Waits over bytes: the machines, their inputs, and the answers of the API server.

mod body;
#[cfg(test)]
mod tests;

use crate::call::{Command, Request, RequestId};
use crate::failure::{ApiFailure, Via};
use crate::name::{PodName, Scope};
use crate::observed::{Object, Observed};
use crate::reflector::Reflector;
use crate::registry::{Confirms, WaitId};
use crate::table::{Table, pop};
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use body::Body;
use core::time::Duration;
use podwait_core::{ApiError, Decision, Exit, Failure, Input, Instant, RetryReason, WaitMachine};
use podwait_wire::{ACCEPT, Encoding, Pod};

pub use body::ResponseHead;

/// A pod as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// The decoded pod.
    pub pod: Pod,
    /// Its bytes, if [`Waits::keep_json`] is set.
    pub json: Option<Box<[u8]>>,
}

impl ObservedPod {
    /// Reads the answer to a GET of one pod, without keeping its bytes.
    ///
    /// # Errors
    /// The answer cannot be read, or is about another pod.
    pub fn of_answer(asked: &PodName, encoding: Encoding, bytes: &[u8]) -> Result<Self, ApiFailure> {
        let pod = podwait_wire::pod(encoding, bytes)
            .map_err(|error| body::unreadable(Via::Get, &format!("unreadable pod: {error}")))?;
        body::check_subject(asked, Via::Get, &pod)?;
        Ok(Self { pod, json: None })
    }
}

impl Object for Arc<ObservedPod> {
    fn uid(&self) -> &str {
        &self.pod.snapshot.uid
    }

    fn resource_version(&self) -> &str {
        &self.pod.snapshot.resource_version
    }
}

/// One observation, and the machine's decision on it.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// The machine's time.
    pub at: Instant,
    /// The observation.
    pub observed: &'a Observed<Arc<ObservedPod>>,
    /// The machine's decision.
    pub decision: &'a Decision,
    /// The machine after the decision.
    pub machine: &'a WaitMachine,
}

/// Receives every turn of every wait.
pub trait Observer {
    /// A wait took a turn.
    fn on_turn(&mut self, wait: WaitId, turn: Turn<'_>);
}

/// Ignores all turns.
impl Observer for () {
    fn on_turn(&mut self, _: WaitId, _: Turn<'_>) {}
}

/// An action for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a GET of this path and query, with this `Accept`.
    Send {
        /// The id under which the answer is handed over.
        id: RequestId,
        /// Path and query.
        target: String,
        /// The header `Accept`.
        accept: &'static str,
    },
    /// Drop this request.
    Close(RequestId),
}

#[derive(Clone, Debug)]
struct Wait {
    machine: WaitMachine,
    /// The machine's time and the host's time when the wait joined.
    begin: Instant,
    joined: Instant,
    /// How long the machine had no input before. That time is added at the first good read and not before: a limit that
    /// expired meanwhile must not decide before the pod was read.
    asleep: Duration,
}

impl Wait {
    fn time(&mut self, now: Instant, observed: &Observed<Arc<ObservedPod>>) -> Instant {
        if observed.is_good_read() {
            self.begin = self.begin.after(core::mem::take(&mut self.asleep));
        }
        self.begin.after(now.since(self.joined))
    }
}

/// Waits for any number of pods, without I/O.
///
/// The host carries out each [`next_action`](Self::next_action) and hands over each answer of the API server: its head,
/// the pieces of its body, its end. After each of these, and at the time that the last [`poll`](Self::poll) returned,
/// the host calls `poll`, carries out the actions and takes the verdicts of [`next_answer`](Self::next_answer).
#[derive(Debug)]
pub struct Waits {
    reflector: Reflector<Arc<ObservedPod>>,
    waits: Table<WaitId, Wait>,
    bodies: Table<RequestId, Body>,
    /// The deadlines for the bodies of refusals.
    refusals: BTreeSet<(Instant, RequestId)>,
    /// Requests whose answer was used before its end.
    to_close: VecDeque<RequestId>,
    answers: VecDeque<(WaitId, Result<Exit, Failure>)>,
    keeps_json: bool,
}

impl Waits {
    /// For waits on single pods, each with a watch of its own.
    #[must_use]
    pub fn single() -> Self {
        Self::new(Reflector::single())
    }

    /// For the pods of a scope, over one LIST and one watch, with so many requests per second.
    #[must_use]
    pub fn of_scope(scope: Scope, requests_per_second: u32) -> Self {
        Self::new(Reflector::of_scope(scope, requests_per_second))
    }

    fn new(reflector: Reflector<Arc<ObservedPod>>) -> Self {
        Self {
            reflector,
            waits: Table::new(),
            bodies: Table::new(),
            refusals: BTreeSet::new(),
            to_close: VecDeque::new(),
            answers: VecDeque::new(),
            keeps_json: false,
        }
    }

    /// Keeps the watch of the scope open when no wait is left.
    pub fn stay_open(&mut self, stays_open: bool) {
        self.reflector.stay_open(stays_open);
    }

    /// Requests only JSON, and keeps each pod's text, for recordings of whole pods.
    pub const fn keep_json(&mut self, keeps_json: bool) {
        self.keeps_json = keeps_json;
    }

    /// Why the pods of the scope are not watched together; see [`Reflector::refusal`].
    #[must_use]
    pub fn refusal(&self) -> Option<&ApiFailure> {
        self.reflector.refusal()
    }

    /// Whether no wait is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Adds a wait. `asleep` is how long a restored machine had no input; zero for a new machine.
    ///
    /// `may_watch: false` for a pod that is only to be read.
    pub fn join(
        &mut self,
        now: Instant,
        pod: PodName,
        machine: WaitMachine,
        asleep: Duration,
        may_watch: bool,
        observer: &mut impl Observer,
    ) -> WaitId {
        let wait = self.reflector.join(now, pod, may_watch, machine.pod_uid());
        self.waits.put(wait, Wait { begin: machine.now(), machine, joined: now, asleep });
        self.turn(now, wait, &Observed::Silence, observer);
        wait
    }

    /// Ends a wait without an answer. Returns its pod, its machine, and the part of `asleep` that was not added yet, as
    /// [`join`](Self::join) takes them.
    pub fn leave(&mut self, wait: WaitId) -> Option<(PodName, WaitMachine, Duration)> {
        let pod = self.reflector.leave(wait)?;
        let wait = self.waits.remove(wait)?;
        Some((pod, wait.machine, wait.asleep))
    }

    /// The caller cancels a wait: its answer is `cancelled`, unless there was one before.
    pub fn cancel(&mut self, now: Instant, wait: WaitId, observer: &mut impl Observer) {
        self.turn(now, wait, &Observed::Cancelled, observer);
    }

    /// The next action for the host.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        if let Some(id) = pop(&mut self.to_close) {
            return Some(Action::Close(id));
        }
        loop {
            match self.reflector.next_command()? {
                Command::Close(id) => {
                    self.take_body(id);
                    return Some(Action::Close(id));
                }
                Command::Send(id, request) if request.invalid_name().is_none() => {
                    let target = request.target();
                    self.bodies.put(id, Body::awaited(&request, &target));
                    let accept = if self.keeps_json { Encoding::Json.media_type() } else { ACCEPT };
                    return Some(Action::Send { id, target, accept });
                }
                Command::Send(id, request) => {
                    // The failure is the same as the API server's answer would be.
                    self.reflector.failed(now, id, rejected(&request));
                }
            }
        }
    }

    /// The next wait with a final answer.
    pub fn next_answer(&mut self) -> Option<(WaitId, Result<Exit, Failure>)> {
        pop(&mut self.answers)
    }

    /// Does everything that is due. Returns the time at which to call this again, if there is no input before.
    pub fn poll(&mut self, now: Instant, observer: &mut impl Observer) -> Option<Instant> {
        while let Some((by, id)) = self.refusals.first().copied().filter(|(by, _)| *by <= now) {
            self.refusals.remove(&(by, id));
            // Without its body, a refusal still has its code.
            self.end(now, id, None, observer);
            self.to_close.push_back(id);
        }
        loop {
            let next = self.reflector.poll(now);
            if !self.take_deliveries(now, observer) {
                let refusal = self.refusals.first().map(|(by, _)| *by);
                return [next, refusal].into_iter().flatten().min();
            }
        }
    }

    /// Passes deliveries to the machines. Returns whether there were any.
    fn take_deliveries(&mut self, now: Instant, observer: &mut impl Observer) -> bool {
        let mut has_any = false;
        while let Some((wait, observed)) = self.reflector.next_delivery() {
            has_any = true;
            self.turn(now, wait, &observed, observer);
        }
        has_any
    }

    fn turn(
        &mut self,
        now: Instant,
        id: WaitId,
        observed: &Observed<Arc<ObservedPod>>,
        observer: &mut impl Observer,
    ) {
        let Some(wait) = self.waits.get_mut(id) else { return };
        let at = wait.time(now, observed);
        let decision = wait.machine.handle(at, observed.as_input());
        observer.on_turn(id, Turn { at, observed, decision: &decision, machine: &wait.machine });
        let answer = match decision {
            Decision::Retry { after, why } => {
                return self.reflector.want(now, id, after, confirms(why));
            }
            Decision::Done(exit) => Ok(exit),
            Decision::Fail(failure) => Err(failure),
        };
        self.leave(id);
        self.answers.push_back((id, answer));
    }
}

fn confirms(why: RetryReason) -> Confirms {
    match why {
        RetryReason::ConfirmingDeletion => Confirms::Deletion,
        RetryReason::ConfirmingLostRecord => Confirms::LostRecord,
        RetryReason::AwaitingPod
        | RetryReason::Pending
        | RetryReason::Running
        | RetryReason::Restarting
        | RetryReason::AwaitingTerminatedState
        | RetryReason::PodTerminating
        | RetryReason::ApiThrottled
        | RetryReason::ApiError
        | RetryReason::Relist
        | RetryReason::AwaitingJob
        | RetryReason::Suspended
        | RetryReason::AwaitingTerminalCondition => Confirms::Nothing,
    }
}

impl Observed<Arc<ObservedPod>> {
    /// The same as an input of the machine.
    #[must_use]
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::Pod(Via::Get | Via::List, pod) => Input::Read(&pod.pod.snapshot),
            Self::Pod(Via::Watch, pod) => Input::Snapshot(&pod.pod.snapshot),
            Self::Deleted(pod) => Input::Deleted(&pod.pod.snapshot),
            Self::NotFound(_) => Input::NotFound,
            Self::Failed(failure) => Input::ApiError(ApiError {
                code: failure.code,
                is_status: failure.is_status,
                retry_after: failure.retry_after,
                message: &failure.message,
            }),
            Self::Silence => Input::Tick,
            Self::Cancelled => Input::Cancel,
        }
    }
}

/// A request that cannot be sent. It fails as the API server would fail it: permanently.
fn rejected(request: &Request) -> ApiFailure {
    let via = match request {
        Request::Get(_) => Via::Get,
        Request::List { .. } => Via::List,
        Request::Watch { .. } | Request::WatchList { .. } => Via::Watch,
    };
    let (what, name) = request.invalid_name().unwrap_or_default();
    let message = format!("{name:?} is not a valid {what} name");
    ApiFailure { is_status: true, ..ApiFailure::new(via, 400, &message) }
}
