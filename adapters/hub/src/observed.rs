//! Observations, which are delivered to waits.

use crate::failure::{ApiFailure, Via};

/// A pod's object, as far as this crate reads it. Cheap to clone: several waits may be for one pod.
pub trait Object: Clone {
    /// `metadata.uid`
    fn uid(&self) -> &str;
    /// `metadata.resourceVersion`
    fn resource_version(&self) -> &str;
}

/// One observation of a scope as a whole, for a wait on all of its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collected<O> {
    /// A LIST begins. One that is under way is dropped.
    ListBegins,
    /// An object, and the call that returned it.
    Object(Via, O),
    /// The object as a DELETED of a watch had it: it does not exist any more, or the label selector does not match it any more.
    Deleted(O),
    /// The LIST has ended: an object that was in none of the deliveries since [`ListBegins`](Self::ListBegins) does not exist.
    ListEnds,
    /// The API server, or the way to it, failed, or refuses the scope.
    Failed(ApiFailure),
}

/// One observation of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<O> {
    /// The pod, and the call that returned it. A GET and a LIST are consistent reads.
    Pod(Via, O),
    /// The pod as the event of its deletion had it.
    Deleted(O),
    /// The API server says that this pod does not exist.
    NotFound(Via),
    /// The API server, or the way to it, failed.
    Failed(ApiFailure),
    /// Nothing but time has passed.
    Silence,
    /// The caller cancelled the wait.
    Cancelled,
}

impl<O> Observed<O> {
    /// Whether this describes the pod.
    #[must_use]
    pub const fn is_good_read(&self) -> bool {
        match self {
            Self::Pod(..) | Self::Deleted(_) | Self::NotFound(_) => true,
            Self::Failed(_) | Self::Silence | Self::Cancelled => false,
        }
    }
}
