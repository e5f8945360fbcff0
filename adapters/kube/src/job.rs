//! Waiting for a Job, complete or failed, whichever comes first.

use crate::cancelled::Cancelled;
use crate::client::{Calls, Client, rejected};
use crate::driver::{Driver, Schedule};
use futures_util::future::BoxFuture;
use http::Request;
use podwait_core::{Exit, Failure, Instant, JobExit, JobMachine, Policy};
use podwait_hub::{Action, JobRequestId, JobTurn, PodName, Resource, ResponseHead};
use podwait_wire::{ApiFailure, Via};
use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The most pods whose ends are remembered, so that each is reported once. The first ones are forgotten.
const MOST_REPORTED: usize = 10_000;

/// A pod of a Job that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobPod {
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// How each of its regular containers ended, by name, as [`wait`](crate::wait()) would say.
    pub ends: Vec<(String, Result<Exit, Failure>)>,
}

/// Waits for a Job until it is complete or failed: `podwait::wait_job(client, "ci", "build").await`.
///
/// The Job's own conditions decide, and its pods show how: a failed Job has the exit code of the pod that decided, or the failure
/// of that pod, such as an eviction. A Job none of whose pods can start fails as such a pod does. See
/// [the rules of Jobs](crate::core::book::jobs).
///
/// Needs `get` and `watch` (or `get` alone) on `jobs` in the group `batch`, and `list` and `watch` on `pods`. Without the right to
/// list pods, a Job that fails has no exit code, and one that cannot start waits for its own limits.
#[must_use = "a wait does nothing unless awaited"]
pub fn wait_job(client: Client, namespace: impl Into<String>, name: impl Into<String>) -> JobWait {
    JobWait {
        client,
        namespace: namespace.into(),
        name: name.into(),
        uid: None,
        policy: Arc::default(),
        cancel: None,
        look: Box::new(|_| {}),
    }
}

/// A wait for a Job that has not begun, made by [`wait_job`]. Await it.
#[must_use = "a wait does nothing unless awaited"]
pub struct JobWait {
    client: Client,
    namespace: String,
    name: String,
    uid: Option<String>,
    policy: Arc<Policy>,
    cancel: Option<CancellationToken>,
    look: Box<dyn FnMut(&JobPod) + Send>,
}

impl JobWait {
    /// The Job's uid, as in the answer to its creation: a Job of the same name with another uid is another Job.
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// The limits of the wait, which hold for the Job and for each of its pods. Default: [`Policy::default`].
    pub fn policy(mut self, policy: impl Into<Arc<Policy>>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Ends the wait with `Fail(cancelled)` when the token is cancelled. Dropping the future ends it too, silently.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Calls `observer` once for each pod of the Job that has ended. It must not block.
    pub fn on_pod(mut self, observer: impl FnMut(&JobPod) + Send + 'static) -> Self {
        self.look = Box::new(observer);
        self
    }

    async fn run(self) -> Result<JobExit, Failure> {
        let Self { client, namespace, name, uid, policy, cancel, mut look } = self;
        let mut machine = JobMachine::new(policy);
        if let Some(uid) = uid {
            machine = machine.uid(uid);
        }
        let mut ended = Ended::default();
        let mut look = |turn: JobTurn<'_>| {
            if let Some(pod) = ended.of_turn(&turn) {
                look(&pod);
            }
        };
        let mut cancelled = Cancelled::of(cancel);
        let wait = podwait_hub::JobWait::new(Instant::ZERO, &namespace, &name, machine, &mut look);
        let mut driver = Driver::new(client, wait, tokio::time::Instant::now());
        loop {
            driver.advance(&mut look);
            if let Some(answer) = driver.waits.take_answer() {
                return answer;
            }
            tokio::select! {
                biased;
                // The machine's answer to the cancellation comes next.
                () = &mut cancelled => {
                    let now = driver.now();
                    driver.waits.cancel(now, &mut look);
                }
                () = driver.take(&mut look) => {}
            }
        }
    }
}

impl<F: FnMut(JobTurn<'_>)> Schedule<F> for podwait_hub::JobWait {
    type Id = JobRequestId;

    fn poll(&mut self, now: Instant, look: &mut F) -> Option<Instant> {
        self.poll(now, look)
    }

    fn next_action(&mut self, now: Instant) -> Option<(JobRequestId, Action)> {
        self.next_action(now)
    }

    fn head(&mut self, now: Instant, id: JobRequestId, head: &ResponseHead<'_>) {
        self.head(now, id, head);
    }

    fn body(&mut self, now: Instant, id: JobRequestId, piece: &[u8], look: &mut F) {
        self.body(now, id, piece, look);
    }

    fn end(&mut self, now: Instant, id: JobRequestId, error: Option<&str>, look: &mut F) {
        self.end(now, id, error, look);
    }
}

/// The pods that were reported, by uid, in two halves of which the older is forgotten.
#[derive(Default)]
struct Ended {
    recent: BTreeSet<String>,
    before: BTreeSet<String>,
}

impl Ended {
    /// The pod of this turn if it belongs to the Job, has ended, and is new.
    fn of_turn(&mut self, turn: &JobTurn<'_>) -> Option<JobPod> {
        let pod = &turn.pod?.pod;
        let owner = pod.owner.as_ref().map(|owner| owner.uid.as_str());
        let uid = &pod.snapshot.uid;
        let is_ours = owner.is_some() && owner == turn.machine.job_uid();
        if !is_ours
            || !pod.snapshot.is_over()
            || self.before.contains(uid)
            || !self.recent.insert(uid.clone())
        {
            return None;
        }
        if self.recent.len() >= MOST_REPORTED / 2 {
            self.before = std::mem::take(&mut self.recent);
        }
        Some(JobPod { name: pod.name.clone(), uid: uid.clone(), ends: pod.snapshot.ends() })
    }
}

/// Reads the Job once, to check that the API server can be reached and allows the read. The Job need not exist.
///
/// The same as [`check_access`](crate::check_access), for a Job.
///
/// # Errors
/// The failure of the call, with code 0 when no answer came.
pub async fn check_job_access(client: &Client, namespace: &str, job: &str) -> Result<(), ApiFailure> {
    let get = podwait_hub::Request::Get(PodName::new(namespace, job));
    if let Some((what, name)) = get.invalid_name(Resource::Jobs) {
        return Err(rejected(Via::Get, format!("{name:?} is not a valid {what} name")));
    }
    let request = Request::get(get.target(Resource::Jobs)).body(Vec::new());
    let request = request.map_err(|error| rejected(Via::Get, error.to_string()))?;
    match Calls::new(client.clone()).call(Via::Get, request).await {
        Err(refusal) if !refusal.is_absence_of_kind("jobs", job) => Err(refusal.failure),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl IntoFuture for JobWait {
    /// How the Job ended, or why that is not known.
    type Output = Result<JobExit, Failure>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
