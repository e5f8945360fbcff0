//! Creating the file of a trace.

use crate::files;
use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a file to write a trace to, readable only for its owner (mode 0600), because it may contain secrets. An
/// existing file is emptied and gets that mode too. A file that is not regular (a FIFO, a pipe such as `/dev/stdout`)
/// is only opened.
///
/// Opening a FIFO blocks until another process reads from it.
///
/// # Errors
/// The file cannot be opened, or other users have rights to it that cannot be removed.
pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
    let file = files::private().create(true).truncate(false).open(path)?;
    if files::other_kind(&file.metadata()?).is_none() {
        files::make_private(&file)?;
        file.set_len(0)?;
    }
    Ok(file)
}
