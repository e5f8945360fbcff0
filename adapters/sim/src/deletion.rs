//! Deletion as the API server does it: a request, a grace period, and an end that finalizers delay.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock;
use crate::event::EventType;
use crate::refusal::Refusal;
use crate::store::{Cluster, Store, text};

/// The options of a DELETE request that the simulated API server supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// How long the containers may take to stop, in seconds. By default the pod's own grace period.
    pub grace_period_seconds: Option<i64>,
    /// Precondition: delete only the pod with this uid.
    pub uid: Option<String>,
}

impl Cluster {
    /// Requests a deletion, as a user or a controller does. `None` is the pod's own grace period.
    ///
    /// A scheduled pod that still runs gets a deletionTimestamp and stays until the kubelet calls
    /// [`remove`](Self::remove). A pod that is unscheduled or terminal, or that is deleted with grace 0, is gone at
    /// once: there is one MODIFIED with grace 0, then DELETED with the last object and the deletion's resourceVersion.
    /// Returns the last object written.
    pub fn request_deletion(
        &self,
        namespace: &str,
        name: &str,
        grace: impl Into<Option<i64>>,
    ) -> Result<Arc<Value>, Refusal> {
        let options = DeleteOptions { grace_period_seconds: grace.into(), uid: None };
        self.delete(namespace, name, &options)
    }

    /// Deletes with grace 0, as the kubelet does when the containers of the pod have stopped. Finalizers still keep the
    /// object.
    pub fn remove(&self, namespace: &str, name: &str) -> Result<Arc<Value>, Refusal> {
        self.request_deletion(namespace, name, 0)
    }

    /// Removes one finalizer. If it was the last finalizer of a pod whose grace period is over, the pod is removed. As
    /// in Kubernetes, DELETED then has the stored object, which still has the finalizer.
    pub fn remove_finalizer(
        &self,
        namespace: &str,
        name: &str,
        finalizer: &str,
    ) -> Result<Arc<Value>, Refusal> {
        self.with(|store| {
            let pod = store.get(namespace, name)?;
            let remaining: Vec<&Value> = finalizers(&pod).filter(|held| *held != finalizer).collect();
            if remaining.is_empty() && grace(&pod) == Some(0) {
                return Ok(store.write(EventType::Deleted, Value::clone(&pod)));
            }
            let remaining = (!remaining.is_empty()).then(|| json!(remaining));
            store.update(namespace, name, |pod| set_finalizers(pod, remaining))
        })
    }

    /// Deletes with all the options of the request.
    pub fn delete(
        &self,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Arc<Value>, Refusal> {
        self.with(|store| {
            let pod = store.get(namespace, name)?;
            check_precondition(&pod, name, options)?;
            Ok(store.delete(&pod, options.grace_period_seconds))
        })
    }
}

impl Store {
    /// Writes the deletion into the object, then removes the object if no finalizer keeps it.
    fn delete(&mut self, pod: &Arc<Value>, asked: Option<i64>) -> Arc<Value> {
        let mut last = Arc::clone(pod);
        if let Some((grace, timestamp)) = deletion(pod, asked, self.clock.now()) {
            let mut marked = Value::clone(pod);
            mark_deleted(&mut marked, grace, timestamp);
            last = self.write(EventType::Modified, marked);
        }
        if grace(&last) == Some(0) && finalizers(&last).next().is_none() {
            last = self.write(EventType::Deleted, Value::clone(&last));
        }
        last
    }
}

/// The grace period and deletionTimestamp to write, or nothing if this request changes neither.
/// A second request can only shorten the grace period of the first, and never into the past.
fn deletion(pod: &Value, asked: Option<i64>, now: i64) -> Option<(i64, i64)> {
    let Some(current) = grace(pod) else {
        let period = first_grace_period(pod, asked);
        return Some((period, now.saturating_add(period)));
    };
    let period = asked.filter(|period| *period < current)?.max(0);
    let deadline = clock::seconds(text(pod, "/metadata/deletionTimestamp")).unwrap_or(now);
    let moved = deadline.saturating_sub(current).saturating_add(period);
    if moved >= now {
        return Some((period, moved));
    }
    // The rest of a grace period is at least one second: only the kubelet's 0 ends it.
    Some((period.min(1), now))
}

fn first_grace_period(pod: &Value, asked: Option<i64>) -> i64 {
    let unscheduled = text(pod, "/spec/nodeName").is_empty();
    let terminal = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    if unscheduled || terminal {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64();
    match asked.or(own).unwrap_or(0) {
        negative if negative < 0 => 1,
        period => period,
    }
}

fn mark_deleted(pod: &mut Value, grace: i64, timestamp: i64) {
    let metadata = &mut pod["metadata"];
    if metadata["deletionTimestamp"].is_null() {
        // Only the first request changes the generation; later requests only shorten the grace period.
        metadata["generation"] = json!(metadata["generation"].as_i64().unwrap_or(0) + 1);
    }
    metadata["deletionTimestamp"] = json!(clock::rfc3339(timestamp));
    metadata["deletionGracePeriodSeconds"] = json!(grace);
}

fn grace(pod: &Value) -> Option<i64> {
    pod["metadata"]["deletionGracePeriodSeconds"].as_i64()
}

fn finalizers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["metadata"]["finalizers"].as_array().into_iter().flatten()
}

fn set_finalizers(pod: &mut Value, remaining: Option<Value>) {
    match (remaining, pod["metadata"].as_object_mut()) {
        (Some(remaining), Some(metadata)) => drop(metadata.insert("finalizers".to_owned(), remaining)),
        (None, Some(metadata)) => drop(metadata.remove("finalizers")),
        (_, None) => {}
    }
}

fn check_precondition(pod: &Value, name: &str, options: &DeleteOptions) -> Result<(), Refusal> {
    let stored = text(pod, "/metadata/uid");
    match options.uid.as_deref() {
        Some(wanted) if wanted != stored => Err(Refusal::Conflict {
            name: name.to_owned(),
            message: format!(
                "Precondition failed: UID in precondition: {wanted}, UID in object meta: {stored}"
            ),
        }),
        Some(_) | None => Ok(()),
    }
}
