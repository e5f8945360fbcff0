//! The list, and what time adds to it.

use super::entries::{Alone, Call, Entry, Role, Setup, What};
use super::index::{Index, Topic};
use super::pod::Own;
use super::scope::{Lane, Link, Service};
use super::story::Story;
use podwait_hub::{ApiFailure, RequestId, Via};
use std::rc::Rc;

/// How long an answer may take; for a page, that is the time without a byte, and the second is the longest time.
const ANSWER: (u64, u64) = (10_000, 60_000);
/// How long a watch may be open before its connection counts as dead.
const OPEN: u64 = 300_000;

#[derive(Clone)]
pub struct History {
    pub setup: Rc<Setup>,
    pub entries: Vec<Rc<Entry>>,
    pub index: Index,
    pub now: u64,
}

impl History {
    pub fn story(&self) -> Story<'_> {
        Story { setup: &self.setup, entries: &self.entries, index: &self.index }
    }

    pub fn push(&mut self, what: What) {
        if matches!(what, What::Current) && !self.story().is_behind() {
            // It says nothing new.
            return;
        }
        let entry = Rc::new(Entry { at: self.now, what });
        self.index.file(self.entries.len(), &entry, |request| self.setup.role(request));
        self.entries.push(entry);
    }

    /// It is now that time.
    pub fn is_at(&mut self, now: u64) {
        if now > self.now {
            self.now = now;
            self.push(What::Time);
        }
    }

    /// What follows from the time alone.
    pub fn passes(&mut self) {
        while let Some(late) = self.story().late_call() {
            let via = match late.role {
                Role::Get(_) => Via::Get,
                Role::Page | Role::Question(_) => Via::List,
                Role::Watch | Role::Probe | Role::WatchList | Role::OwnWatch(_) | Role::OwnProbe(_) => {
                    Via::Watch
                }
            };
            self.loses(late.id, Some(ApiFailure::new(via, 0, "no response in time")));
        }
        while let Some((pod, id)) = self.story().dead_own() {
            self.push(What::Dead { id });
            self.renews_own(pod);
        }
        let story = self.story();
        match story.service() {
            Service::Refused(until) if until <= self.now => {
                let is_needed = story.pods().into_iter().any(|pod| story.alone(pod) == Some(Alone::Refused));
                if is_needed { self.run() } else { self.push(What::Idle) }
            }
            Service::Running if story.is_dead() => {
                let (open, from) = (story.open(Role::Watch).map(|call| call.id), story.place());
                if let Some(id) = open {
                    self.push(What::Dead { id });
                }
                self.push(What::Watch { from });
            }
            Service::Running | Service::Idle | Service::Refused(_) => {}
        }
        self.asks_what_is_due();
        // After a failure that was delivered the next state has to be the present one, so a LIST comes first.
        let story = self.story();
        let may_send = story.pause(Lane::Scope).is_none() && story.room(Lane::Scope) > 0;
        if story.link().is_on() && story.watch().is_none() && story.is_behind() && may_send {
            self.push(What::List { from: self.now });
        }
    }
}

impl<'a> Story<'a> {
    /// When a request has to have its answer.
    pub fn deadline(self, call: Call<'_>) -> Option<u64> {
        let sent = self.at(call.sent);
        let is_opened = call.opened.is_some();
        match call.role {
            Role::Page | Role::WatchList => {
                let last = self.last(Topic::Call(call.id), |what| matches!(what, What::Bytes { .. }));
                Some(last.map_or(sent + ANSWER.0, |last| (self.at(last) + ANSWER.0).min(sent + ANSWER.1)))
            }
            Role::Watch if call.opened.is_some() => None,
            Role::Probe | Role::OwnWatch(_) | Role::OwnProbe(_) if is_opened => None,
            Role::Watch
            | Role::Probe
            | Role::OwnWatch(_)
            | Role::OwnProbe(_)
            | Role::Get(_)
            | Role::Question(_) => Some(sent + ANSWER.0),
        }
    }

    /// The first request whose answer is late.
    fn late_call(self) -> Option<Call<'a>> {
        let late = self.under_way().into_iter().filter_map(|call| Some((self.deadline(call)?, call)));
        let late = late.filter(|(deadline, _)| *deadline <= self.now());
        late.min_by_key(|(deadline, call)| (*deadline, call.id)).map(|(_, call)| call)
    }

    /// When the watch counts as dead because it was open for too long.
    pub fn dead_from(self, call: Call<'_>) -> Option<u64> {
        call.opened.map(|opened| opened + OPEN)
    }

    fn dead_own(self) -> Option<(usize, RequestId)> {
        self.under_way().into_iter().find_map(|call| {
            let Role::OwnWatch(pod) = call.role else { return None };
            let is_dead = self.dead_from(call).is_some_and(|from| from <= self.now());
            (is_dead && matches!(self.own(pod), Own::On(_))).then_some((pod, call.id))
        })
    }

    /// Whether the watch of the scope is dead.
    fn is_dead(self) -> bool {
        let is_old =
            self.watch().and_then(|call| self.dead_from(call)).is_some_and(|from| from <= self.now());
        let is_behind = self.ahead().is_some_and(|(by, version)| by <= self.now() && self.place() < version);
        is_old || (is_behind && matches!(self.link(), Link::On(_)))
    }

    /// The watch of the scope that is under way and needed.
    pub fn watch(self) -> Option<Call<'a>> {
        let call = self.open(Role::Watch).filter(|_| self.link().is_on())?;
        let is_decision = |what: &What| matches!(what, What::Watch { .. } | What::List { .. });
        // The decision that follows the LIST at its beginning is for this watch itself.
        let listed = self.last(Topic::Call(call.id), |what| matches!(what, What::Listed { .. }));
        let (since, own) = listed.map_or((call.sent, 0), |listed| (listed, 1));
        (self.about(Topic::Scope, since).filter(|(_, what)| is_decision(what)).count() == own).then_some(call)
    }
}
