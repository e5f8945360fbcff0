//! The interface between the wait loop and an observer of a pod.

use podwait_hub::ObservedPod;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// One observation of a pod.
pub type Observed = podwait_hub::Observed<Arc<ObservedPod>>;

/// Observes one pod, for [`drive`](crate::drive).
///
/// A source decides nothing, and does not interpret the pod's state.
#[cfg_attr(test, mockall::automock)]
pub trait PodSource: Send {
    /// The next observation, within `after`; [`Observed::Silence`] if there was none.
    ///
    /// A GET or a LIST must be a consistent read that began after the source had returned the newest earlier state of
    /// the pod: see [`Input::Read`](podwait_core::Input::Read). If a read has just started when `after` is over, the
    /// source may take slightly longer, so that a timer of the machine does not precede an answer that is on its way.
    ///
    /// This never fails and never hangs: errors are observations, and calls have timeouts of their own. It must be
    /// cancel-safe: if the future is dropped, the next call must still return what was received.
    fn next(&mut self, after: Duration) -> impl Future<Output = Observed> + Send;
}
