//! The one write of podwait: its finalizer on a pod, and off it.

use super::FINALIZER;
use crate::client::{CALL_TIMEOUT, Calls, pods_path, rejected};
use http::{Method, Request, header};
use podwait_hub::PodName;
use podwait_wire::{ApiFailure, Via};
use serde_json::json;

/// What to do with the finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// What came of it.
#[derive(Clone)]
pub(super) enum Patched {
    Done,
    /// There is no such pod, or it is another one by now.
    Gone,
    /// The API server says that the pod may not become so: finalizers cannot be added to one that is being deleted.
    Invalid(ApiFailure),
    Failed(ApiFailure),
}

impl Calls {
    /// A strategic merge patch, which adds to the list or takes from it whatever else is there, for the pod of this uid only.
    pub(super) async fn patch_hold(self, pod: PodName, uid: String, change: Change) -> Patched {
        if uid.is_empty() {
            // To the API server that would be whatever pod has the name.
            return Patched::Failed(rejected(Via::Get, "the pod's uid is not known"));
        }
        let finalizers = match change {
            Change::Add => "finalizers",
            Change::Remove => "$deleteFromPrimitiveList/finalizers",
        };
        let patch = json!({ "metadata": { "uid": uid, finalizers: [FINALIZER] } });
        self.send_patch(&pod, patch.to_string()).await.unwrap_or_else(Patched::Failed)
    }

    async fn send_patch(&self, pod: &PodName, patch: String) -> Result<Patched, ApiFailure> {
        let path = pods_path(Some(pod.namespace()), Some(pod.name()))?;
        let request = Request::builder()
            .method(Method::PATCH)
            // The API server gives up when the client does, so that nothing is carried out later.
            .uri(format!("{path}/{}?fieldManager=podwait&timeout={}s", pod.name(), CALL_TIMEOUT.as_secs()))
            .header(header::CONTENT_TYPE, "application/strategic-merge-patch+json")
            .body(patch.into_bytes())
            .map_err(|error| rejected(Via::Get, error.to_string()))?;
        let Err(refusal) = self.call(Via::Get, request).await else { return Ok(Patched::Done) };
        Ok(match refusal.failure.code {
            _ if refusal.is_absence_of(pod.name()) => Patched::Gone,
            // The uid is another one's: to the API server that is an attempt to change it.
            422 if refusal.is_about("metadata.uid") => Patched::Gone,
            422 if refusal.failure.is_status => Patched::Invalid(refusal.failure),
            _ => Patched::Failed(refusal.failure),
        })
    }
}
