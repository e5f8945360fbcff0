//! The line between a wait and the simulated cluster, with a ledger of what went over it.

use crate::storm::weather::ELSEWHERE;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_sim::Cluster;
use podwait_wire::{Encoding, ListItems};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What went over the line, in the run's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// When each request was sent.
    pub requests: Vec<Duration>,
    /// The pod objects that arrived whole, from whatever request.
    pub objects: Vec<Arrival>,
    /// When the server's word arrived that there is no such pod, and of which; of none without a name.
    pub absences: Vec<(Duration, Option<String>)>,
}

/// A pod object that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Duration,
    /// The pod's resourceVersion.
    pub version: u64,
    /// Whether a watch said DELETED, which may mean that the pod is out of sight only.
    pub is_gone: bool,
    /// Whether it came by a watch for the last words of pods that are gone. What that says about others is no news to those who
    /// wait for them: they are read as they are, and who has never seen a pod of the name may mean another one.
    pub is_recalled: bool,
}

impl Ledger {
    /// When the server was last read successfully before `end`. What arrives at that very instant may arrive after it: a LIST for
    /// many waits that follows, without a delay, the read of one of them.
    #[must_use]
    pub fn last_good_read(&self, end: Duration) -> Option<Duration> {
        let objects = self.objects.iter().filter(|object| !object.is_gone).map(|object| object.at);
        let reads = objects.chain(self.absences.iter().map(|(at, _)| *at));
        reads.filter(|at| *at < end).max()
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

    /// How many objects have arrived so far.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).objects.len()
    }

    /// A client of this cluster over this line. It must be made inside a tokio runtime.
    #[must_use]
    pub fn client(&self, cluster: &Cluster) -> kube::Client {
        let (wire, cluster) = (self.clone(), cluster.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (wire, cluster) = (wire.clone(), cluster.clone());
            async move {
                wire.note(|ledger, now| ledger.requests.push(now));
                let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
                let asked = path.split_once("/pods/").map(|(_, name)| name.to_owned());
                // Whether a label is on it says nothing about its being there.
                let is_question = query.contains("labelSelector=");
                let is_recalled = query.split('&').any(|parameter| parameter == "timeoutSeconds=10");
                let response: Response<_> = cluster.handle(request).await?;
                let status = response.status();
                Ok::<_, std::io::Error>(response.map(|body| {
                    body.map_frame(move |frame| {
                        if let Some(data) = frame.data_ref() {
                            wire.arrives(asked.as_deref(), is_question, is_recalled, status, data);
                        }
                        frame
                    })
                }))
            }
        });
        kube::Client::new(service, "ci")
    }

    /// Notes a piece of an answer that the client takes. The simulated cluster sends each object as one piece, and so each
    /// page of a LIST, of which the client takes what comes before it breaks off.
    fn arrives(
        &self,
        asked: Option<&str>,
        is_question: bool,
        is_recalled: bool,
        status: StatusCode,
        data: &[u8],
    ) {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let is_whole = text.ends_with('\n');
        let is_list = text.starts_with(r#"{"kind":"PodList""#);
        let is_absence = match status {
            StatusCode::NOT_FOUND => text.contains(r#""kind":"pods""#),
            StatusCode::OK => is_list && text.contains(r#""items":[]"#),
            _ => false,
        };
        if is_absence && is_whole && !is_question {
            self.note(|ledger, now| ledger.absences.push((now, asked.map(str::to_owned))));
        }
        let is_bare = ["BOOKMARK", "ERROR"].iter().any(|kind| text[..text.len().min(20)].contains(kind));
        // A pod of another namespace is no news of any of ours.
        let is_elsewhere = text.contains(&format!(r#""namespace":"{ELSEWHERE}""#));
        if status != StatusCode::OK || is_bare || is_elsewhere || !is_whole && !is_list {
            return;
        }
        let is_gone = text.starts_with(r#"{"type":"DELETED""#);
        let versions: Vec<u64> = match is_list {
            true => items(data).iter().filter_map(|item| version(std::str::from_utf8(item).ok()?)).collect(),
            false => version(text).into_iter().collect(),
        };
        self.note(|ledger, at| {
            let arrival = |version| Arrival { at, version, is_gone, is_recalled };
            ledger.objects.extend(versions.into_iter().map(arrival));
        });
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

/// The items of a LIST that came whole.
fn items(mut list: &[u8]) -> Vec<Vec<u8>> {
    let mut items = ListItems::new(Encoding::Json);
    std::iter::from_fn(|| Some(items.next_item(&mut list).ok()??.bytes().to_vec())).collect()
}

/// The resourceVersion in an object's JSON, which holds that word once.
fn version(json: &str) -> Option<u64> {
    json.split_once(r#""resourceVersion":""#)?.1.split_once('"')?.0.parse().ok()
}
