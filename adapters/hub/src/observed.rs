//! What is delivered to a wait.

use crate::failure::{ApiFailure, Via};

/// A pod's object, as far as it is looked at here. Cheap to clone: several waits may be for one pod.
pub trait Object: Clone {
    /// `metadata.uid`
    fn uid(&self) -> &str;
    /// `metadata.resourceVersion`
    fn resource_version(&self) -> &str;
}

/// One thing that was observed of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<O> {
    /// The pod, and the call that brought it. What comes by a GET or a LIST is a consistent read.
    Pod(Via, O),
    /// The pod as the event of its deletion carried it.
    Deleted(O),
    /// The API server says that this very pod does not exist.
    NotFound(Via),
    /// The API server, or the way to it, failed.
    Failed(ApiFailure),
    /// Nothing but time has passed.
    Silence,
    /// The caller gave up.
    Cancelled,
}

impl<O> Observed<O> {
    /// Whether it is an answer that describes the pod.
    #[must_use]
    pub const fn is_good_read(&self) -> bool {
        match self {
            Self::Pod(..) | Self::Deleted(_) | Self::NotFound(_) => true,
            Self::Failed(_) | Self::Silence | Self::Cancelled => false,
        }
    }
}
