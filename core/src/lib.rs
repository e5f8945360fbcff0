#![no_std]
#![forbid(unsafe_code)]
//! placeholder

extern crate alloc;

mod backoff;
mod decision;
mod history;
mod input;
mod machine;
mod policy;
mod reason;
mod rules;
mod snapshot;
mod time;
mod timers;

pub use decision::{Decision, Evidence, Exit, Failure};
pub use input::{ApiError, Input};
pub use machine::WaitMachine;
pub use policy::{OnGone, OnMissingTerminated, Policy, PolicyBuilder, PolicyError};
pub use reason::{Class, DoneReason, FailReason, RetryReason};
pub use snapshot::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated, Timestamp,
};
pub use time::Instant;
