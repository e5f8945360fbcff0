//! Creating the file of a trace.

use crate::files;
use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a file to write a trace to: readable for its owner only (mode 0600), since there may be secrets in it. A file that was
/// there before is emptied and gets that mode, too. What is no regular file (a FIFO, a pipe such as `/dev/stdout`) stays as it
/// is, and is only opened.
///
/// Opening a FIFO blocks until another process reads from it.
///
/// # Errors
/// The file cannot be opened, or others may use it and that cannot be changed.
pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
    let file = files::private().create(true).truncate(false).open(path)?;
    if files::other_kind(&file.metadata()?).is_none() {
        files::make_private(&file)?;
        file.set_len(0)?;
    }
    Ok(file)
}
