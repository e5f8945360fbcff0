//! A real cluster, where the environment says so.
//!
//! `PODWAIT_CLUSTER=go` builds and starts that of `tests/cluster`, with three real kubelets; `PODWAIT_CLUSTER=containerd` gives
//! it one more, over a real containerd; `PODWAIT_CLUSTER=kubeconfig` takes the current context. Tests that write the pods' status as a kubelet would run on both, and need no kubelet; those that
//! have one run steps, or do something to it, need the former. Without the cluster that they need they are ignored.

mod answers;
mod journal;
mod scratch;

pub use answers::{Answers, Waiters};
pub use journal::End;
pub use scratch::{Scratch, alone};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// How to get a cluster, for those who run what needs one without it.
const HOW: &str =
    "set PODWAIT_CLUSTER=go (needs Go), or PODWAIT_CLUSTER=kubeconfig where any cluster will do";

/// Where the program is that our own cluster is.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cluster");

/// How many pods a node of our own cluster takes.
pub const MAX_PODS: &str = "400";

/// Our own cluster, which goes away with this process's end of its standard input.
static OWN_CLUSTER: Mutex<Option<Child>> = Mutex::new(None);

/// Where the cluster is, and what may be done to it.
#[derive(Debug)]
pub struct Cluster {
    /// The path of the kubeconfig.
    pub kubeconfig: PathBuf,
    /// Of our own cluster: the socket that takes orders.
    control: Option<PathBuf>,
    /// Of our own cluster: what its runtimes write down, one line of JSON for each end of a container.
    pub exits: Option<PathBuf>,
}

/// The path of the kubeconfig.
///
/// # Panics
/// There is no cluster.
pub fn kubeconfig() -> &'static PathBuf {
    &cluster().kubeconfig
}

/// The options of our own cluster, unless somebody has asked for others.
const OPTIONS: &[&str] =
    &["--nodes", "3", "--max-pods", MAX_PODS, "--shutdown-grace", "6s", "--log-max-size", "1Mi,1Mi,1Gi"];

/// The node over containerd, where there is one. Pods have to tolerate its taint.
pub const CONTAINERD_NODE: &str = "node-4";

/// The options that add it.
const WITH_CONTAINERD: &[&str] = &["--nodes", "4", "--runtime", "processes,processes,processes,containerd"];

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// The cluster.
///
/// # Panics
/// There is none: a test that needs one is ignored without it, see `build.rs`, and must not pass.
pub fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| match std::env::var("PODWAIT_CLUSTER").as_deref() {
        Ok("go") => start_own_cluster(OPTIONS),
        Ok("containerd") => start_own_cluster(&[OPTIONS, WITH_CONTAINERD].concat()),
        Ok("kubeconfig") => {
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
            let path = std::env::var_os("KUBECONFIG").map(PathBuf::from).or(home);
            let kubeconfig = path.expect("PODWAIT_CLUSTER=kubeconfig needs KUBECONFIG or HOME");
            Cluster { kubeconfig, control: None, exits: None }
        }
        Ok(_) | Err(_) => panic!("there is no cluster: {HOW}"),
    })
}

/// The cluster of `tests/cluster`.
///
/// # Panics
/// There is none, or another one, which takes no orders.
pub fn own_cluster() -> &'static Cluster {
    let cluster = cluster();
    assert!(cluster.is_own(), "this needs the cluster of tests/cluster: {HOW}");
    cluster
}

/// The same for an experiment, which needs it with these options, and needs no `PODWAIT_CLUSTER`: what comes first decides on
/// the options.
///
/// # Panics
/// It cannot be had.
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
/// It cannot be built.
#[must_use]
pub fn kubectl() -> PathBuf {
    build(Path::new(FOLDER), &["kubectl"])
}

/// Runs the script `build` of this folder, which builds a program in Go, and returns the path that it prints.
///
/// # Panics
/// It fails.
#[must_use]
pub fn build(folder: &Path, arguments: &[&str]) -> PathBuf {
    let build = Command::new("./build").args(arguments).current_dir(folder).stderr(Stdio::inherit()).output();
    let build = build.unwrap_or_else(|error| panic!("{}/build does not run: {error}", folder.display()));
    assert!(build.status.success(), "{}/build {arguments:?} must build", folder.display());
    let printed = String::from_utf8(build.stdout).expect("build prints UTF-8");
    folder.join(printed.lines().last().expect("build prints the program's path"))
}

/// Builds and starts a cluster of `tests/cluster` with these options. It ends with the child's standard input.
///
/// # Panics
/// It cannot be had.
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
    BufReader::new(stdout).read_line(&mut line).expect("the cluster speaks");
    let ready: Value = serde_json::from_str(&line).expect("the cluster says that it is ready");
    let path = |key: &str| PathBuf::from(ready[key].as_str().unwrap_or_else(|| panic!("{key} in {line}")));
    let kubeconfig = path("kubeconfig");
    (Cluster { kubeconfig, control: Some(path("control")), exits: Some(path("exits")) }, child)
}

impl Cluster {
    /// Whether it is that of `tests/cluster`.
    fn is_own(&self) -> bool {
        self.control.is_some()
    }

    /// Gives an order, as the cluster's README lists them, and returns its answer.
    ///
    /// # Panics
    /// The order is refused, or the cluster is not our own.
    pub async fn order(&self, order: &str) -> Value {
        let socket = self.control.as_ref().expect("only our own cluster takes orders");
        let stream = tokio::net::UnixStream::connect(socket).await.expect("the cluster listens");
        let (answers, mut orders) = stream.into_split();
        orders.write_all(format!("{order}\n").as_bytes()).await.expect("the order is sent");
        let mut answer = String::new();
        tokio::io::BufReader::new(answers).read_line(&mut answer).await.expect("the order is answered");
        let answer: Value = serde_json::from_str(&answer).expect("the answer is JSON");
        assert_eq!(answer["ok"], true, "{order}: {answer}");
        answer
    }

    /// Of our own cluster: the folder of a container's log, with the files of all its runs and what was moved away of them.
    ///
    /// # Panics
    /// The cluster is not our own.
    #[must_use]
    pub fn logs(&self, node: &str, namespace: &str, pod: &str, uid: &str, container: &str) -> PathBuf {
        let exits = self.exits.as_ref().expect("only our own cluster has files here");
        let logs = exits.with_file_name(node).join("logs");
        logs.join(format!("{namespace}_{pod}_{uid}")).join(container)
    }
}

/// A client for a context of the cluster's kubeconfig.
///
/// # Panics
/// There is no cluster, or the kubeconfig cannot be used.
pub async fn client(context: Option<&str>) -> kube::Client {
    podwait::client(config(kubeconfig(), context).await).expect("a client")
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
