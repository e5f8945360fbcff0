//! Who waits for which pod, and which pods are to be read: what the waits and the one who feeds them share.

use crate::mailbox::{Mailbox, Notice};
use crate::selection::PodName;
use crate::source::{ApiFailure, Observed, ObservedPod};
use bytes::Bytes;
use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Those who come together share a LIST: it waits for more until nobody has come for so long, but no longer than that.
const GATHER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// A read that is due sooner than this is urgent: a decision waits for it. The others are for safety.
const URGENT: Duration = Duration::from_secs(10);

/// The waits of one feed.
pub(crate) struct Waits {
    table: Mutex<Table>,
    /// Something is to be read, or nobody waits any more.
    changed: Notify,
}

/// What is behind the lock.
#[derive(Default)]
pub(crate) struct Table {
    pods: HashMap<PodName, Waited>,
    /// Reads that were asked for and not sent, the one first that was asked for with the least patience. So an urgent one
    /// overtakes the others, but none is overtaken for ever.
    queue: BTreeSet<Due>,
    /// How many of those are urgent.
    pub(crate) urgent: usize,
    asked: u64,
    /// What was delivered, and who came: never twice the same number.
    turns: u64,
    /// Whether events come.
    pub(crate) is_watching: bool,
    /// Whether a LIST is under way, after which events come.
    pub(crate) is_listing: bool,
    /// Every pod in sight is watched, and not only those that a label selector matches.
    is_whole: bool,
    /// LISTs that have begun.
    pub(crate) lists: u64,
    /// When the first and the last came of those who have come since the last one began.
    came: Option<(Instant, Instant)>,
    pub(crate) service: Service,
}

/// How a wait is told of its pod, if it does not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// By events.
    ByWatch,
    /// By the LIST that is under way, and then by events.
    ByList,
    NotYet,
}

/// Whether somebody feeds the waits.
#[derive(Clone, Debug, Default)]
pub(crate) enum Service {
    #[default]
    Stopped,
    Running,
    /// The API server will not list or watch these pods; to be tried again at that time.
    Refused(ApiFailure, Instant),
}

/// A read to be sent: by when, whether it is urgent, a number that tells it from others, the pod.
type Due = (Instant, bool, u64, PodName);

/// A pod that somebody waits for.
#[derive(Default)]
pub(crate) struct Waited {
    mailboxes: Vec<Arc<Mailbox>>,
    /// How many of them want the pod's JSON.
    raw: usize,
    read: Read,
    /// Changes with what is delivered, so that an answer that was overtaken is known as such.
    pub(crate) turn: u64,
    /// The resourceVersion of the pod when it was delivered last, as a [`number`].
    pub(crate) version: Option<u64>,
    /// LISTs that had begun when the first wait came, and the last one that had the pod.
    pub(crate) came: u64,
    pub(crate) listed: u64,
    /// A LIST or the watch has brought the pod, so that a label selector matches it.
    pub(crate) is_selected: bool,
    /// What a DELETED carried of which a GET must say whether it was a deletion.
    pub(crate) doubted: Option<ObservedPod>,
}

/// The read of a pod.
#[derive(Default)]
enum Read {
    #[default]
    None,
    Queued(Due),
    Sent,
}

/// A resourceVersion as a number, which is what it is in every released API server; one that is none is newer than all.
pub(crate) fn number(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(u64::MAX)
}

impl Waits {
    /// Of a feed for every pod in sight, or only for those that a label selector matches.
    pub(crate) fn new(is_whole: bool) -> Self {
        Self { table: Mutex::new(Table { is_whole, ..Table::default() }), changed: Notify::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when something is to be done.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Adds a wait. Whether the feed must be started.
    pub(crate) fn join(&self, pod: &PodName, mailbox: &Arc<Mailbox>, raw: bool) -> bool {
        let mut table = self.lock();
        let table = &mut *table;
        let is_up = match &table.service {
            Service::Running => true,
            Service::Stopped => false,
            Service::Refused(_, until) if *until <= Instant::now() => false,
            Service::Refused(..) => {
                mailbox.notify(Notice::Closed);
                return false;
            }
        };
        table.service = Service::Running;
        table.turns += 1;
        let (came, turn) = (table.lists, table.turns);
        let new = || Waited { came, turn, ..Waited::default() };
        let waited = table.pods.entry(pod.clone()).or_insert_with(new);
        waited.mailboxes.push(Arc::clone(mailbox));
        waited.raw += usize::from(raw);
        let now = Instant::now();
        let (first, _) = *table.came.get_or_insert((now, now));
        table.came = Some((first, now));
        if !table.is_whole && first == now {
            self.wake();
        }
        !is_up
    }

    /// Takes a wait out.
    pub(crate) fn leave(&self, pod: &PodName, mailbox: &Arc<Mailbox>, raw: bool) {
        let mut table = self.lock();
        let table = &mut *table;
        let Some(waited) = table.pods.get_mut(pod) else { return };
        let others = waited.mailboxes.len();
        waited.mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
        if waited.mailboxes.len() < others {
            waited.raw -= usize::from(raw);
        }
        if waited.mailboxes.is_empty() {
            table.forget_read(pod.borrow());
            table.pods.remove(pod);
            if table.pods.is_empty() {
                // Ten thousand that are over leave nothing behind.
                table.pods = HashMap::new();
                self.wake();
            }
        }
    }

    /// Asks for a read of the pod, on which somebody has waited for `patience` already, unless one is under way.
    pub(crate) fn ask(&self, pod: &PodName, patience: Duration) {
        if self.lock().ask(pod, patience) {
            self.wake();
        }
    }

    /// Whether a read of the pod is under way, and how else it is told of.
    pub(crate) fn state_of(&self, pod: &PodName) -> (bool, Fed) {
        let table = self.lock();
        let Some(waited) = table.pods.get(pod) else { return (false, Fed::NotYet) };
        let is_read = match waited.read {
            Read::None => false,
            Read::Queued(_) | Read::Sent => true,
        };
        let fed = match table.is_watched(pod.borrow()) {
            true => Fed::ByWatch,
            false if table.is_listing => Fed::ByList,
            false => Fed::NotYet,
        };
        (is_read, fed)
    }
}

impl Table {
    pub(crate) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Waited> {
        self.pods.get_mut(name)
    }

    /// Whether events come for the pod.
    pub(crate) fn is_watched(&self, name: &str) -> bool {
        let is_selected = |waited: &Waited| self.is_whole || waited.is_selected;
        self.is_watching && self.pods.get(name).is_some_and(is_selected)
    }

    pub(crate) fn begin_list(&mut self) {
        self.lists += 1;
        self.is_listing = true;
        self.came = None;
    }

    /// When those who have come since the last LIST began may have one, as far as they are concerned.
    pub(crate) fn gathered(&self) -> Option<Instant> {
        let (lull, longest) = GATHER;
        self.came.map(|(first, last)| (last + lull).min(first + longest))
    }

    pub(crate) fn names(&self) -> Vec<PodName> {
        self.pods.keys().cloned().collect()
    }

    /// Puts a read in the queue. Whether there was none.
    pub(crate) fn ask(&mut self, pod: &PodName, patience: Duration) -> bool {
        let Some(waited) = self.pods.get_mut(pod) else { return false };
        let Read::None = waited.read else { return false };
        self.asked += 1;
        let due = (Instant::now() + patience, patience < URGENT, self.asked, pod.clone());
        self.urgent += usize::from(due.1);
        self.queue.insert(due.clone());
        waited.read = Read::Queued(due);
        true
    }

    pub(crate) fn has_reads(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes the next read to be sent, with the pod's turn.
    pub(crate) fn send_read(&mut self) -> Option<(PodName, u64)> {
        let (_, is_urgent, _, pod) = self.queue.pop_first()?;
        self.urgent -= usize::from(is_urgent);
        let waited = self.pods.get_mut(&pod)?;
        waited.read = Read::Sent;
        Some((pod, waited.turn))
    }

    /// Whatever read of the pod is under way is old by now.
    pub(crate) fn forget_read(&mut self, name: &str) {
        let Some(waited) = self.pods.get_mut(name) else { return };
        self.turns += 1;
        waited.turn = self.turns;
        if let Read::Queued(due) = std::mem::take(&mut waited.read) {
            self.queue.remove(&due);
            self.urgent -= usize::from(due.1);
        }
    }

    /// Tells everybody who waits for the pod. A read of it that is under way is old by then.
    pub(crate) fn deliver(&mut self, name: &str, mut observed: Observed) {
        self.forget_read(name);
        let Some(waited) = self.pods.get_mut(name) else { return };
        if let Observed::Pod(pod) | Observed::Deleted(pod) = &mut observed {
            waited.version = Some(number(&pod.pod.snapshot.resource_version));
            if waited.raw == 0 {
                // The text of a whole pod, or of a page of them.
                pod.json = Bytes::new();
            }
        }
        let Some((last, others)) = waited.mailboxes.split_last() else { return };
        for mailbox in others {
            mailbox.deliver(observed.clone());
        }
        last.deliver(observed);
    }

    /// Tells everybody that a call on behalf of all has failed. Reads go on.
    pub(crate) fn fail_all(&mut self, failure: &ApiFailure) {
        for waited in self.pods.values() {
            for mailbox in &waited.mailboxes {
                mailbox.deliver(Observed::ApiError(failure.clone()));
            }
        }
    }

    pub(crate) fn notify_all(&self, notice: Notice) {
        for mailbox in self.pods.values().flat_map(|waited| &waited.mailboxes) {
            mailbox.notify(notice);
        }
    }

    /// Sends everybody away.
    pub(crate) fn close(&mut self, service: Service) {
        self.notify_all(Notice::Closed);
        let Self { is_whole, lists, asked, turns, .. } = *self;
        *self = Self { service, is_whole, lists, asked, turns, ..Self::default() };
    }
}
