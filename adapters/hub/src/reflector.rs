//! Which requests are sent to the API server, and what is delivered to which wait.

mod collecting;
mod listing;
mod own_watch;
mod probing;
mod reading;
mod sending;
mod shared_watch;
mod waiting;
mod watching;

use crate::call::{Calls, Command, Purpose, RequestId};
use crate::failure::{ApiFailure, is_refusal};
use crate::lane::Lanes;
use crate::name::{PodName, Scope};
use crate::observed::{Collected, Object, Observed};
use crate::own::{Cause, Own};
use crate::rate::RateLimiter;
use crate::registry::{PodId, Read, Registry, WaitId};
use crate::shared::{Service, Shared};
use crate::table::pop;
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use podwait_core::Instant;

/// A check that is due at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Wait(WaitId),
    Own(PodId),
    Probe(PodId),
}

/// Which pod an object is about.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `metadata.namespace`; empty when absent.
    pub namespace: &'a str,
    /// `metadata.name`
    pub name: &'a str,
    /// `metadata.resourceVersion`
    pub resource_version: &'a str,
}

/// The type of a watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// ADDED or MODIFIED: this is its state.
    State,
    /// DELETED: the object is no longer in the watch's selection.
    Deleted,
    /// BOOKMARK: there is only a resourceVersion.
    Bookmark,
    /// The BOOKMARK after the last object of a [`Request::WatchList`](crate::Request::WatchList).
    Listed,
}

/// Decides, for any number of waits, which requests to send to the API server and what to deliver to which wait.
///
/// Sans-IO: it sends nothing, reads no clock and takes no lock. The host carries out each
/// [`next_command`](Self::next_command), hands over the answer to each request under its id, and passes each
/// [`next_delivery`](Self::next_delivery) to its wait. After that, and at the time that the last [`poll`](Self::poll)
/// returned, it calls `poll`. The host must pass on all deliveries before it hands over the next object of a pod with a
/// wait: where the confirmation of a deletion begins depends on the facts before that delivery.
///
/// `O` is a pod's object, which the host decodes; this type reads only its [`Object`] methods.
#[derive(Clone, Debug)]
pub struct Reflector<O> {
    shared: Option<Box<Shared>>,
    registry: Registry<O>,
    lanes: Lanes,
    /// Pods whose own watch or probe is to be opened.
    to_open: VecDeque<PodId>,
    calls: Calls,
    alarms: BTreeSet<(Instant, Alarm)>,
    deliveries: VecDeque<(WaitId, Observed<O>)>,
    /// Of the scope as a whole, if that is wanted.
    collection: Option<Box<Collection<O>>>,
    stays_open: bool,
}

/// The deliveries of a scope as a whole.
#[derive(Clone, Debug)]
struct Collection<O> {
    deliveries: VecDeque<Collected<O>>,
    /// A LIST is wanted, though the watch is open.
    wants_list: bool,
}

impl<O: Object> Reflector<O> {
    /// For waits on single pods, each with a watch of its own. Only the machines' own backoff limits the requests.
    #[must_use]
    pub fn single() -> Self {
        Self::new(None, Lanes::new(RateLimiter::unlimited(), RateLimiter::unlimited()))
    }

    /// For waits on the pods of a scope: one LIST and one watch, with this many requests per second and a burst of
    /// twice as many. Pods outside of the scope have watches of their own, with ten times that rate; so have all pods
    /// if the API server refuses the scope.
    #[must_use]
    pub fn of_scope(scope: Scope, requests_per_second: u32) -> Self {
        let (of_scope, of_pods) = (requests_per_second, requests_per_second.saturating_mul(10));
        let lanes = Lanes::new(RateLimiter::per_second(of_scope), RateLimiter::per_second(of_pods));
        Self::new(Some(Box::new(Shared::new(scope))), lanes)
    }

    fn new(shared: Option<Box<Shared>>, lanes: Lanes) -> Self {
        Self {
            shared,
            registry: Registry::new(),
            lanes,
            to_open: VecDeque::new(),
            calls: Calls::default(),
            alarms: BTreeSet::new(),
            deliveries: VecDeque::new(),
            collection: None,
            stays_open: false,
        }
    }

    /// Keeps the watch of the scope open when no wait is left, for agents that run one step after another.
    pub fn stay_open(&mut self, stays_open: bool) {
        self.stays_open = stays_open;
        if !stays_open && self.registry.is_empty() {
            self.stop(Service::Idle);
        }
    }

    /// Why the pods of the scope are not watched together: the API server's last refusal, until it opens a watch of the
    /// scope.
    #[must_use]
    pub fn refusal(&self) -> Option<&ApiFailure> {
        self.shared.as_ref()?.refusal.as_ref()
    }

    /// Whether no wait is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.registry.is_empty()
    }

    /// The next command for the host.
    pub fn next_command(&mut self) -> Option<Command> {
        self.calls.next_command()
    }

    /// The next delivery. After it the host has to call [`want`](Self::want) or [`leave`](Self::leave) for the wait.
    pub fn next_delivery(&mut self) -> Option<(WaitId, Observed<O>)> {
        loop {
            let (wait, observed) = pop(&mut self.deliveries)?;
            if self.registry.waits.contains_key(wait) {
                return Some((wait, observed));
            }
        }
    }

    /// Adds a wait for a pod. The host has to call [`want`](Self::want) next.
    ///
    /// `may_watch: false` for a pod that is only to be read; it does not use the scope's watch. `uid` if the wait is
    /// only for the pod with this uid: then the past of that pod is delivered too, even if another pod has the name by
    /// then.
    pub fn join(&mut self, now: Instant, pod: PodName, may_watch: bool, uid: Option<&str>) -> WaitId {
        let is_served =
            may_watch && self.shared.as_ref().is_some_and(|shared| shared.serves(now, pod.namespace()));
        let lists = self.shared.as_ref().map_or(0, |shared| shared.lister.count);
        let is_refused = may_watch
            && self.shared.as_ref().is_some_and(|shared| shared.scope.includes(pod.namespace()))
            && !is_served;
        let (wait, id, is_first) = self.registry.join(now, pod, uid, lists);
        if !is_first {
            self.renew_read(id);
        }
        let entry = &mut self.registry.pods[id];
        match &mut entry.own {
            _ if is_first && !is_served => {
                let cause = if is_refused { Cause::Refused { is_covered: false } } else { Cause::Chosen };
                entry.own = Some(Box::new(Own::new(now, cause, may_watch)));
            }
            Some(own) => own.may_watch |= may_watch,
            None => {}
        }
        let is_chosen = entry.own.as_deref().is_some_and(|own| own.cause == Cause::Chosen);
        if let Some(shared) = self.shared.as_mut().filter(|_| is_served && !is_chosen) {
            if shared.service != Service::Running {
                shared.service = Service::Running;
                shared.link.rest(now);
                self.rejoin(now);
            }
            if let Some(shared) = &mut self.shared {
                shared.lister.join(now);
            }
        }
        wait
    }

    /// Removes a wait, with or without an answer. Returns the name of its pod.
    pub fn leave(&mut self, wait: WaitId) -> Option<PodName> {
        let (place, name, entry) = self.registry.leave(wait)?;
        if let Some(alarm) = place.alarm {
            self.alarms.remove(&(alarm, Alarm::Wait(wait)));
        }
        match entry {
            Some(entry) => {
                if let Read::Queued(lane, due) = entry.read {
                    self.lanes[lane].reads.forget(due);
                }
                self.close_read(entry.sent);
                self.close_own(place.pod, entry.own);
                self.close_probe(place.pod, entry.probe);
                self.found_shared(entry.missed);
            }
            None => self.end_miss(place.pod),
        }
        if self.registry.is_empty() && !self.stays_open {
            self.stop(Service::Idle);
        }
        Some(name)
    }

    /// Closes all requests of the scope.
    fn stop(&mut self, service: Service) {
        let Some(shared) = &mut self.shared else { return };
        let page = shared.lister.listing.as_ref().and_then(|listing| match listing.page {
            crate::lister::Page::Sent(id) => Some(id),
            crate::lister::Page::Wanted(_) => None,
        });
        for id in [shared.link.request(), shared.probe.request(), page].into_iter().flatten() {
            self.calls.close(id);
        }
        shared.stop(service);
    }

    /// Closes the watch of one pod.
    fn close_own(&mut self, pod: PodId, own: Option<Box<Own>>) {
        let Some(own) = own else { return };
        if let Some(id) = own.link.request() {
            self.calls.close(id);
        }
        if let Some(alarm) = own.alarm {
            self.alarms.remove(&(alarm, Alarm::Own(pod)));
        }
    }

    /// Closes a read that is not needed any more, if it is under way.
    fn close_read(&mut self, sent: Option<RequestId>) {
        if let Some(Purpose::Read { lane, .. }) = sent.and_then(|id| self.calls.close(id)) {
            self.lanes[lane].in_flight -= 1;
        }
    }

    /// A request has ended without a usable answer, or its deadline has passed.
    pub fn failed(&mut self, now: Instant, id: RequestId, failure: ApiFailure) {
        if let Some(purpose) = self.calls.end(id) {
            self.has_failed(now, purpose, failure);
        }
    }

    /// The same for a request that has not ended and whose answer is not needed any more.
    pub fn close(&mut self, now: Instant, id: RequestId, failure: ApiFailure) {
        let Some(purpose) = self.calls.purpose(id).cloned() else { return };
        self.calls.close(id);
        self.has_failed(now, purpose, failure);
    }

    fn has_failed(&mut self, now: Instant, purpose: Purpose, failure: ApiFailure) {
        match purpose {
            Purpose::SharedWatch => self.lose_shared(now, failure),
            Purpose::SharedProbe => self.lose_shared_probe(now, Some(failure)),
            Purpose::Page => self.lose_list(now, failure),
            Purpose::WatchList => self.lose_stream(now, failure),
            Purpose::OwnWatch(pod) => self.lose_own(now, pod, failure),
            Purpose::OwnProbe(pod) => self.lose_probe(now, pod, Some(failure)),
            Purpose::Read { pod, generation, lane, is_question } => {
                self.lanes[lane].in_flight -= 1;
                if is_question && is_refusal(&failure) {
                    // Without the right to LIST it stays unknown whether the selector matches.
                    return self.on_answer(now, pod, generation, None);
                }
                let failure = ApiFailure { via: purpose.via(), ..failure };
                self.on_answer(now, pod, generation, Some(Observed::Failed(failure)));
            }
        }
    }

    /// The API server has opened a watch.
    pub fn opened(&mut self, now: Instant, id: RequestId) {
        let Some(purpose) = self.calls.purpose(id).cloned() else { return };
        self.calls.opened(id);
        self.on_opened(now, &purpose);
    }

    /// An event of a watch. `read` returns the object, and is called only if a wait needs it.
    pub fn event(
        &mut self,
        now: Instant,
        id: RequestId,
        event: Event,
        head: Head<'_>,
        read: impl FnOnce() -> Result<O, ApiFailure>,
    ) {
        let Some(purpose) = self.calls.purpose(id).cloned() else { return };
        match (purpose, event) {
            (Purpose::WatchList, Event::Listed) => self.on_listed(now, id, head.resource_version),
            (purpose, Event::Listed) => self.on_event(now, &purpose, Event::Bookmark, head, read),
            (purpose, event) => self.on_event(now, &purpose, event, head, read),
        }
    }

    /// A watch has ended without an error.
    pub fn ended(&mut self, now: Instant, id: RequestId) {
        if let Some(purpose) = self.calls.end(id) {
            self.on_end(now, purpose);
        }
    }

    /// Bytes of an answer have arrived.
    pub fn progress(&mut self, now: Instant, id: RequestId, bytes: usize) {
        self.calls.progress(now, id);
        if matches!(self.calls.purpose(id), Some(Purpose::Page | Purpose::WatchList))
            && let Some(shared) = &mut self.shared
            && let Err(failure) = shared.lister.progress(now, bytes)
        {
            self.calls.close(id);
            self.lose_list(now, failure);
        }
    }

    /// An item of a page of a LIST.
    pub fn item(&mut self, id: RequestId, head: Head<'_>, read: impl FnOnce() -> Result<O, ApiFailure>) {
        if self.calls.purpose(id) == Some(&Purpose::Page) {
            self.on_item(head, read);
        }
    }

    /// The end of a page: its resourceVersion, and the continue token of the next one, if there is one.
    pub fn page(&mut self, now: Instant, id: RequestId, resource_version: &str, next: Option<String>) {
        if self.calls.end(id) == Some(Purpose::Page) {
            self.on_page(now, resource_version, next);
        }
    }

    /// The answer to a read: the pod, or `None` if it is not there.
    pub fn answer(&mut self, now: Instant, id: RequestId, pod: Option<O>) {
        let Some(Purpose::Read { pod: asked, generation, lane, is_question }) = self.calls.end(id) else {
            return;
        };
        self.lanes[lane].in_flight -= 1;
        let via = if is_question { crate::failure::Via::List } else { crate::failure::Via::Get };
        let observed = match pod {
            Some(pod) => Some(Observed::Pod(via, pod)),
            // A LIST by name with the label selector does not have the pod; the pod may exist without the label.
            None if is_question => None,
            None => Some(Observed::NotFound(via)),
        };
        self.on_answer(now, asked, generation, observed);
    }
}
