//! Many waits over one LIST and one watch.

use crate::feed::budget::Budget;
use crate::feed::subscription::Subscription;
use crate::feed::table::Service;
use crate::feed::waits::Waits;
use crate::feed::{Feed, LONGEST_REST};
use crate::one_pod::OnePod;
use crate::selection::{PodName, Scope};
use crate::source::ApiFailure;
use crate::wait::Wait;
use std::sync::{Arc, Weak};
use tokio::time::Instant;

/// Waits on any number of pods over one LIST and one watch. An agent keeps one; clones are the same hub.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = podwait::client(kube::Config::infer().await?)?;
/// let hub = podwait::Hub::new(client, podwait::Scope::namespace("ci").labels("agent=7"));
/// let (first, second) = tokio::join!(hub.wait("ci", "step-1"), hub.wait("ci", "step-2").container("step"));
/// # Ok(())
/// # }
/// ```
///
/// A wait may come at any time, also before its pod is there. The watch is opened for the first one, by a task on tokio's
/// current runtime, and closed when the last one has its answer or is dropped. Nothing is kept of pods for which nobody
/// waits.
///
/// # What the API server is asked
///
/// One LIST (in pages of 500) and one watch, which goes on from where it was for as long as the server lets it: a LIST
/// comes again only when its history is gone (410) or after an outage. GETs come on top where those do not tell: for a pod
/// that nobody has heard of for as long as the [policy](crate::PolicyBuilder::reobserve) says, for a decision that hangs on
/// a missing fact, for a pod whose wait came late. With a label selector that one is asked for by a LIST of its name, which
/// says whether the selector matches it, and read by a GET only if not. Many that are urgent are spared by one LIST. Where
/// pods that were known are not found, a second watch asks for some seconds how they ended.
///
/// All of them, each page of a LIST as well, come out of a budget of [requests per second](Self::requests_per_second),
/// whatever the number of waits. Whoever was content to wait for long waits longest. `Retry-After` holds for all.
///
/// # Fairness
///
/// Who does not look holds up nobody: the hub keeps 32 observations for each wait, then only the newest state of the pod
/// beside them, and reads the pod again for whoever has missed something. An event that cannot be read fails the waits on
/// its pod and no other.
///
/// # Rights
///
/// `list` and `watch` on `pods`, and `get`. Where the server does not let the hub list and watch the whole scope, for
/// instance because RBAC names the pods, each wait goes on by itself as [`wait`](crate::wait()) does, with a watch of its
/// own or by polling, within ten times the budget; [`refusal`](Self::refusal) says so. A minute later they try the hub
/// again, and come back to it once it has a watch and has told them of their pods. A server that has let the hub watch and
/// refuses it now is given some seconds first.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    client: kube::Client,
    scope: Scope,
    budgets: Budgets,
    waits: Arc<Waits>,
    stays_open: bool,
}

/// What may be asked: together, and by all those who go on by themselves.
#[derive(Clone)]
struct Budgets {
    together: Arc<Budget>,
    /// More, since each of them needs two requests to begin with, and its limits run meanwhile.
    alone: Arc<Budget>,
}

impl Budgets {
    fn per_second(requests: u32) -> Self {
        let budget = |requests| Arc::new(Budget::per_second(requests));
        Self { together: budget(requests), alone: budget(requests.saturating_mul(10)) }
    }
}

/// Requests per second of a hub, unless told.
const REQUESTS_PER_SECOND: u32 = 10;

impl Hub {
    /// A hub for the pods of this scope. Does nothing until somebody waits.
    ///
    /// Make the client with [`crate::client`]: one with kube's default retries hides failures for minutes.
    #[must_use]
    pub fn new(client: kube::Client, scope: Scope) -> Self {
        let waits = Arc::new(Waits::new(scope.is_whole()));
        let budgets = Budgets::per_second(REQUESTS_PER_SECOND);
        Self { inner: Arc::new(Inner { client, scope, budgets, waits, stays_open: false }) }
    }

    /// How many requests per second the hub may send, and for a moment twice as many. Default: 10; 0 counts as 1.
    #[must_use]
    pub fn requests_per_second(self, requests: u32) -> Self {
        self.change(|inner| inner.budgets = Budgets::per_second(requests))
    }

    /// Keeps the watch open when nobody waits, for agents that run one step after the other: from the first wait until the
    /// last clone of the hub is dropped.
    #[must_use]
    pub fn stay_open(self) -> Self {
        self.change(|inner| inner.stays_open = true)
    }

    /// A hub of its own, if this one is in use already.
    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { client, scope, budgets, stays_open, .. } = &*self.inner;
        let waits = Arc::new(Waits::new(scope.is_whole()));
        let (client, scope, budgets) = (client.clone(), scope.clone(), budgets.clone());
        let mut inner = Inner { client, scope, budgets, waits, stays_open: *stays_open };
        change(&mut inner);
        Self { inner: Arc::new(inner) }
    }

    /// Waits for a pod, as [`wait`](crate::wait()) does. A pod that is outside of the scope is waited for by itself.
    #[must_use = "a wait does nothing unless awaited"]
    pub fn wait(&self, namespace: impl Into<String>, pod: impl Into<String>) -> Wait {
        Wait::in_hub(self.clone(), namespace.into(), pod.into())
    }

    /// Why the pods are not watched together: what the API server said when it last refused that, until it has opened a
    /// watch for the hub.
    #[must_use]
    pub fn refusal(&self) -> Option<ApiFailure> {
        self.inner.waits.lock().refusal.clone()
    }

    /// Whether pods of that namespace can be in its scope.
    pub(crate) fn reaches(&self, namespace: &str) -> bool {
        self.inner.scope.reaches(namespace)
    }

    /// A place for a wait on this pod. `raw` if it wants the pod's JSON.
    pub(crate) fn join(&self, pod: &PodName, raw: bool) -> Subscription {
        let (subscription, must_start) = Subscription::new(&self.inner.waits, pod.clone(), raw, true);
        if must_start {
            self.start();
        }
        subscription
    }

    /// When those who were sent away may come again.
    pub(crate) fn opens_again(&self) -> Instant {
        match self.inner.waits.lock().service {
            Service::Refused(until) => until,
            Service::Stopped | Service::Running => Instant::now() + LONGEST_REST,
        }
    }

    /// Whether it has a watch that the API server has opened.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.waits.lock().is_open
    }

    pub(crate) fn client(&self) -> &kube::Client {
        &self.inner.client
    }

    /// A source for a wait on this pod that goes on by itself.
    pub(crate) fn alone(&self, pod: &PodName, raw: bool) -> OnePod {
        let Inner { client, budgets, .. } = &*self.inner;
        OnePod::new(client.clone(), pod.clone(), true, raw, Arc::clone(&budgets.alone))
    }

    fn start(&self) {
        let Inner { client, scope, budgets, waits, .. } = &*self.inner;
        let budget = Arc::clone(&budgets.together);
        let feed = Feed::of_scope(client.clone(), Arc::clone(waits), scope.clone(), budget);
        let hub: Weak<Inner> = Arc::downgrade(&self.inner);
        let mut end = UntoldEnd(Some(Arc::clone(waits)));
        tokio::spawn(async move {
            feed.run(|| hub.upgrade().is_some_and(|hub| hub.stays_open)).await;
            end.is_told();
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A watch that was kept open for later is for nobody now.
        self.waits.wake();
    }
}

/// If the feed ends otherwise than by itself, with its runtime for instance, whoever waits elsewhere must not wait for it.
struct UntoldEnd(Option<Arc<Waits>>);

impl UntoldEnd {
    fn is_told(&mut self) {
        self.0 = None;
    }
}

impl Drop for UntoldEnd {
    fn drop(&mut self) {
        if let Some(waits) = &self.0 {
            waits.lock().close(Service::Stopped);
        }
    }
}
