//! Writes pods in place of a kubelet, many at once and at a bounded rate. There are no reads here, so that all reads
//! are the waiter's.

use super::metrics::{SETTLED, Served};
use super::{exit_code, now, pod_name};
use futures_util::{StreamExt, stream};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_tests::cluster::{running, terminated};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How many writes are under way at once.
const AT_ONCE: usize = 16;

/// The pods end in steps of this number, modulo their count. A prime, so that every pod is reached.
const STRIDE: usize = 7919;

/// Writes pods into a new namespace.
pub struct Writer {
    client: kube::Client,
    namespace: String,
    count: usize,
    rate: u32,
    /// The size of a pod that has ended.
    pod_bytes: AtomicUsize,
}

impl Writer {
    /// Creates the namespace.
    ///
    /// # Panics
    /// The API server refuses the namespace.
    pub async fn new(kubeconfig: &Path, namespace: &str, count: usize, rate: u32) -> Self {
        let config = podwait_tests::cluster::config(kubeconfig, None).await;
        let client = kube::Client::try_from(config).expect("a client");
        Self::with(client, namespace, count, rate).await
    }

    async fn with(client: kube::Client, namespace: &str, count: usize, rate: u32) -> Self {
        let namespace = namespace.to_owned();
        let writer = Self { client, namespace, count, rate, pod_bytes: AtomicUsize::new(0) };
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": writer.namespace } });
        writer.write(Method::POST, "/api/v1/namespaces", &object).await;
        writer
    }

    /// How many bytes the API server sends to itself while a pod runs and ends, since its admission watches all pods.
    /// Measured with a pod in a separate namespace.
    ///
    /// # Panics
    /// A write is refused.
    pub async fn background_bytes(&self) -> u64 {
        let namespace = format!("{}-background", self.namespace);
        let other = Self::with(self.client.clone(), &namespace, 1, self.rate).await;
        other.create().await;
        tokio::time::sleep(SETTLED).await;
        let before = Served::read(&other.client).await;
        other.run_all().await;
        other.end_all(true).await;
        tokio::time::sleep(SETTLED).await;
        Served::read(&other.client).await.since(&before).bytes
    }

    /// The writer's client.
    #[must_use]
    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// The size of a pod that has ended, in bytes of JSON.
    #[must_use]
    pub fn pod_bytes(&self) -> usize {
        self.pod_bytes.load(Ordering::Relaxed)
    }

    /// Creates the pods, bound to a node without a kubelet.
    ///
    /// # Panics
    /// A pod is refused.
    pub async fn create(&self) {
        let uri = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let create = |number| {
            let uri = &uri;
            async move { self.write(Method::POST, uri, &pod(number)).await }
        };
        stream::iter(0..self.count).map(create).buffer_unordered(AT_ONCE).for_each(async |_| ()).await;
    }

    /// Writes that all pods run.
    ///
    /// # Panics
    /// A write is refused.
    pub async fn run_all(&self) {
        self.all(async |number| {
            self.write_status(number, &status("Running", &running(), number)).await;
        })
        .await;
    }

    /// Writes that all pods have ended. Returns the times at which the API server accepted each end.
    ///
    /// # Panics
    /// A write is refused.
    pub async fn end_all(&self, all_succeed: bool) -> Vec<i128> {
        let mut accepted = vec![0; self.count];
        let ends = self.all(async |number| {
            let code = if all_succeed { 0 } else { exit_code(number) };
            let phase = if code == 0 { "Succeeded" } else { "Failed" };
            let (at, bytes) = self.write_status(number, &status(phase, &terminated(code), number)).await;
            self.pod_bytes.store(bytes, Ordering::Relaxed);
            (number, at)
        });
        for (number, at) in ends.await {
            accepted[number] = at;
        }
        accepted
    }

    /// Calls `each` for every pod, in the shuffled order and at the rate.
    async fn all<T>(&self, each: impl AsyncFn(usize) -> T) -> Vec<T> {
        let begin = Instant::now();
        let in_turn = |turn: usize| {
            let due = begin + Duration::from_secs(turn as u64) / self.rate;
            let each = &each;
            async move {
                tokio::time::sleep_until(due).await;
                each(turn * STRIDE % self.count).await
            }
        };
        assert!(!self.count.is_multiple_of(STRIDE), "{} is a multiple of {STRIDE}", self.count);
        stream::iter(0..self.count).map(in_turn).buffer_unordered(AT_ONCE).collect().await
    }

    async fn write_status(&self, number: usize, status: &Value) -> (i128, usize) {
        let uri = format!("/api/v1/namespaces/{}/pods/{}/status", self.namespace, pod_name(number));
        self.write(Method::PATCH, &uri, &json!({ "status": status })).await
    }

    /// Writes an object. Returns when the API server began to respond, and the length of its response.
    async fn write(&self, method: Method, uri: &str, object: &Value) -> (i128, usize) {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = Request::builder()
            .method(&method)
            .uri(uri)
            .header("content-type", kind)
            .body(Body::from(object.to_string().into_bytes()))
            .expect("a request");
        let answer = self.client.send(request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{method} {uri}: {error}"));
        let (at, status) = (now(), answer.status());
        let body = answer.into_body().collect().await.expect("the response is complete").to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(matches!(status, StatusCode::OK | StatusCode::CREATED), "{method} {uri}: {status} {text}");
        (at, body.len())
    }
}

/// A pod of the size of a CI agent's pods: most of it is environment variables and managedFields.
fn pod(number: usize) -> Value {
    let word = "0123456789abcdef".repeat(4);
    let environment: Vec<Value> =
        (0..28).map(|of| json!({ "name": format!("CI_VARIABLE_{of}"), "value": word })).collect();
    let volumes: Vec<Value> =
        (0..4).map(|of| json!({ "name": format!("volume-{of}"), "emptyDir": {} })).collect();
    let mounts: Vec<Value> = (0..4)
        .map(|of| json!({ "name": format!("volume-{of}"), "mountPath": format!("/mnt/{of}") }))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": pod_name(number),
            "labels": { "agent": "7", "step": number.to_string() },
            "annotations": { "ci.example/pipeline": word.repeat(8), "ci.example/commit": word },
        },
        "spec": {
            "nodeName": "podwait-no-node", "restartPolicy": "Never", "automountServiceAccountToken": false,
            "volumes": volumes,
            "containers": [{
                "name": "step", "image": "registry.example/ci/step:1", "command": ["sh", "-c", "make check"],
                "env": environment, "volumeMounts": mounts,
                "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
            }],
        },
    })
}

fn status(phase: &str, state: &Value, number: usize) -> Value {
    let ready = if phase == "Running" { "True" } else { "False" };
    let conditions: Vec<Value> = ["Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|kind| json!({ "type": kind, "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z" }))
        .into();
    json!({
        "phase": phase, "conditions": conditions, "hostIP": "10.0.0.1", "podIP": "10.1.0.1", "qosClass": "Burstable",
        "startTime": "2026-01-01T00:00:00Z",
        "containerStatuses": [{
            "name": "step", "image": "registry.example/ci/step:1", "ready": phase == "Running", "restartCount": 0,
            "imageID": format!("registry.example/ci/step@sha256:{}", "0".repeat(64)),
            "containerID": format!("containerd://{number:064}"), "lastState": {}, "state": state,
        }],
    })
}
