//! Pods whose hold nobody takes off any more.

use super::{FINALIZER, Hold};
use crate::client::{CALL_TIMEOUT, Calls, failure, root_cause, timed_out};
use crate::decode::decode;
use crate::selection::{Scope, Selection};
use crate::source::{ApiFailure, Via};
use http_body_util::{BodyExt, Limited};
use podwait_core::{
    ContainerState, Decision, Exit, Failure, Input, Instant, PodSnapshot, Policy, Timestamp, WaitMachine,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

/// Longest page of a LIST that is read, in bytes.
const LONGEST_PAGE: usize = 64 << 20;

/// A pod that a [`Hold`] keeps.
#[non_exhaustive]
pub struct HeldPod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// How its regular containers ended, those that have: what would be lost if it were released unread.
    pub ends: Vec<(String, Result<Exit, Failure>)>,
    /// Every regular container has ended, or never will run.
    pub is_over: bool,
    /// When the last of them did, or when somebody asked for the pod's deletion, as far as the object tells.
    pub since: Option<SystemTime>,
    hold: Hold,
}

impl HeldPod {
    /// Whether it can be let go: it has been over for so long that nobody who waits for it can have missed that.
    #[must_use]
    pub fn is_safe(&self, now: SystemTime, age: Duration) -> bool {
        let since = self.since.and_then(|since| now.duration_since(since).ok());
        self.is_over && since.is_some_and(|since| since >= age)
    }

    /// Lets it go, as [`Hold::release`] does.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn release(&self) -> Result<(), ApiFailure> {
        self.hold.release().await
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageView {
    metadata: PageMeta,
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemView {
    metadata: ItemMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemMeta {
    finalizers: Option<Vec<String>>,
}

/// The pods of a scope that are held, by whomever. Needs `list` on `pods`.
///
/// Who runs may hold pods too: see [`HeldPod::is_safe`] before releasing what is found.
///
/// # Errors
/// The API server does not list the pods.
pub async fn held_pods(client: kube::Client, scope: Scope) -> Result<Vec<HeldPod>, ApiFailure> {
    let calls = Calls::new(client.clone());
    let (mut held, mut next) = (Vec::new(), None);
    loop {
        let page = calls.clone().list(Selection::Pods(scope.clone()), next).await?;
        let read = Limited::new(page, LONGEST_PAGE).collect();
        let read = timeout(CALL_TIMEOUT * 6, read).await.map_err(|_| timed_out(Via::List))?;
        let json = read.map_err(|error| failure(Via::List, 0, root_cause(&*error)))?.to_bytes();
        let page: PageView = serde_json::from_slice(&json).map_err(|error| unreadable(&error))?;
        for item in page.items.unwrap_or_default() {
            let view: ItemView = serde_json::from_str(item.get()).map_err(|error| unreadable(&error))?;
            if view.metadata.finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER)) {
                let pod = decode(item.get().as_bytes()).map_err(|error| unreadable(&error))?;
                held.push(HeldPod::of(&client, pod.namespace, pod.name, &pod.snapshot));
            }
        }
        next = page.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            return Ok(held);
        }
    }
}

fn unreadable(error: &dyn std::fmt::Display) -> ApiFailure {
    failure(Via::List, 0, format!("unreadable list: {error}"))
}

impl HeldPod {
    fn of(client: &kube::Client, namespace: String, name: String, pod: &PodSnapshot) -> Self {
        let hold = Hold::of_created(client.clone(), &namespace, &name, &pod.uid);
        let policy = Arc::new(Policy::default());
        let ends = pod.containers.iter().filter_map(|container| {
            let mut machine = WaitMachine::new(Arc::clone(&policy)).container(&container.name);
            match machine.handle(Instant::ZERO, Input::Snapshot(pod)) {
                Decision::Done(exit) => Some((container.name.clone(), Ok(exit))),
                Decision::Fail(failure) => Some((container.name.clone(), Err(failure))),
                Decision::Retry { .. } => None,
            }
        });
        let ends: Vec<_> = ends.collect();
        let is_over = pod.phase.is_terminal() || ends.len() == pod.containers.len();
        let finished = pod.container_statuses.iter().filter_map(|status| match &status.state {
            Some(ContainerState::Terminated(record)) => record.finished_at,
            Some(ContainerState::Waiting { .. } | ContainerState::Running) | None => None,
        });
        let since = finished.chain(pod.deletion_timestamp).max().map(time);
        Self { namespace, name, uid: pod.uid.clone(), ends, is_over, since, hold }
    }
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(at.0).unwrap_or(0))
}
