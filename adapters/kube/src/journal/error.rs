//! Why a journal cannot be used.

use super::record::VERSION;
use std::io;
use std::path::PathBuf;

/// Why a journal cannot be used. In every case the file is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("the journal {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// Another process uses the file.
    #[error(
        "the journal {0} is in use by another process: wait until that process ends, or name another file"
    )]
    InUse(PathBuf),
    /// The path is a folder, a FIFO, a device or a socket, which cannot hold a journal.
    #[error("{0} is {1} and cannot hold a journal: name a regular file")]
    NotAFile(PathBuf, &'static str),
    /// The file is not empty, and not a journal.
    #[error("{0} is not a journal of podwait, and was not changed: name another file, or remove it")]
    NoJournal(PathBuf),
    /// A record before the last one is damaged.
    #[error("line {1} of the journal {0} is damaged ({2}): move the file away to wait anew")]
    Damaged(PathBuf, u64, &'static str),
    /// The file was written by another version.
    #[error(
        "line {1} of the journal {0} has version {2}, this program reads version {VERSION}: use the podwait that wrote it"
    )]
    Version(PathBuf, u64, u32),
    /// A record cannot be understood.
    #[error(
        "line {1} of the journal {0} cannot be read ({2}): use the podwait that wrote it, or move the file away"
    )]
    Record(PathBuf, u64, #[source] serde_json::Error),
}
