//! How often is a container's end published before what the kubelet has done to its pod?
//!
//! `PODWAIT_CLUSTER=go cargo run --release -p podwait-tests --bin settle -- --way deadline --runs 500`
//!
//! Steps that exit 0 when they are asked to end are ended by the kubelet itself, in one of the ways in which it ends pods, on a
//! real kubelet, many at once if told, starved if told, with a slow API server if told. Every version of every pod is
//! looked at. What is counted is how many pods showed, at any time, an exit 0 in an object that says nothing of its cause:
//! no terminal phase, no deletion, no reason, no DisruptionTarget. Such an object answers `Done(0)` unless the policy
//! `settle` makes the wait look again, and how long the cause took is how long it would have to.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, WatchEvent, WatchParams};
use podwait_tests::cluster::{Cluster, Scratch, own_cluster, pause};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

const NODE: &str = "node-2";

/// The step, which exits 0 when it is asked to end.
const TRAP: &str = "trap 'exit 0' TERM; sleep 3600 & wait";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// activeDeadlineSeconds.
    Deadline,
    /// A volume over its limit.
    Eviction,
    /// Memory pressure: one pod each time that the eviction manager looks.
    Pressure,
    /// A critical pod needs the place.
    Preemption,
    /// The node is shut down.
    Shutdown,
}

struct Options {
    way: Way,
    runs: usize,
    at_once: usize,
    throttle: u32,
    api_delay: u32,
}

/// What was seen of one pod.
#[derive(Default)]
struct Sight {
    /// It ran.
    started: bool,
    /// Since when its exit was there without its cause.
    exposed: Option<Instant>,
    /// How long that lasted.
    exposed_for: Option<Duration>,
    /// The cause or the terminal phase is there, and the exit.
    over: bool,
    /// The exit code, the phase, the reason.
    end: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let own = own_cluster().ok_or("set PODWAIT_CLUSTER=go")?;
    own.order(&format!("throttle kubelet-2 {}", options.throttle)).await;
    own.order(&format!("api-delay {NODE} {}", options.api_delay)).await;
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let mut gaps: Vec<Duration> = Vec::new();
    let mut done = 0;
    let mut batch = 0;
    while done < options.runs {
        let count = options.at_once.min(options.runs - done);
        for sight in run(own, &options, batch, count).await?.into_values() {
            *ends.entry(sight.end).or_default() += 1;
            gaps.extend(sight.exposed_for);
        }
        done += count;
        batch += 1;
    }
    gaps.sort_unstable();
    println!(
        "{} at once, kubelet at {} %, API server slower by {} ms: {} of {done} pods showed their exit before its cause",
        options.at_once,
        options.throttle,
        options.api_delay,
        gaps.len()
    );
    if let (Some(median), Some(longest)) = (gaps.get(gaps.len() / 2), gaps.last()) {
        println!("  for {median:?} (median), {longest:?} (longest)");
    }
    for (end, count) in ends {
        println!("  {count:6}  {end}");
    }
    Ok(())
}

impl Options {
    fn read() -> Result<Self, String> {
        let mut options = Self { way: Way::Deadline, runs: 100, at_once: 50, throttle: 100, api_delay: 0 };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
            let number = || value.parse::<u32>().map_err(|_| format!("{option} needs a number, not {value}"));
            match option.as_str() {
                "--way" => {
                    options.way = match value.as_str() {
                        "deadline" => Way::Deadline,
                        "eviction" => Way::Eviction,
                        "pressure" => Way::Pressure,
                        "preemption" => Way::Preemption,
                        "shutdown" => Way::Shutdown,
                        _ => {
                            return Err(format!(
                                "--way is none of deadline, eviction, pressure, preemption, shutdown: {value}"
                            ));
                        }
                    };
                }
                "--runs" => options.runs = number()? as usize,
                "--at-once" => options.at_once = number()? as usize,
                "--throttle" => options.throttle = number()?,
                "--api-delay" => options.api_delay = number()?,
                _ => {
                    return Err(format!(
                        "{option} is none of --way, --runs, --at-once, --throttle (percent of the time that the kubelet \
                         runs), --api-delay (milliseconds)"
                    ));
                }
            }
        }
        Ok(options)
    }

    fn pod(&self, name: &str) -> Value {
        let script = match self.way {
            Way::Eviction => format!("head -c 3000000 /dev/zero >$PODWAIT_ROOT/data/x; {TRAP}"),
            Way::Deadline | Way::Pressure | Way::Preemption | Way::Shutdown => String::from(TRAP),
        };
        let cpu = if self.way == Way::Preemption { "100m" } else { "1m" };
        json!({
            "metadata": { "name": name },
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 3,
                "nodeSelector": { "kubernetes.io/hostname": NODE },
                "activeDeadlineSeconds": (self.way == Way::Deadline).then_some(15),
                "volumes": [{ "name": "data", "emptyDir": { "sizeLimit": "1Mi" } }],
                "containers": [{
                    "name": "step", "image": "busybox:1", "command": ["sh", "-c", script],
                    "resources": { "requests": { "cpu": cpu } },
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                }],
            },
        })
    }
}

/// Ends `count` pods in that way, and tells what was seen of each.
async fn run(
    own: &Cluster,
    options: &Options,
    batch: usize,
    count: usize,
) -> Result<BTreeMap<String, Sight>, Box<dyn Error>> {
    let scratch = Scratch::new(&format!("settle-{batch}")).await.ok_or("no cluster")?;
    let names: Vec<String> = (0..count).map(|number| format!("step-{number}")).collect();
    let mut sights: BTreeMap<String, Sight> =
        names.iter().map(|name| (name.clone(), Sight::default())).collect();
    let pods: Api<Pod> = scratch.pods();
    let mut version = String::from("0");
    let mut events = pods.watch(&WatchParams::default(), &version).await?.boxed();
    for name in &names {
        scratch.create_pod(&options.pod(name)).await;
    }
    let mut asked = options.way == Way::Deadline;
    let patience = Instant::now() + Duration::from_secs(600);
    while !sights.values().all(|sight| sight.over) {
        if Instant::now() > patience {
            let open: Vec<&String> =
                sights.iter().filter(|(_, sight)| !sight.over).map(|(name, _)| name).collect();
            return Err(
                format!("after ten minutes {} of {count} pods are not over: {open:?}", open.len()).into()
            );
        }
        match events.try_next().await {
            Ok(Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod))) => {
                version = pod.metadata.resource_version.clone().unwrap_or_default();
                if let Some(sight) = pod.metadata.name.as_ref().and_then(|name| sights.get_mut(name)) {
                    sight.see(&pod);
                }
            }
            Ok(Some(WatchEvent::Bookmark(_))) => {}
            // From where it ended: no version may be missed.
            Ok(Some(WatchEvent::Error(_)) | None) | Err(_) => {
                events = pods.watch(&WatchParams::default(), &version).await?.boxed();
            }
        }
        if !asked && sights.values().all(|sight| sight.started) {
            asked = true;
            // A kubelet that is asked in the moment in which it starts the last one has not seen it run.
            pause(1000).await;
            options.end(own, &scratch).await;
        }
    }
    options.undo(own, &scratch).await;
    scratch.remove().await;
    Ok(sights)
}

impl Options {
    /// Makes the kubelet end the pods.
    async fn end(&self, own: &Cluster, scratch: &Scratch) {
        match self.way {
            Way::Deadline | Way::Eviction => {}
            Way::Pressure => {
                own.order(&format!("pressure {NODE} memory")).await;
            }
            Way::Shutdown => {
                own.order(&format!("shutdown {NODE}")).await;
            }
            Way::Preemption => {
                scratch
                    .create_pod(&json!({
                        "metadata": { "name": "critical" },
                        "spec": {
                            "nodeName": NODE,
                            "priorityClassName": "system-node-critical",
                            "terminationGracePeriodSeconds": 0,
                            "containers": [{
                                "name": "critical", "image": "busybox:1",
                                "resources": { "requests": { "cpu": "8" } },
                            }],
                        },
                    }))
                    .await;
            }
        }
    }

    async fn undo(&self, own: &Cluster, scratch: &Scratch) {
        match self.way {
            Way::Deadline | Way::Eviction => return,
            Way::Pressure => {
                own.order(&format!("pressure {NODE} none")).await;
            }
            Way::Shutdown => {
                own.order(&format!("shutdown-cancel {NODE}")).await;
            }
            Way::Preemption => {
                let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                let _ = scratch.pods().delete("critical", &now).await;
            }
        }
        pause(12_000).await;
    }
}

impl Sight {
    fn see(&mut self, pod: &Pod) {
        let Some(status) = &pod.status else { return };
        let state = status.container_statuses.iter().flatten().find_map(|one| one.state.as_ref());
        self.started |= state.is_some_and(|state| state.running.is_some());
        let phase = status.phase.as_deref().unwrap_or_default();
        let Some(ended) = state.and_then(|state| state.terminated.as_ref()) else {
            if matches!(phase, "Succeeded" | "Failed") && !self.over {
                self.over = true;
                self.end = format!("{phase}, no exit");
            }
            return;
        };
        let disruption = status.conditions.iter().flatten().find(|one| one.type_ == "DisruptionTarget");
        let says_why = matches!(phase, "Succeeded" | "Failed")
            || pod.metadata.deletion_timestamp.is_some()
            || status.reason.is_some()
            || disruption.is_some();
        if !says_why {
            self.exposed.get_or_insert_with(Instant::now);
            return;
        }
        if !self.over {
            self.over = true;
            self.exposed_for = self.exposed.map(|since| since.elapsed());
            self.end = format!(
                "exit {}, {phase}, reason {:?}, DisruptionTarget {:?}, {}",
                ended.exit_code,
                status.reason.as_deref().unwrap_or_default(),
                disruption.and_then(|one| one.reason.as_deref()).unwrap_or_default(),
                if self.exposed.is_some() { "exit seen first" } else { "all at once" },
            );
        }
    }
}
