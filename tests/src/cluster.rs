//! A real cluster, if `PODWAIT_CLUSTER` is set.
//!
//! `PODWAIT_CLUSTER=go` builds and starts the cluster of `tests/cluster`, with three real kubelets;
//! `PODWAIT_CLUSTER=containerd` gives it one more, over a real containerd with the OCI runtime that `PODWAIT_OCI_RUNTIME`
//! names (runc, crun, runsc); `PODWAIT_CLUSTER=both` gives it four of these, so that the scenarios of `tests/it/kubelet` are
//! played on both kinds of nodes; `PODWAIT_CLUSTER=kubeconfig` uses the current context. Tests that write the status of pods
//! in place of a kubelet need no kubelet, and run on both. Tests that run steps on a kubelet, or disturb it, need the cluster
//! of this repository. A test without the cluster that it needs is ignored.

mod answers;
mod journal;
mod oci;
mod scratch;

pub use answers::{Answers, Waiters};
pub use journal::End;
pub use oci::OciRuntime;
pub use scratch::{Scratch, alone};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// How to get a cluster, for the message of a test that was started without one.
const HOW: &str = "set PODWAIT_CLUSTER=go (needs Go), or PODWAIT_CLUSTER=kubeconfig for any cluster";

/// The folder of the program that starts our own cluster.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");

/// How many pods a node of our own cluster may have.
pub const MAX_PODS: &str = "400";

/// Our own cluster. It ends when this process ends, since that closes its standard input.
static OWN_CLUSTER: Mutex<Option<Child>> = Mutex::new(None);

/// A cluster, and how to control it.
#[derive(Debug)]
pub struct Cluster {
    /// The path of the kubeconfig.
    pub kubeconfig: PathBuf,
    /// Of our own cluster: the socket for commands.
    control: Option<PathBuf>,
    /// Of our own cluster: the journal of its runtimes, one line of JSON for each end of a container.
    pub exits: Option<PathBuf>,
    /// Of our own cluster: the folders with the logs of containers, by node.
    logs: HashMap<String, PathBuf>,
}

/// The path of the kubeconfig.
///
/// # Panics
/// There is no cluster.
pub fn kubeconfig() -> &'static PathBuf {
    &cluster().kubeconfig
}

/// The default options of our own cluster.
const OPTIONS: &[&str] =
    &["--nodes", "3", "--max-pods", MAX_PODS, "--shutdown-grace", "6s", "--log-max-size", "1Mi,1Mi,1Gi,1Mi"];

/// The node over containerd of `tests/it/containerd`, where there is one. Pods have to tolerate its taint.
pub const CONTAINERD_NODE: &str = "node-4";

/// The options that add it.
const WITH_CONTAINERD: &[&str] = &["--nodes", "4", "--runtime", "processes,processes,processes,containerd"];

/// The options that add it, and three more that are over containerd what the first three are over processes.
const WITH_BOTH: &[&str] = &[
    "--nodes",
    "7",
    "--runtime",
    "processes,processes,processes,containerd",
    "--log-max-size",
    "1Mi,1Mi,1Gi,1Mi,1Mi,1Mi,1Gi",
];

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// The cluster.
///
/// # Panics
/// There is no cluster. A test that needs one is ignored without it, see `build.rs`, and must not pass.
pub fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| match std::env::var("PODWAIT_CLUSTER").as_deref() {
        Ok("go") => start_own_cluster(OPTIONS),
        Ok(cluster @ ("containerd" | "both")) => {
            let runtime = OciRuntime::chosen();
            if runtime == OciRuntime::Runsc {
                // The cluster finds it beside its own program.
                let _ = build(Path::new(FOLDER), &["runsc"]);
            }
            let with_runtime = ["--oci-runtime", runtime.name()];
            let nodes = if cluster == "both" { WITH_BOTH } else { WITH_CONTAINERD };
            start_own_cluster(&[OPTIONS, nodes, &with_runtime].concat())
        }
        Ok("kubeconfig") => {
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
            let path = std::env::var_os("KUBECONFIG").map(PathBuf::from).or(home);
            let kubeconfig = path.expect("PODWAIT_CLUSTER=kubeconfig needs KUBECONFIG or HOME");
            Cluster { kubeconfig, control: None, exits: None, logs: HashMap::new() }
        }
        Ok(_) | Err(_) => panic!("there is no cluster: {HOW}"),
    })
}

/// The cluster of `tests/cluster`.
///
/// # Panics
/// There is no cluster, or it is not that of `tests/cluster`, and takes no commands.
pub fn own_cluster() -> &'static Cluster {
    let cluster = cluster();
    assert!(cluster.is_own(), "this needs the cluster of tests/cluster: {HOW}");
    cluster
}

/// The same for an experiment, with these options and without `PODWAIT_CLUSTER`. The first call determines the options.
///
/// # Panics
/// The cluster cannot be started.
pub fn own_cluster_with(options: &[&str]) -> &'static Cluster {
    CLUSTER.get_or_init(|| start_own_cluster(options))
}

fn start_own_cluster(options: &[&str]) -> Cluster {
    let (cluster, child) = start(options);
    *OWN_CLUSTER.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    cluster
}

/// kubectl of the cluster's version. Its build takes some minutes the first time.
///
/// # Panics
/// kubectl cannot be built.
#[must_use]
pub fn kubectl() -> PathBuf {
    build(Path::new(FOLDER), &["kubectl"])
}

/// The program of the cluster with another minor version of Kubernetes. Its build takes twenty minutes the first time.
///
/// # Panics
/// There is no such version, or it cannot be built.
#[must_use]
pub fn of_version(minor: &str) -> PathBuf {
    build(Path::new(FOLDER), &[minor])
}

/// Runs the script `build` of this folder, which builds a Go program, and returns the path that the script prints.
///
/// # Panics
/// The script fails.
#[must_use]
pub fn build(folder: &Path, arguments: &[&str]) -> PathBuf {
    let build = Command::new("./build").args(arguments).current_dir(folder).stderr(Stdio::inherit()).output();
    let build = build.unwrap_or_else(|error| panic!("{}/build does not run: {error}", folder.display()));
    assert!(build.status.success(), "{}/build {arguments:?} must build", folder.display());
    let printed = String::from_utf8(build.stdout).expect("build prints UTF-8");
    folder.join(printed.lines().last().expect("build prints the program's path"))
}

/// Builds and starts a cluster of `tests/cluster` with these options. It ends when the child's standard input is
/// closed.
///
/// # Panics
/// The cluster cannot be started.
#[must_use]
pub fn start(options: &[&str]) -> (Cluster, Child) {
    let program = build(Path::new(FOLDER), &[]);
    let mut child = Command::new(&program)
        .arg("--with-parent")
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the cluster starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("standard output is piped");
    BufReader::new(stdout).read_line(&mut line).expect("the cluster prints a line");
    let ready: Value = serde_json::from_str(&line).expect("the cluster reports that it is ready");
    let path = |key: &str| PathBuf::from(ready[key].as_str().unwrap_or_else(|| panic!("{key} in {line}")));
    let logs =
        serde_json::from_value(ready["logs"].clone()).unwrap_or_else(|error| panic!("{error}: {line}"));
    let (control, exits) = (Some(path("control")), Some(path("exits")));
    (Cluster { kubeconfig: path("kubeconfig"), control, exits, logs }, child)
}

impl Cluster {
    /// Whether this is the cluster of `tests/cluster`.
    fn is_own(&self) -> bool {
        self.control.is_some()
    }

    /// Sends a command of the cluster's README, and returns its result.
    ///
    /// # Panics
    /// The command is refused, or the cluster is not our own.
    pub async fn order(&self, order: &str) -> Value {
        let socket = self.control.as_ref().expect("only our own cluster takes commands");
        let stream = tokio::net::UnixStream::connect(socket).await.expect("the cluster listens");
        let (answers, mut orders) = stream.into_split();
        orders.write_all(format!("{order}\n").as_bytes()).await.expect("the command is sent");
        let mut answer = String::new();
        tokio::io::BufReader::new(answers).read_line(&mut answer).await.expect("the command has a result");
        let answer: Value = serde_json::from_str(&answer).expect("the result is JSON");
        assert_eq!(answer["ok"], true, "{order}: {answer}");
        answer
    }

    /// Of our own cluster: the folder of a container's log, with the files of all its runs, also after a rotation.
    ///
    /// # Panics
    /// The cluster is not our own.
    #[must_use]
    pub fn logs(&self, node: &str, namespace: &str, pod: &str, uid: &str, container: &str) -> PathBuf {
        let logs = self.logs.get(node).expect("only our own cluster has files here");
        logs.join(format!("{namespace}_{pod}_{uid}")).join(container)
    }
}

/// A client for a context of the cluster's kubeconfig.
///
/// # Panics
/// There is no cluster, or the kubeconfig cannot be used.
pub async fn client(context: Option<&str>) -> podwait::Client {
    podwait::Client::from_config(config(kubeconfig(), context).await).expect("a client")
}

/// The same as a client of kube.
///
/// # Panics
/// The same.
pub async fn kube_client(context: Option<&str>) -> kube::Client {
    client(context).await.as_kube().clone()
}

/// The configuration for a context of a kubeconfig.
///
/// # Panics
/// The kubeconfig cannot be used.
pub async fn config(kubeconfig: &Path, context: Option<&str>) -> kube::Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig is read");
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("the kubeconfig is used")
}

/// Waits in real time, for the real API server and for processes whose progress is not observable.
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
