//! Waits for a Kubernetes pod and answers how it ended: the real exit, or the true reason why there is none.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = podwait::client(kube::Config::infer().await?)?;
//! match podwait::wait(client, "ci", "step-1").container("step").await {
//!     Ok(exit) => println!("exited {} ({})", exit.code, exit.reason),
//!     Err(failure) => println!("no exit: {failure} ({}, {})", failure.reason, failure.class()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`wait`] is the usual case in one call; the [`Wait`] that it makes takes a [`Policy`], a [`CancellationToken`], a uid,
//! and a closure that looks on. Awaiting it twice, polling it late or dropping it midway does no harm, and it has no global
//! state: no logger, no signal handler, no runtime of its own (it needs tokio's, with time and I/O enabled).
//!
//! # What it is made of
//!
//! * [`podwait_core`] decides. It is pure, and it is the only place that looks at what a pod says.
//! * `podwait-hub` decides what to ask the API server, for one pod or for many, and [`wire`] reads what comes. Both are pure too:
//!   another transport than kube and tokio needs nothing else.
//! * This crate sends the requests and hands over what comes. A [`wait`] watches its pod by name and GETs it when the watch is
//!   silent or breaks, or only GETs it; a [`Hub`] does the same for any number of pods with one watch.
//! * [`drive`] feeds a machine from a [`PodSource`] of one's own.
//!
//! Beside a wait: [`Logs`] are the lines of the pod's containers, a [`Hold`] keeps the pod until its end was read, a
//! [`Journal`] keeps waits for a later process, and a [`trace`] shows them to others. [`wait_job`] waits for a Job.
//!
//! Every call has a timeout of its own and kube's hidden retries are off, so the machine owns time: each failure reaches
//! it at once and counts against the budget that the policy gives.
//!
//! # Rights
//!
//! `get` and `watch` on `pods` in the namespace; RBAC may restrict both to named pods, since the watch selects by
//! `metadata.name`. Without `watch` a wait still works, by polling. A [`Hub`] also needs `list`, [`Logs`] need `get` on
//! `pods/log`, a [`Hold`] `patch` on `pods`, and [`wait_job`] `get` and `watch` on `jobs`. `docs/rbac.yaml` in the repository
//! has a Role for each, which its tests use. `pods/status` and secrets are never needed.
//!
//! # Cargo features
//!
//! `logs`, `hold`, `journal`, `jobs` and `trace` are what there is beside a wait, each with what it depends on; all are on by default.
//!
//! # Cargo features of other crates
//!
//! kube brings `k8s-openapi`, which wants exactly one Kubernetes version to be chosen by the program, for instance
//! `k8s-openapi = { version = "0.29", features = ["latest"] }`. TLS is rustls with ring; a program that also brings
//! another crypto provider must install one as the default in its `main`.
#![forbid(unsafe_code)]
// What all features use together is written once, and no feature alone uses all of it.
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
#[cfg(any(feature = "hold", feature = "jobs"))]
mod ends;
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

pub use client::check_access;
pub use client::connect::{client, client_with_credentials};
pub use client::error::ConfigError;
pub use drive::drive;
#[cfg(any(feature = "hold", feature = "jobs"))]
pub use ends::Ends;
#[cfg(feature = "hold")]
pub use hold::{FINALIZER, HeldPod, Hold, HoldState, held_pods};
pub use hub::{Hub, HubBuilder};
#[cfg(feature = "jobs")]
pub use job::{JobEnd, JobPod, JobWait, check_job_access, wait_job};
#[cfg(feature = "journal")]
pub use journal::{Fsync, Journal, JournalEntry, JournalError};
#[cfg(feature = "logs")]
pub use logs::{GapReason, LogEvent, LogGap, LogLine, LogStream, LogTrouble, Logs};
pub use podwait_core as core;
pub use podwait_core::{
    Class, Decision, DoneReason, Evidence, Exit, FailReason, Failure, OnGone, OnMissingTerminated, Policy,
    PolicyBuilder, PolicyError, RestoreError, RetryReason, SavedWait, Target, WaitMachine,
};
pub use podwait_hub::{ObservedPod, Scope, Turn, is_dns_subdomain};
pub use podwait_wire as wire;
pub use podwait_wire::{ApiFailure, DecodeError, Pod, Via};
pub use source::{Observed, PodSource};
pub use tokio_util::sync::CancellationToken;
pub use wait::{Wait, wait};

/// For this repository's command: no part of the interface, and changed without notice.
#[doc(hidden)]
pub mod internals {
    pub use crate::client::call;
}
