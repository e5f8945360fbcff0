//! The line between a wait and the simulated cluster, with a ledger of what went over it.

use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_sim::Cluster;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What went over the line, in the run's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// When each request was sent.
    pub requests: Vec<Duration>,
    /// The pod objects that arrived whole, from whatever request, by resourceVersion.
    pub objects: Vec<(Duration, u64)>,
    /// When the server's word that there is no such pod arrived.
    pub absences: Vec<Duration>,
}

impl Ledger {
    /// When the server was last read successfully, up to `end`.
    #[must_use]
    pub fn last_good_read(&self, end: Duration) -> Option<Duration> {
        let reads = self.objects.iter().map(|(at, _)| at).chain(&self.absences);
        reads.filter(|at| **at <= end).max().copied()
    }

    /// The most requests that were sent within any `window`.
    #[must_use]
    pub fn burst(&self, window: Duration) -> usize {
        let requests = &self.requests;
        let from = |n: usize| requests[n..].iter().take_while(|at| **at < requests[n] + window).count();
        (0..requests.len()).map(from).max().unwrap_or(0)
    }
}

/// A line whose ledger outlives it.
#[derive(Clone, Debug)]
pub struct Wire {
    start: Instant,
    ledger: Arc<Mutex<Ledger>>,
}

impl Wire {
    /// A line of a run that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), ledger: Arc::default() }
    }

    /// When the run began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// What went over it so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client of this cluster over this line. It must be made inside a tokio runtime.
    #[must_use]
    pub fn client(&self, cluster: &Cluster) -> kube::Client {
        let (wire, cluster) = (self.clone(), cluster.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (wire, cluster) = (wire.clone(), cluster.clone());
            async move {
                wire.note(|ledger, now| ledger.requests.push(now));
                let response: Response<_> = cluster.handle(request).await?;
                let status = response.status();
                Ok::<_, std::io::Error>(response.map(|body| {
                    body.map_frame(move |frame| {
                        if let Some(data) = frame.data_ref() {
                            wire.arrives(status, data);
                        }
                        frame
                    })
                }))
            }
        });
        kube::Client::new(service, "ci")
    }

    /// Notes a piece of an answer that the client takes. The simulated cluster sends each object as one piece.
    fn arrives(&self, status: StatusCode, data: &[u8]) {
        let Some(text) = std::str::from_utf8(data).ok().filter(|text| text.ends_with('\n')) else { return };
        if status == StatusCode::NOT_FOUND && text.contains(r#""kind":"pods""#) {
            self.note(|ledger, now| ledger.absences.push(now));
        }
        if status == StatusCode::OK && text.contains(r#""kind":"PodList""#) && text.contains(r#""items":[]"#)
        {
            self.note(|ledger, now| ledger.absences.push(now));
            return;
        }
        let is_pod = !["BOOKMARK", "ERROR"].iter().any(|kind| text[..text.len().min(20)].contains(kind));
        if status == StatusCode::OK
            && is_pod
            && let Some(version) = version(text)
        {
            self.note(|ledger, now| ledger.objects.push((now, version)));
        }
    }

    fn note(&self, note: impl FnOnce(&mut Ledger, Duration)) {
        let now = self.start.elapsed();
        note(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// The resourceVersion in an object's JSON, which holds that word once.
fn version(json: &str) -> Option<u64> {
    json.split_once(r#""resourceVersion":""#)?.1.split_once('"')?.0.parse().ok()
}
