//! Pods with a hold that was left behind.

use super::{FINALIZER, Hold};
use crate::client::{Calls, Client, unreadable};
use podwait_core::{ContainerState, Exit, Failure, PodSnapshot, Timestamp};
use podwait_hub::Scope;
use podwait_wire::{ApiFailure, Encoding, Via};
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
    /// The ends of its regular containers by name, as far as they have ended; a release without reading them would lose
    /// them. Each is the answer of a wait that sees only this state of the pod.
    pub ends: Vec<(String, Result<Exit, Failure>)>,
    /// Whether the pod is over; see [`PodSnapshot::is_over`].
    pub is_over: bool,
    /// When the last of them ended, or when the pod's deletion was requested, as far as the object shows.
    pub since: Option<SystemTime>,
    hold: Hold,
}

impl HeldPod {
    /// Whether the pod can be released: it has been over for at least `age`, so no live wait can have missed its end.
    #[must_use]
    pub fn is_safe(&self, now: SystemTime, age: Duration) -> bool {
        let since = self.since.and_then(|since| now.duration_since(since).ok());
        self.is_over && since.is_some_and(|since| since >= age)
    }

    /// Releases the pod, as [`Hold::release`] does.
    ///
    /// # Errors
    /// The API server did not accept the change.
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

/// The held pods of a scope, whichever process holds them. Needs `list` on `pods`.
///
/// Running processes hold pods too: check [`HeldPod::is_safe`] before a release.
///
/// # Errors
/// The API server does not list the pods.
pub async fn held_pods(client: Client, scope: Scope) -> Result<Vec<HeldPod>, ApiFailure> {
    let calls = Calls::new(client.clone());
    let mut held = Vec::new();
    calls
        .list(&scope, Encoding::Json.media_type(), u32::MAX, |item| {
            let view: ItemView = serde_json::from_slice(item.bytes())
                .map_err(|error| unreadable(Via::List, format!("unreadable item of a list: {error}")))?;
            let metadata = view.metadata;
            if metadata.finalizers.is_some_and(|all| all.iter().any(|one| one == FINALIZER)) {
                // A pod that cannot be decoded is held too, but its ends are not known.
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
    fn of(client: &Client, namespace: String, name: String, pod: &PodSnapshot) -> Self {
        let hold = Hold::of_created(client.clone(), &namespace, &name, &pod.uid);
        let (ends, is_over) = (pod.ends(), pod.is_over());
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
