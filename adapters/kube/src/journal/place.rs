//! The path of a journal: which file has the name, its owner, and checks that it is a journal's file.

use super::JournalError;
use super::disk::Disk;
use super::record::first_line;
use crate::files;
use std::fs::{self, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file with a lock that lasts as long as the file is used.
///
/// Closing the file is not enough to release the lock: a child process that another thread starts has a copy of every
/// open file until its own program begins, and that copy keeps the lock.
pub(super) struct Locked(pub(super) fs::File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If this fails, closing the file is all that is left.
        let _ = self.0.unlock();
    }
}

/// Opens and locks the file that has the name now, and returns its path without links: another process may have
/// replaced the file meanwhile.
pub(super) fn locked(path: &Path, disk: &dyn Disk) -> Result<(Locked, PathBuf), JournalError> {
    let io = |error| JournalError::Io(path.to_owned(), error);
    let other_kind = |metadata: &fs::Metadata| {
        files::other_kind(metadata).map(|kind| JournalError::NotAFile(path.to_owned(), kind))
    };
    let mut problem = JournalError::InUse(path.to_owned());
    for _ in 0..10 {
        let file = match disk.open(path) {
            Ok(file) => file,
            // If the file cannot be opened, its kind may be the reason, and that is the better error.
            Err(error) => {
                let kind = fs::metadata(path).ok().and_then(|metadata| other_kind(&metadata));
                return Err(kind.unwrap_or_else(|| io(error)));
            }
        };
        if let Some(error) = other_kind(&file.metadata().map_err(io)?) {
            return Err(error);
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let file = Locked(file);
        match fs::canonicalize(path) {
            Ok(real) if is_same(&file.0, &real) => return Ok((file, real)),
            Ok(_) => {}
            Err(error) => problem = io(error),
        }
    }
    Err(problem)
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path.parent().unwrap_or_else(|| Path::new(".")))
}

/// Removes the file that a killed process left from a rewrite, and nothing else: a file that does not begin as a
/// journal, a link, or a file in use stays, and then the journal is not rewritten.
pub(super) fn remove_stale(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let in_the_way = || io::Error::from(io::ErrorKind::AlreadyExists);
    if files::other_kind(&file.metadata()?).is_some() {
        return Err(in_the_way());
    }
    file.try_lock().map_err(io::Error::from)?;
    let file = Locked(file);
    let first = first_line();
    let mut beginning = Vec::new();
    (&file.0).take(first.len() as u64).read_to_end(&mut beginning)?;
    if !beginning.is_empty() && beginning != first {
        return Err(in_the_way());
    }
    fs::remove_file(path)
}

#[cfg(unix)]
pub(super) fn is_same(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let both = file.metadata().ok().zip(fs::metadata(path).ok());
    both.is_some_and(|(one, other)| (one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
pub(super) fn is_same(_: &fs::File, _: &Path) -> bool {
    // On these systems an open file cannot be replaced.
    true
}

/// Gives a file the owner of another one, because root may rewrite another user's journal.
#[cfg(unix)]
pub(super) fn same_owner(new: &fs::File, old: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let owner = |file: &fs::File| file.metadata().map(|metadata| (metadata.uid(), metadata.gid()));
    let (have, want) = (owner(new)?, owner(old)?);
    if have == want { Ok(()) } else { fchown(new, Some(want.0), Some(want.1)) }
}

#[cfg(not(unix))]
pub(super) fn same_owner(_: &fs::File, _: &fs::File) -> io::Result<()> {
    Ok(())
}
