//! Finds out how a container of a Kubernetes pod ended: the decisions, without any I/O.
//!
//! # The one rule
//!
//! > Give the machine one input with its time; it gives back one decision. If the decision is `Retry { after, .. }`,
//! > come back with a new input, or with a tick, once `after` has passed. Coming back early is harmless. `Done` and
//! > `Fail` never change.
//!
//! The machine is [`WaitMachine`], its main method [`WaitMachine::handle`]. It takes [`Input`]s: snapshots of the pod,
//! its deletion, a 404, API errors, ticks and a cancellation, each with an [`Instant`] on a time line of the caller's.
//! It answers with a [`Decision`].
//!
//! ```text
//!                   ┌────────────── Retry { after, why } ◀─┐
//!                   ▼                                      │
//!  new ──────▶ handle(at, input) ──────────────────────────┤
//!                                                          ├──▶ Done(exit)     the step's own exit, for ever
//!                                                          └──▶ Fail(failure)  the reason why there is none, for ever
//! ```
//!
//! # One loop
//!
//! This is all that an adapter does. Here the API server is a list of answers and the clock a number.
//!
//! ```
//! use podwait_core::{
//!     ApiError, Container, ContainerState, ContainerStatus, Decision, Input, Instant, Phase, PodSnapshot, RestartPolicy,
//!     Terminated, WaitMachine,
//! };
//!
//! let running = PodSnapshot {
//!     uid: "5f1d".into(),
//!     resource_version: "110".into(),
//!     restart_policy: RestartPolicy::Never,
//!     containers: vec![Container { name: "step".into(), ..Default::default() }],
//!     container_statuses: vec![ContainerStatus {
//!         name: "step".into(),
//!         state: Some(ContainerState::Running),
//!         ..Default::default()
//!     }],
//!     phase: Phase::Running,
//!     ..Default::default()
//! };
//! let mut over = PodSnapshot { resource_version: "120".into(), ..running.clone() };
//! let record = Terminated { exit_code: 3, reason: "Error".into(), ..Default::default() };
//! over.container_statuses[0].state = Some(ContainerState::Terminated(record));
//!
//! // What the API server will answer, one call after the other.
//! let mut server = [
//!     Input::NotFound,
//!     Input::Read(&running),
//!     Input::ApiError(ApiError { code: 503, is_status: true, retry_after: None, message: "overloaded" }),
//!     Input::Read(&over),
//! ]
//! .into_iter();
//!
//! let mut machine = WaitMachine::new(Default::default()).container("step");
//! let mut now = Instant::ZERO;
//! let mut input = Input::Tick;
//! let exit = loop {
//!     match machine.handle(now, input) {
//!         Decision::Retry { after, .. } => now = now.after(after), // an adapter sleeps here
//!         Decision::Done(exit) => break exit,
//!         Decision::Fail(failure) => panic!("{failure}"),
//!     }
//!     input = server.next().unwrap_or(Input::Tick); // and here it asks the API server
//! };
//! assert_eq!(exit.code, 3);
//! ```
//!
//! # In scope
//!
//! Which pod and which container are meant, when an exit is final, whether an outside cause stopped the step first,
//! whether a code is real, what a 404 means, how long to wait, when to come back. Every rule names its source in
//! Kubernetes where it is implemented; [`book`] has them in one place, with every reason code.
//!
//! # Out of scope
//!
//! Clocks, sleeping, networks, JSON, threads, logging, randomness (jitter is seeded by the policy) and global state.
//! The crate is `no_std` with `alloc`. The package `podwait` drives the machine against a real API server.
//!
//! # Known limits
//!
//! * A pod evicted for its use of local storage whose process exits 0 on SIGTERM can be left as `Succeeded` with code 0
//!   and no mark of the eviction (kubernetes#141483). Its object is the same as that of a success.
//! * If a pod is force-deleted between two observations, its code is lost, unless a finalizer holds the object.
//! * If a node is gone for good, it cannot be known whether the step finished.
//! * If a failing liveness probe or a node's own shutdown stopped the step and left no mark in the pod, the wait
//!   reports the step's exit code as its own exit.
//! * CRI-O writes code 255 with the reason `Error` when it has lost the real code (cri-o#8980), and gVisor's shim
//!   writes 128 with `Error` when the sandbox is gone (gvisor#12873). containerd writes 255 with `Error` for a step whose
//!   shim was killed. A step can exit with these codes itself, so all are reported; for 255 the sentence mentions the
//!   doubt.
//! * A restarted kubelet may refuse a pod that has already run, which also removes the pod's statuses
//!   (kubernetes#127374). A wait that first sees the pod after that reports a pod that never ran, and so does
//!   [`Failure::is_safe_to_rerun`]. A wait that saw the pod before keeps those facts.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod backoff;
pub mod book;
mod decision;
mod ends;
mod history;
mod input;
mod machine;
mod policy;
mod progress;
mod reason;
mod rules;
mod saved;
mod snapshot;
mod target;
mod text;
mod time;
mod timers;

pub use decision::{Decision, Evidence, Exit, Failure};
pub use input::{ApiError, Input};
pub use machine::WaitMachine;
pub use policy::{OnGone, OnMissingTerminated, Policy, PolicyBuilder, PolicyError};
pub use progress::{Limit, Progress, ProgressLog};
pub use reason::{Class, DoneReason, FailReason, RetryReason, Stage};
pub use saved::{RestoreError, SavedWait};
pub use snapshot::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
pub use target::Target;
pub use text::one_line;
pub use time::Instant;
