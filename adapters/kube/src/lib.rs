//! Waits for a Kubernetes pod and reports how it ended: the real exit, or the reason why there is none.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = podwait::Client::from_config(kube::Config::infer().await?)?;
//! match podwait::wait(client, "ci", "step-1").container("step").await {
//!     Ok(exit) => println!("exited {} ({})", exit.code, exit.reason),
//!     Err(failure) => println!("no exit: {failure} ({}, {})", failure.reason, failure.class()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`wait`] is the usual case in one call; the [`Wait`] that it makes takes a [`Policy`], a [`CancellationToken`], a uid,
//! and a closure that observes it. Awaiting it twice, polling it late or dropping it does no harm, and the crate has no
//! global state: no logger, no signal handler, no runtime of its own (it needs tokio's, with time and I/O enabled).
//!
//! # Parts
//!
//! * [`podwait_core`] decides. It does no I/O, and it is the only part that interprets a pod's state.
//! * `podwait-hub` decides which requests to send, for one pod or for many, and [`wire`] decodes the answers. Both do
//!   no I/O either: a transport other than kube and tokio needs nothing else.
//! * This crate sends the requests and hands over the answers. A [`wait`] watches its pod by name and GETs it when the
//!   watch is silent or breaks, or only GETs it; a [`Hub`] does the same for any number of pods with one watch.
//! * [`drive`] feeds a machine from a caller's own [`PodSource`].
//!
//! Additions to a wait: [`Logs`] are the lines of the pod's containers, a [`Hold`] keeps the pod until its end was
//! read, a [`Journal`] keeps waits for a later process, and a [`trace`] records them. [`wait_job`] waits for a Job.
//!
//! Every call has a timeout of its own, and a [`Client`] has none of kube's hidden retries: each failure reaches the machine
//! at once and counts against the budget of the policy.
//!
//! # Rights
//!
//! `get` and `watch` on `pods` in the namespace; RBAC may restrict both to named pods, since the watch selects by
//! `metadata.name`. Without `watch` a wait still works, by polling. A [`Hub`] also needs `list`, [`Logs`] need `get` on
//! `pods/log`, a [`Hold`] `patch` on `pods`, and [`wait_job`] `get` and `watch` on `jobs` with `list` and `watch` on `pods`. `docs/rbac.yaml`
//! in the repository has a Role for each, which its tests use. `pods/status` and secrets are never needed.
//!
//! # Cargo features
//!
//! `logs`, `hold`, `journal`, `jobs` and `trace` are the additions to a wait, each with its dependencies; all are on by
//! default.
//!
//! # Cargo features of other crates
//!
//! kube depends on `k8s-openapi`, for which the program must choose exactly one Kubernetes version, for instance
//! `k8s-openapi = { version = "0.29", features = ["latest"] }`. TLS is rustls with ring; a program with another crypto
//! provider too must install one as the default in its `main`.
#![forbid(unsafe_code)]
// Some functions serve several features, and no single feature uses all of them.
#![cfg_attr(
    not(all(feature = "hold", feature = "jobs", feature = "journal", feature = "logs", feature = "trace")),
    allow(dead_code, unused_imports)
)]

#[cfg(any(feature = "hold", feature = "logs"))]
mod board;
mod cancelled;
mod client;
mod drive;
mod driver;
#[cfg(any(feature = "journal", feature = "trace"))]
mod files;
#[cfg(feature = "hold")]
mod hold;
mod hub;
#[cfg(feature = "jobs")]
mod job;
#[cfg(feature = "journal")]
mod journal;
#[cfg(feature = "logs")]
mod logs;
mod source;
#[cfg(any(feature = "journal", feature = "trace"))]
mod text;
#[cfg(feature = "trace")]
pub mod trace;
mod wait;

pub use client::error::ConfigError;
pub use client::list::{ListedPod, pods};
pub use client::{Client, check_access};
pub use drive::drive;
#[cfg(feature = "hold")]
pub use hold::{FINALIZER, HeldPod, Hold, HoldState, held_pods};
pub use hub::{Hub, HubBuilder};
#[cfg(feature = "jobs")]
pub use job::{JobPod, JobWait, check_job_access, wait_job};
#[cfg(feature = "journal")]
pub use journal::{Fsync, Journal, JournalEntry, JournalError};
#[cfg(feature = "logs")]
pub use logs::{GapReason, LogEvent, LogGap, LogLine, LogStream, LogTrouble, Logs};
pub use podwait_core as core;
pub use podwait_core::{
    Class, Decision, DoneReason, Evidence, Exit, FailReason, Failure, JobExit, JobPodExit, OnGone,
    OnMissingTerminated, Policy, PolicyBuilder, PolicyError, Progress, RestoreError, RetryReason, SavedWait,
    Stage, Target, WaitMachine,
};
pub use podwait_hub::{ObservedPod, Scope, Turn};
pub use podwait_wire as wire;
pub use podwait_wire::{ApiFailure, Via};
pub use source::{Observed, PodSource};
pub use tokio_util::sync::CancellationToken;
pub use wait::{Wait, wait};
