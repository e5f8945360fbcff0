//! Observes one Job: a GET, a watch from there, and a GET when the watch is silent or breaks.

use super::view::{JobState, JobView};
use crate::client::{CALL_TIMEOUT, Calls, failure, later, rejected, root_cause};
use crate::source::{Observed, PodSource};
use bytes::{Buf, Bytes};
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::core::params::WatchParams;
use podwait_hub::{ObservedPod, PodName, is_dns_subdomain};
use podwait_wire::{ApiFailure, Encoding, Event, EventKind, Frames, Via};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long to wait before the next watch if the server refused one, or it failed at once.
const REST: Duration = Duration::from_secs(30);

/// How long the API server is asked to keep a watch open: under the 5 minutes after which many proxies cut idle connections.
const WATCH_SECONDS: u32 = 290;

/// Time between two reads without a watch.
const INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct JobSource {
    requests: JobRequests,
    place: Place,
    /// No watch before that time.
    rest: Instant,
}

/// Requests for one Job.
struct JobRequests {
    calls: Calls,
    job: PodName,
    /// The newest state of the Job, for the reads of its pods.
    state: Arc<Mutex<Option<JobState>>>,
}

enum Place {
    /// It is to be read.
    Unread,
    /// To be watched from this resourceVersion.
    Read(String),
    Watched(Watch),
    /// To be read at that time, or when the machine's delay is over.
    Resting(Instant),
}

impl JobSource {
    pub(super) fn new(calls: Calls, job: PodName, state: Arc<Mutex<Option<JobState>>>) -> Self {
        Self { requests: JobRequests { calls, job, state }, place: Place::Unread, rest: Instant::now() }
    }
}

/// Reads the Job once.
pub(super) async fn check(calls: Calls, job: PodName) -> Result<(), ApiFailure> {
    let requests = JobRequests { calls, job, state: Arc::default() };
    requests.get().await.map(|_| ())
}

impl JobRequests {
    fn path(&self) -> Result<String, ApiFailure> {
        for (what, name) in [("namespace", self.job.namespace()), ("job", self.job.name())] {
            if !is_dns_subdomain(name) {
                return Err(rejected(Via::Get, format!("{name:?} is not a valid {what} name")));
            }
        }
        Ok(format!("/apis/batch/v1/namespaces/{}/jobs", self.job.namespace()))
    }

    fn read(&self, json: &[u8], via: Via) -> Result<Arc<ObservedPod>, ApiFailure> {
        let view = JobView::read(json).map_err(|error| failure(via, 0, error))?;
        if view.name() != self.job.name() {
            return Err(failure(
                via,
                0,
                format!("requested job {}, received {}", self.job.name(), view.name()),
            ));
        }
        let pod = view.as_pod().map_err(|error| failure(via, 0, error.to_string()))?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.state());
        Ok(Arc::new(ObservedPod { pod, json: None }))
    }

    async fn get(&self) -> Result<Observed, ApiFailure> {
        let uri = format!("{}/{}", self.path()?, self.job.name());
        let request = Request::get(uri).body(Vec::new());
        let request = request.map_err(|error| rejected(Via::Get, error.to_string()))?;
        match self.calls.call(Via::Get, request).await {
            Ok(json) => Ok(Observed::Pod(Via::Get, self.read(&json, Via::Get)?)),
            Err(refusal) if refusal.is_absence_of_kind("jobs", self.job.name()) => {
                Ok(Observed::NotFound(Via::Get))
            }
            Err(refusal) => Err(refusal.failure),
        }
    }

    async fn watch(&self, version: &str) -> Result<Watch, ApiFailure> {
        let mut params = WatchParams::default().timeout(WATCH_SECONDS);
        params.field_selector = Some(format!("metadata.name={}", self.job.name()));
        let request = kube::core::Request::new(self.path()?).watch(&params, version);
        let request = request.map_err(|error| rejected(Via::Watch, error.to_string()))?;
        let body = self.calls.open(Via::Watch, request, CALL_TIMEOUT).await?.into_body();
        Ok(Watch { body, frames: Frames::new(Encoding::Json), piece: Bytes::new() })
    }

    /// The observation in a line of the watch; `None` if it is not about this Job.
    fn read_line(&self, line: &[u8]) -> Result<Option<Observed>, ApiFailure> {
        let unreadable = |error: &dyn std::fmt::Display| {
            failure(Via::Watch, 0, format!("unreadable watch event: {error}"))
        };
        let event = Event::read(Encoding::Json, line).map_err(|error| unreadable(&error))?;
        let is_deletion = match &event.kind {
            EventKind::Added | EventKind::Modified => false,
            EventKind::Deleted => true,
            EventKind::Bookmark => return Ok(None),
            EventKind::Error => return Err(event.failure()),
            EventKind::Unrecognized => return Err(unreadable(&"unknown type")),
        };
        let object = event.object().map_err(|error| unreadable(&error))?;
        let job = self.read(object, Via::Watch)?;
        Ok(Some(if is_deletion { Observed::Deleted(job) } else { Observed::Pod(Via::Watch, job) }))
    }
}

/// The lines of a watch.
struct Watch {
    body: Body,
    frames: Frames,
    /// Received bytes that are not read yet.
    piece: Bytes,
}

impl Watch {
    /// The next line. Cancel-safe: received bytes are kept.
    async fn next(&mut self) -> Result<Vec<u8>, String> {
        loop {
            let mut piece = &*self.piece;
            let length = piece.len();
            let line = self.frames.next_frame(&mut piece).map_err(|error| error.to_string())?;
            let line = line.map(<[u8]>::to_vec);
            let used = length - piece.len();
            self.piece.advance(used);
            if let Some(line) = line {
                return Ok(line);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(root_cause(&error)),
                None => return Err(String::from("the stream ended")),
            }
        }
    }
}

impl JobSource {
    /// The Job, from a GET.
    async fn look(&mut self) -> Observed {
        let observed = self.requests.get().await.unwrap_or_else(Observed::Failed);
        self.place = match &observed {
            Observed::Pod(_, job) if self.rest <= Instant::now() => {
                Place::Read(job.pod.snapshot.resource_version.clone())
            }
            Observed::Pod(..) => Place::Resting(Instant::now() + INTERVAL),
            Observed::Deleted(_)
            | Observed::NotFound(_)
            | Observed::Failed(_)
            | Observed::Silence
            | Observed::Cancelled => Place::Resting(Instant::now() + CALL_TIMEOUT),
        };
        observed
    }
}

impl PodSource for JobSource {
    async fn next(&mut self, after: Duration) -> Observed {
        let end = later(after);
        loop {
            match &mut self.place {
                Place::Unread => return self.look().await,
                Place::Resting(until) => {
                    sleep_until(end.min(*until)).await;
                    self.place = Place::Unread;
                }
                Place::Read(version) => {
                    let version = version.clone();
                    self.place = match self.requests.watch(&version).await {
                        Ok(watch) => Place::Watched(watch),
                        // The watch is optional, so its failure is not a failure of the Job.
                        Err(_) => {
                            self.rest = Instant::now() + REST;
                            Place::Resting(Instant::now() + INTERVAL)
                        }
                    };
                }
                Place::Watched(watch) => match timeout_at(end, watch.next()).await {
                    // For one more read, because the machine's timers expire when it receives silence.
                    Err(_) => self.place = Place::Unread,
                    Ok(Err(_)) => self.place = Place::Resting(Instant::now() + Duration::from_millis(200)),
                    Ok(Ok(line)) => match self.requests.read_line(&line) {
                        Ok(Some(observed)) => return observed,
                        Ok(None) => {}
                        Err(_) => {
                            self.rest = Instant::now() + INTERVAL;
                            self.place = Place::Unread;
                        }
                    },
                },
            }
        }
    }
}
