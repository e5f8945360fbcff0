//! A wait through a proxy, during the wait and after its end.

use podwait::{Exit, Failure, Observed, Turn};
use podwait_tests::proxy::Proxy;
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;

/// A running wait: its proxy, and the results of its calls.
pub(super) struct Line {
    pub(super) proxy: Proxy,
    calls: watch::Sender<Calls>,
}

/// The results of the wait's calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    /// Pods from calls; a watch counts once for each pod.
    pub(super) reads: u64,
    /// Those that failed.
    pub(super) errors: u64,
}

impl Line {
    pub(super) fn new(proxy: Proxy) -> Self {
        Self { proxy, calls: watch::Sender::new(Calls::default()) }
    }

    /// The observer of the wait.
    pub(super) fn look(&self) -> impl FnMut(Turn<'_>) + Send + 'static {
        let calls = self.calls.clone();
        move |turn| {
            calls.send_modify(|calls| {
                calls.reads += u64::from(matches!(turn.observed, Observed::Pod(..)));
                calls.errors += u64::from(matches!(turn.observed, Observed::Failed(_)));
            });
        }
    }

    pub(super) fn calls(&self) -> Calls {
        *self.calls.borrow()
    }

    /// Returns as soon as `is_so` is true for the results of the calls.
    pub(super) async fn until_knows(&self, is_so: impl FnMut(&Calls) -> bool) {
        let mut calls = self.calls.subscribe();
        // The sender exists as long as this line.
        drop(calls.wait_for(is_so).await);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n{:?}", self.calls(), self.proxy)
    }
}

impl std::ops::Deref for Line {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

/// A finished wait.
#[derive(Debug)]
pub(super) struct Waited {
    pub(super) outcome: Result<Exit, Failure>,
    /// How long it took, including skipped time.
    pub(super) took: Duration,
    /// How long after the end of the pod's life its answer came.
    pub(super) late: Duration,
    pub(super) proxy: Proxy,
}
