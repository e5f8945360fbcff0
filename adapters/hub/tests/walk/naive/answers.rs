//! What follows from the answers to reads.

use super::entries::{Role, What};
use super::history::History;
use super::index::Topic;
use super::pod::{Coverage, Own};
use super::scope::{Link, is_refusal};
use super::story::Story;
use crate::pod::Pod;
use podwait_hub::{From, Observed, RequestId, Via};

/// No LIST replaces the watch more often than this.
const RESTORED: u64 = 60_000;

impl History {
    /// A read that is due and cannot be sent stays due, whatever happens meanwhile.
    pub fn asks_what_is_due(&mut self) {
        for pod in self.story().pods() {
            let is_due = self.story().must_be_read(pod).is_some_and(|from| from <= self.now);
            if is_due && !self.story().is_asked(pod) {
                self.ask(pod);
            }
        }
    }

    pub fn ask(&mut self, pod: usize) {
        if self.story().reading(pod).is_none() {
            self.push(What::Ask { pod });
        }
    }

    /// The answer to a read.
    pub fn answers(&mut self, id: RequestId, object: Option<Pod>) {
        let story = self.story();
        let Some(call) = story.call(id) else { return };
        let Some(pod) = call.role.read() else { return };
        let is_question = matches!(call.role, Role::Question(_));
        let is_current = story.reading(pod).is_some_and(|read| read.id == id);
        let via = if is_question { Via::List } else { Via::Get };
        let before = story.version(pod);
        let is_worth = object.as_ref().is_some_and(|object| {
            let newest = before.max(story.doubted(pod).map(|doubted| doubted.revision));
            newest < Some(object.revision) || (story.has_failed(pod) && before == Some(object.revision))
        });
        self.push(What::Answer { id, object: object.clone() });
        if !is_current {
            if let Some(object) = object.filter(|_| is_worth) {
                self.show(pod, Observed::Pod(via, object));
            }
            return;
        }
        let alone = self.story().alone(pod);
        if is_question && object.is_none() {
            return self.unmatched(pod);
        }
        if alone.is_none() {
            self.works_again(id);
        }
        let Some(object) = object else {
            self.show(pod, Observed::NotFound(via));
            if alone.is_some() {
                self.push(What::OwnRest { pod, until: self.now });
            }
            return;
        };
        let version = object.revision;
        self.show(pod, Observed::Pod(via, object));
        if alone.is_some() {
            return self.watch_own(pod, version);
        }
        let story = self.story();
        let is_watched = story.coverage(pod) == Coverage::Watched;
        let is_past = story.open_watch().is_some() && story.place() >= version;
        if before > Some(version) || (is_watched && is_past && before.is_some_and(|before| before < version))
        {
            self.restored();
        } else if is_watched {
            self.expect(version);
        }
    }

    /// A read of a pod of the scope has an answer: if the one before failed, a new watch is tried at once.
    pub fn works_again(&mut self, id: RequestId) {
        let had_failed = self.story().has_failed_read(id);
        if let Link::Down(until) = self.story().link()
            && had_failed
            && until > self.now
        {
            self.push(What::List { from: self.now });
        }
    }

    /// The watch of a pod by its name, from where a GET found it.
    pub fn watch_own(&mut self, pod: usize, version: u64) {
        let story = self.story();
        let is_due = match story.own(pod) {
            Own::Down(until) => until <= self.now,
            Own::On(from) => {
                let call = story.open(Role::OwnWatch(pod)).filter(|call| call.opened.is_some());
                let (From::After(from) | From::Any(from)) = from;
                call.map_or_else(|| super::scope::number(from), |call| story.reached(call).0) != version
            }
        };
        if !story.may_watch(pod) || !is_due {
            return;
        }
        let text = version.to_string();
        let from = if story.has_expired(pod) { From::Any(text) } else { From::After(text) };
        self.push(What::OwnWatch { pod, from });
    }

    /// The watch of the scope has not shown what it should have shown.
    pub fn restored(&mut self) {
        let story = self.story();
        let last = story.last(Topic::Scope, |what| matches!(what, What::Restored | What::Runs));
        let rests = last.is_some_and(|last| {
            matches!(story.entries[last].what, What::Restored) && self.now < story.at(last) + RESTORED
        });
        if story.listing().is_none() && !rests {
            self.push(What::Restored);
            self.push(What::List { from: self.now });
        }
    }
}

impl<'a> Story<'a> {
    /// Whether the last loss of the pod's own watch was a 410, and there was none since.
    pub fn has_expired(self, pod: usize) -> bool {
        let since = self.alone_since(pod);
        let wanted = self.last(Topic::Pod(pod), |what| matches!(what, What::OwnWatch { .. }));
        let lost = self.about(Topic::Ends, since).rev().find_map(|(place, what)| {
            let (What::Failed { id, .. } | What::Ended { id }) = what else { return None };
            (self.call(*id)?.role == Role::OwnWatch(pod)).then_some((place, what))
        });
        lost.is_some_and(|(place, what)| {
            let is_expired = matches!(what, What::Failed { failure, .. } if failure.is_expired());
            is_expired && wanted.is_none_or(|wanted| wanted < place)
        })
    }

    /// Whether the last counted read of a pod of the scope before this one failed.
    pub fn has_failed_read(self, id: RequestId) -> bool {
        let since = self.service_since();
        let last =
            self.about(Topic::Ends, since).rev().find_map(|(place, what)| {
                let is_failure = matches!(what, What::Failed { .. } | What::Ended { .. });
                let (What::Answer { id: other, .. }
                | What::Failed { id: other, .. }
                | What::Ended { id: other }) = what
                else {
                    return None;
                };
                let (story, call) = (self.before(place), self.call(*other)?);
                let pod = call.role.read().filter(|pod| *other != id && story.alone(*pod).is_none())?;
                // A LIST by name that does not have the pod, or is refused, says nothing about the server.
                let says_nothing = matches!(call.role, Role::Question(_))
                    && (matches!(what, What::Answer { object: None, .. })
                        || matches!(what, What::Failed { failure, .. } if is_refusal(failure)));
                let counts = !says_nothing && story.reading(pod).is_some_and(|read| read.id == *other);
                counts.then_some(is_failure)
            });
        last == Some(true)
    }
}
