//! How often does a kubelet publish the end of a container before its cause?
//!
//! Kubelets end steps that exit 0 on SIGTERM, in each of the ways in which kubelets end pods, and many at once. Options
//! slow down the kubelets and their API server. Every version of every pod is examined: see [`sight::Sight`].

pub mod sight;
pub mod table;
pub mod way;

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, WatchEvent, WatchParams};
use podwait_tests::cluster::{Cluster, Scratch, own_cluster_with, pause};
use sight::Sight;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};
use table::Row;
use way::Way;

/// Longest time that one batch may take: a slowed-down kubelet evicts one pod at a time, each in about ten seconds.
const PATIENCE: Duration = Duration::from_secs(1800);

/// The most batches. If these have too few ends, the experiment does not work.
const BATCHES: usize = 20;

/// How much kubelets are slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The percentage of the time in which a kubelet runs.
    pub cpu: u32,
    /// By how many milliseconds its requests to the API server are delayed.
    pub delay: u32,
}

/// A cluster, and the number of pods that end in it at once.
pub struct Field {
    own: &'static Cluster,
    nodes: Vec<String>,
    at_once: usize,
    batches: usize,
}

impl Field {
    /// Starts the cluster.
    ///
    /// # Panics
    /// The cluster cannot be started.
    #[must_use]
    pub fn new(nodes: usize, at_once: usize) -> Self {
        // The heartbeats of a slowed-down kubelet are late, too.
        let options = [
            "--nodes",
            &nodes.to_string(),
            "--max-pods",
            "400",
            "--shutdown-grace",
            "6s",
            "--node-grace",
            "40s",
        ];
        let own = own_cluster_with(&options);
        let nodes = (1..=nodes).map(|number| format!("node-{number}")).collect();
        Self { own, nodes, at_once, batches: 0 }
    }

    /// Ends pods in this way until at least `runs` of them have ended with an exit.
    ///
    /// # Errors
    /// The cluster does not carry out a command, or not in time.
    pub async fn run(&mut self, way: Way, weather: Weather, runs: usize) -> Result<Row, Box<dyn Error>> {
        for number in 1..=self.nodes.len() {
            self.own.order(&format!("throttle kubelet-{number} {}", weather.cpu)).await;
            self.own.order(&format!("api-delay node-{number} {}", weather.delay)).await;
        }
        let mut row = Row::new(way, weather, self.at_once, self.nodes.len());
        for _ in 0..BATCHES {
            for sight in self.batch(way).await?.into_values() {
                row.add(&sight);
            }
            if row.ended >= runs {
                return Ok(row);
            }
        }
        Err(format!("{BATCHES} batches brought {} ends, not {runs}: {row:?}", row.ended).into())
    }

    /// Ends one batch of pods, and returns the observations of each pod.
    async fn batch(&mut self, way: Way) -> Result<BTreeMap<String, Sight>, Box<dyn Error>> {
        self.batches += 1;
        let scratch = Scratch::new(&format!("settle-{}", self.batches)).await;
        let names: Vec<String> = (0..self.at_once).map(|number| format!("step-{number}")).collect();
        let mut sights: BTreeMap<String, Sight> =
            names.iter().map(|name| (name.clone(), Sight::default())).collect();
        let pods: Api<Pod> = scratch.pods();
        let mut version = String::from("0");
        let mut events = pods.watch(&WatchParams::default(), &version).await?.boxed();
        for (name, node) in names.iter().zip(self.nodes.iter().cycle()) {
            scratch.create_pod(&way.pod(name, node)).await;
        }
        let mut is_asked = false;
        let begin = Instant::now();
        while !sights.values().all(Sight::is_over) {
            if begin.elapsed() > PATIENCE {
                let open = sights.iter().filter(|(_, sight)| !sight.is_over());
                let open: Vec<&String> = open.map(|(name, _)| name).collect();
                return Err(format!("after {PATIENCE:?} these have not ended: {open:?}").into());
            }
            match events.try_next().await {
                Ok(Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod))) => {
                    version = pod.metadata.resource_version.clone().unwrap_or_default();
                    if let Some(sight) = pod.metadata.name.as_ref().and_then(|name| sights.get_mut(name)) {
                        sight.see(&pod);
                    }
                }
                Ok(Some(WatchEvent::Bookmark(_))) => {}
                // Continues where the watch ended: no version may be missed.
                Ok(Some(WatchEvent::Error(_)) | None) | Err(_) => {
                    events = pods.watch(&WatchParams::default(), &version).await?.boxed();
                }
            }
            // A pod never runs if the node has refused it, since the node has not recovered from the last batch.
            if !is_asked && sights.values().all(|sight| sight.has_started() || sight.is_over()) {
                is_asked = true;
                // The kubelet must have observed that the last pod runs.
                pause(1000).await;
                way.end(self.own, &scratch, &self.nodes).await;
            }
        }
        way.undo(self.own, &scratch, &self.nodes).await;
        scratch.remove().await;
        Ok(sights)
    }
}
