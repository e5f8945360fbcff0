//! A simulated Kubernetes cluster, for tests.
//!
//! A [`Cluster`] is an API server in memory: pods with resourceVersions, GET, LIST, WATCH, POST and DELETE, as a tower
//! service for a client without a network (`podwait::Client::from_service`, and [`Cluster::client`] for kube) or over
//! HTTP on loopback ([`Cluster::serve`]). A [`Life`] is a scripted kubelet: it takes one pod through the steps of a
//! script, with the given delays. [`Fault`]s are the faults of requests. Time is tokio's, so that a paused runtime
//! simulates hours at once. Nothing is random: the same script gives the same bytes.
//!
//! ```
//! use std::time::Duration;
//!
//! use futures_util::{TryStreamExt, pin_mut};
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::api::{Api, WatchEvent, WatchParams};
//! use podwait_sim::{Cluster, Life, pod};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::new();
//! Life::of(pod("ci", "build", &["step"]))
//!     .after(Duration::from_secs(1)).scheduled("node-1")
//!     .containers_creating()
//!     .after(Duration::from_secs(20)).running()
//!     .after(Duration::from_secs(200)).finished(3)
//!     .spawn(&cluster);
//!
//! let pods: Api<Pod> = Api::namespaced(cluster.client(), "ci");
//! // kube asks for 290 seconds of events.
//! let watch = pods.watch(&WatchParams::default().fields("metadata.name=build"), "0").await?;
//! pin_mut!(watch);
//! let mut phases = Vec::new();
//! while let Some(event) = watch.try_next().await? {
//!     if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event {
//!         phases.extend(pod.status.and_then(|status| status.phase));
//!     }
//! }
//! phases.dedup();
//! assert_eq!(phases, ["Pending", "Running", "Failed"]);
//! # Ok(())
//! # }
//! ```
//!
//! # What is simulated, and what is not
//!
//! There is one increasing resourceVersion for all pods, and one log that serves every watch, so that events have the
//! order of the writes. Watches support selectors by equality, bookmarks once a minute, `timeoutSeconds`,
//! `sendInitialEvents` (a LIST at the beginning of the watch; [`Faults::refuse_watch_list`] makes a server without it),
//! and 410 Expired after [`Cluster::compact`]. LISTs have pages, whose tokens expire with a compaction too. Deletion
//! supports grace periods, uid preconditions and finalizers. Logs are served by run, from the newest file, and without
//! a header before the first byte.
//!
//! Pods, lists, watches and `Status` are encoded in JSON or in protobuf, by the `Accept` of the request; in JSON if it
//! has none. Protobuf has only the names and the state of a pod, without volumes, probes, resources and other fields.
//! [`Faults::refuse_protobuf`] makes a server that knows JSON only.
//!
//! Not simulated: authorization, `resourceVersion` of GET and LIST (which always read the latest state), patches of
//! anything but metadata, and pods that react to a deletion without a script.
#![forbid(unsafe_code)]

mod api;
mod clock;
mod conditions;
mod deletion;
mod encoding;
mod event;
mod fault;
mod fixture;
mod kubelet;
mod life;
mod logs;
mod patch;
mod protobuf;
mod refusal;
mod reply;
mod selector;
mod serve;
mod service;
mod step;
mod store;
mod traffic;
mod watch;

pub use deletion::DeleteOptions;
pub use event::{Event, EventType};
pub use fault::{Fault, FaultBody};
pub use fixture::{container, pod};
pub use kubelet::Terminated;
pub use life::Life;
pub use refusal::Refusal;
pub use reply::SimBody;
pub use serve::Server;
pub use step::Step;
pub use store::Cluster;
pub use traffic::{Faults, RequestCounts, RequestInfo, Verb};
