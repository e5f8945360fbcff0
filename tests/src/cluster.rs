//! A real cluster, if the environment says so.
//!
//! `PODWAIT_CLUSTER=go` builds and starts that of `tests/cluster`, with three real kubelets; `PODWAIT_CLUSTER=kubeconfig` takes
//! the current context. Tests that write the pods' status as a kubelet would run on both, and need no kubelet; those that
//! have one run steps, or do something to it, need the former.

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

/// How to turn the real-cluster tests on, for those who see that they were skipped.
const HOW: &str =
    "real-cluster tests skipped: set PODWAIT_CLUSTER=go (needs Go) or PODWAIT_CLUSTER=kubeconfig";

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

/// The path of the kubeconfig, or `None` after saying how to get one.
///
/// # Panics
/// A cluster was asked for and cannot be had: then the tests must not pass.
pub fn kubeconfig() -> Option<&'static PathBuf> {
    cluster().map(|cluster| &cluster.kubeconfig)
}

/// The options of our own cluster, unless somebody has asked for others.
const OPTIONS: &[&str] =
    &["--nodes", "3", "--max-pods", MAX_PODS, "--shutdown-grace", "6s", "--log-max-size", "1Mi,1Mi,1Gi"];

/// The cluster, or `None` after saying how to get one.
///
/// # Panics
/// A cluster was asked for and cannot be had: then the tests must not pass.
pub fn cluster() -> Option<&'static Cluster> {
    cluster_with(OPTIONS)
}

fn cluster_with(options: &[&str]) -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| match std::env::var("PODWAIT_CLUSTER").as_deref() {
        Ok("go") => Some(start_own_cluster(options)),
        Ok("kubeconfig") => {
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
            let path = std::env::var_os("KUBECONFIG").map(PathBuf::from).or(home);
            let kubeconfig = path.expect("PODWAIT_CLUSTER=kubeconfig needs KUBECONFIG or HOME");
            Some(Cluster { kubeconfig, control: None, exits: None })
        }
        Ok("") | Err(_) => None,
        Ok(other) => panic!("PODWAIT_CLUSTER is {other:?}, neither \"go\" nor \"kubeconfig\""),
    });
    if cluster.is_none() {
        // Past the capture of the test harness, once: a skipped test must be seen.
        static SAID: OnceLock<()> = OnceLock::new();
        SAID.get_or_init(|| {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{HOW}");
        });
    }
    cluster.as_ref()
}

/// The cluster of `tests/cluster`, or `None` where there is none, or another one that takes no orders.
pub fn own_cluster() -> Option<&'static Cluster> {
    cluster().filter(|cluster| cluster.control.is_some())
}

/// The same, where it has to be another one than that of the tests: who comes first decides on the options.
///
/// # Panics
/// A cluster was asked for and cannot be had.
pub fn own_cluster_with(options: &[&str]) -> Option<&'static Cluster> {
    cluster_with(options).filter(|cluster| cluster.control.is_some())
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
/// The kubeconfig cannot be used.
pub async fn client(context: Option<&str>) -> Option<kube::Client> {
    let config = config(kubeconfig()?, context).await;
    Some(podwait::client(config).expect("a client"))
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
