//! The machine of a Job in a case, and the events of a case about a Job.

use super::play::{Found, Machine};
use podwait_core::{ApiError, Instant, JobDecision, JobInput, JobMachine, JobPod, SavedJob};
use podwait_wire::{Encoding, Job, Pod, job, pod};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a case about a Job is about.
#[derive(Deserialize)]
pub struct JobTarget {
    /// The Job's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid that it must have, if the caller knows it.
    #[serde(default)]
    pub uid: Option<String>,
}

/// An observation of a Job or of its pods.
#[derive(Clone, Debug)]
pub enum SeenOfJob {
    /// The Job, from a watch.
    Snapshot(Job),
    /// The Job, from a consistent read.
    Read(Job),
    /// The Job was deleted.
    Deleted(Job),
    /// A 404.
    NotFound,
    /// A failed call about the Job.
    ApiError(Error),
    /// A pod, from a watch.
    Pod(Pod),
    /// A pod was deleted.
    PodDeleted(Pod),
    /// All pods.
    Pods(Vec<Pod>),
    /// A failed call about the pods.
    PodsError(Error),
    /// Only time passes.
    Tick,
    /// The caller cancels the wait.
    Cancel,
}

/// A failed call, which was a `Status`.
#[derive(Clone, Debug)]
pub struct Error {
    code: u16,
    message: String,
}

impl Error {
    fn input(&self) -> ApiError<'_> {
        ApiError { code: self.code, is_status: self.code > 0, retry_after: None, message: &self.message }
    }
}

/// One event: `{"at_ms": 0, "event": "pod", "pod": {...}}`.
#[derive(Deserialize)]
struct View<'a> {
    at_ms: Instant,
    event: &'a str,
    #[serde(default, borrow)]
    job: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pod: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pods: Vec<&'a RawValue>,
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

/// Reads one event.
///
/// # Errors
/// A description of what cannot be read.
pub fn read(json: &str) -> Result<(Instant, SeenOfJob), String> {
    let view: View<'_> = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let job = || job(Encoding::Json, bytes(view.job)).map_err(|error| error.to_string());
    let pod = |of| pod(Encoding::Json, bytes(of)).map_err(|error| error.to_string());
    let error = Error { code: view.code, message: view.message };
    let seen = match view.event {
        "job" => SeenOfJob::Snapshot(job()?),
        "job_read" => SeenOfJob::Read(job()?),
        "job_deleted" => SeenOfJob::Deleted(job()?),
        "not_found" => SeenOfJob::NotFound,
        "api_error" => SeenOfJob::ApiError(error),
        "pod" => SeenOfJob::Pod(pod(view.pod)?),
        "pod_deleted" => SeenOfJob::PodDeleted(pod(view.pod)?),
        "pods" => SeenOfJob::Pods(view.pods.iter().map(|one| pod(Some(one))).collect::<Result<_, _>>()?),
        "pods_error" => SeenOfJob::PodsError(error),
        "tick" => SeenOfJob::Tick,
        "cancel" => SeenOfJob::Cancel,
        other => return Err(format!("no event {other:?}")),
    };
    Ok((view.at_ms, seen))
}

fn bytes(json: Option<&RawValue>) -> &[u8] {
    json.map(|json| json.get().as_bytes()).unwrap_or_default()
}

fn of_job(pod: &Pod) -> JobPod<'_> {
    let owner = pod.owner.as_ref().map(|owner| owner.uid.as_str()).unwrap_or_default();
    JobPod { name: &pod.name, owner, snapshot: &pod.snapshot }
}

impl Machine for JobMachine {
    type Decision = JobDecision;
    type Seen = SeenOfJob;

    fn see(&mut self, at: Instant, seen: &SeenOfJob) -> JobDecision {
        match seen {
            SeenOfJob::Snapshot(job) => self.handle(at, JobInput::Snapshot(&job.snapshot)),
            SeenOfJob::Read(job) => self.handle(at, JobInput::Read(&job.snapshot)),
            SeenOfJob::Deleted(job) => self.handle(at, JobInput::Deleted(&job.snapshot)),
            SeenOfJob::NotFound => self.handle(at, JobInput::NotFound),
            SeenOfJob::ApiError(error) => self.handle(at, JobInput::ApiError(error.input())),
            SeenOfJob::Pod(pod) => self.handle(at, JobInput::Pod(of_job(pod))),
            SeenOfJob::PodDeleted(pod) => self.handle(at, JobInput::PodDeleted(of_job(pod))),
            SeenOfJob::Pods(pods) => {
                self.handle(at, JobInput::Pods(&pods.iter().map(of_job).collect::<Vec<_>>()))
            }
            SeenOfJob::PodsError(error) => self.handle(at, JobInput::PodsError(error.input())),
            SeenOfJob::Tick => self.handle(at, JobInput::Tick),
            SeenOfJob::Cancel => self.handle(at, JobInput::Cancel),
        }
    }

    fn tick(&mut self, at: Instant) -> JobDecision {
        self.handle(at, JobInput::Tick)
    }

    fn restored(&self) -> Self {
        let json = serde_json::to_string(&self.save()).expect("a saved Job is JSON");
        let saved: SavedJob = serde_json::from_str(&json).expect("and reads back");
        let restored = Self::restore(saved);
        assert_eq!(&restored, self, "after {json}");
        restored
    }

    fn found(decision: &JobDecision) -> Found {
        let found = Found { reason: decision.code(), ..Found::default() };
        match decision {
            JobDecision::Retry { after, .. } => Found { outcome: "retry", after: Some(*after), ..found },
            JobDecision::Done(exit) => Found {
                outcome: "done",
                exit_code: Some(exit.code),
                rule: Some(exit.rule),
                pod: exit.pod.as_ref().map(|pod| pod.name.clone()),
                ..found
            },
            JobDecision::Fail(failure) => Found {
                outcome: "fail",
                exit_code: failure.exit_code,
                rule: Some(failure.rule),
                may_have_finished: Some(failure.may_have_finished),
                ..found
            },
        }
    }
}
