//! A journal while it is open: records are written to the file outside of the executor.

use super::index::Index;
use super::store::{Noted, Store, now_ms};
use podwait_core::{SavedWait, Target};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// An open journal. Its drop writes the remaining records, and waits for a write that is under way.
pub(super) struct Open(Arc<Shared>);

struct Shared {
    /// `None` once it is closed.
    store: Mutex<Option<Store>>,
    notes: Mutex<Notes>,
}

/// States that the store has yet to take in: the newest one of each wait.
struct Notes {
    of_waits: Index<Target, Noted>,
    /// A writer is scheduled.
    has_writer: bool,
}

impl Open {
    pub(super) fn new(store: Store) -> Self {
        Self(Arc::new(Shared {
            store: Mutex::new(Some(store)),
            notes: Mutex::new(Notes { of_waits: Index::new(), has_writer: false }),
        }))
    }

    /// Calls `what` with the store, after it has taken in all notes.
    pub(super) fn with<T>(&self, what: impl FnOnce(&mut Store) -> T) -> T {
        match &mut *self.0.store() {
            Some(store) => what(store),
            None => unreachable!("it is open"),
        }
    }

    /// Notes the state of a wait. It fails no wait: a record that cannot be written is tried again with the next one.
    pub(super) fn note(&self, target: &Target, wait: SavedWait) {
        let has_writer = {
            let mut notes = lock(&self.0.notes);
            notes.of_waits.insert(target.clone(), Noted { at_ms: now_ms(), wait });
            std::mem::replace(&mut notes.has_writer, true)
        };
        if has_writer {
            return;
        }
        let writer = Writer(Arc::clone(&self.0));
        // Without a runtime the record is written here.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(writer)));
        }
    }

    /// Returns when all earlier notes are written, or could not be written.
    pub(super) fn written(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            if let Ok(runtime) = Handle::try_current() {
                let writer = Writer(shared);
                // The notes are written even if the runtime ends meanwhile.
                let _ = runtime.spawn_blocking(move || drop(writer)).await;
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut store = self.0.store();
        if let Some(store) = &mut *store {
            let _ = store.write();
        }
        *store = None;
    }
}

impl Shared {
    /// The store, after it has taken in all notes.
    fn store(&self) -> MutexGuard<'_, Option<Store>> {
        let mut store = lock(&self.store);
        if let Some(store) = &mut *store {
            let mut notes = lock(&self.notes);
            notes.has_writer = false;
            notes.of_waits.drain().into_iter().for_each(|(target, noted)| store.take_in(target, noted));
        }
        store
    }
}

/// Writes the notes when it is dropped: on a thread for blocking work, or where the runtime drops it.
struct Writer(Arc<Shared>);

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(store) = &mut *self.0.store() {
            let _ = store.write();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
