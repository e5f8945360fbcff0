//! The answers to requests, and how they are handed over.

use crate::pod::Pod;
use crate::server::{Answer, failure, watched};
use crate::sim::{Cause, Sim, note};
use podwait_hub::{Event, Head, Object, PodName, RequestId, Via};

impl Sim {
    /// The cache has new events for the watches.
    pub fn publish(&mut self) {
        let ids: Vec<RequestId> =
            self.open.iter().filter(|(_, open)| open.stream.is_some()).map(|(id, _)| *id).collect();
        for id in ids {
            self.enqueue(self.weather.events_take, id, Answer::Events);
        }
    }

    pub fn hand_over(&mut self, id: RequestId, answer: Answer) {
        let Some(open) = self.open.get(&id).cloned() else {
            if self.hands_over_late {
                self.hand_over_late(id, answer);
            }
            return;
        };
        let now = self.at();
        note!(self, "{id:?} {answer:?}");
        if let Answer::Pod(_) | Answer::Page(_) = answer {
            self.cause = Cause::Read(open.began);
        }
        match answer {
            Answer::Events => return self.pump(id),
            Answer::Listed => return self.list_ends(id),
            Answer::Opened => {
                if let Some(stream) = self.open.get_mut(&id).and_then(|open| open.stream.as_mut()) {
                    stream.is_open = true;
                }
                return self.reflector.opened(now, id);
            }
            Answer::Bytes => return self.reflector.progress(now, id, 100),
            Answer::Ended if open.stream.as_ref().is_some_and(|stream| stream.is_muted) => return,
            Answer::Failed(_) | Answer::Ended | Answer::Pod(_) | Answer::Page(_) => {}
        }
        if let Answer::Page(page) = &answer {
            for pod in &page.items {
                self.reflector.item(id, pod);
                self.settle();
            }
        }
        if self.open.remove(&id).is_some() {
            self.over.push(id);
            self.give(id, answer);
        }
    }

    /// Gives an input to the reflector, whether the request is under way or not.
    fn give(&mut self, id: RequestId, answer: Answer) {
        let now = self.at();
        match answer {
            Answer::Failed(failure) => {
                self.check_pause(&failure);
                self.reflector.failed(now, id, failure);
            }
            Answer::Opened => self.reflector.opened(now, id),
            Answer::Bytes => self.reflector.progress(now, id, 100),
            Answer::Ended => self.reflector.ended(now, id),
            Answer::Pod(pod) => self.reflector.answer(now, id, pod),
            Answer::Page(page) => {
                self.reflector.page(now, id, page.revision, page.next.clone());
            }
            Answer::Events | Answer::Listed => {}
        }
    }

    fn hand_over_late(&mut self, id: RequestId, answer: Answer) {
        if let Answer::Page(page) = &answer {
            page.items.iter().for_each(|pod| self.reflector.item(id, pod));
        }
        self.give(id, answer);
        if self.reflector.next_command().is_some() || self.reflector.next_delivery().is_some() {
            self.promises.broken("a late input has an effect", format!("{id:?}"));
        }
    }

    fn pump(&mut self, id: RequestId) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let Some(selection) = watched(&open.request) else { return };
        let Some(stream) = open.stream.as_mut().filter(|stream| stream.is_open && !stream.is_muted) else {
            return;
        };
        let is_listed = stream.is_listed;
        let first = std::mem::take(&mut stream.first).into_iter().map(|pod| (Event::State, pod));
        let mut events: Vec<_> = first.collect();
        events.extend(self.world.events(selection, stream.cursor));
        stream.cursor = stream.cursor.max(self.world.cached);
        let before = self.cause;
        if !is_listed {
            self.cause = Cause::Read(open.began);
        }
        for (event, pod) in events {
            self.event(id, event, &pod);
            self.settle();
        }
        self.cause = before;
    }

    fn list_ends(&mut self, id: RequestId) {
        self.pump(id);
        let Some(open) = self.open.get_mut(&id) else { return };
        let Some(stream) = open.stream.as_mut().filter(|stream| stream.is_open && !stream.is_muted) else {
            return;
        };
        stream.is_listed = true;
        let (version, before) = (stream.cursor, self.cause);
        self.cause = Cause::Read(open.began);
        self.mark(id, Event::Listed, version);
        self.cause = before;
    }

    /// An event without an object.
    fn mark(&mut self, id: RequestId, event: Event, version: u64) {
        self.reflector.mark(self.at(), id, event, version);
        self.settle();
    }

    pub fn event(&mut self, id: RequestId, event: Event, pod: &Pod) {
        note!(self, "{id:?} {event:?} {pod:?}");
        let is_garbled = std::mem::take(&mut self.garbles);
        self.has_garbled |= is_garbled;
        let failure = is_garbled.then(|| failure(Via::Watch, 200, false));
        self.reflector.event(self.at(), id, event, pod, failure);
    }

    /// Every open watch gets a bookmark.
    pub fn bookmark(&mut self) {
        for id in self.open.keys().copied().collect::<Vec<_>>() {
            self.pump(id);
            let Some(stream) = self.open.get(&id).and_then(|open| open.stream.as_ref()) else { continue };
            let is_current = stream.cursor == self.world.cached;
            if stream.is_open && stream.is_listed && !stream.is_muted && is_current {
                let version = stream.cursor;
                self.mark(id, Event::Bookmark, version);
            }
        }
    }

    /// Every watch gets this answer.
    pub fn hand_watches(&mut self, answer: &Answer) {
        let ids: Vec<_> =
            self.open.iter().filter(|(_, open)| open.stream.is_some()).map(|(id, _)| *id).collect();
        for id in ids {
            self.hand_over(id, answer.clone());
            self.settle();
        }
    }

    pub fn mute(&mut self) {
        for open in self.open.values_mut() {
            if let Some(stream) = &mut open.stream {
                stream.is_muted = true;
            }
        }
        self.promises.stirred(self.now);
    }
}

pub fn head<'a>(names: &'a [PodName], pod: &'a Pod) -> Head<'a> {
    let name = &names[pod.name];
    Head { namespace: name.namespace(), name: name.name(), resource_version: Object::resource_version(pod) }
}
