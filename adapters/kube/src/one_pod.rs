//! The source for one pod by itself.

use crate::feed::Feed;
use crate::feed::budget::Budget;
use crate::feed::subscription::{Closed, Subscription};
use crate::feed::waits::Waits;
use crate::selection::PodName;
use crate::source::{Observed, PodSource};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Observes one pod by a GET and a watch from there, with a GET whenever the machine asks.
///
/// The watch selects by `metadata.name`, so the API server sends this pod's events only, and a DELETED is a deletion. A
/// watch that ends, breaks or expires (410) is followed by a GET and a new watch; after a 410 that one starts from whatever
/// the API server has, since it will not know the pod's own version again. A GET that finds the pod further
/// on than the watch does shows that the watch is dead, and replaces it. A GET that does not find a pod that was known is
/// kept back for three seconds at most, while a second watch, from where the pod was known last, asks how it ended.
///
/// Where the API server will not watch (RBAC without the verb `watch`, a proxy in between), or nobody wants it to, the pod
/// is read: one that changes after 500 ms, one that does not less and less often, at least every 5 s, and sooner if the
/// machine asks. After an error the machine's word, `Retry-After` included, is the only one. A watch is tried again every
/// minute.
pub struct OnePod {
    subscription: Subscription,
    /// Runs only while somebody waits for the next observation, so that nothing is left behind when that is dropped.
    feed: BoxFuture<'static, ()>,
}

impl OnePod {
    /// A source that watches.
    #[must_use]
    pub fn watched(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self::new(client, PodName::new(namespace, name), true, true, Arc::new(Budget::unlimited()))
    }

    /// A source that only reads, for those who may `get` the pod but not `watch` it.
    #[must_use]
    pub fn polled(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self::new(client, PodName::new(namespace, name), false, true, Arc::new(Budget::unlimited()))
    }

    pub(crate) fn new(
        client: kube::Client,
        pod: PodName,
        may_watch: bool,
        raw: bool,
        budget: Arc<Budget>,
    ) -> Self {
        let waits = Arc::new(Waits::new(true));
        let (subscription, _) = Subscription::new(&waits, pod.clone(), raw, false);
        let feed = Feed::of_pod(client, waits, pod, may_watch, budget);
        Self { subscription, feed: Box::pin(feed.run(|| true)) }
    }

    /// For a wait that has been told of its pod before.
    pub(crate) fn again(mut self) -> Self {
        self.subscription.again();
        self
    }
}

impl PodSource for OnePod {
    async fn next(&mut self, after: Duration) -> Observed {
        tokio::select! {
            biased;
            () = &mut self.feed => unreachable!("a feed for one pod has no end"),
            observed = self.subscription.next(after) => match observed {
                Ok(observed) => observed,
                Err(Closed) => unreachable!("a feed for one pod is not refused"),
            },
        }
    }

    fn in_hand(&self) -> Option<Observed> {
        self.subscription.in_hand()
    }

    fn take_back(&mut self, observed: Observed) {
        self.subscription.take_back(observed);
    }
}
