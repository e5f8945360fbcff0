//! Waiting for a Job, complete or failed, whichever comes first.

mod source;
mod view;

use crate::client::{Calls, Client};
use crate::drive::drive;
use futures_util::future::BoxFuture;
use podwait_core::{Exit, FailReason, Failure, Policy, WaitMachine};
use podwait_hub::{PodName, Scope, Turn};
use podwait_wire::{ACCEPT, ApiFailure};
use source::JobSource;
use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use view::JobState;

/// How long to read the pods of a Job that is over.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobEnd {
    /// The Job is `Failed`, and not `Complete`.
    pub has_failed: bool,
    /// The reason of that condition, such as `BackoffLimitExceeded`; may be empty.
    pub reason: String,
    /// Its message, for people; may be empty.
    pub message: String,
    /// Its pods that were seen to end, in the order in which that was seen, including pods that are gone by now.
    pub pods: Vec<JobPod>,
}

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

impl JobEnd {
    /// The code of the last pod that exited with another code than 0, if the Job failed and such a pod was seen.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        let codes = self.pods.iter().rev().flat_map(|pod| &pod.ends);
        let mut failed = codes.filter_map(|(_, end)| end.as_ref().ok()).filter(|exit| !exit.is_success());
        failed.next().filter(|_| self.has_failed).map(|exit| exit.code)
    }
}

/// Waits for a Job until it is complete or failed: `podwait::wait_job(client, "ci", "build").await`.
///
/// The Job's own conditions decide, not its pods: a Job may run several pods, and retry. Its pods are read when its
/// counts change, so that their exits are known at the end of the Job, even if the pods are gone by then.
///
/// Needs `get` and `watch` (or `get` alone) on `jobs` in the group `batch`, and `list` on `pods` for the exits.
#[must_use = "a wait does nothing unless awaited"]
pub fn wait_job(client: Client, namespace: impl Into<String>, name: impl Into<String>) -> JobWait {
    JobWait {
        calls: Calls::new(client),
        namespace: namespace.into(),
        name: name.into(),
        policy: Arc::default(),
        cancel: CancellationToken::new(),
        look: Box::new(|_| {}),
    }
}

/// A wait for a Job that has not begun, made by [`wait_job`]. Await it.
#[must_use = "a wait does nothing unless awaited"]
pub struct JobWait {
    calls: Calls,
    namespace: String,
    name: String,
    policy: Arc<Policy>,
    cancel: CancellationToken,
    look: Box<dyn FnMut(&JobPod) + Send>,
}

impl JobWait {
    /// The limits of the wait that concern a Job: absence, API errors, the deadline. Default: [`Policy::default`].
    pub fn policy(mut self, policy: impl Into<Arc<Policy>>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Ends the wait with `Fail(cancelled)` when the token is cancelled. Dropping the future ends it too, silently.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// Calls `observer` once for each pod of the Job that has ended.
    pub fn on_pod(mut self, observer: impl FnMut(&JobPod) + Send + 'static) -> Self {
        self.look = Box::new(observer);
        self
    }

    async fn run(self) -> Result<JobEnd, Failure> {
        let job = PodName::new(&self.namespace, &self.name);
        let state = Arc::new(Mutex::new(None));
        let mut source = JobSource::new(self.calls.clone(), job, Arc::clone(&state));
        let mut machine = WaitMachine::new(self.policy);
        let mut pods =
            Pods { calls: self.calls, namespace: self.namespace, seen: BTreeMap::new(), look: self.look };
        let (changes, mut changed) = mpsc::unbounded_channel();
        let state_of = || state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut last = None;
        let look = |_: Turn<'_>| {
            let now = state_of();
            if now.as_ref().map(|state: &JobState| state.counts) != last {
                last = now.as_ref().map(|state| state.counts);
                let _ = changes.send(());
            }
        };
        let wait = drive(&mut machine, &mut source, &self.cancel, look);
        let read = async {
            while changed.recv().await.is_some() {
                // One read covers all changes so far.
                while changed.try_recv().is_ok() {}
                if let Some(state) = state_of() {
                    pods.read(&state.uid).await;
                }
            }
            std::future::pending().await
        };
        let answer = tokio::select! {
            biased;
            answer = wait => answer,
            () = read => unreachable!("pods are read for as long as the wait lasts"),
        };
        let exit = answer.map_err(|failure| in_words_of_jobs(failure, &self.name))?;
        let state = state_of().unwrap_or_default();
        let _ = tokio::time::timeout(LAST_LOOK, pods.read(&state.uid)).await;
        let (has_failed, reason, message) =
            state.end.unwrap_or_else(|| (!exit.is_success(), String::new(), String::new()));
        let mut seen: Vec<(usize, JobPod)> = pods.seen.into_values().collect();
        seen.sort_by_key(|(order, _)| *order);
        Ok(JobEnd { has_failed, reason, message, pods: seen.into_iter().map(|(_, pod)| pod).collect() })
    }
}

/// Reads the Job once, to check that the API server can be reached and allows the read. The Job need not exist.
///
/// The same as [`check_access`](crate::check_access), for a Job.
///
/// # Errors
/// The failure of the call, with code 0 when no answer came.
pub async fn check_job_access(client: &Client, namespace: &str, job: &str) -> Result<(), ApiFailure> {
    source::check(Calls::new(client.clone()), PodName::new(namespace, job)).await
}

/// The Job's pods that have ended, by uid, with the order in which that was seen.
struct Pods {
    calls: Calls,
    namespace: String,
    seen: BTreeMap<String, (usize, JobPod)>,
    look: Box<dyn FnMut(&JobPod) + Send>,
}

impl Pods {
    /// Reads the pods of the Job with this uid. If that fails, they are not known; the Job's end does not depend on
    /// them.
    async fn read(&mut self, uid: &str) {
        // The label that all versions set (`batch.kubernetes.io/controller-uid` came with 1.27).
        let scope = Scope::namespace(self.namespace.as_str()).labels(format!("controller-uid={uid}"));
        let (seen, look) = (&mut self.seen, &mut self.look);
        let listed = self.calls.list(&scope, ACCEPT, u32::MAX, |item| {
            let Ok(pod) = item.pod() else { return Ok(()) };
            if seen.contains_key(&pod.snapshot.uid) {
                return Ok(());
            }
            if pod.snapshot.is_over() {
                let ends = pod.snapshot.ends();
                let pod = JobPod { name: pod.name, uid: pod.snapshot.uid, ends };
                look(&pod);
                seen.insert(pod.uid.clone(), (seen.len(), pod));
            }
            Ok(())
        });
        let _ = listed.await;
    }
}

/// The machine's failure about a pod, worded for a Job.
fn in_words_of_jobs(mut failure: Failure, name: &str) -> Failure {
    failure.exit_code = None;
    failure.message = if failure.reason == FailReason::PodDeleted {
        format!("job {name} was deleted before it was complete or failed")
    } else if failure.reason == FailReason::PodReplaced {
        format!("job {name} was replaced by another job of the same name")
    } else {
        failure
            .message
            .replace("the pod", "the job")
            .replace("such pod", "such job")
            .replace("the step", "the job")
    };
    failure
}

impl IntoFuture for JobWait {
    /// How the Job ended, or why that is not known.
    type Output = Result<JobEnd, Failure>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
