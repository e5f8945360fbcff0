//! The waiters that are Go programs.

use podwait_tests::cluster::{build, kubectl};
use std::path::{Path, PathBuf};

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The program of the folder `peers`.
    pub peers: PathBuf,
    /// kubectl, of the version of the cluster.
    pub kubectl: PathBuf,
}

impl Peers {
    /// Builds the programs, which takes some minutes the first time.
    ///
    /// # Panics
    /// The programs cannot be built.
    #[must_use]
    pub fn build() -> Self {
        Self {
            peers: build(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/peers")), &[]),
            kubectl: kubectl(),
        }
    }
}
