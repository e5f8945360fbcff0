//! The only write of podwait: it adds its finalizer to a pod, or removes it.

use super::FINALIZER;
use crate::client::{CALL_TIMEOUT, Calls, pods_path, rejected};
use http::{Method, Request, header};
use podwait_hub::PodName;
use podwait_wire::{ApiFailure, Via};
use serde_json::json;

/// Adds or removes the finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// The result of the patch.
#[derive(Clone)]
pub(super) enum Patched {
    Done,
    /// There is no such pod, or another one has its name.
    Gone,
    /// The API server refuses the new state of the pod: a finalizer cannot be added to a pod that is being deleted.
    Invalid(ApiFailure),
    Failed(ApiFailure),
}

impl Calls {
    /// A strategic merge patch, which adds one finalizer or removes it and leaves others unchanged, only for the pod
    /// with this uid.
    pub(super) async fn patch_hold(self, pod: PodName, uid: String, change: Change) -> Patched {
        if uid.is_empty() {
            // Without a uid the API server would patch any pod with the name.
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
            // The API server has the same timeout as the client, so that the patch does not take effect later.
            .uri(format!("{path}/{}?fieldManager=podwait&timeout={}s", pod.name(), CALL_TIMEOUT.as_secs()))
            .header(header::CONTENT_TYPE, "application/strategic-merge-patch+json")
            .body(patch.into_bytes())
            .map_err(|error| rejected(Via::Get, error.to_string()))?;
        let Err(refusal) = self.call(Via::Get, request).await else { return Ok(Patched::Done) };
        Ok(match refusal.failure.code {
            _ if refusal.is_absence_of(pod.name()) => Patched::Gone,
            // Another pod has the name: to the API server the patch is an attempt to change its uid.
            422 if refusal.is_about("metadata.uid") => Patched::Gone,
            422 if refusal.failure.is_status => Patched::Invalid(refusal.failure),
            _ => Patched::Failed(refusal.failure),
        })
    }
}
