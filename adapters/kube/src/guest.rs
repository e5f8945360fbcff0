//! One wait in a hub: fed by it, or by itself while that is refused, and the way back.

use crate::client::later;
use crate::feed::sleep_until_some;
use crate::feed::subscription::{Closed, Subscription};
use crate::hub::Hub;
use crate::one_pod::OnePod;
use crate::selection::PodName;
use crate::source::{Observed, PodSource};
use std::time::Duration;
use tokio::time::Instant;

/// Long enough that whoever is fed twice asks for no read on the second way but the first one.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Observes one pod through a hub.
///
/// Who was sent away goes on by a feed of its own. When the hub may be tried again the wait joins it, and leaves its own
/// feed only when the hub has told of the pod and has a watch: so at any time somebody watches who was told of the pod before.
pub(crate) struct Guest {
    hub: Hub,
    pod: PodName,
    raw: bool,
    /// Its place in the hub, if it has one.
    shared: Option<Subscription>,
    /// Whether the hub has told it of the pod there.
    is_told: bool,
    /// Its own feed, while it needs one.
    alone: Option<Box<OnePod>>,
    /// When it may try the hub again; never, if its pod is out of reach.
    again: Option<Instant>,
}

impl Guest {
    /// `raw` if somebody wants the pod's JSON.
    pub(crate) fn new(hub: Hub, pod: PodName, raw: bool) -> Self {
        let mut guest = Self { hub, pod, raw, shared: None, is_told: false, alone: None, again: None };
        if guest.hub.reaches(guest.pod.namespace()) {
            guest.join();
        } else {
            guest.go_alone();
        }
        guest
    }

    fn join(&mut self) {
        self.shared = Some(self.hub.join(&self.pod, self.raw));
        self.is_told = false;
    }

    fn go_alone(&mut self) {
        self.alone = Some(Box::new(self.hub.alone(&self.pod, self.raw)));
    }

    /// The hub feeds nobody any more.
    fn leave(&mut self) {
        self.shared = None;
        self.again = Some(self.hub.opens_again());
        if self.alone.is_none() {
            self.alone = Some(Box::new(self.hub.alone(&self.pod, self.raw).again()));
        }
    }
}

impl PodSource for Guest {
    async fn next(&mut self, after: Duration) -> Observed {
        let end = later(after);
        if self.is_told && self.hub.is_open() {
            self.alone = None;
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match (&mut self.shared, &mut self.alone) {
                (Some(shared), None) => match shared.next(left).await {
                    Ok(observed) => return observed,
                    Err(Closed) => self.leave(),
                },
                (None, Some(alone)) => tokio::select! {
                    biased;
                    observed = alone.next(left) => return observed,
                    () = sleep_until_some(self.again) => self.join(),
                },
                (Some(shared), Some(alone)) => tokio::select! {
                    biased;
                    observed = alone.next(left) => return observed,
                    told = shared.next(PATIENCE) => match told {
                        Ok(observed @ (Observed::Pod(_) | Observed::Deleted(_))) => {
                            self.is_told = true;
                            return observed;
                        }
                        // Its own feed knows better, until then.
                        Ok(Observed::NotFound(_) | Observed::ApiError(_) | Observed::Silence | Observed::Cancelled) => {}
                        Err(Closed) => self.leave(),
                    },
                },
                (None, None) => self.go_alone(),
            }
        }
    }

    fn in_hand(&self) -> Option<Observed> {
        match (&self.shared, &self.alone) {
            (_, Some(alone)) => alone.in_hand(),
            (Some(shared), None) => shared.in_hand(),
            (None, None) => None,
        }
    }

    fn take_back(&mut self, observed: Observed) {
        match (&self.shared, &mut self.alone) {
            (Some(shared), _) => shared.take_back(observed),
            (None, Some(alone)) => alone.take_back(observed),
            (None, None) => {}
        }
    }
}
