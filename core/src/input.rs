//! The inputs of the machine.

use crate::snapshot::PodSnapshot;
use core::time::Duration;

/// One event, passed to [`crate::WaitMachine::handle`] together with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The pod from a watch event ADDED or MODIFIED, or from a source that may be stale: a cache, or a read that began
    /// before a newer object was received.
    Snapshot(&'a PodSnapshot),
    /// The pod from a consistent read: a GET or LIST without a resourceVersion. The read must have begun after the
    /// caller received the newest object of the pod that it passed to the machine.
    ///
    /// Only such a read can show that the API server's store was restored from a backup, so a caller that reads must pass
    /// its answers as this.
    Read(&'a PodSnapshot),
    /// A watch event DELETED of a watch by name, with the last stored object that it carries.
    ///
    /// A watch with a label or status selector also sends DELETED when the pod no longer matches the selector: confirm
    /// with a GET before passing this to the machine.
    Deleted(&'a PodSnapshot),
    /// A GET answered that this pod does not exist, or a complete, current LIST did not have it.
    ///
    /// Only a `Status` about this pod counts; any other 404 is an [`ApiError`].
    NotFound,
    /// The API server, or the way to it, failed.
    ApiError(ApiError<'a>),
    /// Nothing but time has passed.
    Tick,
    /// The caller cancels the wait.
    Cancel,
}

/// A failed call to the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiError<'a> {
    /// The HTTP status, or the `code` of a `Status` object in a watch stream; 0 when no answer came
    /// (refused, reset, timed out).
    pub code: u16,
    /// Whether the answer was a `Status` object (`metav1.Status`) of the API server about this request. A proxy's error
    /// page and a `Status` about another object do not count. The code alone proves nothing: without a `Status` the
    /// error is retried within `api_error_budget`.
    pub is_status: bool,
    /// `Retry-After`, if the server sent one.
    pub retry_after: Option<Duration>,
    /// A description for people. No secrets: it appears in failures and traces.
    pub message: &'a str,
}
