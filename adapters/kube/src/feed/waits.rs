//! The waits of one feed: how they reach it, and it them.

use crate::feed::mailbox::Mailbox;
use crate::feed::table::{Fed, Table};
use crate::selection::PodName;
use crate::wire::decode::{Pod, Spare};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many pods of which all was told are kept for their memory: as many as may come in one piece of a watch.
const USED: usize = 32;

/// The waits of one feed.
pub(crate) struct Waits {
    table: Mutex<Table>,
    /// Something is to be read, or nobody waits any more.
    changed: Notify,
    /// Pods of which all was told.
    #[expect(clippy::vec_box, reason = "the boxes are used again, too")]
    used: Mutex<Vec<Box<Pod>>>,
}

impl Waits {
    /// Of a feed for every pod in sight, or only for those that a label selector matches.
    pub(crate) fn new(is_whole: bool) -> Self {
        Self { table: Mutex::new(Table::new(is_whole)), changed: Notify::new(), used: Mutex::default() }
    }

    /// Takes a pod of which all was told.
    pub(crate) fn take_back(&self, pod: Box<Pod>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < USED {
            used.push(pod);
        }
    }

    /// Where to put the next pod. What is there, if anything, is taken apart.
    pub(crate) fn vacate(&self, spare: &mut Spare) -> Box<Pod> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut pod = used.unwrap_or_default();
        spare.take_apart(std::mem::take(&mut *pod));
        pod
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
        self.lock().join(pod, mailbox, raw)
    }

    /// Takes a wait out.
    pub(crate) fn leave(&self, pod: &PodName, mailbox: &Arc<Mailbox>, raw: bool) {
        if self.lock().leave(pod, mailbox, raw) {
            self.wake();
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
        self.lock().state_of(pod)
    }
}
