//! placeholder
#![forbid(unsafe_code)]

mod client;
mod decode;
mod drive;
mod lines;
mod poll;
mod reader;
mod source;
pub mod trace;
mod wait;
mod watch;

pub use client::{check_access, client, is_dns_subdomain};
pub use decode::{DecodeError, Pod, decode};
pub use drive::{Step, drive};
pub use podwait_core as core;
pub use podwait_core::{
    Class, Decision, DoneReason, Evidence, Exit, FailReason, Failure, OnGone, OnMissingTerminated, Policy,
    PolicyBuilder, PolicyError, RetryReason, WaitMachine,
};
pub use poll::PollSource;
pub use source::{ApiFailure, Observed, ObservedPod, PodSource, Via};
pub use tokio_util::sync::CancellationToken;
pub use wait::{Wait, wait};
pub use watch::WatchSource;
