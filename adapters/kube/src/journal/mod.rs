//! Waits that survive the end of their process: a file with their states.

mod disk;
mod error;
mod file;
mod index;
mod open;
mod place;
mod record;
mod store;
#[cfg(test)]
mod tests;

pub use error::JournalError;

use crate::source::Observed;
use crate::wait::Wait;
use disk::{Disk, Os};
use open::Open;
use podwait_core::Target;
use podwait_core::{RestoreError, SavedWait};
use podwait_hub::Turn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use store::Store;

/// Whether each record is synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Written, but not synced: records survive the end of the process, but not a crash of the machine.
    #[default]
    Never,
    /// Synced before the wait begins, and before it answers: `fdatasync` after each record, and `fsync` of the folder
    /// after the file was created or rewritten. A power cut loses no record that was [checked](Journal::check), and no
    /// answer.
    Always,
}

/// A file with the states of waits, so that another process can continue them.
///
/// ```no_run
/// # async fn example(client: podwait::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let journal = podwait::Journal::open("waits.journal", podwait::Fsync::Never)?;
/// // After a crash, run the same lines: an unfinished wait continues, a finished one answers at once.
/// let exit = journal.keep(podwait::wait(client, "ci", "step-1"))?.await;
/// // Use the answer, and then:
/// journal.forget("ci", "step-1")?;
/// # Ok(())
/// # }
/// ```
///
/// A record is the [saved form](SavedWait) of a wait, written after each observation that changed it. It may contain
/// the step's termination message, so only the file's owner may read it (mode 0600, which an existing file gets too).
/// Every record has a checksum and a version. A record that was cut off at the file's end (the process was killed
/// during the write) is removed; damage anywhere else is an error. The file is locked for one process at a time, and
/// rewritten when most of it is old; if it cannot be rewritten, it grows.
///
/// Podwait writes only to a regular file that is empty, or begins as a journal.
///
/// Within a tokio runtime, records are written on its threads for blocking work, several records in one write if
/// possible: a slow disk delays no wait without a journal. A wait begins when its first record is written, and answers
/// when its last one is. The methods of a journal that read or write the file block, and so does the drop of its last
/// clone if there are unwritten records.
///
/// Clones are the same journal. A program with a store of its own needs no journal: it stores the saved form of
/// [`Turn::machine`], and passes it to [`Wait::restore`] later.
#[derive(Clone)]
pub struct Journal {
    open: Arc<Open>,
}

/// A wait in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The target of the wait.
    pub target: Target,
    /// The state of the wait.
    pub wait: SavedWait,
    /// The time of that state, by this machine's clock.
    pub at: SystemTime,
}

impl Journal {
    /// Opens a journal, or creates one.
    ///
    /// # Errors
    /// The file cannot be used, is used by another process, is no journal, is damaged, or was written by another
    /// version. It stays unchanged then.
    pub fn open(path: impl AsRef<Path>, fsync: Fsync) -> Result<Self, JournalError> {
        Self::open_on(Box::new(Os), path.as_ref(), fsync)
    }

    fn open_on(disk: Box<dyn Disk>, path: &Path, fsync: Fsync) -> Result<Self, JournalError> {
        Ok(Self { open: Arc::new(Open::new(Store::open(disk, path, fsync)?)) })
    }

    /// The waits in the journal, in the order in which they began. Every call copies all of them; see
    /// [`entries_of`](Self::entries_of).
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.open.with(|store| store.all().map(|(target, stored)| stored.entry(target)).collect())
    }

    /// The waits for one pod, in the order of their targets; the cost does not depend on other waits.
    #[must_use]
    pub fn entries_of(&self, namespace: &str, pod: &str) -> Vec<JournalEntry> {
        self.open
            .with(|store| store.of(namespace, pod).map(|(target, stored)| stored.entry(target)).collect())
    }

    /// Keeps a wait in the journal. If the journal has one with the same target, the wait continues from that state,
    /// with the stored policy.
    ///
    /// A record that cannot be written fails no wait; see [`check`](Self::check).
    ///
    /// # Errors
    /// The stored state cannot be restored.
    pub fn keep(&self, wait: Wait) -> Result<Wait, RestoreError> {
        let target = wait.target().clone();
        let known =
            self.open.with(|store| store.get(&target).map(|stored| (stored.wait.clone(), stored.at())));
        let wait = match known {
            Some((saved, at)) => wait.restore(saved, at.elapsed().unwrap_or_default())?,
            None => {
                let fresh = wait.machine().save();
                self.open.note(&target, fresh);
                wait
            }
        };
        let (open, mut last) = (Arc::clone(&self.open), None);
        let wait = wait.around_answer(move || Box::pin(open.written()));
        let open = Arc::clone(&self.open);
        Ok(wait.on_turn(move |turn: Turn<'_>| {
            if let Observed::Silence = turn.observed {
                return;
            }
            let saved = turn.machine.save();
            let what = saved.clone().without_time();
            if last.as_ref() != Some(&what) {
                last = Some(what);
                open.note(&target, saved);
            }
        }))
    }

    /// Removes the waits for a pod, after their answers have been used.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn forget(&self, namespace: &str, pod: &str) -> io::Result<()> {
        self.open.with(|store| store.forget(namespace, pod))
    }

    /// Checks that another process would find all states: every record is in the file, and the file is where it was
    /// opened. A failed rewrite is no error.
    ///
    /// This, and every later record, tries again to write records that could not be written before (the disk was full).
    ///
    /// # Errors
    /// Why the latest record of a wait cannot be written. [`NotFound`](io::ErrorKind::NotFound) if the file was removed
    /// or replaced by another one.
    pub fn check(&self) -> io::Result<()> {
        self.open.with(Store::check)
    }
}
