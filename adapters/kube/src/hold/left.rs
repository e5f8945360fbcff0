//! Pods whose hold nobody takes off any more.

use super::{FINALIZER, Hold};
use crate::client::{Calls, unreadable};
use crate::ends::{Ends, ends_of};
use podwait_core::{ContainerState, PodSnapshot, Timestamp};
use podwait_hub::Scope;
use podwait_wire::{ApiFailure, Via};
use serde::Deserialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    pub ends: Ends,
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
struct ItemView {
    metadata: ItemMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ItemMeta {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
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
    let mut held = Vec::new();
    calls
        .list(&scope, |item| {
            let view: ItemView = serde_json::from_slice(item.bytes())
                .map_err(|error| unreadable(Via::List, format!("unreadable item of a list: {error}")))?;
            let metadata = view.metadata;
            if metadata.finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER)) {
                // One that cannot be read is held all the same, and how it ended is not known.
                let snapshot = item.pod().map(|pod| pod.snapshot).unwrap_or_else(|_| PodSnapshot {
                    uid: metadata.uid.unwrap_or_default(),
                    ..PodSnapshot::default()
                });
                let (namespace, name) =
                    (metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default());
                held.push(HeldPod::of(&client, namespace, name, &snapshot));
            }
            Ok(())
        })
        .await?;
    Ok(held)
}

impl HeldPod {
    fn of(client: &kube::Client, namespace: String, name: String, pod: &PodSnapshot) -> Self {
        let hold = Hold::of_created(client.clone(), &namespace, &name, &pod.uid);
        let (ends, is_over) = ends_of(pod);
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
