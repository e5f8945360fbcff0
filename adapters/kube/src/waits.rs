//! The waits of one feed: how they reach it, and it them.

use crate::mailbox::Mailbox;
use crate::selection::PodName;
use crate::table::{Fed, Table};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The waits of one feed.
pub(crate) struct Waits {
    table: Mutex<Table>,
    /// Something is to be read, or nobody waits any more.
    changed: Notify,
}

impl Waits {
    /// Of a feed for every pod in sight, or only for those that a label selector matches.
    pub(crate) fn new(is_whole: bool) -> Self {
        Self { table: Mutex::new(Table::new(is_whole)), changed: Notify::new() }
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
