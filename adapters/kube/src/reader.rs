//! GETs of one pod, one at a time, at a pace.

use crate::client::{PodClient, failure};
use crate::source::{Observed, Via};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// How much longer than asked a source may take for a last look that it began in time.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// First time between two GETs of a pod that does not change; it grows by half each time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(500);

/// Longest time between two GETs of a pod that does not change.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// Reads one pod, at most one GET at a time.
pub(crate) struct Reader {
    client: PodClient,
    pace: Pace,
    /// Kept here rather than in a caller's future, so that a slow answer outlives an impatient caller.
    in_flight: Option<BoxFuture<'static, Observed>>,
}

/// When the next GET of somebody who has no watch is due.
enum Pace {
    /// Now: nothing has been read yet.
    Now,
    /// After this time, the pod being at this resourceVersion.
    Interval(Duration, String),
    /// When the machine says: there is no pod.
    Absent,
    /// When the machine says: the last call failed.
    Asked,
}

impl Reader {
    pub(crate) fn new(client: PodClient) -> Self {
        Self { client, pace: Pace::Now, in_flight: None }
    }

    /// Reads the pod when `after` has passed, or goes on with the read under way; silence if then there is neither an
    /// answer nor a last look about to bring one. Cancel-safe.
    pub(crate) async fn read_after(&mut self, after: Duration) -> Observed {
        self.read(after, after).await
    }

    /// The same, but sooner: as soon as the pod may have changed again. After an error or without a pod the machine's
    /// word, `Retry-After` included, is the only one.
    pub(crate) async fn read_paced(&mut self, after: Duration) -> Observed {
        let delay = match self.pace {
            Pace::Now => Duration::ZERO,
            Pace::Interval(interval, _) => interval.min(after),
            Pace::Absent | Pace::Asked => after,
        };
        self.read(delay, after).await
    }

    async fn read(&mut self, delay: Duration, patience: Duration) -> Observed {
        let now = Instant::now();
        let mut end = now + patience;
        if self.in_flight.is_none() {
            tokio::time::sleep(delay).await;
            end = end.max(now + delay + LAST_LOOK);
        }
        let in_flight = self.in_flight.get_or_insert_with(|| Box::pin(self.client.clone().get()));
        let Ok(observed) = tokio::time::timeout_at(end, in_flight).await else {
            // A 404 is no news for long: a pod may be there by now, and an answer that does not come is no absence.
            return match self.pace {
                Pace::Absent => Observed::ApiError(failure(Via::Get, 0, "no answer yet")),
                Pace::Now | Pace::Interval(..) | Pace::Asked => Observed::Silence,
            };
        };
        self.in_flight = None;
        self.pace = match &observed {
            Observed::Pod(pod) => {
                let version = &pod.pod.snapshot.resource_version;
                let interval = match &self.pace {
                    Pace::Interval(interval, last) if last == version => {
                        interval.mul_f32(1.5).min(LONGEST_INTERVAL)
                    }
                    Pace::Interval(..) | Pace::Now | Pace::Absent | Pace::Asked => SHORTEST_INTERVAL,
                };
                Pace::Interval(interval, version.clone())
            }
            Observed::NotFound(_) => Pace::Absent,
            Observed::ApiError(_) | Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => {
                Pace::Asked
            }
        };
        observed
    }

    /// Something else has brought news: a read that is under way is old by now.
    pub(crate) fn forget(&mut self) {
        self.in_flight = None;
    }

    /// A call other than a GET has failed: from here on the machine says when to come back.
    pub(crate) fn wait_until_asked(&mut self) {
        self.pace = Pace::Asked;
    }
}
