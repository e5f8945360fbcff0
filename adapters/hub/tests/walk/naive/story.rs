//! The history of a reflector as a plain list, and questions about it that need no rule.

use super::entries::{Call, Entry, Role, Setup, What};
use super::index::{Index, Topic};
use crate::pod::Pod;
use podwait_hub::{Confirms, Observed, RequestId, WaitId};
use std::rc::Rc;

/// The list up to some entry.
#[derive(Clone, Copy)]
pub struct Story<'a> {
    pub setup: &'a Setup,
    pub entries: &'a [Rc<Entry>],
    pub index: &'a Index,
}

impl<'a> Story<'a> {
    /// The story before that entry.
    pub fn before(self, place: usize) -> Self {
        Self { entries: &self.entries[..place], ..self }
    }

    pub fn now(self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.at)
    }

    pub fn at(self, place: usize) -> u64 {
        self.entries[place].at
    }

    pub fn what(self, place: usize) -> &'a What {
        &self.entries[place].what
    }

    /// The entries about that, from a place on.
    pub fn about(
        self,
        topic: Topic,
        since: usize,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a What)> + use<'a> {
        let places = self.index.about(topic, self.entries.len());
        let first = places.partition_point(|place| *place < since);
        places[first..].iter().map(move |place| (*place, self.what(*place)))
    }

    /// The last entry of that kind about that.
    pub fn last(self, topic: Topic, is_meant: impl Fn(&What) -> bool) -> Option<usize> {
        self.about(topic, 0).rev().find(|(_, what)| is_meant(what)).map(|(place, _)| place)
    }

    /// The waits for a pod, and the place where the first of them came.
    pub fn waits(self, pod: usize) -> (usize, Vec<WaitId>) {
        let (mut first, mut waits) = (0, Vec::new());
        for (place, what) in self.about(Topic::Waits(pod), 0) {
            if let What::Join { wait, .. } = what {
                if waits.is_empty() {
                    first = place;
                }
                waits.push(*wait);
            } else if let What::Leave { wait } = what {
                waits.retain(|other| other != wait);
            }
        }
        let first = if waits.is_empty() { self.entries.len() } else { first };
        (first, waits)
    }

    /// Where the first of the present waits for the pod came.
    pub fn came(self, pod: usize) -> usize {
        self.waits(pod).0
    }

    pub fn has_waits(self, pod: usize) -> bool {
        !self.waits(pod).1.is_empty()
    }

    /// The pods that have a wait.
    pub fn pods(self) -> Vec<usize> {
        (0..self.setup.names.len()).filter(|pod| self.has_waits(*pod)).collect()
    }

    pub fn pod_of(self, wait: WaitId) -> usize {
        self.index.pod_of(wait)
    }

    /// What a wait wants since its last delivery: its place, after how long, and what it confirms.
    pub fn want(self, wait: WaitId) -> Option<(usize, u64, Confirms)> {
        let (place, what) = self.about(Topic::Want(wait), 0).next_back()?;
        let What::Want { after, confirms, .. } = what else { return None };
        Some((place, *after, *confirms))
    }

    /// What a wait has to receive, in this order.
    pub fn pending(self, wait: WaitId) -> Vec<&'a Observed<Pod>> {
        let delivered = self.index.about(Topic::Delivered(wait), self.entries.len()).len();
        let shown = self.about(Topic::Shown(wait), 0).skip(delivered);
        let observed = shown.filter_map(|(_, what)| {
            let What::Shown { observed, .. } = what else { return None };
            Some(observed)
        });
        observed.collect()
    }

    /// A request, whether it is over or not.
    pub fn call(self, id: RequestId) -> Option<Call<'a>> {
        let (sent, what) = self.about(Topic::Call(id), 0).next()?;
        let What::Sent { request, .. } = what else { return None };
        let of_call = |is_meant: fn(&What) -> bool| {
            self.about(Topic::Call(id), 0).find(|(_, what)| is_meant(what)).map(|(place, _)| self.at(place))
        };
        let role = self.index.role(id)?;
        let (role, opened) = if role == Role::WatchList {
            let listed = of_call(|what| matches!(what, What::Listed { .. }));
            (if listed.is_some() { Role::Watch } else { role }, listed)
        } else {
            (role, of_call(|what| matches!(what, What::Opened { .. })))
        };
        Some(Call { id, request, sent, role, opened })
    }

    /// The requests that are under way, in the order of their ids.
    pub fn under_way(self) -> Vec<Call<'a>> {
        // Those that are still under way at the end of the list, and those that ended after this story.
        let ended = self.index.about(Topic::Ends, usize::MAX).iter().rev();
        let ended = ended.take_while(|place| **place >= self.entries.len());
        let mut ids = self.index.open.clone();
        ids.extend(ended.filter_map(|place| self.index.ended(*place)));
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| self.call(id)).collect()
    }

    /// The request under way in that role.
    pub fn open(self, role: Role) -> Option<Call<'a>> {
        self.under_way().into_iter().find(|call| call.role == role)
    }

    /// An event or an item with an object: its request, its pod and its version.
    pub fn object(what: &What) -> Option<(RequestId, usize, u64)> {
        if let What::Event { id, pod, version, .. } = what {
            return Some((*id, *pod, *version));
        }
        let What::Item { id, object } = what else { return None };
        Some((*id, object.name, object.revision))
    }
}
