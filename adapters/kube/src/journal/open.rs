//! A journal while it is open: what was noted goes to the file off the executor.

use super::index::Index;
use super::store::{Noted, Store, now_ms};
use podwait_core::{SavedWait, Target};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;

/// A journal that is open: until this is dropped, which writes what is left. What still writes then is waited for.
pub(super) struct Open(Arc<Shared>);

struct Shared {
    /// `None` once it is closed.
    store: Mutex<Option<Store>>,
    notes: Mutex<Notes>,
}

/// What the store has yet to take in: the newest note of each wait.
struct Notes {
    of_waits: Index<Target, Noted>,
    /// Something will bring them there.
    has_writer: bool,
}

impl Open {
    pub(super) fn new(store: Store) -> Self {
        Self(Arc::new(Shared {
            store: Mutex::new(Some(store)),
            notes: Mutex::new(Notes { of_waits: Index::new(), has_writer: false }),
        }))
    }

    /// Does something with the store, which has taken in all that was noted.
    pub(super) fn with<T>(&self, what: impl FnOnce(&mut Store) -> T) -> T {
        match &mut *self.0.store() {
            Some(store) => what(store),
            None => unreachable!("it is open"),
        }
    }

    /// Notes how far a wait is. It fails no wait: what cannot be written is tried again with the next record.
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
        // Without a runtime it is written here.
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(writer)));
        }
    }

    /// Returns when all that was noted before is written, or could not be.
    pub(super) fn written(&self) -> impl Future<Output = ()> + use<> {
        let writer = Writer(Arc::clone(&self.0));
        async move {
            if let Ok(runtime) = Handle::try_current() {
                // It is written as well where the runtime ends meanwhile.
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
    /// The store, which has taken in all that was noted.
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

/// Writes what was noted, when it is dropped: on a thread for blocking work, or where its runtime drops it.
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
