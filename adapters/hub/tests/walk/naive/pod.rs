//! What is known about one pod, from the first of its present waits on.

use super::entries::{Alone, Call, How, Role, What};
use super::index::Topic;
use super::story::Story;
use crate::pod::Pod;
use podwait_hub::{Confirms, Event, From, Observed};

/// Whether the label selector of the scope matches a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    Unknown,
    Yes,
    No,
}

/// A pod of which a wait confirms that it is gone.
#[derive(Clone, Debug)]
pub struct Missed<'a> {
    /// The newest version of that pod that was shown.
    pub at: u64,
    pub uid: &'a str,
    /// A read has shown that the pod does not exist any more.
    pub is_gone: bool,
    /// The probe of the scope looks for its final state.
    pub is_shared: bool,
}

/// The watch of one pod by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own<'a> {
    /// Wanted from there, and then opened.
    On(&'a From),
    /// Not before that time.
    Down(u64),
}

/// How a change of a pod is noticed without a read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// By events of a watch.
    Watched,
    /// By the LIST under way.
    Listed,
    /// By the LIST that is about to begin.
    Pending,
    /// Not at all.
    Uncovered,
}

impl<'a> Story<'a> {
    /// The last entry of that kind since the first of the pod's waits came.
    pub fn last_of(self, pod: usize, is_meant: impl Fn(&What) -> bool) -> Option<usize> {
        let entries = self.about(Topic::Pod(pod), self.came(pod)).rev();
        entries.into_iter().find(|(_, what)| is_meant(what)).map(|(place, _)| place)
    }

    /// Whether there is an entry of that kind about a pod from that place on.
    pub fn has_since(self, pod: usize, since: usize, is_meant: impl Fn(&What) -> bool) -> bool {
        self.about(Topic::Pod(pod), since).any(|(_, what)| is_meant(what))
    }

    /// The last object that was shown, replays aside.
    pub fn shown(self, pod: usize) -> Option<&'a Pod> {
        let is_meant = |what: &What| {
            matches!(what, What::Shown {
                pod: other,
                how: How::News,
                observed: Observed::Pod(..) | Observed::Deleted(_),
                ..
            } if *other == pod)
        };
        let What::Shown { observed, .. } = &self.entries[self.last_of(pod, is_meant)?].what else {
            return None;
        };
        match observed {
            Observed::Pod(_, object) | Observed::Deleted(object) => Some(object),
            Observed::NotFound(_) | Observed::Failed(_) | Observed::Silence | Observed::Cancelled => None,
        }
    }

    pub fn version(self, pod: usize) -> Option<u64> {
        self.shown(pod).map(|object| object.revision)
    }

    /// The last observation that describes the pod, replays aside.
    pub fn last_good(self, pod: usize) -> Option<usize> {
        self.last_of(pod, |what| {
            matches!(what, What::Shown { pod: other, how: How::News | How::Confirmed, observed, .. }
                if *other == pod && observed.is_good_read())
        })
    }

    /// Whether the last that was shown is a failure.
    pub fn has_failed(self, pod: usize) -> bool {
        let last = self.last_of(pod, |what| {
            matches!(what, What::Shown { pod: other, how: How::News | How::Confirmed | How::Beside, .. }
                if *other == pod)
        });
        last.is_some_and(|last| {
            matches!(&self.entries[last].what, What::Shown { observed: Observed::Failed(_), .. })
        })
    }

    /// The object of a DELETED that may be the loss of the label, as long as no read has shown which it is.
    pub fn doubted(self, pod: usize) -> Option<&'a Pod> {
        let place =
            self.last_of(pod, |what| matches!(what, What::Doubted { pod: other, .. } if *other == pod))?;
        let What::Doubted { object, .. } = &self.entries[place].what else { return None };
        let settles = |observed: &Observed<Pod>| match observed {
            Observed::Pod(_, found) => found.revision >= object.revision,
            Observed::Deleted(_) | Observed::NotFound(_) => true,
            Observed::Failed(_) | Observed::Silence | Observed::Cancelled => false,
        };
        let is_settled = self.has_since(pod, place, |what| {
            matches!(what, What::Shown { pod: other, how: How::News | How::Confirmed, observed, .. }
                if *other == pod && settles(observed))
        });
        (!is_settled).then_some(object)
    }

    /// Whether the answer to a read of the pod from that place on is out of date.
    pub fn is_overtaken(self, pod: usize, since: usize) -> bool {
        self.has_since(pod, since, |what| {
            matches!(what,
                What::Shown { pod: other, how: How::News | How::Confirmed, .. }
                | What::Join { pod: other, .. }
                | What::Doubted { pod: other, .. }
                | What::Unmatched { pod: other, is_read: true }
                | What::Alone { pod: other, .. } if *other == pod)
        })
    }

    /// The read of the pod that is under way, if its answer will count.
    pub fn reading(self, pod: usize) -> Option<Call<'a>> {
        let reads = self.under_way().into_iter().filter(|call| call.role.read() == Some(pod));
        reads.rev().find(|call| !self.is_overtaken(pod, call.sent))
    }

    /// Whether the pod has to be read now, for a reason other than the time of a wait.
    pub fn is_asked(self, pod: usize) -> bool {
        let Some(asked) = self.last_of(pod, |what| matches!(what, What::Ask { pod: other } if *other == pod))
        else {
            return false;
        };
        let is_read = self.has_since(pod, asked, |what| matches!(what, What::Sent { .. }));
        let is_over = self.has_since(pod, asked, |what| {
            matches!(what,
                What::Shown { pod: other, how: How::News | How::Confirmed, .. }
                | What::Doubted { pod: other, .. }
                | What::Unmatched { pod: other, is_read: true }
                | What::Alone { pod: other, .. }
                | What::Served { pod: other } if *other == pod)
        });
        !is_read && !is_over
    }

    /// Whether a wait confirms that the pod is gone, or that the record of its end is lost.
    pub fn is_confirming(self, pod: usize) -> bool {
        let (_, waits) = self.waits(pod);
        waits.into_iter().any(|wait| self.confirms(wait))
    }

    pub fn confirms(self, wait: podwait_hub::WaitId) -> bool {
        self.want(wait).is_some_and(|(_, _, confirms)| confirms != Confirms::Nothing)
    }

    /// The missed pod of that name.
    pub fn missed(self, pod: usize) -> Option<Missed<'a>> {
        let place = self.last_of(pod, |what| {
            matches!(what, What::Missed { pod: other, .. } | What::Found { pod: other } if *other == pod)
        })?;
        let What::Missed { at, uid, is_shared, .. } = &self.entries[place].what else { return None };
        // The missed pod is gone with the input that begins the confirmation, or with a later one.
        let is_gone = self.has_since(pod, place.saturating_sub(1), |what| {
            matches!(what, What::Want { wait, confirms: Confirms::Deletion, .. } if self.pod_of(*wait) == pod)
        });
        let seen = self.about(Topic::Pod(pod), place).filter_map(|(_, what)| {
            let What::Event { id, event: Event::State, version, pod: other, object: Some(object) } = what
            else {
                return None;
            };
            let role = self.call(*id)?.role;
            let is_meant = *other == pod
                && object.uid == *uid
                && matches!(role, Role::Watch | Role::Probe | Role::OwnProbe(_));
            is_meant.then_some(*version)
        });
        let is_shared =
            *is_shared && self.about(Topic::Scope, place).all(|(_, what)| !matches!(what, What::ByName));
        Some(Missed { at: seen.fold(*at, u64::max), uid, is_gone, is_shared })
    }

    /// Whether a watch event of that version is needed.
    pub fn is_news(self, pod: usize, version: u64) -> bool {
        match self.missed(pod) {
            Some(missed) => version > missed.at,
            None => self.version(pod).is_none_or(|shown| version > shown),
        }
    }

    /// Since when.
    pub fn alone_since(self, pod: usize) -> usize {
        let last = self.last_of(pod, |what| matches!(what, What::Alone { pod: other, .. } if *other == pod));
        last.unwrap_or(self.entries.len())
    }

    /// Why the watch of the scope does not serve the pod.
    pub fn alone(self, pod: usize) -> Option<Alone> {
        let place = self.last_of(pod, |what| {
            matches!(what, What::Alone { pod: other, .. } | What::Served { pod: other } if *other == pod)
        })?;
        let What::Alone { why, .. } = &self.entries[place].what else { return None };
        Some(*why)
    }

    /// Whether a wait has allowed a watch of the pod by its name.
    pub fn may_watch(self, pod: usize) -> bool {
        self.alone(pod) == Some(Alone::Refused)
            || self.has_since(pod, self.came(pod), |what| matches!(what, What::Join { may_watch: true, .. }))
    }

    /// The watch of the pod by its name.
    pub fn own(self, pod: usize) -> Own<'a> {
        let place = self.last_of(pod, |what| {
            matches!(what, What::OwnWatch { pod: other, .. } | What::OwnRest { pod: other, .. }
                if *other == pod)
        });
        match place.map(|place| &self.entries[place].what) {
            Some(What::OwnWatch { from, .. }) => Own::On(from),
            Some(What::OwnRest { until, .. }) => Own::Down(*until),
            Some(_) | None => Own::Down(u64::MAX),
        }
    }

    /// Whether the selector matches the pod.
    pub fn matches(self, pod: usize) -> Matches {
        let last = self.about(Topic::Pod(pod), self.came(pod)).rev().find_map(|(place, what)| {
            let is_no = matches!(what, What::Doubted { .. } | What::Unmatched { .. }) || self.hides(what);
            if is_no {
                return Some(Matches::No);
            }
            self.before(place).shows_match(pod, what).then_some(Matches::Yes)
        });
        last.unwrap_or(Matches::Unknown)
    }

    /// Whether this is a DELETED of the scope that cannot be read.
    fn hides(self, what: &What) -> bool {
        let What::Event { id, event: Event::Deleted, object: None, .. } = what else { return false };
        self.call(*id).is_some_and(|call| matches!(call.role, Role::Watch | Role::WatchList))
    }

    /// Whether the selector matched the pod when it was seen last.
    pub fn has_matched(self, pod: usize) -> bool {
        let last = self.about(Topic::Pod(pod), self.came(pod)).rev().find_map(|(place, what)| {
            let story = self.before(place);
            if let What::Answer { id, object: Some(_) } = what
                && story.reading(pod).is_some_and(|call| call.id == *id)
                && story.matches(pod) == Matches::No
            {
                return Some(false);
            }
            if matches!(what, What::Unlisted { .. }) && story.alone(pod).is_some() {
                return Some(false);
            }
            story.shows_match(pod, what).then_some(true)
        });
        last.unwrap_or(false)
    }

    /// Whether this input shows that the selector matches the pod.
    fn shows_match(self, pod: usize, what: &What) -> bool {
        if let What::Answer { id, object: Some(_) } = what {
            let read = self.reading(pod).filter(|call| call.id == *id);
            return read
                .is_some_and(|call| matches!(call.role, Role::Question(_)) && self.alone(pod).is_none());
        }
        let Some((id, other, version)) = Self::object(what) else { return false };
        let Some(call) = self.call(id).filter(|_| other == pod) else { return false };
        let What::Event { event, object, .. } = what else { return true };
        let is_latest = self.version(pod).is_none_or(|shown| shown <= version);
        let is_readable = object.is_some();
        *event == Event::State
            && match call.role {
                Role::WatchList => true,
                Role::Watch => is_latest && (is_readable || self.version(pod) == Some(version)),
                Role::Probe => {
                    is_latest && is_readable && self.missed(pod).is_some_and(|missed| version > missed.at)
                }
                Role::OwnWatch(_) | Role::OwnProbe(_) | Role::Page | Role::Get(_) | Role::Question(_) => {
                    false
                }
            }
    }

    /// How a change of the pod would be noticed.
    pub fn coverage(self, pod: usize) -> Coverage {
        if self.alone(pod).is_some() {
            return if matches!(self.own(pod), Own::On(_)) { Coverage::Watched } else { Coverage::Uncovered };
        }
        let is_matched = self.is_unfiltered() || self.matches(pod) == Matches::Yes;
        match (self.link().is_on(), self.listing().is_some()) {
            (true, _) if is_matched => Coverage::Watched,
            (_, true) => Coverage::Listed,
            (true, false) => Coverage::Uncovered,
            (false, false) => Coverage::Pending,
        }
    }
}
