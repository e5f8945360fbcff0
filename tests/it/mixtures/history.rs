//! Every version of every pod of a namespace, from a separate watch without faults.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, WatchEvent, WatchParams};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinHandle;

/// By uid.
type Versions = HashMap<String, Vec<(Instant, Value)>>;

/// The versions so far. The watch ends when this is dropped.
pub(super) struct History {
    versions: Arc<Mutex<Versions>>,
    task: JoinHandle<()>,
}

impl History {
    /// Begins with a namespace that is empty.
    pub(super) fn of(pods: Api<Pod>) -> Self {
        let versions = Arc::new(Mutex::new(Versions::new()));
        let recorded = Arc::clone(&versions);
        let task = tokio::spawn(async move {
            let mut version = String::from("0");
            loop {
                let watch = pods.watch(&WatchParams::default(), &version).await;
                let mut events = watch.expect("the API server lets us watch").boxed();
                // Continues where the watch ended: no version may be missed.
                while let Ok(Some(event)) = events.try_next().await {
                    let (pod, is_gone) = match event {
                        WatchEvent::Added(pod) | WatchEvent::Modified(pod) => (pod, false),
                        WatchEvent::Deleted(pod) => (pod, true),
                        WatchEvent::Bookmark(_) => continue,
                        WatchEvent::Error(error) => panic!("the watch lost its place: {error:?}"),
                    };
                    version = pod.metadata.resource_version.clone().expect("a version");
                    let uid = pod.metadata.uid.clone().expect("a uid");
                    let mut pod = serde_json::to_value(pod).expect("a pod is JSON");
                    if is_gone {
                        pod["gone"] = json!(true);
                    }
                    let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
                    recorded.entry(uid).or_default().push((Instant::now(), pod));
                }
            }
        });
        Self { versions, task }
    }

    /// The versions of this pod.
    ///
    /// # Panics
    /// The watch has ended.
    pub(super) fn pod(&self, uid: &str) -> Vec<(Instant, Value)> {
        assert!(!self.task.is_finished(), "the watch has ended");
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(uid).cloned().unwrap_or_default()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.task.abort();
    }
}
