//! Waits that outlive their process: a file in which they are written down as they go.

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

/// Whether each record is on the disk, and not only with the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Written, and the operating system decides when: survives whatever happens to the process, but not to the machine.
    #[default]
    Never,
    /// On the disk before the wait begins, and before it answers: `fdatasync` after each record, and `fsync` of the folder after the
    /// file was created or rewritten. A power cut loses no record that was [checked](Journal::check), and no answer.
    Always,
}

/// A file in which waits are written down as they go, so that another process can take them up.
///
/// ```no_run
/// # async fn example(client: kube::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let journal = podwait::Journal::open("waits.journal", podwait::Fsync::Never)?;
/// // After a crash, the same lines: a wait that was under way goes on, one that was over answers at once.
/// let exit = journal.keep(podwait::wait(client, "ci", "step-1"))?.await;
/// // Use the answer, and then:
/// journal.forget("ci", "step-1")?;
/// # Ok(())
/// # }
/// ```
///
/// What is written is the [saved form](SavedWait) of the wait, one record for each observation that changed it; the step's
/// termination message may be in it, so the file is readable for its owner only (mode 0600, which one that was there before gets,
/// too). Every record has a checksum and a version. A record that was cut off at the file's end (the process was killed while
/// writing it) is taken off; damage anywhere else is an error. The file is locked, for one process at a time, and rewritten when
/// most of it is old; where it cannot be rewritten, it grows.
///
/// Only a regular file that is empty, or begins as a journal does, is ever written to.
///
/// Within a tokio runtime records are written on its threads for blocking work, several at once if there are: a slow disk holds up
/// no other wait. A wait begins when its first record is written, and answers when its last one is. The methods of a journal that
/// read or write the file do so at once, so they block, and so does the drop of its last clone if something is left to write.
///
/// Clones are the same journal. A program with a store of its own does without: give [`Turn::machine`]'s saved form to it, and
/// [`Wait::restore`] what comes out.
#[derive(Clone)]
pub struct Journal {
    open: Arc<Open>,
}

/// A wait that was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// Whom it was about.
    pub target: Target,
    /// How far it was.
    pub wait: SavedWait,
    /// When that was, by this machine's clock.
    pub at: SystemTime,
}

impl Journal {
    /// Opens a journal, or begins one.
    ///
    /// # Errors
    /// The file cannot be used, is used by another process, is no journal, is damaged, or was written by another version. It
    /// stays as it is then.
    pub fn open(path: impl AsRef<Path>, fsync: Fsync) -> Result<Self, JournalError> {
        Self::open_on(Box::new(Os), path.as_ref(), fsync)
    }

    fn open_on(disk: Box<dyn Disk>, path: &Path, fsync: Fsync) -> Result<Self, JournalError> {
        Ok(Self { open: Arc::new(Open::new(Store::open(disk, path, fsync)?)) })
    }

    /// The waits in it, in the order in which they began. Every call copies all of them; see [`entries_of`](Self::entries_of).
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.open.with(|store| store.all().map(|(target, stored)| stored.entry(target)).collect())
    }

    /// The waits for one pod, by their targets; found without a look at the others.
    #[must_use]
    pub fn entries_of(&self, namespace: &str, pod: &str) -> Vec<JournalEntry> {
        self.open
            .with(|store| store.of(namespace, pod).map(|(target, stored)| stored.entry(target)).collect())
    }

    /// Writes down what becomes of a wait. If there is one with the same target, it goes on with that, and with its policy.
    ///
    /// A record that cannot be written fails no wait; see [`check`](Self::check).
    ///
    /// # Errors
    /// What was written down cannot be restored.
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
        Ok(wait.look(move |turn: Turn<'_>| {
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

    /// Takes the waits for a pod out: their answers have been used.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn forget(&self, namespace: &str, pod: &str) -> io::Result<()> {
        self.open.with(|store| store.forget(namespace, pod))
    }

    /// Whether another process would find all that was noted: every record is in the file, and the file is where it was opened.
    /// A file that could not be rewritten to make it smaller is no error.
    ///
    /// Records that could not be written before (the disk was full) are tried again by this, and with every later record.
    ///
    /// # Errors
    /// Why the latest record of some wait cannot be written. [`NotFound`](io::ErrorKind::NotFound) if the file was removed, or
    /// another took its place.
    pub fn check(&self) -> io::Result<()> {
        self.open.with(Store::check)
    }
}
