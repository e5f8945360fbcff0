//! What follows from requests that fail, and from watches that end.

use super::entries::{Alone, How, Role, What};
use super::history::History;
use super::scope::{REST, is_refusal, rest_after};
use podwait_hub::{ApiFailure, Observed, RequestId, Via};

impl History {
    /// A request has failed; a watch may also have ended without a failure.
    pub fn loses(&mut self, id: RequestId, failure: Option<ApiFailure>) {
        let Some(call) = self.story().call(id).map(|call| call.role) else { return };
        let is_current =
            call.read().is_some_and(|pod| self.story().reading(pod).is_some_and(|read| read.id == id));
        match &failure {
            Some(failure) => self.push(What::Failed { id, failure: failure.clone() }),
            None => self.push(What::Ended { id }),
        }
        match call {
            Role::Watch => self.loses_watch(id, failure),
            Role::WatchList => self.loses_list(call, failure.unwrap_or_else(|| early(Via::Watch))),
            Role::Page => self.loses_list(call, failure.unwrap_or_else(|| early(Via::List))),
            Role::OwnWatch(pod) => self.loses_own(pod, id, failure),
            Role::Probe => self.loses_probe(None, id, failure),
            Role::OwnProbe(pod) => self.loses_probe(Some(pod), id, failure),
            Role::Get(pod) | Role::Question(pod) => {
                let is_question = matches!(call, Role::Question(_));
                let via = if is_question { Via::List } else { Via::Get };
                let failure = ApiFailure { via, ..failure.unwrap_or_else(|| early(via)) };
                match is_current {
                    false => {}
                    true if is_question && is_refusal(&failure) => self.unmatched(pod),
                    true => {
                        if self.story().alone(pod).is_none() {
                            self.push(What::Behind);
                        }
                        self.show(pod, Observed::Failed(failure));
                    }
                }
            }
        }
    }

    pub fn loses_watch(&mut self, id: RequestId, failure: Option<ApiFailure>) {
        let story = self.story();
        let is_normal = failure.is_none() && story.call(id).is_some_and(|call| story.ends_in_order(call));
        if is_normal {
            self.push(What::Current);
            return self.push(What::Watch { from: self.story().place() });
        }
        let failed = self.story().failed(None) - 1;
        self.loses_scope(failed, failure.unwrap_or_else(|| early(Via::Watch)), true);
    }

    pub fn loses_list(&mut self, role: Role, failure: ApiFailure) {
        if role == Role::WatchList && is_refusal(&failure) && failure.code != 403 {
            return self.push(What::Pages);
        }
        if role == Role::WatchList && failure.code != 403 {
            self.push(What::Broken);
        }
        let failed = self.story().failed(None) - 1;
        if let Some(began) = self.story().listing() {
            self.push(What::Over { began });
        }
        self.loses_scope(failed, failure, false);
    }

    /// The watch of the scope or its LIST failed, after so many failures in a row.
    pub fn loses_scope(&mut self, failed: u32, failure: ApiFailure, is_watch: bool) {
        let is_refused = is_refusal(&failure);
        if is_refused && (failure.is_status || failed >= 4) {
            if self.story().tolerance() == 0 {
                return self.refused();
            }
            self.push(What::Tolerated);
        }
        if failed == 0 && !failure.is_expired() && is_watch {
            return self.push(What::Watch { from: self.story().place() });
        }
        self.push(What::List { from: self.now + rest_after(failed) });
        if is_refused || failure.is_expired() {
            return;
        }
        self.push(What::Behind);
        for pod in self.story().pods() {
            if self.story().alone(pod).is_none() && self.story().reading(pod).is_none() {
                self.push_shown(pod, How::Beside, Observed::Failed(failure.clone()));
            }
        }
    }

    /// The server refuses the scope: each pod has a watch of its own.
    pub fn refused(&mut self) {
        self.push(What::Refused { until: self.now + REST.1 });
        for pod in self.story().pods() {
            if self.story().alone(pod).is_none() {
                self.push_alone(pod, Alone::Refused);
            }
        }
        self.probe_by_name();
    }

    pub fn loses_own(&mut self, pod: usize, id: RequestId, failure: Option<ApiFailure>) {
        let story = self.story();
        if failure.is_none() && story.call(id).is_some_and(|call| story.ends_in_order(call)) {
            return self.renews_own(pod);
        }
        let failure = failure.unwrap_or_else(|| early(Via::Watch));
        let failed = story.failed(Some(pod)) - 1;
        let rest = if is_refusal(&failure) { REST.1 } else { rest_after(failed) };
        self.push(What::OwnRest { pod, until: self.now + rest });
        if !is_refusal(&failure) && self.story().reading(pod).is_none() {
            self.push_shown(pod, How::Beside, Observed::Failed(failure));
        }
    }

    /// The watch of a pod has ended, or is dead: a GET comes first.
    pub fn renews_own(&mut self, pod: usize) {
        self.push(What::OwnRest { pod, until: self.now });
        self.ask(pod);
    }
}

/// The failure of an answer that ended too soon.
fn early(via: Via) -> ApiFailure {
    ApiFailure::new(via, 0, "it ended early")
}
