//! The kinds of objects that are read.

/// A kind and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) api_version: &'static str,
}

impl Kind {
    pub(crate) const POD: Self = Self { name: "Pod", api_version: "v1" };
    pub(crate) const POD_LIST: Self = Self { name: "PodList", api_version: "v1" };
    pub(crate) const JOB: Self = Self { name: "Job", api_version: "batch/v1" };
    pub(crate) const JOB_LIST: Self = Self { name: "JobList", api_version: "batch/v1" };
}
