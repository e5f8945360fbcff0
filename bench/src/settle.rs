//! How often is a container's end published before what the kubelet has done to its pod?
//!
//! Steps that exit 0 when they are asked to end are ended by kubelets, in each of the ways in which kubelets end pods, many
//! at once, starved and with a slow API server if told. Every version of every pod is looked at: see [`sight::Sight`].

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

/// Longest time that one batch may take: a starved kubelet evicts a pod in some ten seconds, one after the other.
const PATIENCE: Duration = Duration::from_secs(1800);

/// How many batches may bring too few ends before something must be wrong.
const BATCHES: usize = 20;

/// What makes kubelets late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The percentage of the time in which a kubelet runs.
    pub cpu: u32,
    /// How many milliseconds its requests to the API server wait before they are sent.
    pub delay: u32,
}

/// A cluster of so many nodes, to end so many pods on at once.
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
    /// It cannot be had.
    #[must_use]
    pub fn new(nodes: usize, at_once: usize) -> Self {
        // A starved kubelet is late with its heartbeats, too.
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
    /// The cluster does not do as it is told, or not in time.
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

    /// Ends as many pods as there may be at once, and tells what was seen of each.
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
                return Err(format!("after {PATIENCE:?} these are not over: {open:?}").into());
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
            // One that the node has refused, since it has not recovered from the last batch, never runs.
            if !is_asked && sights.values().all(|sight| sight.has_started() || sight.is_over()) {
                is_asked = true;
                // A kubelet that is asked in the moment in which it starts the last one has not seen it run.
                pause(1000).await;
                way.end(self.own, &scratch, &self.nodes).await;
            }
        }
        way.undo(self.own, &scratch, &self.nodes).await;
        scratch.remove().await;
        Ok(sights)
    }
}
