//! The waiters that are programs in Go.

use podwait_tests::cluster::{build, kubectl};
use std::path::{Path, PathBuf};

/// Their programs.
#[derive(Clone, Debug)]
pub struct Peers {
    /// That of the folder `peers`.
    pub peers: PathBuf,
    /// kubectl, of the version of the cluster.
    pub kubectl: PathBuf,
}

impl Peers {
    /// Builds them, which takes some minutes the first time.
    ///
    /// # Panics
    /// They cannot be built.
    #[must_use]
    pub fn build() -> Self {
        Self {
            peers: build(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/peers")), &[]),
            kubectl: kubectl(),
        }
    }
}
