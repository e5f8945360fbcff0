//! Tells about one Job: a GET, a watch from there, and a GET when it is silent or breaks.

use super::view::{JobState, JobView};
use crate::client::refusal::StatusView;
use crate::client::{CALL_TIMEOUT, Calls, WATCH_SECONDS, failure, is_dns_subdomain, later, rejected};
use crate::selection::PodName;
use crate::source::{ApiFailure, Observed, ObservedPod, PodSource, Via};
use crate::wire::envelope::{EventKind, envelope};
use crate::wire::lines::Lines;
use bytes::Bytes;
use http::Request;
use kube::core::params::WatchParams;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long to go without a watch that the server will not give, or that failed at once.
const REST: Duration = Duration::from_secs(30);

/// Time between two reads where nothing is watched.
const INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct JobSource {
    asks: Asks,
    place: Place,
    /// No watch before that time.
    rest: Instant,
}

/// Asks for one Job.
struct Asks {
    calls: Calls,
    job: PodName,
    /// What the Job said last, for those who look at its pods.
    state: Arc<Mutex<Option<JobState>>>,
}

enum Place {
    /// It is to be read.
    Unread,
    /// To be watched from this resourceVersion.
    Read(String),
    Watched(Lines),
    /// To be read at that time, or when the machine asks.
    Resting(Instant),
}

impl JobSource {
    pub(super) fn new(calls: Calls, job: PodName, state: Arc<Mutex<Option<JobState>>>) -> Self {
        Self { asks: Asks { calls, job, state }, place: Place::Unread, rest: Instant::now() }
    }
}

/// Reads the Job once.
pub(super) async fn check(calls: Calls, job: PodName) -> Result<(), ApiFailure> {
    let asks = Asks { calls, job, state: Arc::default() };
    asks.get().await.map(|_| ())
}

impl Asks {
    fn path(&self) -> Result<String, ApiFailure> {
        for (what, name) in [("namespace", self.job.namespace()), ("job", self.job.name())] {
            if !is_dns_subdomain(name) {
                return Err(rejected(Via::Get, format!("{name:?} is not a valid {what} name")));
            }
        }
        Ok(format!("/apis/batch/v1/namespaces/{}/jobs", self.job.namespace()))
    }

    fn read(&self, json: Bytes, via: Via) -> Result<ObservedPod, ApiFailure> {
        let view = JobView::read(&json).map_err(|error| failure(via, 0, error))?;
        if view.name() != self.job.name() {
            return Err(failure(
                via,
                0,
                format!("asked for job {} and got {}", self.job.name(), view.name()),
            ));
        }
        let pod = view.as_pod().map_err(|error| failure(via, 0, error))?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(view.state());
        Ok(ObservedPod { via, pod: Box::new(pod), json })
    }

    async fn get(&self) -> Result<Observed, ApiFailure> {
        let uri = format!("{}/{}", self.path()?, self.job.name());
        let request = Request::get(uri).body(Vec::new());
        let request = request.map_err(|error| rejected(Via::Get, error.to_string()))?;
        match self.calls.call(Via::Get, request).await {
            Ok(json) => self.read(json, Via::Get).map(Observed::Pod),
            Err(refusal) if refusal.is_absence_of_kind("jobs", self.job.name()) => {
                Ok(Observed::NotFound(Via::Get))
            }
            Err(refusal) => Err(refusal.failure),
        }
    }

    async fn watch(&self, version: &str) -> Result<Lines, ApiFailure> {
        let mut params = WatchParams::default().timeout(WATCH_SECONDS);
        params.field_selector = Some(format!("metadata.name={}", self.job.name()));
        let request = kube::core::Request::new(self.path()?).watch(&params, version);
        let request = request.map_err(|error| rejected(Via::Watch, error.to_string()))?;
        Ok(Lines::new(self.calls.open(Via::Watch, request, CALL_TIMEOUT).await?))
    }

    /// What a line of the watch says; `None` if nothing of this Job.
    fn hear(&self, line: &Bytes) -> Result<Option<Observed>, ApiFailure> {
        let unreadable = |error: &dyn std::fmt::Display| {
            failure(Via::Watch, 0, format!("unreadable watch event: {error}"))
        };
        let event = envelope(line).map_err(|error| unreadable(&error))?;
        let is_deletion = match &event.kind {
            EventKind::Added | EventKind::Modified => false,
            EventKind::Deleted => true,
            EventKind::Bookmark => return Ok(None),
            EventKind::Error => {
                let status = event.object().ok().and_then(|object| serde_json::from_slice(object).ok());
                return Err(status.unwrap_or_else(StatusView::default).into_failure());
            }
            EventKind::Other(kind) => return Err(unreadable(&format_args!("unknown type {kind:?}"))),
        };
        let object = event.object().map_err(|error| unreadable(&error))?;
        let job = self.read(line.slice_ref(object), Via::Watch)?;
        Ok(Some(if is_deletion { Observed::Deleted(job) } else { Observed::Pod(job) }))
    }
}

impl JobSource {
    /// The Job, from a GET.
    async fn look(&mut self) -> Observed {
        let observed = self.asks.get().await.unwrap_or_else(Observed::ApiError);
        self.place = match &observed {
            Observed::Pod(job) if self.rest <= Instant::now() => {
                Place::Read(job.pod.snapshot.resource_version.clone())
            }
            Observed::Pod(_) => Place::Resting(Instant::now() + INTERVAL),
            Observed::Deleted(_)
            | Observed::NotFound(_)
            | Observed::ApiError(_)
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
                    self.place = match self.asks.watch(&version).await {
                        Ok(lines) => Place::Watched(lines),
                        // A watch is not needed, and what is wrong with it is not the Job's trouble.
                        Err(_) => {
                            self.rest = Instant::now() + REST;
                            Place::Resting(Instant::now() + INTERVAL)
                        }
                    };
                }
                Place::Watched(lines) => match timeout_at(end, lines.next()).await {
                    // For a last look, as the machine's timers run out with silence.
                    Err(_) => self.place = Place::Unread,
                    Ok(Err(_)) => self.place = Place::Resting(Instant::now() + Duration::from_millis(200)),
                    Ok(Ok(line)) => match self.asks.hear(&line) {
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
