//! What the machine is told.

use crate::snapshot::PodSnapshot;
use core::time::Duration;

/// One thing that happened, handed to [`crate::WaitMachine::handle`] together with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The pod as a watch event ADDED or MODIFIED showed it, or as something showed it that may be behind: a cache, or a
    /// read that a newer object has overtaken.
    Snapshot(&'a PodSnapshot),
    /// The pod as a consistent read showed it: a GET or LIST without a resourceVersion, which began after the newest object
    /// of the pod that was handed to the machine had been received.
    ///
    /// Only such a read can show that the API server's store was restored from a backup, so a caller that reads must pass
    /// its answers as this.
    Read(&'a PodSnapshot),
    /// A watch event DELETED of a watch by name, with the last stored object that it carries.
    ///
    /// A watch with a label or status selector also says DELETED when the pod merely stopped matching:
    /// confirm with a GET before telling the machine.
    Deleted(&'a PodSnapshot),
    /// A GET answered that this very pod does not exist, or a complete, current LIST came without it.
    ///
    /// Only a `Status` about this pod counts; any other 404 is an [`ApiError`].
    NotFound,
    /// The API server, or the way to it, failed.
    ApiError(ApiError<'a>),
    /// Nothing but time has passed.
    Tick,
    /// The caller gave up.
    Cancel,
}

/// A failed call to the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiError<'a> {
    /// The HTTP status, or the `code` of a `Status` object in a watch stream; 0 when no answer came
    /// (refused, reset, timed out).
    pub code: u16,
    /// Whether the answer was a `Status` object (`metav1.Status`) of the API server about this request. A page of a proxy
    /// is none, and a `Status` about another object is none of this request. Without it the code alone proves nothing:
    /// such an error passes, or uses up `api_error_budget`.
    pub is_status: bool,
    /// `Retry-After`, if the server sent one.
    pub retry_after: Option<Duration>,
    /// What went wrong, for people. No secrets: it ends up in failures and traces.
    pub message: &'a str,
}
