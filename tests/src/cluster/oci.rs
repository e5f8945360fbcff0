//! What containerd starts the containers of its node with.

/// An OCI runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OciRuntime {
    /// containerd's own.
    Runc,
    /// The one in C, of Debian's package `crun`.
    Crun,
    /// That of gVisor, whose containers have a kernel in user space. It is built here.
    Runsc,
}

impl OciRuntime {
    /// The one that `PODWAIT_OCI_RUNTIME` names, by default runc.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn chosen() -> Self {
        let name = std::env::var("PODWAIT_OCI_RUNTIME").unwrap_or_else(|_| String::from("runc"));
        let known = [Self::Runc, Self::Crun, Self::Runsc].into_iter().find(|known| known.name() == name);
        known.unwrap_or_else(|| panic!("PODWAIT_OCI_RUNTIME is {name:?}, none of runc, crun and runsc"))
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Runsc => "runsc",
        }
    }
}
