//! A namespace of its own on the real cluster, and what a test does to the pods in it.

use super::{client, cluster, pause};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch};

/// Held by everybody who uses the cluster, and by one alone who takes it down.
static IN_USE: RwLock<()> = RwLock::const_new(());

/// Waits until nobody else uses the cluster, and keeps them off.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    IN_USE.write().await
}

/// A throwaway namespace on the real cluster.
pub struct Scratch {
    client: kube::Client,
    namespace: String,
    /// Of each wait, the resourceVersion that it has seen last.
    seen: watch::Sender<Vec<u64>>,
    _in_use: Option<RwLockReadGuard<'static, ()>>,
}

/// A wait that tells what it sees, until it is dropped with its answer.
pub(super) struct Looking {
    seen: watch::Sender<Vec<u64>>,
    number: usize,
}

/// What a wait has seen that has answered: nothing can be newer.
const ANSWERED: u64 = u64::MAX;

impl Looking {
    pub(super) fn sees(&self, resource_version: u64) {
        self.seen.send_modify(|seen| seen[self.number] = resource_version);
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.sees(ANSWERED);
    }
}

impl Scratch {
    /// A new namespace with this word in its name.
    ///
    /// # Panics
    /// There is no cluster, or it does not let us.
    pub async fn new(word: &str) -> Self {
        let in_use = IN_USE.read().await;
        Self { _in_use: Some(in_use), ..Self::in_outages(word).await }
    }

    /// The same for one who is [`alone`].
    ///
    /// # Panics
    /// There is no cluster, or it does not let us.
    pub async fn in_outages(word: &str) -> Self {
        let client = client(None).await;
        let namespace = format!("podwait-{word}-{}", std::process::id());
        let object = Namespace {
            metadata: kube::core::ObjectMeta { name: Some(namespace.clone()), ..Default::default() },
            ..Default::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await.expect("the namespace is created");
        Self { client, namespace, seen: watch::Sender::default(), _in_use: None }
    }

    /// A client of the cluster, made as podwait's users make it.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The namespace's name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Pods of the namespace.
    #[must_use]
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a pod that is bound to a node which nobody serves.
    ///
    /// # Panics
    /// It is refused.
    pub async fn create(&self, name: &str, containers: &[&str]) -> Pod {
        let containers: Vec<Value> =
            containers.iter().map(|name| json!({ "name": name, "image": "none" })).collect();
        self.create_pod(&json!({
            "metadata": { "name": name },
            "spec": {
                // Of this namespace only: once a missing node is known, the garbage collector takes its new pods at once.
                "nodeName": format!("no-node.{}", self.namespace), "restartPolicy": "Never", "automountServiceAccountToken": false,
                "containers": containers,
            },
        }))
        .await
    }

    /// Creates this pod.
    ///
    /// # Panics
    /// It is refused, or none.
    pub async fn create_pod(&self, pod: &Value) -> Pod {
        let name = &pod["metadata"]["name"];
        let pod: Pod = serde_json::from_value(pod.clone()).expect("a pod");
        // A new namespace's service account, or the place of a pod of that name, takes a moment to be there.
        for _ in 0..50 {
            match self.pods().create(&PostParams::default(), &pod).await {
                Ok(pod) => return pod,
                Err(kube::Error::Api(status)) if matches!(status.code, 403 | 409) => pause(200).await,
                Err(error) => panic!("{name} is not created: {error}"),
            }
        }
        panic!("{name} is not created")
    }

    pub(super) fn looking(&self) -> Looking {
        let number = self.seen.borrow().len();
        self.seen.send_modify(|seen| seen.push(0));
        Looking { seen: self.seen.clone(), number }
    }

    async fn wait_until_all_have_seen(&self, resource_version: u64) {
        let mut seen = self.seen.subscribe();
        let all = seen.wait_for(|seen| seen.iter().all(|seen| *seen >= resource_version));
        let all = tokio::time::timeout(Duration::from_secs(60), all).await.map(|_| ());
        assert_eq!(all, Ok(()), "{resource_version} is not seen in {}: {:?}", self.namespace, self.seen);
    }

    /// Waits until everybody who waits has seen the pod as it is now.
    ///
    /// # Panics
    /// Somebody does not within a minute, or there is no such pod.
    pub async fn wait_until_seen(&self, name: &str) {
        let pod = self.pods().get(name).await.expect("the pod is there");
        let version = pod.metadata.resource_version.expect("the API server says which version it is");
        self.wait_until_all_have_seen(version.parse().expect("etcd's revision")).await;
    }

    /// Waits until everybody who waits has answered.
    ///
    /// # Panics
    /// Somebody does not within a minute.
    pub async fn wait_until_answered(&self) {
        self.wait_until_all_have_seen(ANSWERED).await;
    }

    /// Waits until the pod's first container runs and everybody who waits has seen the pod, and returns the pod's uid. A shell that
    /// is to `echo begun` has done so: the kubelet says that a container runs before its shell has come to anything.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn wait_until_running(&self, name: &str) -> String {
        let uid = self.wait_until(name, |status| status["state"]["running"].is_object()).await;
        let pod = self.pods().get(name).await.expect("the pod is there");
        let spec = serde_json::to_value(pod.spec).expect("a pod is JSON");
        let container = &spec["containers"][0];
        let says_it = |word: &Value| word.as_str().is_some_and(|word| word.contains("echo begun"));
        let cluster = cluster();
        if cluster.is_own() && container["command"].as_array().is_some_and(|words| words.iter().any(says_it))
        {
            let word = |of: &Value| of.as_str().expect("it is there").to_owned();
            let (node, container) = (word(&spec["nodeName"]), word(&container["name"]));
            let log = cluster.logs(&node, &self.namespace, name, &uid, &container).join("0.log");
            let has_begun = async {
                while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("begun")) {
                    pause(20).await;
                }
            };
            let has_begun = tokio::time::timeout(Duration::from_secs(60), has_begun).await;
            assert!(has_begun.is_ok(), "{name} does not say in {} that it has begun", log.display());
        }
        uid
    }

    /// Waits until the pod's first container has ended.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn wait_until_ended(&self, name: &str) -> String {
        self.wait_until(name, |status| status["state"]["terminated"].is_object()).await
    }

    /// Waits until the pod's first container was started again.
    ///
    /// # Panics
    /// It is not within a minute.
    pub async fn wait_until_restarted(&self, name: &str) -> String {
        self.wait_until(name, |status| status["restartCount"].as_i64() > Some(0)).await
    }

    /// Waits until the pod's first container waits for this reason.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn wait_until_waiting(&self, name: &str, reason: &str) -> String {
        self.wait_until(name, |status| status["state"]["waiting"]["reason"] == reason).await
    }

    async fn wait_until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> String {
        for _ in 0..300 {
            let pod = self.pods().get(name).await.expect("the pod is there");
            let pod = serde_json::to_value(pod).expect("a pod is JSON");
            if holds(&pod["status"]["containerStatuses"][0]) {
                self.wait_until_all_have_seen(1).await;
                return pod["metadata"]["uid"].as_str().expect("a pod has a uid").to_owned();
            }
            pause(200).await;
        }
        panic!("{name} does not get there")
    }

    /// Writes the pod's status, as its kubelet would: the phase, and each container's state.
    ///
    /// # Panics
    /// It is refused.
    pub async fn write_status(&self, name: &str, phase: &str, states: &[(&str, Value)]) {
        let statuses: Vec<Value> = states
            .iter()
            .map(|(name, state)| {
                json!({ "name": name, "image": "none", "imageID": "", "ready": false, "restartCount": 0, "lastState": {}, "state": state })
            })
            .collect();
        let patch = json!({ "status": { "phase": phase, "containerStatuses": statuses } });
        let written = self.pods().patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        written.unwrap_or_else(|error| panic!("the status of {name} is not written: {error}"));
    }

    /// Deletes the pod with this grace; 0 removes it at once.
    ///
    /// # Panics
    /// It is refused.
    pub async fn delete(&self, name: &str, grace: u32) {
        let deleted = self
            .pods()
            .delete(name, &DeleteParams { grace_period_seconds: Some(grace), ..Default::default() })
            .await;
        deleted.unwrap_or_else(|error| panic!("{name} is not deleted: {error}"));
    }

    /// Removes the namespace and what is in it.
    ///
    /// # Panics
    /// It is refused.
    pub async fn remove(self) {
        // Whatever a scenario has deleted already, namespace included, is not there any more.
        let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409));
        let now = DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
        for pod in self.pods().list(&Default::default()).await.expect("pods are listed") {
            let name = pod.metadata.name.expect("a pod has a name");
            let deleted = self.pods().delete(&name, &now).await;
            assert!(deleted.as_ref().err().is_none_or(gone), "{name} is not deleted: {deleted:?}");
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let deleted = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        assert!(deleted.as_ref().err().is_none_or(gone), "the namespace is not deleted: {deleted:?}");
    }
}
