//! Which requests may be sent, which have to be under way, and which must not.

use super::entries::{Call, Role, What};
use super::index::Topic;
use super::pod::{Matches, Own};
use super::scope::{Lane, Link, Service};
use super::story::Story;
use super::wait::FINAL_READ;
use podwait_hub::{From, Request, RequestId, Selection};

/// How long a LIST may take before pods are read by GETs.
const SLOW: u64 = 10_000;
/// So many requests may have been reserved without being sent.
const RESERVED: u64 = 4;
const READS_AT_ONCE: usize = 16;
const SECONDS: u32 = 290;

impl Story<'_> {
    /// Whether a request may be sent now, or why not. The story has it as its last entry.
    pub fn may_send(self, id: RequestId) -> Result<(), String> {
        let Some(call) = self.call(id) else { return Err("it is unknown".into()) };
        let before = self.before(call.sent);
        let lane = self.lane(id).ok_or("it has no lane")?;
        if let Some((until, _)) = before.pause(lane) {
            return Err(format!("requests are paused until {until}"));
        }
        if before.room(lane) == 0 {
            return Err("it is beyond the rate".into());
        }
        match call.role {
            Role::Watch => before.may_watch_scope(call.request),
            Role::WatchList | Role::Page => before.may_list(call.request),
            Role::OwnWatch(pod) => {
                let Request::Watch { from, seconds, .. } = call.request else {
                    return Err("what is it?".into());
                };
                let is_open = before.own_watch(pod).is_some();
                if is_open || before.own(pod) != Own::On(from) || *seconds != SECONDS {
                    return Err(format!("the pod has {:?}, open: {is_open}", before.own(pod)));
                }
                Ok(())
            }
            Role::Probe => before.may_probe(None, call.request),
            Role::OwnProbe(pod) => before.may_probe(Some(pod), call.request),
            Role::Get(pod) | Role::Question(pod) => before.may_read(pod, lane, call),
        }
    }

    fn may_watch_scope(self, request: &Request) -> Result<(), String> {
        let Request::Watch { from: From::After(from), seconds: SECONDS, selection } = request else {
            return Err("it is no watch as it should be".into());
        };
        if self.is_behind() {
            return Err("a LIST has to come first".into());
        }
        if Some(selection) != self.setup.scope.as_ref().map(Selection::of_scope).as_ref() {
            return Err("it has another selection".into());
        }
        match self.link() {
            Link::On(place) if self.watch().is_none() && place.to_string() == *from => Ok(()),
            link @ (Link::On(_) | Link::Down(_)) => {
                Err(format!("there is {link:?}, open: {}", self.watch().is_some()))
            }
        }
    }

    fn may_list(self, request: &Request) -> Result<(), String> {
        let Some(began) = self.listing() else {
            let from = self.list_from();
            let is_stream = matches!(request, Request::WatchList { .. });
            return match from {
                Some(from) if from <= self.now() && is_stream == self.may_stream() => Ok(()),
                from => Err(format!("a LIST may begin at {from:?}, as a watch: {}", self.may_stream())),
            };
        };
        let Request::List { token, .. } = request else { return Err("a LIST is under way".into()) };
        let pages = self.about(Topic::Ends, began).rev().find_map(|(_, what)| {
            let What::Page { next, .. } = what else { return None };
            Some(next.as_ref())
        });
        let is_anew = self.about(Topic::Scope, began).any(|(_, what)| matches!(what, What::Pages));
        match pages {
            Some(next) if token.as_ref() == next => Ok(()),
            None if token.is_none() && is_anew => Ok(()),
            next => Err(format!("the next page is that of {next:?}")),
        }
    }

    fn may_probe(self, of: Option<usize>, request: &Request) -> Result<(), String> {
        let Request::Watch { from: From::After(from), .. } = request else {
            return Err("it has no place".into());
        };
        match self.probe_due(of) {
            Some((place, at)) if place.to_string() == *from && at <= self.now() => Ok(()),
            due => Err(format!("a probe is due from and at {due:?}")),
        }
    }

    fn may_read(self, pod: usize, lane: Lane, call: Call<'_>) -> Result<(), String> {
        if !self.has_waits(pod) {
            return Err("the pod has no wait".into());
        }
        if self.reading(pod).is_some() {
            return Err("the pod is being read".into());
        }
        if lane == Lane::Scope && self.is_listing() {
            return Err("a LIST is under way".into());
        }
        if self.reads(lane) >= READS_AT_ONCE && lane == Lane::Scope {
            return Err("too many reads are under way".into());
        }
        let has_labels = self.setup.scope.as_ref().is_some_and(|scope| scope.labels.is_some());
        let is_open = lane == Lane::Scope && has_labels && self.link().is_on();
        let is_question = is_open && self.matches(pod) == Matches::Unknown;
        if is_question != matches!(call.role, Role::Question(_)) {
            return Err(format!("it should be a LIST by name: {is_question}"));
        }
        if self.is_asked(pod) || self.may_be_due(pod) { Ok(()) } else { Err("no read is due".into()) }
    }

    /// Whether a LIST is under way that makes reads of the scope unnecessary.
    fn is_listing(self) -> bool {
        self.listing().is_some_and(|began| self.now() < self.at(began) + SLOW)
    }

    fn reads(self, lane: Lane) -> usize {
        let is_read = |call: &Call<'_>| call.role.read().is_some() && self.lane(call.id) == Some(lane);
        self.under_way().iter().filter(|call| is_read(call)).count()
    }

    /// Whether a request that is under way is needed. One that is not needed has to be closed.
    pub fn is_needed(self, call: Call<'_>) -> bool {
        match call.role {
            Role::Watch => self.watch().is_some_and(|needed| needed.id == call.id),
            Role::WatchList | Role::Page => self.listing().is_some_and(|began| call.sent >= began),
            Role::OwnWatch(pod) => self.own_watch(pod).is_some_and(|needed| needed.id == call.id),
            Role::Probe => self.probing(None).is_some_and(|needed| needed.id == call.id),
            Role::OwnProbe(pod) => self.probing(Some(pod)).is_some_and(|needed| needed.id == call.id),
            Role::Get(pod) | Role::Question(pod) => self.has_waits(pod),
        }
    }

    /// Whether the reflector may close a request.
    pub fn may_close(self, id: RequestId) -> bool {
        let call = self.under_way().into_iter().find(|call| call.id == id);
        call.is_some_and(|call| {
            let is_overtaken = call.role.read().is_some_and(|pod| self.is_overtaken(pod, call.sent));
            is_overtaken || !self.is_needed(call)
        })
    }

    /// What is wrong once the reflector has nothing more to do at this time.
    pub fn is_wrong(self) -> Result<(), String> {
        for call in self.under_way() {
            if !self.is_needed(call) {
                return Err(format!("a request is not needed any more: {call:?}"));
            }
        }
        for pod in self.pods() {
            for wait in self.waits(pod).1 {
                if let Some(pending) = self.pending(wait).first() {
                    return Err(format!("{wait:?} has not received {pending:?}"));
                }
                let is_confirming = self.confirms(wait);
                let end =
                    self.end(wait).map(|end| end.saturating_add(if is_confirming { 0 } else { FINAL_READ }));
                if end.is_some_and(|end| end <= self.now()) {
                    return Err(format!("{wait:?} has received nothing, and wanted that until {end:?}"));
                }
            }
        }
        match self.due().into_iter().find(|(at, lane, _)| *at <= self.now() && self.is_free(*lane)) {
            Some((at, _, what)) => Err(format!("{what} should be under way since {at}")),
            None => Ok(()),
        }
    }

    fn is_free(self, lane: Lane) -> bool {
        self.pause(lane).is_none() && self.room(lane) > RESERVED
    }

    /// The requests that are not under way and when each has to be sent.
    fn due(self) -> Vec<(u64, Lane, String)> {
        let (now, mut due) = (self.now(), Vec::new());
        let is_running = self.service() == Service::Running;
        if let (true, Link::On(from), None) = (is_running, self.link(), self.watch()) {
            due.push((now, Lane::Scope, format!("the watch of the scope from {from}")));
        }
        if let Some(from) = self.list_from() {
            due.push((from, Lane::Scope, "a LIST".into()));
        }
        let is_listed = |call: &Call<'_>| matches!(call.role, Role::Page | Role::WatchList);
        if self.listing().is_some() && !self.under_way().iter().any(is_listed) {
            due.push((now, Lane::Scope, "the next page".into()));
        }
        let probes = self.pods().into_iter().map(Some).chain([None]);
        for of in probes.filter(|of| is_running || of.is_some()) {
            if let Some((from, at)) = self.probe_due(of) {
                let lane = if of.is_some() { Lane::Pods } else { Lane::Scope };
                due.push((at, lane, format!("a probe from {from} of {of:?}")));
            }
        }
        for pod in self.pods() {
            if let (Own::On(from), true, None) =
                (self.own(pod), self.alone(pod).is_some(), self.own_watch(pod))
            {
                due.push((now, Lane::Pods, format!("the watch of {pod} from {from:?}")));
            }
            let lane = if self.alone(pod).is_some() { Lane::Pods } else { Lane::Scope };
            let is_held = lane == Lane::Scope && (self.is_listing() || self.reads(lane) >= READS_AT_ONCE);
            if self.reading(pod).is_none() && !is_held {
                let asked = self.is_asked(pod).then_some(now);
                let from = self.must_be_read(pod);
                due.extend(asked.or(from).map(|at| (at, lane, format!("a read of {pod}"))));
            }
        }
        due
    }

    /// When the reflector has to be called next at the latest.
    pub fn next(self) -> Option<u64> {
        let answers = self.under_way().into_iter().filter_map(|call| self.deadline(call));
        let watches = self.under_way().into_iter().filter_map(|call| match call.role {
            Role::Watch | Role::OwnWatch(_) => self.dead_from(call),
            Role::Probe
            | Role::Page
            | Role::WatchList
            | Role::OwnProbe(_)
            | Role::Get(_)
            | Role::Question(_) => None,
        });
        let waits = self.pods().into_iter().flat_map(|pod| self.waits(pod).1);
        let waits = waits.filter_map(|wait| {
            let end = self.end(wait)?;
            let pod = self.pod_of(wait);
            let is_due = self.must_be_read(pod).is_some_and(|from| from <= self.now());
            let is_read = is_due || self.reading(pod).is_some() || self.is_asked(pod);
            Some(end.saturating_add(if is_read && !self.confirms(wait) { FINAL_READ } else { 0 }))
        });
        let due = self.due().into_iter().map(|(at, ..)| at).filter(|at| *at > self.now());
        let ahead = self.ahead().map(|(by, _)| by).filter(|by| *by > self.now());
        let refused = match self.service() {
            Service::Refused(until) => Some(until),
            Service::Idle | Service::Running => None,
        };
        answers.chain(watches).chain(waits).chain(due).chain(ahead).chain(refused).min()
    }
}

impl<'a> Story<'a> {
    /// The watch of the pod by its name that is under way and needed.
    fn own_watch(self, pod: usize) -> Option<Call<'a>> {
        let is_decision = |what: &What| matches!(what, What::OwnWatch { .. } | What::OwnRest { .. });
        let decided = self.last(Topic::Pod(pod), is_decision)?;
        let call = self.open(Role::OwnWatch(pod)).filter(|call| call.sent > decided)?;
        (self.alone(pod).is_some() && matches!(self.own(pod), Own::On(_))).then_some(call)
    }
}
