//! A real cluster, if the environment says so.
//!
//! `PODWAIT_CLUSTER=go` builds and starts the control plane of `tests/cluster`; `PODWAIT_CLUSTER=kubeconfig` takes the
//! current context. There need be no kubelet: the tests write the pods' status as a kubelet would.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How to turn the real-cluster tests on, for those who see that they were skipped.
const HOW: &str =
    "real-cluster tests skipped: set PODWAIT_CLUSTER=go (needs Go) or PODWAIT_CLUSTER=kubeconfig";

/// The control plane, which goes away with this process's end of its standard input.
static CONTROL_PLANE: Mutex<Option<Child>> = Mutex::new(None);

/// The path of the kubeconfig, or `None` after saying how to get one.
///
/// # Panics
/// A cluster was asked for and cannot be had: then the tests must not pass.
pub fn kubeconfig() -> Option<&'static PathBuf> {
    static KUBECONFIG: OnceLock<Option<PathBuf>> = OnceLock::new();
    let path = KUBECONFIG.get_or_init(|| match std::env::var("PODWAIT_CLUSTER").as_deref() {
        Ok("go") => Some(start_control_plane()),
        Ok("kubeconfig") => {
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
            let path = std::env::var_os("KUBECONFIG").map(PathBuf::from).or(home);
            Some(path.expect("PODWAIT_CLUSTER=kubeconfig needs KUBECONFIG or HOME"))
        }
        Ok("") | Err(_) => None,
        Ok(other) => panic!("PODWAIT_CLUSTER is {other:?}, neither \"go\" nor \"kubeconfig\""),
    });
    if path.is_none() {
        // Past the capture of the test harness, once: a skipped test must be seen.
        static SAID: OnceLock<()> = OnceLock::new();
        SAID.get_or_init(|| {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{HOW}");
        });
    }
    path.as_ref()
}

fn start_control_plane() -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");
    let build = Command::new("./build").current_dir(folder).stderr(Stdio::inherit()).output();
    let build = build.expect("tests/cluster/build runs");
    assert!(build.status.success(), "the control plane must build");
    let printed = String::from_utf8(build.stdout).expect("build prints UTF-8");
    let program =
        PathBuf::from(folder).join(printed.lines().last().expect("build prints the program's path"));
    let mut child = Command::new(&program)
        .arg("--with-parent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the control plane starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("standard output is piped");
    BufReader::new(stdout).read_line(&mut line).expect("the control plane speaks");
    let ready: Value = serde_json::from_str(&line).expect("the control plane says that it is ready");
    *CONTROL_PLANE.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    PathBuf::from(ready["kubeconfig"].as_str().expect("it names its kubeconfig"))
}

/// A throwaway namespace on the real cluster.
pub struct Scratch {
    client: kube::Client,
    namespace: String,
}

impl Scratch {
    /// A new namespace with this word in its name, or `None` where there is no cluster.
    ///
    /// # Panics
    /// The cluster does not let us.
    pub async fn new(word: &str) -> Option<Self> {
        let client = client(None).await?;
        let namespace = format!("podwait-{word}-{}", std::process::id());
        let object = Namespace {
            metadata: kube::core::ObjectMeta { name: Some(namespace.clone()), ..Default::default() },
            ..Default::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await.expect("the namespace is created");
        Some(Self { client, namespace })
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
        let pod = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "nodeName": "podwait-no-node", "restartPolicy": "Never", "automountServiceAccountToken": false,
                "containers": containers,
            },
        }));
        let pod: Pod = pod.expect("a pod");
        // On a full cluster the namespace's service account takes a moment to appear.
        for _ in 0..50 {
            match self.pods().create(&PostParams::default(), &pod).await {
                Ok(pod) => return pod,
                Err(kube::Error::Api(status)) if status.code == 403 => pause(200).await,
                Err(error) => panic!("{name} is not created: {error}"),
            }
        }
        panic!("{name} is not created: no service account")
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
        for pod in self.pods().list(&Default::default()).await.expect("pods are listed") {
            self.delete(&pod.metadata.name.expect("a pod has a name"), 0).await;
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await.expect("the namespace is deleted");
    }
}

/// A client for a context of the cluster's kubeconfig.
///
/// # Panics
/// The kubeconfig cannot be used.
pub async fn client(context: Option<&str>) -> Option<kube::Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig()?).expect("the kubeconfig is read");
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("the kubeconfig is used");
    Some(podwait::client(config).expect("a client"))
}

/// Lets real time pass, for the real API server and for processes that cannot be asked how far they are.
pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// `state: running`, begun just now.
#[must_use]
pub fn running() -> Value {
    json!({ "running": { "startedAt": now() } })
}

/// `state: terminated` with this code, finished just now.
#[must_use]
pub fn terminated(code: i32) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({ "terminated": {
        "exitCode": code, "reason": reason, "startedAt": now(), "finishedAt": now(), "containerID": "containerd://c1",
    } })
}

fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::now();
    k8s_openapi::jiff::Timestamp::from_second(now.as_second()).expect("the present is in range").to_string()
}
