//! Which requests are due, and which of them may be sent.

use super::{Alarm, Reflector};
use crate::call::{Purpose, Request};
use crate::lane::Lane;
use crate::link::WATCH_SECONDS;
use crate::lister::{PAGE, Page, SLOW, TO_SPARE_GETS};
use crate::name::Selection;
use crate::observed::Object;
use crate::own::Cause;
use crate::probe;
use crate::registry::{Read, SelectorMatch};
use crate::shared::Service;
use podwait_core::Instant;

/// With this many urgent reads in the queue, one LIST is less work for the server.
const LIST_WORTH: usize = 50;

/// A request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Watch,
    Probe,
    List,
    /// The next page of the LIST that is under way.
    Page,
    Read,
}

/// The earliest time at which something will be due.
struct Wake {
    now: Instant,
    next: Option<Instant>,
}

impl Wake {
    /// Whether that time has come; if not, it is taken into account.
    fn is_due(&mut self, at: Option<Instant>) -> bool {
        let Some(at) = at else { return false };
        if at > self.now {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
        at <= self.now
    }
}

impl<O: Object> Reflector<O> {
    /// Does everything that is due, within the rate limit. Returns the time at which to call this again, if there is no
    /// input before.
    ///
    /// There may be commands and deliveries afterwards. Call this again after they were handled.
    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        while let Some((purpose, failure)) = self.calls.next_late(now) {
            self.has_failed(now, purpose, failure);
        }
        while let Some((at, alarm)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, alarm));
            match alarm {
                Alarm::Wait(wait) => self.wake(now, wait),
                Alarm::Own(pod) => {
                    let own = self.registry.pods.get_mut(pod).and_then(|entry| entry.own.as_deref_mut());
                    let Some(own) = own else { continue };
                    own.alarm = None;
                    if own.link.is_dead(now) {
                        self.renew_own(now, pod);
                    } else {
                        self.set_own_alarm(pod);
                    }
                }
                Alarm::Probe(pod) => self.to_open.push_back(pod),
            }
        }
        let mut wake = Wake { now, next: None };
        self.look_after_shared(&mut wake);
        self.send_shared(&mut wake);
        self.send_own(&mut wake);
        let _ = wake.is_due(self.alarms.first().map(|(at, _)| *at));
        let _ = wake.is_due(self.calls.next_deadline());
        let has_deliveries = !self.deliveries.is_empty() || self.has_collected();
        if self.calls.has_commands() || has_deliveries { Some(now) } else { wake.next }
    }

    fn look_after_shared(&mut self, wake: &mut Wake) {
        let Some(shared) = &mut self.shared else { return };
        let now = wake.now;
        if let Service::Refused(until) = shared.service {
            let is_needed = || {
                let mut own = self.registry.pods.values().filter_map(|entry| entry.own.as_ref());
                self.collection.is_some() || own.any(|own| matches!(own.cause, Cause::Refused { .. }))
            };
            if !wake.is_due(Some(until)) {
                return;
            }
            if !is_needed() {
                // The next wait that joins tries the scope again.
                shared.service = Service::Idle;
                return;
            }
            shared.service = Service::Running;
            shared.link.rest(now);
            self.rejoin(now);
            return;
        }
        if wake.is_due(shared.link.alarm()) && shared.link.is_dead(now) {
            self.renew_shared(now);
        }
    }

    /// Sends the requests that are due for the scope.
    fn send_shared(&mut self, wake: &mut Wake) {
        while let Some(next) = self.next_shared(wake) {
            let lane = &mut self.lanes[Lane::Shared];
            let slot = *lane.slot.get_or_insert_with(|| lane.rate.reserve(wake.now));
            if !wake.is_due(Some(lane.rate.not_before(slot))) {
                return;
            }
            lane.slot = None;
            self.send(wake.now, next);
        }
    }

    /// The next request for the scope.
    fn next_shared(&self, wake: &mut Wake) -> Option<Next> {
        let shared = self.shared.as_ref()?;
        if shared.service == Service::Running {
            if shared.link.wanted().is_some() {
                return Some(Next::Watch);
            }
            if wake.is_due(shared.probe.due()) {
                return Some(Next::Probe);
            }
        }
        let lane = &self.lanes[Lane::Shared];
        let mut may_read = lane.in_flight < lane.most && !lane.reads.is_empty();
        match &shared.lister.listing {
            None if shared.service != Service::Running => {}
            None => {
                let due = match shared.link.down_until() {
                    Some(until) => Some(shared.lister.after(1).map_or(until, |at| at.max(until))),
                    None => {
                        let is_worth = lane.reads.listable() > LIST_WORTH;
                        let times =
                            if self.wants_list() { Some(1) } else { is_worth.then_some(TO_SPARE_GETS) };
                        times.map(|times| shared.lister.after(times).unwrap_or(wake.now))
                    }
                };
                let due = due.map(|due| shared.lister.gathered().map_or(due, |gathered| gathered.max(due)));
                if wake.is_due(due) {
                    return Some(Next::List);
                }
            }
            Some(listing) => {
                // Pods in the LIST that is under way need no read.
                may_read &= wake.is_due(Some(listing.began.after(SLOW)));
                let is_waiting = matches!(listing.page, Page::Wanted(_));
                if is_waiting && !(may_read && shared.was_page) {
                    return Some(Next::Page);
                }
            }
        }
        may_read.then_some(Next::Read)
    }

    fn send(&mut self, now: Instant, next: Next) {
        let Some(shared) = &mut self.shared else { return };
        shared.was_page = next == Next::Page;
        let selection = shared.selection.clone();
        match next {
            Next::Watch => {
                // A resumed watch first sends old states. If waits have meanwhile received that the state of their pods
                // is unknown, the next delivery must be the present state: a LIST comes first, and the watch begins
                // after it.
                if shared.health.is_behind {
                    return shared.link.rest(now);
                }
                let Some(from) = shared.link.wanted().cloned() else { return };
                let request = Request::Watch { selection, from, seconds: WATCH_SECONDS };
                let id = self.calls.send(now, Purpose::SharedWatch, request);
                shared.link.sent(id);
            }
            Next::Probe => {
                let Some(from) = shared.probe.wanted(now) else { return };
                let request = Request::Watch { selection, from, seconds: probe::SECONDS };
                let id = self.calls.send(now, Purpose::SharedProbe, request);
                shared.probe.sent(id);
            }
            Next::List => {
                shared.lister.begin(now, self.registry.generation());
                self.list_begins();
                let Some(shared) = &mut self.shared else { return };
                if shared.link.is_on() || !shared.lister.may_stream() {
                    return self.send_page(now, selection);
                }
                let request = Request::WatchList { selection, seconds: WATCH_SECONDS };
                shared.lister.sent(self.calls.send(now, Purpose::WatchList, request));
            }
            Next::Page => self.send_page(now, selection),
            Next::Read => self.send_read(now, Lane::Shared),
        }
    }

    fn send_page(&mut self, now: Instant, selection: Selection) {
        let Some(listing) = self.shared.as_mut().and_then(|shared| shared.lister.listing.as_mut()) else {
            return;
        };
        let Page::Wanted(token) = &mut listing.page else { return };
        let request = Request::List { selection, token: token.take(), limit: PAGE };
        listing.page = Page::Sent(self.calls.send(now, Purpose::Page, request));
    }

    /// Sends the next read of a lane: a GET, or first a LIST by name, which shows whether the selector of the scope
    /// matches.
    fn send_read(&mut self, now: Instant, lane: Lane) {
        let Some(pod) = self.lanes[lane].reads.next() else { return };
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let labels = self.shared.as_ref().filter(|shared| lane == Lane::Shared && shared.link.is_on());
        let labels = labels.and_then(|shared| shared.scope.labels.clone());
        let labels = labels.filter(|_| entry.matches == SelectorMatch::Unknown);
        let is_question = labels.is_some();
        entry.read = Read::Sent(is_question);
        let request = match labels {
            None => Request::Get(entry.name.clone()),
            Some(labels) => {
                let selection = Selection::of_pod(&entry.name, Some(labels));
                Request::List { selection, token: None, limit: 1 }
            }
        };
        let purpose = Purpose::Read { pod, generation: entry.generation, lane, is_question };
        let before = entry.sent.take();
        self.close_read(before);
        let id = self.calls.send(now, purpose, request);
        self.lanes[lane].in_flight += 1;
        if let Some(entry) = self.registry.pods.get_mut(pod) {
            entry.sent = Some(id);
        }
    }

    /// Sends the requests that are due for single pods.
    fn send_own(&mut self, wake: &mut Wake) {
        loop {
            // A watch that is not wanted any more uses no slot of the rate.
            while let Some(pod) = self.to_open.front().copied()
                && !self.is_to_open(wake.now, pod)
            {
                self.to_open.pop_front();
            }
            let lane = &mut self.lanes[Lane::Own];
            if self.to_open.is_empty() && (lane.reads.is_empty() || lane.in_flight >= lane.most) {
                return;
            }
            let slot = *lane.slot.get_or_insert_with(|| lane.rate.reserve(wake.now));
            if !wake.is_due(Some(lane.rate.not_before(slot))) {
                return;
            }
            lane.slot = None;
            match self.to_open.pop_front() {
                Some(pod) => self.open_own(wake.now, pod),
                None => self.send_read(wake.now, Lane::Own),
            }
        }
    }

    fn is_to_open(&self, now: Instant, pod: crate::registry::PodId) -> bool {
        let Some(entry) = self.registry.pods.get(pod) else { return false };
        entry.own.as_ref().is_some_and(|own| own.link.wanted().is_some())
            || entry.probe.as_ref().is_some_and(|probe| probe.wanted(now).is_some())
    }

    /// Opens the watch of a pod, or the probe for its final state.
    fn open_own(&mut self, now: Instant, pod: crate::registry::PodId) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let selection = Selection::of_pod(&entry.name, None);
        if let Some(own) = &mut entry.own
            && let Some(from) = own.link.wanted().cloned()
        {
            let request = Request::Watch { selection: selection.clone(), from, seconds: WATCH_SECONDS };
            own.link.sent(self.calls.send(now, Purpose::OwnWatch(pod), request));
            if entry.probe.as_ref().is_some_and(|probe| probe.wanted(now).is_some()) {
                self.to_open.push_back(pod);
            }
        } else if let Some(probe) = &mut entry.probe
            && let Some(from) = probe.wanted(now)
        {
            let request = Request::Watch { selection, from, seconds: probe::SECONDS };
            probe.sent(self.calls.send(now, Purpose::OwnProbe(pod), request));
        }
    }
}
