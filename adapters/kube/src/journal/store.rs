//! The present states of a journal's waits, and which of them are in the file.

use super::disk::Disk;
use super::file::File;
use super::index::Index;
use super::{Fsync, JournalEntry, JournalError, record};
use podwait_core::SavedWait;
use podwait_core::Target;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The waits and their file.
pub(super) struct Store {
    file: File,
    waits: Index<Target, Stored>,
    /// The number of bytes of needed records: the latest one of each wait.
    needed: u64,
    /// Targets whose latest record is not in the file yet.
    owed: Index<Target, ()>,
}

/// The state of a wait.
pub(super) struct Stored {
    at_ms: u64,
    pub(super) wait: SavedWait,
    /// The length of its record in the file, in bytes; 0 if there is none yet.
    length: u64,
}

impl Stored {
    pub(super) fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(self.at_ms))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    pub(super) fn entry(&self, target: &Target) -> JournalEntry {
        JournalEntry { target: target.clone(), wait: self.wait.clone(), at: self.at() }
    }
}

impl Store {
    pub(super) fn open(disk: Box<dyn Disk>, path: &Path, fsync: Fsync) -> Result<Self, JournalError> {
        let (mut waits, mut needed) = (Index::new(), 0);
        let file = File::open(path, fsync, disk, |record| {
            let old = match record.wait {
                Some(wait) => {
                    needed += record.length;
                    waits.insert(record.target, Stored { at_ms: record.at_ms, wait, length: record.length })
                }
                None => waits.remove(&record.target),
            };
            needed -= old.map_or(0, |old| old.length);
        })?;
        let mut store = Self { file, waits, needed, owed: Index::new() };
        store.compact();
        Ok(store)
    }

    pub(super) fn get(&self, target: &Target) -> Option<&Stored> {
        self.waits.get(target)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Target, &Stored)> {
        self.waits.in_order().into_iter()
    }

    pub(super) fn of(&self, namespace: &str, pod: &str) -> impl Iterator<Item = (&Target, &Stored)> {
        // The smallest possible target of the pod; it need not have a wait.
        let first = Target { namespace: namespace.to_owned(), pod: pod.to_owned(), ..Target::default() };
        let all = self.waits.starting_at(&first);
        all.take_while(move |(target, _)| (&target.namespace, &target.pod) == (&first.namespace, &first.pod))
    }

    /// Takes in the state of a wait at that time. The next call of [`write`](Self::write) writes it.
    pub(super) fn take_in(&mut self, target: Target, Noted { at_ms, wait }: Noted) {
        let old = self.waits.insert(target.clone(), Stored { at_ms, wait, length: 0 });
        self.needed -= old.map_or(0, |old| old.length);
        self.owed.insert(target, ());
    }

    pub(super) fn forget(&mut self, namespace: &str, pod: &str) -> io::Result<()> {
        let targets: Vec<Target> = self.of(namespace, pod).map(|(target, _)| target.clone()).collect();
        for target in targets {
            let old = self.waits.remove(&target);
            self.needed -= old.map_or(0, |old| old.length);
            self.owed.insert(target, ());
        }
        self.check()
    }

    pub(super) fn check(&mut self) -> io::Result<()> {
        self.write()?;
        if self.file.is_there() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "its file was removed or replaced"))
    }

    /// Writes the missing records. A record that fails is tried again by the next call.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let Self { file, waits, needed, owed } = self;
        let (mut too_long, mut failed) = (None, None);
        owed.retain(|target| {
            if failed.is_some() {
                return true;
            }
            let stored = waits.get_mut(target);
            let (at_ms, wait) =
                stored.as_ref().map_or_else(|| (now_ms(), None), |stored| (stored.at_ms, Some(&stored.wait)));
            let line = match record::line(at_ms, target, wait) {
                Ok(line) => line,
                Err(error) => {
                    too_long = Some(error);
                    return true;
                }
            };
            failed = file.write(&line).err();
            if let (Some(stored), None) = (stored, &failed) {
                stored.length = line.len() as u64;
                *needed += stored.length;
            }
            failed.is_some()
        });
        self.compact();
        failed.or(too_long).map_or(Ok(()), Err)
    }

    fn compact(&mut self) {
        let Self { file, waits, needed, .. } = self;
        file.compact(*needed, || {
            let lines = waits.in_order().into_iter();
            let lines = lines.map(|(target, stored)| record::line(stored.at_ms, target, Some(&stored.wait)));
            lines.collect::<io::Result<Vec<_>>>().map(|lines| lines.concat())
        });
    }
}

/// The state of a wait, and its time in milliseconds since the Unix epoch.
pub(super) struct Noted {
    pub(super) at_ms: u64,
    pub(super) wait: SavedWait,
}

pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
