//! What follows when a wait begins, ends or wants something.

use super::entries::{Alone, What};
use super::history::History;
use super::index::Topic;
use super::scope::Service;
use super::story::Story;
use podwait_hub::{Confirms, WaitId};

impl History {
    pub fn joins(&mut self, wait: WaitId, pod: usize, may_watch: bool, uid: Option<String>) {
        let (is_first, is_in_scope) = (!self.story().has_waits(pod), self.story().is_in_scope(pod));
        let service = self.story().service();
        let is_refused = matches!(service, Service::Refused(until) if self.now < until);
        let is_served = may_watch && is_in_scope && !is_refused;
        self.push(What::Join { wait, pod, may_watch, uid });
        if is_first && !is_served {
            let why = if may_watch && is_in_scope { Alone::Refused } else { Alone::Chosen };
            self.push_alone(pod, why);
        }
        if is_served && self.story().alone(pod) != Some(Alone::Chosen) {
            if service != Service::Running {
                self.run();
            }
            self.push(What::Gather);
        }
    }

    pub fn push_alone(&mut self, pod: usize, why: Alone) {
        self.push(What::Alone { pod, why });
        self.push(What::OwnRest { pod, until: self.now });
    }

    /// The scope is tried, with the pods that had left it.
    pub fn run(&mut self) {
        self.push(What::Runs);
        self.push(What::List { from: self.now });
        let alone =
            self.story().pods().into_iter().filter(|pod| self.story().alone(*pod) == Some(Alone::Refused));
        for _ in 0..alone.count() {
            self.push(What::Gather);
        }
    }

    pub fn leaves(&mut self, wait: WaitId) {
        let pod = self.story().pod_of(wait);
        let was_confirming = self.story().is_confirming(pod);
        self.push(What::Leave { wait });
        if was_confirming && !self.story().is_confirming(pod) {
            self.find(pod);
        }
        if self.setup.scope.is_some() && self.story().pods().is_empty() {
            self.push(What::Idle);
        }
    }

    pub fn wants(&mut self, wait: WaitId, after: u64, confirms: Confirms) {
        let pod = self.story().pod_of(wait);
        let was_confirming = self.story().is_confirming(pod);
        self.push(What::Want { wait, after, confirms });
        match (was_confirming, self.story().is_confirming(pod)) {
            (false, true) => self.miss(pod),
            (true, false) => self.find(pod),
            (false, false) | (true, true) => {}
        }
    }
}

impl<'a> Story<'a> {
    /// Where the last of the waits came, or came back to the scope.
    pub fn last_came(self, pod: usize) -> usize {
        let joined = self.last_of(pod, |what| matches!(what, What::Join { pod: other, .. } if *other == pod));
        let runs = self.last(Topic::Scope, |what| matches!(what, What::Runs));
        let runs = runs.filter(|runs| self.before(*runs).alone(pod) == Some(Alone::Refused));
        joined.max(runs).unwrap_or(0)
    }
}
