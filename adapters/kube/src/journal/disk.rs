//! The calls to the operating system whose order or failure matters to a journal; tests replace them.

use crate::files;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// The operating system; tests use one that fails, and one that loses unsynced data.
pub(super) trait Disk: Send {
    /// Opens the journal, or creates it. It never blocks, whatever kind of file has that name.
    fn open(&self, path: &Path) -> io::Result<File> {
        let mut options = files::private();
        options.read(true).create(true).truncate(false);
        // Opening a FIFO would block until its other end is open.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
        options.open(path)
    }

    /// Creates a file where there is none; a link does not count as none.
    fn create(&self, path: &Path) -> io::Result<File> {
        files::private().read(true).create_new(true).open(path)
    }

    /// Writes at the file's end, which is also its position.
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Cuts the file to a length, and sets the position there.
    fn cut(&self, mut file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length)).map(drop)
    }

    /// Returns when the file's contents are on the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Returns when the names in this folder are on the disk.
    fn sync_folder(&self, folder: &File) -> io::Result<()> {
        folder.sync_all()
    }

    /// Gives a file the name of another one, which it replaces.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
}

/// The real one.
pub(super) struct Os;

impl Disk for Os {}
