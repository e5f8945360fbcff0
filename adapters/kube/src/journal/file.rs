//! The file of a journal: locks it, appends to it, and rewrites it when most of it is old.

use super::disk::Disk;
use super::place::{Locked, folder_of, is_same, locked, remove_stale, same_owner};
use super::record::{Reading, Record, first_line};
use super::{Fsync, JournalError};
use crate::files;
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// The file is rewritten when it is larger than this, and this many times as large as its needed records.
const COMPACT: (u64, u64) = (256 << 10, 4);

/// An open journal.
pub(super) struct File {
    disk: Box<dyn Disk>,
    /// The path without links: a link to the file stays a link.
    path: PathBuf,
    file: Locked,
    /// The folder, set if every record has to be synced to the disk.
    folder: Option<fs::File>,
    /// The file's name is synced to the disk too.
    is_placed: bool,
    /// The length of the complete records.
    length: u64,
    /// A partial record may follow the complete ones.
    is_torn: bool,
    /// After a failed rewrite, the length at which the next one is tried.
    compact_at: u64,
}

impl File {
    /// Opens a journal, and shows all its records.
    pub(super) fn open(
        path: &Path,
        fsync: Fsync,
        disk: Box<dyn Disk>,
        mut show: impl FnMut(Record),
    ) -> Result<Self, JournalError> {
        let (file, path) = locked(path, &*disk)?;
        let io = |error| JournalError::Io(path.clone(), error);
        let mut reading = Reading::new(&path, BufReader::new(&file.0));
        while let Some(record) = reading.next()? {
            show(record);
        }
        let length = reading.length;
        // Up to here nothing was changed, because the file might not be a journal. From here on it is a journal, or
        // empty.
        files::make_private(&file.0).map_err(io)?;
        let folder = match fsync {
            Fsync::Always => Some(folder_of(&path).map_err(io)?),
            Fsync::Never => None,
        };
        let path = path.clone();
        let mut file =
            Self { disk, path, file, folder, is_placed: false, length, is_torn: true, compact_at: 0 };
        file.begin().map_err(|error| JournalError::Io(file.path.clone(), error))?;
        Ok(file)
    }

    /// Removes a partial record of a killed process, and writes the first line of an empty file.
    fn begin(&mut self) -> io::Result<()> {
        self.mend()?;
        if self.length == 0 {
            let line = first_line();
            // Always synced before any record: a file without its first line is no journal.
            let written = self.disk.write(&self.file.0, &line).and_then(|()| self.disk.sync(&self.file.0));
            written.inspect_err(|_| {
                // A file with a part of the line is no journal either, so the file is emptied.
                let _ = self.disk.cut(&self.file.0, 0);
            })?;
            self.length = line.len() as u64;
        }
        self.place()
    }

    /// Appends the line of a record. If that fails, the journal is unchanged.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.is_torn = true;
        self.disk.write(&self.file.0, line)?;
        if self.folder.is_some() {
            self.disk.sync(&self.file.0)?;
        }
        self.place()?;
        (self.length, self.is_torn) = (self.length + line.len() as u64, false);
        Ok(())
    }

    /// Removes a partial record.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.disk.cut(&self.file.0, self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Syncs the file's name, if records have to be synced.
    fn place(&mut self) -> io::Result<()> {
        if let Some(folder) = self.folder.as_ref().filter(|_| !self.is_placed) {
            self.disk.sync_folder(folder)?;
        }
        self.is_placed = true;
        Ok(())
    }

    /// Whether the journal's path still names this file.
    pub(super) fn is_there(&self) -> bool {
        is_same(&self.file.0, &self.path)
    }

    /// Rewrites the file if most of it is old: all but `needed` bytes are. If that fails (no right to create a file, a
    /// nearly full disk), the journal keeps growing, and the next attempt comes when it has grown by a quarter.
    pub(super) fn compact(&mut self, needed: u64, lines: impl FnOnce() -> io::Result<Vec<u8>>) {
        let (smallest, times) = COMPACT;
        if self.length <= smallest || self.length < needed.saturating_mul(times).max(self.compact_at) {
            return;
        }
        self.compact_at = match lines().and_then(|lines| self.rewrite(&lines)) {
            Ok(()) => 0,
            Err(_) => self.length.saturating_add(smallest.max(self.length / 4)),
        };
    }

    fn rewrite(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut new = self.path.clone().into_os_string();
        new.push(".compacting");
        let new = PathBuf::from(new);
        remove_stale(&new)?;
        let file = Locked(self.disk.create(&new)?);
        let length = self.replace_by(&file, &new, lines).inspect_err(|_| {
            // This process created the file, so it may remove it.
            let _ = fs::remove_file(&new);
        })?;
        (self.file, self.length, self.is_torn, self.is_placed) = (file, length, false, false);
        // If this fails, the old file may come back after a crash of the machine. It has all records too; the next
        // record is safe only after a sync of the folder.
        let _ = self.place();
        Ok(())
    }

    fn replace_by(&self, file: &Locked, new: &Path, lines: &[u8]) -> io::Result<u64> {
        file.0.try_lock().map_err(io::Error::from)?;
        same_owner(&file.0, &self.file.0)?;
        let first = first_line();
        self.disk.write(&file.0, &first)?;
        self.disk.write(&file.0, lines)?;
        // The new file must be complete on the disk before it replaces the old one.
        self.disk.sync(&file.0)?;
        if !self.is_there() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        self.disk.rename(new, &self.path)?;
        Ok((first.len() + lines.len()) as u64)
    }
}
