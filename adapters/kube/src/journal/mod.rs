//! Waits that outlive their process: a file in which they are written down as they go.

mod file;

pub use file::JournalError;

use crate::drive::Step;
use crate::source::Observed;
use crate::trace::Target;
use crate::wait::Wait;
use file::{File, Record};
use podwait_core::{Instant, RestoreError, SavedState, SavedWait};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Whether each record is on the disk before the wait goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Written, and the operating system decides when: survives whatever happens to the process, but not to the machine.
    #[default]
    Never,
    /// `fdatasync` after each record.
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
/// termination message may be in it, so the file is readable for its owner only. Every record has a checksum and a version. A
/// record that was cut off at the file's end (the process was killed while writing it) is taken off; damage anywhere else is
/// an error. The file is locked, for one process at a time, and rewritten when most of it is old.
///
/// Clones are the same journal. Who has a store of its own does without: give [`Step::machine`]'s saved form to it, and
/// [`Wait::restore`] what comes out.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: File,
    records: Vec<Record>,
    failed: Option<io::Error>,
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
    /// The file cannot be used, is used by somebody else, is damaged, or was written by another version.
    pub fn open(path: impl AsRef<Path>, fsync: Fsync) -> Result<Self, JournalError> {
        let (file, records) = File::open(path.as_ref(), fsync)?;
        Ok(Self { inner: Arc::new(Mutex::new(Inner { file, records, failed: None })) })
    }

    /// The waits in it, in the order in which they began.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        let entry = |record: &Record| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(record.at_ms);
            Some(JournalEntry { target: record.target.clone(), wait: record.wait.clone()?, at })
        };
        self.lock().records.iter().filter_map(entry).collect()
    }

    /// Writes down what becomes of a wait. If there is one with the same target, it goes on with that, and with its policy.
    ///
    /// A record that cannot be written fails no wait; [`check`](Self::check) tells of it.
    ///
    /// # Errors
    /// What was written down cannot be restored.
    pub fn keep(&self, wait: Wait) -> Result<Wait, RestoreError> {
        let target = wait.target().clone();
        let known = self.entries().into_iter().find(|entry| entry.target == target);
        let wait = match known {
            Some(entry) => wait.restore(entry.wait, entry.at.elapsed().unwrap_or_default())?,
            None => {
                let fresh = wait.machine().save();
                self.note(&target, Some(fresh));
                wait
            }
        };
        let (journal, mut last) = (self.clone(), None);
        Ok(wait.look_on(move |step: Step<'_>| {
            if let Observed::Silence = step.observed {
                return;
            }
            let saved = step.machine.save();
            let what = without_time(saved.clone());
            if last.as_ref() != Some(&what) {
                last = Some(what);
                journal.note(&target, Some(saved));
            }
        }))
    }

    /// Takes the waits for a pod out: their answers have been used.
    ///
    /// # Errors
    /// That cannot be written.
    pub fn forget(&self, namespace: &str, pod: &str) -> io::Result<()> {
        let targets = self.entries().into_iter().map(|entry| entry.target);
        for target in targets.filter(|target| target.namespace == namespace && target.pod == pod) {
            self.note(&target, None);
        }
        self.check()
    }

    /// Whether all could be written so far.
    ///
    /// # Errors
    /// The first record that could not; from then on none is written.
    pub fn check(&self) -> io::Result<()> {
        match &self.lock().failed {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }

    fn note(&self, target: &Target, wait: Option<SavedWait>) {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let record = Record { at_ms, target: target.clone(), wait };
        let inner = &mut *self.lock();
        if inner.failed.is_some() {
            return;
        }
        let written = inner.file.write(&record);
        let place = inner.records.iter().position(|old| old.target == record.target);
        match (place, record.wait.is_some()) {
            (Some(place), true) => inner.records[place] = record,
            (Some(place), false) => drop(inner.records.remove(place)),
            (None, true) => inner.records.push(record),
            (None, false) => {}
        }
        inner.failed = written.and_then(|()| inner.file.compact(&inner.records)).err();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What would be lost: not when it was seen last, nor when to look again.
fn without_time(mut saved: SavedWait) -> SavedWait {
    saved.now = Instant::ZERO;
    if let SavedState::Waiting(waiting) = &mut saved.state {
        waiting.wake = None;
        waiting.since.heard = None;
        (waiting.attempt, waiting.errors) = (0, 0);
        waiting.relists = (0, Instant::ZERO);
    }
    saved
}
