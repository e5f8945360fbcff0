//! Waits for pods over bytes: the machines and their inputs.

#[cfg(test)]
mod tests;

use crate::call::{RequestId, Resource};
use crate::failure::{ApiFailure, Via};
use crate::feed::{Action, Feed, Readable, ResponseHead, Sink};
use crate::name::{PodName, Scope};
use crate::observed::{Object, Observed};
use crate::reflector::Reflector;
use crate::registry::{Confirms, WaitId};
use crate::table::{Table, pop};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use podwait_core::{ApiError, Decision, Exit, Failure, Input, Instant, RetryReason, WaitMachine};
use podwait_wire::{DecodeError, Encoding, Event, Item, Pod};

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
    pub fn of_answer(asked: &PodName, encoding: Encoding, bytes: Vec<u8>) -> Result<Arc<Self>, ApiFailure> {
        Readable::of_answer(asked, encoding, bytes, false)
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

impl Readable for Arc<ObservedPod> {
    const RESOURCE: Resource = Resource::Pods;

    fn of_bytes(encoding: Encoding, bytes: Vec<u8>, keeps_json: bool) -> Result<Self, DecodeError> {
        let pod = podwait_wire::pod(encoding, &bytes)?;
        Ok(Self::new(ObservedPod { pod, json: keeps_json.then(|| bytes.into()) }))
    }

    fn of_item(item: &Item<'_>, keeps_json: bool) -> Result<Self, DecodeError> {
        let json = keeps_json.then(|| item.bytes().into());
        Ok(Self::new(ObservedPod { pod: item.pod()?, json }))
    }

    fn of_event(event: &Event<'_>, keeps_json: bool) -> Result<Self, DecodeError> {
        let pod = event.pod()?;
        let json = if keeps_json { event.object().ok().map(Box::from) } else { None };
        Ok(Self::new(ObservedPod { pod, json }))
    }

    fn namespace(&self) -> &str {
        &self.pod.namespace
    }

    fn name(&self) -> &str {
        &self.pod.name
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
    feed: Feed<Arc<ObservedPod>>,
    machines: Machines,
}

/// The machines of the waits, and their answers.
#[derive(Debug)]
struct Machines {
    waits: Table<WaitId, Wait>,
    answers: VecDeque<(WaitId, Result<Exit, Failure>)>,
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
        let machines = Machines { waits: Table::new(), answers: VecDeque::new() };
        Self { feed: Feed::new(reflector), machines }
    }

    /// Keeps the watch of the scope open when no wait is left.
    pub fn stay_open(&mut self, stays_open: bool) {
        self.feed.reflector.stay_open(stays_open);
    }

    /// Requests only JSON, and keeps each pod's text, for recordings of whole pods.
    pub const fn keep_json(&mut self, keeps_json: bool) {
        self.feed.keeps_json = keeps_json;
    }

    /// Why the pods of the scope are not watched together; see [`Reflector::refusal`].
    #[must_use]
    pub fn refusal(&self) -> Option<&ApiFailure> {
        self.feed.reflector.refusal()
    }

    /// Whether no wait is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.machines.waits.is_empty()
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
        let wait = self.feed.reflector.join(now, pod, may_watch, machine.pod_uid());
        self.machines.waits.put(wait, Wait { begin: machine.now(), machine, joined: now, asleep });
        self.turn(now, wait, &Observed::Silence, observer);
        wait
    }

    /// Ends a wait without an answer. Returns its pod, its machine, and the part of `asleep` that was not added yet, as
    /// [`join`](Self::join) takes them.
    pub fn leave(&mut self, wait: WaitId) -> Option<(PodName, WaitMachine, Duration)> {
        let pod = self.feed.reflector.leave(wait)?;
        let wait = self.machines.waits.remove(wait)?;
        Some((pod, wait.machine, wait.asleep))
    }

    /// The caller cancels a wait: its answer is `cancelled`, unless there was one before.
    pub fn cancel(&mut self, now: Instant, wait: WaitId, observer: &mut impl Observer) {
        self.turn(now, wait, &Observed::Cancelled, observer);
    }

    /// The next action for the host.
    pub fn next_action(&mut self, now: Instant) -> Option<Action> {
        self.feed.next_action(now)
    }

    /// The next wait with a final answer.
    pub fn next_answer(&mut self) -> Option<(WaitId, Result<Exit, Failure>)> {
        pop(&mut self.machines.answers)
    }

    /// Does everything that is due. Returns the time at which to call this again, if there is no input before.
    pub fn poll(&mut self, now: Instant, observer: &mut impl Observer) -> Option<Instant> {
        self.feed.poll(now, &mut Turns { machines: &mut self.machines, observer })
    }

    /// The head of an answer has arrived. An answer has one; further ones are ignored.
    pub fn head(&mut self, now: Instant, id: RequestId, head: &ResponseHead<'_>) {
        self.feed.head(now, id, head);
    }

    /// A piece of an answer's body has arrived.
    pub fn body(&mut self, now: Instant, id: RequestId, piece: &[u8], observer: &mut impl Observer) {
        self.feed.body(now, id, piece, &mut Turns { machines: &mut self.machines, observer });
    }

    /// An answer has ended, or failed with this message.
    pub fn end(&mut self, now: Instant, id: RequestId, error: Option<&str>, observer: &mut impl Observer) {
        self.feed.end(now, id, error, &mut Turns { machines: &mut self.machines, observer });
    }

    fn turn(
        &mut self,
        now: Instant,
        wait: WaitId,
        observed: &Observed<Arc<ObservedPod>>,
        observer: &mut impl Observer,
    ) {
        let mut turns = Turns { machines: &mut self.machines, observer };
        turns.deliver(now, &mut self.feed.reflector, wait, observed);
    }
}

/// Passes deliveries to the machines.
struct Turns<'a, W> {
    machines: &'a mut Machines,
    observer: &'a mut W,
}

impl<W: Observer> Sink<Arc<ObservedPod>> for Turns<'_, W> {
    fn deliver(
        &mut self,
        now: Instant,
        reflector: &mut Reflector<Arc<ObservedPod>>,
        id: WaitId,
        observed: &Observed<Arc<ObservedPod>>,
    ) {
        let Some(wait) = self.machines.waits.get_mut(id) else { return };
        let at = wait.time(now, observed);
        let decision = wait.machine.handle(at, observed.as_input());
        self.observer.on_turn(id, Turn { at, observed, decision: &decision, machine: &wait.machine });
        let answer = match decision {
            Decision::Retry { after, why } => return reflector.want(now, id, after, confirms(why)),
            Decision::Done(exit) => Ok(exit),
            Decision::Fail(failure) => Err(failure),
        };
        reflector.leave(id);
        self.machines.waits.remove(id);
        self.machines.answers.push_back((id, answer));
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
        | RetryReason::Relist => Confirms::Nothing,
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
