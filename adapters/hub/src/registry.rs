//! The waits, and their pods.

#[cfg(test)]
mod tests;

use crate::call::RequestId;
use crate::failure::Via;
use crate::hash::TextHash;
use crate::lane::Lane;
use crate::name::{Key, PodName, parse_resource_version};
use crate::observed::{Object, Observed};
use crate::own::Own;
use crate::pace::Pace;
use crate::probe::Probe;
use crate::reads::Due;
use crate::table::{Table, keys, smaller};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::time::Duration;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use podwait_core::Instant;

keys! {
    /// One wait, from [`join`](crate::Reflector::join) to [`leave`](crate::Reflector::leave).
    pub struct WaitId;
    /// A pod with at least one wait.
    pub(crate) struct PodId;
}

/// One wait.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) pod: PodId,
    /// The uid of its pod, if it was known when the wait joined.
    pub(crate) uid: Option<TextHash>,
    pub(crate) pace: Pace,
    /// When the machine answered last, and the delay that it asked for.
    pub(crate) start: Instant,
    pub(crate) after: Duration,
    /// When a delivery is due: after that delay, or a little later for a final read that began in time.
    pub(crate) end: Instant,
    /// What the machine confirms.
    pub(crate) confirms: Confirms,
    /// When the wait is checked next.
    pub(crate) alarm: Option<Instant>,
}

/// Whether a label selector matches a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SelectorMatch {
    /// Not known yet.
    #[default]
    Unknown,
    /// The selector matched at the last check.
    Yes,
    /// The selector did not match at the last check. The watch shows a change.
    No,
}

/// The read of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Read {
    #[default]
    None,
    /// In the queue of that lane.
    Queued(Lane, Due),
    /// Sent; whether it is a LIST by name, which shows if the selector of the watch matches the pod.
    Sent(bool),
}

/// What a wait's machine confirms, while what came before may still come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirms {
    /// Nothing.
    #[default]
    Nothing,
    /// The pod's deletion (`RetryReason::ConfirmingDeletion`).
    Deletion,
    /// That the record of its end is lost (`RetryReason::ConfirmingLostRecord`).
    LostRecord,
}

impl Confirms {
    /// Whether what came before may still come.
    pub(crate) fn is_any(self) -> bool {
        self != Self::Nothing
    }
}

/// A pod whose deletion, or the loss of whose record, is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The newest delivered resourceVersion of the pod.
    pub(crate) at: u64,
    pub(crate) uid: TextHash,
    /// A consistent read has shown that the pod does not exist any more.
    pub(crate) is_gone: bool,
    /// The probe of the scope looks for its final state, not a probe of its own.
    pub(crate) is_shared: bool,
}

/// The facts about a pod before the last delivery. If that delivery showed that the pod is gone, these are the facts
/// about the missed pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The resourceVersion of the object that was delivered last.
    pub(crate) version: Option<u64>,
    /// Its uid.
    pub(crate) uid: Option<TextHash>,
    /// The resourceVersion up to which the watch of the scope had shown everything. 0 if a watch made the delivery,
    /// which then shows everything itself.
    pub(crate) place: u64,
    /// Whether the label selector of the scope matched the pod when it was seen last.
    pub(crate) has_matched: bool,
}

/// A pod with at least one wait.
#[derive(Clone, Debug)]
pub(crate) struct Entry<O> {
    pub(crate) name: PodName,
    pub(crate) waits: Vec<WaitId>,
    pub(crate) read: Read,
    /// The last read that was sent. It may have ended, and its answer may be out of date.
    pub(crate) sent: Option<RequestId>,
    /// Grows with each delivery, so that an answer from before a delivery can be recognised.
    pub(crate) generation: u64,
    /// The resourceVersion of the object that was delivered last, as a number.
    pub(crate) version: Option<u64>,
    /// Its uid.
    pub(crate) uid: Option<TextHash>,
    pub(crate) before: Before,
    /// The resourceVersion up to which the watch of the scope had shown everything before a LIST without the pod. The
    /// pod is then read by a GET.
    pub(crate) unlisted_at: Option<u64>,
    /// How many waits confirm a deletion or a record, and the search for what came before.
    pub(crate) confirming: u32,
    pub(crate) missed: Option<Missed>,
    /// The last delivery was an error.
    pub(crate) has_failed: bool,
    /// The number of LISTs when the last wait joined, and that of the last LIST with the pod.
    pub(crate) came: u64,
    pub(crate) listed: u64,
    /// Whether the label selector of the scope matches the pod, and whether it did when the pod was last seen.
    pub(crate) matches: SelectorMatch,
    pub(crate) has_matched: bool,
    /// The object of a DELETED from a watch with a label selector: a GET shows whether that was a deletion.
    pub(crate) unconfirmed: Option<O>,
    /// The probe for the final state of this pod, by its name.
    pub(crate) probe: Option<Box<Probe>>,
    /// The pod's own watch, while it needs one.
    pub(crate) own: Option<Box<Own>>,
}

impl Place {
    /// Whether the wait needs an object of the pod `uid` that is older than the last delivered one, of the pod `shown`.
    /// That is so if the wait confirms a deletion or a record, or if it is for the pod `uid` and another pod had the name when it
    /// joined.
    pub(crate) fn uses_replay(&self, shown: Option<TextHash>, uid: TextHash) -> bool {
        self.confirms.is_any() || (self.uid == Some(uid) && shown != Some(uid))
    }
}

impl<O: Object> Entry<O> {
    fn new(name: PodName, generation: u64) -> Self {
        Self {
            name,
            // Usually exactly one.
            waits: Vec::with_capacity(1),
            read: Read::None,
            sent: None,
            generation,
            version: None,
            uid: None,
            before: Before::default(),
            unlisted_at: None,
            confirming: 0,
            missed: None,
            has_failed: false,
            came: 0,
            listed: 0,
            matches: SelectorMatch::Unknown,
            has_matched: false,
            unconfirmed: None,
            probe: None,
            own: None,
        }
    }

    /// The label selector matches the pod.
    pub(crate) fn matched(&mut self) {
        (self.matches, self.has_matched) = (SelectorMatch::Yes, true);
    }

    /// Whether an event of this resourceVersion is to be delivered. Events of a missed pod are older than its absence,
    /// but are needed.
    pub(crate) fn is_news(&self, version: u64) -> bool {
        match self.missed {
            Some(missed) => version > missed.at,
            None => !(version < u64::MAX && self.version >= Some(version)),
        }
    }

    /// Whether a consistent read has shown that this pod does not exist any more.
    pub(crate) fn is_gone(&self, pod: &O) -> bool {
        self.missed.is_some_and(|missed| missed.is_gone && missed.uid == TextHash::of(pod.uid()))
    }

    /// Whether a watch has sent an object that is older than the last delivered one. Few waits need it; see
    /// [`Place::uses_replay`].
    pub(crate) fn is_replay(&self, observed: &Observed<O>) -> bool {
        let (Observed::Pod(Via::Watch, pod) | Observed::Deleted(pod)) = observed else { return false };
        let version = parse_resource_version(pod.resource_version());
        version < u64::MAX && self.version >= Some(version)
    }

    /// Whether to deliver an answer of that resourceVersion although another delivery came first: the answer is newer,
    /// or that delivery was an error and the answer shows that the API server works.
    pub(crate) fn is_worth(&self, version: u64) -> bool {
        let unconfirmed = self.unconfirmed.as_ref().map(|pod| parse_resource_version(pod.resource_version()));
        self.version.max(unconfirmed) < Some(version) || (self.has_failed && self.version == Some(version))
    }

    /// Records a delivery. The watch of the scope has shown everything up to `place`.
    pub(crate) fn delivered(&mut self, observed: &Observed<O>, place: u64) {
        let unlisted_at = self.unlisted_at;
        let place = match observed {
            Observed::Failed(_) | Observed::Silence | Observed::Cancelled => return,
            Observed::Pod(Via::Watch, _) | Observed::Deleted(_) => 0,
            Observed::Pod(..) | Observed::NotFound(_) => unlisted_at.unwrap_or(place),
        };
        self.unlisted_at = None;
        self.before = Before { version: self.version, uid: self.uid, place, has_matched: self.has_matched };
        if let Observed::Pod(_, pod) | Observed::Deleted(pod) = observed {
            self.uid = Some(TextHash::of(pod.uid()));
            self.version = Some(parse_resource_version(pod.resource_version()));
        }
    }
}

/// A fixed hash: the same inputs give the same order.
fn name_hash(name: Key<'_>) -> u64 {
    FixedState::default().hash_one(name)
}

/// The pods and the waits.
#[derive(Clone, Debug)]
pub(crate) struct Registry<O> {
    /// The pods by their names, which are in `pods`.
    names: HashTable<PodId>,
    pub(crate) pods: Table<PodId, Entry<O>>,
    pub(crate) waits: Table<WaitId, Place>,
    /// The last generation given; each is unique.
    generations: u64,
}

impl<O: Object> Registry<O> {
    pub(crate) fn new() -> Self {
        Self { names: HashTable::new(), pods: Table::new(), waits: Table::new(), generations: 0 }
    }

    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<PodId> {
        self.find_key(Key { namespace, name })
    }

    fn find_key(&self, key: Key<'_>) -> Option<PodId> {
        let is_meant = |pod: &PodId| self.pods.get(*pod).is_some_and(|entry| entry.name.key() == key);
        self.names.find(name_hash(key), is_meant).copied()
    }

    /// Adds a wait. Returns whether it is the first one for its pod.
    pub(crate) fn join(
        &mut self,
        now: Instant,
        name: PodName,
        uid: Option<&str>,
        lists: u64,
    ) -> (WaitId, PodId, bool) {
        let known = self.find_key(name.key());
        let pod = known.unwrap_or_else(|| {
            let (generation, hash) = (self.next_generation(), name_hash(name.key()));
            let pod = self.pods.insert(Entry::new(name, generation));
            let pods = &self.pods;
            self.names.insert_unique(hash, pod, |pod| name_hash(pods[*pod].name.key()));
            pod
        });
        let place = Place {
            pod,
            uid: uid.map(TextHash::of),
            pace: Pace::Now,
            start: now,
            after: Duration::ZERO,
            end: now,
            confirms: Confirms::Nothing,
            alarm: None,
        };
        let wait = self.waits.insert(place);
        let entry = &mut self.pods[pod];
        entry.waits.push(wait);
        entry.came = lists;
        (wait, pod, known.is_none())
    }

    /// Whether a wait for this pod may need an event of this resourceVersion.
    pub(crate) fn is_of_use(&self, pod: PodId, version: u64) -> bool {
        let Some(entry) = self.pods.get(pod) else { return false };
        // The pod's uid is known only after the object is decoded.
        let is_for_another = |wait: &WaitId| {
            self.waits.get(*wait).is_some_and(|place| place.uid.is_some_and(|uid| entry.uid != Some(uid)))
        };
        entry.is_news(version) || entry.waits.iter().any(is_for_another)
    }

    /// Removes a wait, and with the last wait its pod.
    pub(crate) fn leave(&mut self, wait: WaitId) -> Option<(Place, PodName, Option<Entry<O>>)> {
        let place = self.waits.remove(wait)?;
        let entry = self.pods.get_mut(place.pod)?;
        entry.waits.retain(|other| *other != wait);
        if place.confirms.is_any() {
            entry.confirming -= 1;
        }
        let name = entry.name.clone();
        if !entry.waits.is_empty() {
            return Some((place, name, None));
        }
        if let Ok(name) = self.names.find_entry(name_hash(entry.name.key()), |pod| *pod == place.pod) {
            name.remove();
        }
        let entry = self.pods.remove(place.pod)?;
        if let Some(room) = smaller(self.names.len(), self.names.capacity()) {
            let pods = &self.pods;
            self.names.shrink_to(room, |pod| name_hash(pods[*pod].name.key()));
        }
        Some((place, name, Some(entry)))
    }

    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    /// The newest generation.
    pub(crate) const fn generation(&self) -> u64 {
        self.generations
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }
}
