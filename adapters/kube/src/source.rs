//! The seam between the wait loop and whatever tells about the pod.

use crate::wire::decode::Pod;
use bytes::Bytes;
use podwait_core::{ApiError, Input};
use std::future::Future;
use std::time::Duration;

/// Tells about one pod.
///
/// The wait loop asks for the next thing; a source decides nothing, and in particular it does not look at what the
/// pod says. [`OnePod`](crate::OnePod) asks an API server; anything that can produce an [`Observed`] will do.
#[cfg_attr(test, mockall::automock)]
pub trait PodSource: Send {
    /// The next thing that is observed, no later than `after`; [`Observed::Silence`] if nothing was.
    ///
    /// A source that has just started a last look at the pod when `after` runs out may take a moment longer for
    /// it, so that a timer of the machine does not win over an answer that is already on its way.
    ///
    /// Never fails and never hangs: errors are observations, and calls have timeouts of their own. Must be
    /// cancel-safe: when the future is dropped, nothing that was received may be lost to the next call.
    fn next(&mut self, after: Duration) -> impl Future<Output = Observed> + Send;

    /// What is known already and is kept back for a moment, because something better may come. It is asked for, and told in
    /// the end, when otherwise a timer of the machine would speak. By default there is nothing.
    fn in_hand(&self) -> Option<Observed> {
        None
    }

    /// Takes back what it told, when the wait loop has done with it: a source may use the memory again. By default it is dropped.
    fn take_back(&mut self, observed: Observed) {
        drop(observed);
    }
}

/// One thing that a [`PodSource`] observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The pod, from a GET, a LIST or a watch event. What comes by a GET or a LIST must be a consistent read that began after
    /// the source had returned the newest state of the pod before it: see [`Input::Read`].
    Pod(ObservedPod),
    /// The pod as a watch event DELETED carried it.
    Deleted(ObservedPod),
    /// The API server says that this very pod does not exist.
    NotFound(Via),
    /// The API server, or the way to it, failed.
    ApiError(ApiFailure),
    /// Nothing but time has passed.
    Silence,
    /// The caller gave up. The wait loop produces this one itself.
    Cancelled,
}

/// A pod together with the way it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// The call that brought it.
    pub via: Via,
    /// The pod, boxed: it is by far the largest thing there is to observe.
    pub pod: Box<Pod>,
    /// The object's JSON as received; empty in a wait that nobody [looks on](crate::Wait::look).
    pub json: Bytes,
}

/// The call that an observation came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A GET of the pod.
    Get,
    /// A LIST.
    List,
    /// A watch event.
    Watch,
}

impl Via {
    /// The name used in traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// A failed call, owned. See [`podwait_core::ApiError`].
///
/// An [`Error`](std::error::Error), so that `?` passes it on beside others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiFailure {
    /// The call that failed.
    pub via: Via,
    /// The HTTP status or the code of the `Status` object; 0 when there was no answer, 200 when there was one that could
    /// not be read.
    pub code: u16,
    /// Whether the answer was a `Status` of the API server about this request, and no page of a proxy or the like.
    pub is_status: bool,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// One line for people, without secrets.
    pub message: String,
}

impl ApiFailure {
    /// Whether the API server says that it has forgotten the place in history that was asked for.
    pub(crate) const fn is_expired(&self) -> bool {
        self.is_status && self.code == 410
    }
}

impl Observed {
    /// Whether it is an answer that describes the pod.
    pub(crate) const fn is_good_read(&self) -> bool {
        match self {
            Self::Pod(_) | Self::Deleted(_) | Self::NotFound(_) => true,
            Self::ApiError(_) | Self::Silence | Self::Cancelled => false,
        }
    }

    /// The same for the machine.
    #[must_use]
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::Pod(observed) => match observed.via {
                Via::Get | Via::List => Input::Read(&observed.pod.snapshot),
                Via::Watch => Input::Snapshot(&observed.pod.snapshot),
            },
            Self::Deleted(observed) => Input::Deleted(&observed.pod.snapshot),
            Self::NotFound(_) => Input::NotFound,
            Self::ApiError(failure) => Input::ApiError(ApiError {
                code: failure.code,
                is_status: failure.is_status,
                retry_after: failure.retry_after,
                message: &failure.message,
            }),
            Self::Silence => Input::Tick,
            Self::Cancelled => Input::Cancel,
        }
    }
}
