//! A separate namespace on the real cluster, and operations on its pods.

use super::{client, cluster, pause};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch};

/// Shared by all tests that use the cluster, and exclusive for a test that stops parts of it.
static IN_USE: RwLock<()> = RwLock::const_new(());

/// Waits until no other test uses the cluster, and then keeps the cluster for this test.
pub async fn alone() -> RwLockWriteGuard<'static, ()> {
    IN_USE.write().await
}

/// A throwaway namespace on the real cluster.
pub struct Scratch {
    client: podwait::Client,
    namespace: String,
    /// The newest observed resourceVersion of each wait.
    seen: watch::Sender<Vec<u64>>,
    _in_use: Option<RwLockReadGuard<'static, ()>>,
}

/// Reports the observations of one wait. It is dropped when the wait has its answer.
pub(super) struct Looking {
    seen: watch::Sender<Vec<u64>>,
    number: usize,
}

/// The observed resourceVersion of a wait with an answer: greater than all others.
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
    /// There is no cluster, or it denies access.
    pub async fn new(word: &str) -> Self {
        let in_use = IN_USE.read().await;
        Self { _in_use: Some(in_use), ..Self::in_outages(word).await }
    }

    /// The same for a test that is [`alone`].
    ///
    /// # Panics
    /// There is no cluster, or it denies access.
    pub async fn in_outages(word: &str) -> Self {
        let client = client(None).await;
        let namespace = format!("podwait-{word}-{}", std::process::id());
        let object = Namespace {
            metadata: kube::core::ObjectMeta { name: Some(namespace.clone()), ..Default::default() },
            ..Default::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.as_kube().clone());
        namespaces.create(&PostParams::default(), &object).await.expect("the namespace is created");
        Self { client, namespace, seen: watch::Sender::default(), _in_use: None }
    }

    /// A client of the cluster, made by podwait.
    #[must_use]
    pub fn client(&self) -> podwait::Client {
        self.client.clone()
    }

    /// The same as a client of kube.
    #[must_use]
    pub fn kube(&self) -> kube::Client {
        self.client.as_kube().clone()
    }

    /// The namespace's name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Pods of the namespace.
    #[must_use]
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube(), &self.namespace)
    }

    /// Creates a pod that is bound to a node without a kubelet.
    ///
    /// # Panics
    /// The API server refuses the request.
    pub async fn create(&self, name: &str, containers: &[&str]) -> Pod {
        let containers: Vec<Value> =
            containers.iter().map(|name| json!({ "name": name, "image": "none" })).collect();
        self.create_pod(&json!({
            "metadata": { "name": name },
            "spec": {
                // The node's name is that of the namespace: once the garbage collector knows that a node is missing, it
                // removes its new pods at once.
                "nodeName": format!("no-node.{}", self.namespace), "restartPolicy": "Never", "automountServiceAccountToken": false,
                "containers": containers,
            },
        }))
        .await
    }

    /// Creates this pod.
    ///
    /// # Panics
    /// The API server refuses the pod, or it is not a pod.
    pub async fn create_pod(&self, pod: &Value) -> Pod {
        let name = &pod["metadata"]["name"];
        let pod: Pod = serde_json::from_value(pod.clone()).expect("a pod");
        // The service account of a new namespace is created a moment later, and an older pod of this name may still be
        // removed.
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
        assert_eq!(all, Ok(()), "{resource_version} was not observed in {}: {:?}", self.namespace, self.seen);
    }

    /// Waits until all waits have observed the pod's current state.
    ///
    /// # Panics
    /// A wait has not within a minute, or there is no such pod.
    pub async fn wait_until_seen(&self, name: &str) {
        let pod = self.pods().get(name).await.expect("the pod is there");
        let version = pod.metadata.resource_version.expect("the object has a resourceVersion");
        self.wait_until_all_have_seen(version.parse().expect("etcd's revision")).await;
    }

    /// Waits until all waits have their answers.
    ///
    /// # Panics
    /// A wait has none within a minute.
    pub async fn wait_until_answered(&self) {
        self.wait_until_all_have_seen(ANSWERED).await;
    }

    /// Waits until the pod's first container runs and all waits have observed the pod. Returns the pod's uid. If the
    /// container's shell has `echo begun`, it has done so: the kubelet reports that a container runs before its shell
    /// has executed anything.
    ///
    /// # Panics
    /// That takes longer than a minute.
    pub async fn wait_until_running(&self, name: &str) -> String {
        let uid = self.wait_until(name, |status| status["state"]["running"].is_object()).await;
        self.wait_until_begun(name, &uid).await;
        uid
    }

    async fn wait_until_begun(&self, name: &str, uid: &str) {
        let pod = self.pods().get(name).await.expect("the pod is there");
        let pod = serde_json::to_value(pod).expect("a pod is JSON");
        let container = &pod["spec"]["containers"][0];
        let says_it = |word: &Value| word.as_str().is_some_and(|word| word.contains("echo begun"));
        let cluster = cluster();
        if cluster.is_own() && container["command"].as_array().is_some_and(|words| words.iter().any(says_it))
        {
            let word = |of: &Value| of.as_str().expect("it is there").to_owned();
            let (node, container) = (word(&pod["spec"]["nodeName"]), word(&container["name"]));
            let attempt = &pod["status"]["containerStatuses"][0]["restartCount"];
            let logs = cluster.logs(&node, &self.namespace, name, uid, &container);
            let log = logs.join(format!("{attempt}.log"));
            let has_begun = async {
                while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("begun")) {
                    pause(20).await;
                }
            };
            let has_begun = tokio::time::timeout(Duration::from_secs(60), has_begun).await;
            assert!(has_begun.is_ok(), "{name} has not written `begun` to {}", log.display());
        }
    }

    /// Waits until the pod's first container has ended.
    ///
    /// # Panics
    /// That takes longer than a minute.
    pub async fn wait_until_ended(&self, name: &str) -> String {
        self.wait_until(name, |status| status["state"]["terminated"].is_object()).await
    }

    /// Waits until the phase of the pod is final.
    ///
    /// # Panics
    /// That takes longer than a minute.
    pub async fn wait_until_over(&self, name: &str) {
        self.wait_until_pod(name, |status| matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")))
            .await;
    }

    /// Waits until the pod's first container was started again, and its shell has done its `echo begun`, if it has one.
    ///
    /// # Panics
    /// That takes longer than a minute.
    pub async fn wait_until_restarted(&self, name: &str) -> String {
        let uid = self.wait_until(name, |status| status["restartCount"].as_i64() > Some(0)).await;
        self.wait_until_begun(name, &uid).await;
        uid
    }

    /// Waits until the pod's first container has this limit of a resource.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn wait_until_limited(&self, name: &str, resource: &str, amount: &str) {
        self.wait_until(name, |status| status["resources"]["limits"][resource] == amount).await;
    }

    /// Waits until the pod's first container waits for this reason.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn wait_until_waiting(&self, name: &str, reason: &str) -> String {
        self.wait_until(name, |status| status["state"]["waiting"]["reason"] == reason).await
    }

    async fn wait_until(&self, name: &str, holds: impl Fn(&Value) -> bool) -> String {
        self.wait_until_pod(name, |status| holds(&status["containerStatuses"][0])).await
    }

    async fn wait_until_pod(&self, name: &str, holds: impl Fn(&Value) -> bool) -> String {
        for _ in 0..300 {
            let pod = match self.pods().get(name).await {
                Ok(pod) => pod,
                Err(error @ kube::Error::Api(_)) => panic!("{name} is not there: {error}"),
                // An API server that hardly runs breaks connections.
                Err(_) => {
                    pause(200).await;
                    continue;
                }
            };
            let pod = serde_json::to_value(pod).expect("a pod is JSON");
            if holds(&pod["status"]) {
                self.wait_until_all_have_seen(1).await;
                return pod["metadata"]["uid"].as_str().expect("a pod has a uid").to_owned();
            }
            pause(200).await;
        }
        panic!("{name} does not reach the state")
    }

    /// Writes the pod's status, as its kubelet would: the phase, and each container's state.
    ///
    /// # Panics
    /// The API server refuses the request.
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
    /// The API server refuses the request.
    pub async fn delete(&self, name: &str, grace: u32) {
        let deleted = self
            .pods()
            .delete(name, &DeleteParams { grace_period_seconds: Some(grace), ..Default::default() })
            .await;
        deleted.unwrap_or_else(|error| panic!("{name} is not deleted: {error}"));
    }

    /// Removes the namespace and its pods.
    ///
    /// # Panics
    /// The API server refuses the request.
    pub async fn remove(self) {
        // A scenario may have deleted pods, or the namespace itself.
        let gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409));
        let now = DeleteParams { grace_period_seconds: Some(0), ..Default::default() };
        for pod in self.pods().list(&Default::default()).await.expect("pods are listed") {
            let name = pod.metadata.name.expect("a pod has a name");
            let deleted = self.pods().delete(&name, &now).await;
            assert!(deleted.as_ref().err().is_none_or(gone), "{name} is not deleted: {deleted:?}");
        }
        let namespaces: Api<Namespace> = Api::all(self.kube());
        let deleted = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        assert!(deleted.as_ref().err().is_none_or(gone), "the namespace is not deleted: {deleted:?}");
    }
}
