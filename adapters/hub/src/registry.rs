//! The pods that are waited for, and the waits.

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
use crate::table::{Table, keys};
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
    /// A pod that is waited for.
    pub(crate) struct PodId;
}

/// What the table keeps room for, however few there are.
const FEW: usize = 64;

/// One wait.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) pod: PodId,
    /// The uid of its pod, if it was known when the wait came.
    pub(crate) uid: Option<TextHash>,
    pub(crate) pace: Pace,
    /// When the machine answered last, and after which time it comes back.
    pub(crate) start: Instant,
    pub(crate) after: Duration,
    /// Until when an answer is awaited: that time, or a little later for a final read that began in time.
    pub(crate) end: Instant,
    /// What the machine confirms.
    pub(crate) confirms: Confirms,
    /// When it is looked at next.
    pub(crate) alarm: Option<Instant>,
}

/// Whether a label selector matches a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SelectorMatch {
    /// Not asked yet.
    #[default]
    Unknown,
    /// As far as is known.
    Yes,
    /// Not when it was asked. If that changes the watch says so.
    No,
}

/// The read of one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Read {
    #[default]
    None,
    /// In the queue of that lane.
    Queued(Lane, Due),
    /// Sent; whether it asks if the selector of the watch matches the pod.
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

/// A pod whose deletion, or the loss of whose record, is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The newest resourceVersion that was delivered of it.
    pub(crate) at: u64,
    pub(crate) uid: TextHash,
    /// A consistent read has shown that it does not exist any more.
    pub(crate) is_gone: bool,
    /// Its final state is looked for by the probe of the scope, and not by its own.
    pub(crate) is_shared: bool,
}

/// What was known of a pod before the last delivery. If that showed that the pod is gone, it was about the pod that is missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The resourceVersion of the object that was delivered last.
    pub(crate) version: Option<u64>,
    /// Its uid.
    pub(crate) uid: Option<TextHash>,
    /// The place up to which the watch of the scope had shown everything. 0 if a watch brought the delivery, and so shows all.
    pub(crate) place: u64,
    /// Whether the label selector of the scope matched it when it was seen last.
    pub(crate) has_matched: bool,
}

/// A pod that is waited for.
#[derive(Clone, Debug)]
pub(crate) struct Entry<O> {
    pub(crate) name: PodName,
    pub(crate) waits: Vec<WaitId>,
    pub(crate) read: Read,
    /// The last read that was sent. It may have ended, and its answer may be old by now.
    pub(crate) sent: Option<RequestId>,
    /// Grows with what is delivered, so that an answer that was overtaken is known as such.
    pub(crate) generation: u64,
    /// The resourceVersion of the object that was delivered last, as a number.
    pub(crate) version: Option<u64>,
    /// Its uid.
    pub(crate) uid: Option<TextHash>,
    pub(crate) before: Before,
    /// The place up to which the watch of the scope had shown everything before a LIST that did not have the pod, so that the pod
    /// is read by itself.
    pub(crate) unlisted_at: Option<u64>,
    /// How many waits confirm a deletion or a record, and how its past is looked for.
    pub(crate) confirming: u32,
    pub(crate) missed: Option<Missed>,
    /// The last thing that was delivered is an error.
    pub(crate) has_failed: bool,
    /// LISTs that had begun when the last wait came, and the last one that had the pod.
    pub(crate) came: u64,
    pub(crate) listed: u64,
    /// Whether the label selector of the scope matches the pod, and whether it did when the pod was last seen.
    pub(crate) matches: SelectorMatch,
    pub(crate) has_matched: bool,
    /// What a DELETED of a watch with a label selector carried: a GET says whether that was a deletion.
    pub(crate) unconfirmed: Option<O>,
    /// The final state of this pod by its name.
    pub(crate) probe: Option<Box<Probe>>,
    /// Its own watch, while it needs one.
    pub(crate) own: Option<Box<Own>>,
}

impl Place {
    /// Whether an object that is older than what was delivered last, which was of the pod `shown`, is of use: the wait confirms a
    /// deletion or a record, or it is for the very pod of the object, and came when another one had the name.
    pub(crate) fn uses_replay(&self, shown: Option<TextHash>, uid: TextHash) -> bool {
        self.confirms != Confirms::Nothing || (self.uid == Some(uid) && shown != Some(uid))
    }
}

impl<O: Object> Entry<O> {
    fn new(name: PodName, generation: u64) -> Self {
        Self {
            name,
            // Hardly ever more than one.
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

    /// The label selector matches it.
    pub(crate) fn matched(&mut self) {
        (self.matches, self.has_matched) = (SelectorMatch::Yes, true);
    }

    /// Whether an event of this resourceVersion has something new. Events of a pod that is missed are older than the absence, and
    /// of use all the same.
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

    /// Whether a watch has sent what is older than what was delivered. Few waits have a use for it; see [`Place::uses_replay`].
    pub(crate) fn is_replay(&self, observed: &Observed<O>) -> bool {
        let (Observed::Pod(Via::Watch, pod) | Observed::Deleted(pod)) = observed else { return false };
        let version = parse_resource_version(pod.resource_version());
        version < u64::MAX && self.version >= Some(version)
    }

    /// Whether an answer of that resourceVersion, which something else has overtaken, is worth delivering: it is newer, or an
    /// error has overtaken it and it shows that the API server does answer.
    pub(crate) fn is_worth(&self, version: u64) -> bool {
        let unconfirmed = self.unconfirmed.as_ref().map(|pod| parse_resource_version(pod.resource_version()));
        self.version.max(unconfirmed) < Some(version) || (self.has_failed && self.version == Some(version))
    }

    /// Takes note of what is delivered. The watch of the scope has shown everything up to that place.
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

/// The same run in the same order: nothing here is decided by chance.
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
    /// Never twice the same.
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

    /// Adds a wait. Whether it is the first one for its pod.
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

    /// Whether an event of this resourceVersion may be of use to a wait for this pod.
    pub(crate) fn is_of_use(&self, pod: PodId, version: u64) -> bool {
        let Some(entry) = self.pods.get(pod) else { return false };
        // Whose event it is shows when it is read.
        let is_for_another = |wait: &WaitId| {
            self.waits.get(*wait).is_some_and(|place| place.uid.is_some_and(|uid| entry.uid != Some(uid)))
        };
        entry.is_news(version) || entry.waits.iter().any(is_for_another)
    }

    /// Takes a wait out, and its pod with the last of them.
    pub(crate) fn leave(&mut self, wait: WaitId) -> Option<(Place, PodName, Option<Entry<O>>)> {
        let place = self.waits.remove(wait)?;
        let entry = self.pods.get_mut(place.pod)?;
        entry.waits.retain(|other| *other != wait);
        if place.confirms != Confirms::Nothing {
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
        if self.names.capacity() > FEW && self.names.len() < self.names.capacity() / 4 {
            // Ten thousand that are over leave nothing behind.
            let pods = &self.pods;
            self.names.shrink_to(self.names.len() * 2, |pod| name_hash(pods[*pod].name.key()));
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
