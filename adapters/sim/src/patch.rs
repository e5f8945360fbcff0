//! Patches of a pod's metadata: of finalizers, labels and annotations.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::store::{Cluster, text};

impl Cluster {
    /// A strategic merge patch of `metadata`: adds its finalizers or, with `$deleteFromPrimitiveList/finalizers`,
    /// removes them, and merges labels and annotations. With a uid the patch is for that pod only. A pod that is being
    /// deleted accepts no new finalizer, and is removed with its last finalizer.
    pub fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<Arc<Value>, Refusal> {
        let metadata = &patch["metadata"];
        let pod = self.with(|store| store.get(namespace, name))?;
        let (asked, stored) = (text(patch, "/metadata/uid"), text(&pod, "/metadata/uid"));
        if !asked.is_empty() && asked != stored {
            let message = format!("metadata.uid: Invalid value: {asked:?}: field is immutable");
            return Err(Refusal::Invalid { name: name.to_owned(), message });
        }
        let listed = |key: &str| metadata[key].as_array().cloned().unwrap_or_default();
        let held = pod["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        let new: Vec<Value> = listed("finalizers").into_iter().filter(|one| !held.contains(one)).collect();
        if !new.is_empty() && !pod["metadata"]["deletionTimestamp"].is_null() {
            let message = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted";
            return Err(Refusal::Invalid { name: name.to_owned(), message: message.to_owned() });
        }
        let mut pod = self.update_status(namespace, name, |pod| {
            for key in ["labels", "annotations"] {
                for (name, value) in metadata[key].as_object().into_iter().flatten() {
                    pod["metadata"][key][name] = value.clone();
                }
            }
            if !new.is_empty() {
                let all: Vec<Value> = held.iter().chain(&new).cloned().collect();
                pod["metadata"]["finalizers"] = json!(all);
            }
        })?;
        for finalizer in listed("$deleteFromPrimitiveList/finalizers") {
            if let Some(finalizer) = finalizer.as_str() {
                pod = self.remove_finalizer(namespace, name, finalizer)?;
            }
        }
        Ok(pod)
    }
}
