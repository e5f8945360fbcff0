//! The seam between the wait loop and whatever observes a pod.

use podwait_hub::ObservedPod;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// One thing that was observed of a pod.
pub type Observed = podwait_hub::Observed<Arc<ObservedPod>>;

/// Observes one pod, for [`drive`](crate::drive).
///
/// A source decides nothing, and in particular it does not look at what the pod says.
#[cfg_attr(test, mockall::automock)]
pub trait PodSource: Send {
    /// The next thing that is observed, no later than `after`; [`Observed::Silence`] if nothing was.
    ///
    /// What comes by a GET or a LIST must be a consistent read that began after the source had returned the newest state of the
    /// pod before it: see [`Input::Read`](podwait_core::Input::Read). A source that has just started a read when `after` runs
    /// out may take a moment longer for it, so that a timer of the machine does not win over an answer that is on its way.
    ///
    /// It never fails and never hangs: errors are observations, and calls have timeouts of their own. It must be cancel-safe:
    /// when the future is dropped, nothing that was received may be lost to the next call.
    fn next(&mut self, after: Duration) -> impl Future<Output = Observed> + Send;
}
