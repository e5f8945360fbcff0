//! The cost of waiting for many pods of a real API server at once, for podwait and for other programs.
//!
//! A run is one [`Waiter`] and one number of pods. Each waiter is a separate process. It begins when the pods exist,
//! and reports when it has observed all of them. Then this process, the writer, takes the pods through `Running` to
//! their end, at a bounded rate and in an order that is not that of their names, and records when the API server has
//! accepted each end. The waiter records when it observes the end. Both use the machine's clock.
//!
//! Every answer is compared with the written end. A waiter that cannot observe exit codes is right if it reports the
//! end.

pub mod formats;
pub mod kubelet;
pub mod lists;
pub mod metrics;
pub mod peers;
pub mod plot;
pub mod process;
pub mod report;
pub mod running;
pub mod wait;
pub mod waiter;
pub mod writer;

pub use peers::Peers;
pub use report::{Delays, Outcome};
pub use waiter::Waiter;

use metrics::Served;
use podwait_tests::cluster::{self, Cluster};
use running::Running;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use writer::Writer;

/// The pause between the start of the pods and the first end, so that the waiters are idle at the first end.
const REST: Duration = Duration::from_secs(1);

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program that has the hidden command `wait`.
    pub program: PathBuf,
    /// The Go programs, if they were built.
    pub peers: Option<Peers>,
    /// Writes per second, of each of the two changes of a pod.
    pub rate: u32,
    /// How long a waiter may take to observe all pods, and how long its last answer may take after the last end.
    pub limit: Duration,
    /// The most memory that a waiter may have before it is killed, in MiB: if memory grows with the square of the pods,
    /// it could use up the machine.
    pub memory_mib: u32,
}

/// The name of the pod with this number.
#[must_use]
pub fn pod_name(number: usize) -> String {
    format!("step-{number}")
}

/// The exit code of the pod with this number.
#[must_use]
pub fn exit_code(number: usize) -> i32 {
    if number.is_multiple_of(2) { 0 } else { i32::try_from(number % 199).unwrap_or_default() + 1 }
}

/// The time on the machine's clock, in nanoseconds.
#[must_use]
pub fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or_default()
}

/// One run in its own cluster: a new etcd and a new API server.
///
/// # Panics
/// The cluster cannot be started, or refuses a write.
pub async fn run(settings: &Settings, waiter: Waiter, count: usize) -> Outcome {
    let (cluster, mut child) = cluster::start(&["--nodes", "0"]);
    let namespace = format!("scale-{waiter}-{count}");
    let outcome = measure(settings, &cluster, &namespace, waiter, count).await;
    drop(child.stdin.take());
    let _ = child.wait();
    outcome
}

/// One run in a new namespace of this cluster. The API server's metrics are right only if no other program reads pods.
async fn measure(
    settings: &Settings,
    cluster: &Cluster,
    namespace: &str,
    waiter: Waiter,
    count: usize,
) -> Outcome {
    let writer = Writer::new(&cluster.kubeconfig, namespace, count, settings.rate).await;
    let mut outcome = Outcome { waiter: waiter.to_string(), count, ..Outcome::default() };
    let background = writer.background_bytes().await;
    writer.create().await;
    let server = server(cluster).await;
    let (served, spent) = (Served::read(writer.client()).await, process::usage(server));

    let begin = now();
    let mut running = Running::start(settings, &cluster.kubeconfig, namespace, waiter, count);
    let attached = running.attached(settings.limit, writer.client(), &served).await;
    outcome.attach_seconds = seconds(now() - begin);
    outcome.attach_cpu_seconds = running.usage().cpu.as_secs_f64();
    let accepted = match attached {
        Ok(()) => {
            writer.run_all().await;
            tokio::time::sleep(REST).await;
            let accepted = writer.end_all(waiter.sees_success_only()).await;
            outcome.trouble = running.answered(settings.limit).await.err();
            accepted
        }
        Err(trouble) => {
            outcome.trouble = Some(trouble);
            Vec::new()
        }
    };
    let (usage, after) = (running.usage(), process::usage(server));
    outcome.cpu_seconds = usage.cpu.as_secs_f64();
    outcome.peak_mib = usage.peak_mib();
    outcome.server_cpu_seconds = after.cpu.saturating_sub(spent.cpu).as_secs_f64();
    outcome.server_peak_mib = after.peak_mib();
    let answers = running.end();
    outcome.served = Served::read_when_over(writer.client(), &served).await.since(&served);
    let writes = if accepted.is_empty() { 0 } else { count as u64 };
    outcome.served.bytes = outcome.served.bytes.saturating_sub(background * writes);
    outcome.pod_bytes = writer.pod_bytes();
    outcome.judge(&answers, &accepted, waiter);
    outcome
}

/// The process of the API server.
async fn server(cluster: &Cluster) -> u32 {
    let status = cluster.order("status").await;
    let components = status["components"].as_array().expect("the cluster lists its components");
    let server = components.iter().find(|one| one["name"] == "apiserver").expect("there is an API server");
    server["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("it is a process")
}

#[expect(clippy::cast_precision_loss, reason = "a run lasts less than 2^53 nanoseconds")]
fn seconds(nanos: i128) -> f64 {
    nanos as f64 / 1e9
}
