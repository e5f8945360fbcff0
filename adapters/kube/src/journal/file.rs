//! The file: one record a line, with a checksum before it.

use super::Fsync;
use crate::trace::Target;
use podwait_core::SavedWait;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The version of the records.
const VERSION: u32 = 1;

/// Longest record that is read, in bytes.
const LONGEST: u64 = 8 << 20;

/// The file is rewritten when it is larger than this, and so many times as large as what is needed of it.
const COMPACT: (u64, u64) = (256 << 10, 4);

/// One wait at one time; no wait is one that was forgotten.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) at_ms: u64,
    pub(super) target: Target,
    pub(super) wait: Option<SavedWait>,
}

#[derive(Serialize, Deserialize)]
struct RecordView<T> {
    podwait_journal: u32,
    #[serde(flatten)]
    record: T,
}

#[derive(Deserialize)]
struct VersionView {
    podwait_journal: u32,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("the journal {0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another process has it.
    #[error("the journal {0} is in use by another process")]
    InUse(PathBuf),
    /// A record before the last one is damaged, or it is no journal.
    #[error("line {1} of the journal {0} is damaged, or it is no journal: {2}")]
    Damaged(PathBuf, u64, &'static str),
    /// A record was written by another version.
    #[error("line {1} of the journal {0} has version {2}, this reads version {VERSION}")]
    Version(PathBuf, u64, u32),
    /// A record cannot be understood.
    #[error("line {1} of the journal {0} cannot be read: {2}")]
    Record(PathBuf, u64, serde_json::Error),
}

/// A file that is read or written as long as it is locked.
///
/// Closing it is not enough to give the lock up: a child that another thread starts has a copy of every open file until its
/// own program begins, and the lock lives on in that.
struct Locked(fs::File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Where that fails, closing it does what can be done.
        let _ = self.0.unlock();
    }
}

/// An open journal.
pub(super) struct File {
    path: PathBuf,
    file: Locked,
    fsync: Fsync,
    length: u64,
}

impl File {
    pub(super) fn open(path: &Path, fsync: Fsync) -> Result<(Self, Vec<Record>), JournalError> {
        let io = |error| JournalError::Io(path.to_owned(), error);
        let file = locked(path)?;
        let mut reading = Reading { path, input: BufReader::new(&file.0), line: 0, length: 0 };
        let mut records: Vec<Record> = Vec::new();
        while let Some(record) = reading.next()? {
            let place = records.iter().position(|old| old.target == record.target);
            match place {
                Some(place) => records[place] = record,
                None => records.push(record),
            }
        }
        let length = reading.length;
        records.retain(|record| record.wait.is_some());
        // What a killed process has begun to write.
        file.0.set_len(length).map_err(io)?;
        let mut file = Self { path: path.to_owned(), file, fsync, length };
        file.file.0.seek(io::SeekFrom::End(0)).map_err(io)?;
        file.compact(&records).map_err(io)?;
        Ok((file, records))
    }

    /// Adds a record. If that fails midway, what was written of it is taken off at the next opening.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        let line = line(record)?;
        self.file.0.write_all(&line)?;
        self.length += line.len() as u64;
        match self.fsync {
            Fsync::Always => self.file.0.sync_data(),
            Fsync::Never => Ok(()),
        }
    }

    /// Rewrites the file, if most of it is old.
    pub(super) fn compact(&mut self, records: &[Record]) -> io::Result<()> {
        let (smallest, times) = COMPACT;
        if self.length <= smallest {
            return Ok(());
        }
        let mut lines = Vec::new();
        for record in records {
            lines.extend(line(record)?);
        }
        let length = lines.len() as u64;
        if self.length < length.saturating_mul(times) {
            return Ok(());
        }
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let file = options().truncate(true).open(&new)?;
        file.try_lock().map_err(io::Error::from)?;
        let mut file = Locked(file);
        file.0.write_all(&lines)?;
        // Whole before it takes the old one's place, whatever happens to the machine.
        file.0.sync_data()?;
        fs::rename(&new, &self.path)?;
        (self.file, self.length) = (file, length);
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens and locks the file that has the name now: another process may have put a new one in its place meanwhile.
fn locked(path: &Path) -> Result<Locked, JournalError> {
    let io = |error| JournalError::Io(path.to_owned(), error);
    for _ in 0..10 {
        let file = options().truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let file = Locked(file);
        if is_same(&file.0, path) {
            return Ok(file);
        }
    }
    Err(JournalError::InUse(path.to_owned()))
}

#[cfg(unix)]
fn is_same(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().ok().map(id) == fs::metadata(path).ok().map(id)
}

#[cfg(not(unix))]
fn is_same(_: &fs::File, _: &Path) -> bool {
    // A file that is open cannot be replaced.
    true
}

fn line(record: &Record) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(&RecordView { podwait_journal: VERSION, record })?;
    let mut line = format!("{:08x} ", crc32fast::hash(json.as_bytes())).into_bytes();
    line.extend_from_slice(json.as_bytes());
    line.push(b'\n');
    Ok(line)
}

/// Reads a file from its beginning.
struct Reading<'a, R> {
    path: &'a Path,
    input: R,
    line: u64,
    /// Of what was read whole.
    length: u64,
}

impl<R: BufRead> Reading<'_, R> {
    /// The next record; `None` at the end, or where the last one was cut off.
    fn next(&mut self) -> Result<Option<Record>, JournalError> {
        self.line += 1;
        let mut line = Vec::new();
        let read = (&mut self.input).take(LONGEST).read_until(b'\n', &mut line);
        let read = read.map_err(|error| JournalError::Io(self.path.to_owned(), error))? as u64;
        let damaged = |why| JournalError::Damaged(self.path.to_owned(), self.line, why);
        if read == LONGEST {
            return Err(damaged("it is too long"));
        }
        let Some(record) = line.strip_suffix(b"\n") else { return Ok(None) };
        let Some(json) = checked(record) else {
            // The end of the file may not have reached the disk in order.
            let is_last = self.input.fill_buf().is_ok_and(<[u8]>::is_empty);
            return if is_last { Ok(None) } else { Err(damaged("its checksum is wrong")) };
        };
        let unreadable = |error| JournalError::Record(self.path.to_owned(), self.line, error);
        let VersionView { podwait_journal } = serde_json::from_slice(json).map_err(unreadable)?;
        if podwait_journal != VERSION {
            return Err(JournalError::Version(self.path.to_owned(), self.line, podwait_journal));
        }
        let RecordView { record, .. } = serde_json::from_slice(json).map_err(unreadable)?;
        self.length += read;
        Ok(Some(record))
    }
}

/// The record behind its checksum, if that is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json)).then_some(json)
}
