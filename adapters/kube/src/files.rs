//! Files that other users must not read: termination messages in a journal, whole pods in a trace.

use std::fs::{self, File, OpenOptions};
use std::io;

/// Options for writing a file that is created with mode 0600.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Removes the rights of the group and of all others from an existing file, as if it had been created with 0600.
///
/// # Errors
/// There are such rights and they cannot be removed: the file belongs to another user, or its file system has no modes.
#[cfg(unix)]
pub(crate) fn make_private(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let private = fs::Permissions::from_mode(mode & 0o700);
    file.set_permissions(private).map_err(|error| {
        let sentence = format!(
            "others may use it (mode {mode:o}), and that cannot be changed here ({error}): chmod it to 600"
        );
        io::Error::new(error.kind(), sentence)
    })
}

/// On other systems a file has the rights of its folder.
#[cfg(not(unix))]
pub(crate) fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// The kind of a file that is not a regular one; `None` for a regular file.
pub(crate) fn other_kind(metadata: &fs::Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a FIFO");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => None,
        (false, true) => Some("a folder"),
        (false, false) => Some("a device"),
    }
}
