//! What follows from the events of a watch and from a LIST.

use super::entries::{Alone, Role, What};
use super::history::History;
use super::index::Topic;
use super::story::Story;
use crate::pod::Pod;
use podwait_hub::{ApiFailure, Event, Observed, RequestId, Via};

impl History {
    pub fn opens(&mut self, id: RequestId) {
        self.push(What::Opened { id });
        if self.story().call(id).is_some_and(|call| call.role == Role::Watch) {
            self.serve_covered();
        }
    }

    /// The watch of the scope is open: it serves the pods that it or its LIST has shown.
    pub fn serve_covered(&mut self) {
        for pod in self.story().pods() {
            if self.story().is_covered(pod) {
                self.push(What::Served { pod });
            }
        }
    }

    /// An event with an object, or with one that cannot be read.
    pub fn has_event(&mut self, id: RequestId, event: Event, version: u64, pod: usize, object: Option<Pod>) {
        let Some(role) = self.story().call(id).map(|call| call.role) else { return };
        let before = self.entries.len();
        self.push(What::Event { id, event, version, pod, object: object.clone() });
        let of_scope = matches!(role, Role::Watch | Role::WatchList);
        let is_item = role == Role::WatchList && event == Event::State;
        if of_scope && !is_item {
            self.push(What::Current);
        }
        if !self.story().has_waits(pod) {
            return;
        }
        if is_item {
            return self.has_item(pod, version, object, before);
        }
        let story = self.story().before(before);
        let is_needed = match role {
            Role::Watch | Role::WatchList | Role::OwnWatch(_) => {
                event == Event::Deleted || story.is_news(pod, version) || story.is_for_another(pod)
            }
            Role::Probe | Role::OwnProbe(_) => story.missed(pod).is_some() && story.is_news(pod, version),
            Role::Page | Role::Get(_) | Role::Question(_) => false,
        };
        let is_by_name = matches!(role, Role::OwnWatch(_) | Role::OwnProbe(_));
        let is_gone =
            |object: &Pod| story.missed(pod).is_some_and(|missed| missed.is_gone && missed.uid == object.uid);
        let is_end = |object: &Pod| is_by_name || story.is_unfiltered() || is_gone(object);
        match object {
            _ if !is_needed => {}
            None => self.show(pod, Observed::Failed(ApiFailure::new(Via::Watch, 200, "unreadable"))),
            Some(object) if event == Event::State => {
                self.report_late(pod);
                self.show(pod, Observed::Pod(Via::Watch, object));
            }
            Some(object) if is_end(&object) => self.show(pod, Observed::Deleted(object)),
            Some(object) => {
                self.push(What::Doubted { pod, object });
                self.push(What::Ask { pod });
            }
        }
        if role == Role::Probe && is_needed {
            self.expect(version);
        }
        if role == Role::Watch && self.story().is_covered(pod) && self.story().open_watch().is_some() {
            self.push(What::Served { pod });
        }
    }

    /// The watch of the scope should reach this version.
    pub fn expect(&mut self, version: u64) {
        let story = self.story();
        if story.link().is_on() && story.place() < version && story.ahead().is_none() {
            self.push(What::Ahead { version });
        }
    }

    pub fn has_bookmark(&mut self, id: RequestId, version: u64) {
        self.push(What::Bookmark { id, version });
        if self.story().call(id).is_some_and(|call| call.role == Role::Watch) {
            self.push(What::Current);
        }
    }

    pub fn items(&mut self, id: RequestId, object: &Pod) {
        let before = self.entries.len();
        self.push(What::Item { id, object: object.clone() });
        if self.story().has_waits(object.name) {
            self.has_item(object.name, object.revision, Some(object.clone()), before);
        }
    }

    /// An item of a LIST, which is a read. A newer object may have been shown since the LIST began.
    pub fn has_item(&mut self, pod: usize, version: u64, object: Option<Pod>, before: usize) {
        let story = self.story().before(before);
        let is_older = story.version(pod).is_some_and(|shown| shown > version);
        let is_changed =
            story.listing().is_some_and(|began| story.came(pod) > began || story.is_overtaken(pod, began));
        if is_older && is_changed {
            return;
        }
        let failed = || Observed::Failed(ApiFailure::new(Via::Watch, 200, "unreadable"));
        self.show(pod, object.map_or_else(failed, |object| Observed::Pod(Via::List, object)));
    }

    /// The end of a LIST, or of its page.
    pub fn ends_page(&mut self, id: RequestId, version: u64, next: Option<String>) {
        let is_last = next.is_none();
        self.push(What::Page { id, next });
        if is_last {
            self.completes(version, self.entries.len() - 1);
        }
    }

    pub fn lists(&mut self, id: RequestId, version: u64) {
        let is_list = self.story().call(id).is_some_and(|call| call.role == Role::WatchList);
        if !is_list {
            return self.has_bookmark(id, version);
        }
        let before = self.entries.len();
        self.push(What::Listed { id, version });
        self.completes(version, before);
        self.serve_covered();
    }

    /// A LIST is complete: the pods that it does not have do not exist, or the selector does not match them. The entry
    /// that says so is at that place.
    pub fn completes(&mut self, version: u64, before: usize) {
        let story = self.story().before(before);
        let Some(began) = story.listing() else { return };
        let missing = story.pods().into_iter().filter(|pod| !story.is_listed(*pod));
        // Whether the LIST is evidence: every wait came before it began, and nothing newer was seen.
        let missing: Vec<(usize, bool)> = missing
            .map(|pod| {
                let is_seen = story.version(pod).is_some_and(|shown| shown > version);
                (pod, story.last_came(pod) < began && !is_seen)
            })
            .collect();
        let place = story.place();
        for (pod, is_evidence) in missing {
            self.push(What::Unlisted { pod, place });
            let story = self.story();
            let (alone, is_confirming) = (story.alone(pod), story.is_confirming(pod));
            match alone {
                Some(Alone::Refused) if story.is_unfiltered() && is_evidence && !is_confirming => {
                    self.show(pod, Observed::NotFound(Via::List));
                }
                Some(_) => {}
                None if is_evidence && !story.is_unfiltered() => self.unmatched(pod),
                None if is_confirming => {}
                None if is_evidence => self.show(pod, Observed::NotFound(Via::List)),
                None => self.ask(pod),
            }
        }
        let is_stream = matches!(self.story().what(before), What::Listed { .. });
        self.push(What::Whole { is_stream });
        self.push(What::Over { began });
        self.push(What::Current);
        self.push(What::Watch { from: version });
    }

    /// The selector does not match the pod, so it has to be read by a GET.
    pub fn unmatched(&mut self, pod: usize) {
        let story = self.story();
        let is_getting = story.reading(pod).is_some_and(|call| matches!(call.role, Role::Get(_)));
        let is_read = !is_getting && !story.is_confirming(pod);
        self.push(What::Unmatched { pod, is_read });
        if is_read {
            self.ask(pod);
        }
    }
}

impl<'a> Story<'a> {
    /// Whether the watch of the scope, or its LIST, has shown a pod that the server had refused.
    pub fn is_covered(self, pod: usize) -> bool {
        let runs = self.last(Topic::Scope, |what| matches!(what, What::Runs)).unwrap_or(0);
        let since = self.alone_since(pod).max(runs);
        self.alone(pod) == Some(Alone::Refused)
            && self.about(Topic::Pod(pod), since).any(|(_, what)| {
                let Some((id, other, _)) = Self::object(what) else { return false };
                let role = self.call(id).map(|call| call.role);
                other == pod && matches!(role, Some(Role::Watch | Role::WatchList | Role::Page))
            })
    }

    /// The version that the watch of the scope should have reached by that time.
    pub fn ahead(self) -> Option<(u64, u64)> {
        let last = self.last(Topic::Scope, |what| {
            matches!(
                what,
                What::Ahead { .. }
                    | What::Watch { .. }
                    | What::List { .. }
                    | What::Idle
                    | What::Refused { .. }
            )
        })?;
        let What::Ahead { version } = self.entries[last].what else { return None };
        let by = self.at(last) + 5_000;
        (by >= self.now()).then_some((by, version))
    }
}
