//! Files with what others must not read: termination messages in a journal, whole pods in a trace.

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

/// Takes the rights of the group and of all others away from a file that was there before, as 0600 does from the start.
///
/// # Errors
/// There are such rights and they cannot be taken: the file is another user's, or its file system has no modes.
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

/// Elsewhere a file has the rights of its folder.
#[cfg(not(unix))]
pub(crate) fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// What this is instead of a regular file; `None` for one.
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
