//! How a Job ended: the decisions about one Job and its pods.
//!
//! `machine.rs` is the machine and its state, `wait.rs` handles an input. `object.rs` has the rules about the Job's
//! object, `conditions.rs` and `ending.rs` those about its conditions, `pods.rs` and `pod.rs` those about its pods, and
//! `verdict.rs` finds the pod that decided. The rules are in [the book](crate::book::jobs).

mod conditions;
mod decision;
mod ending;
mod facts;
mod input;
mod machine;
mod object;
mod pod;
mod pods;
mod snapshot;
#[cfg(test)]
mod tests;
mod verdict;
mod wait;

pub use decision::{JobDecision, JobExit, JobPodExit};
pub use input::{JobInput, JobPod};
pub use machine::JobMachine;
pub use snapshot::{CompletionMode, JobConditions, JobSnapshot, PodReplacementPolicy};
