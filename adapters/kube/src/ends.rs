//! How the containers of a pod ended, by one look at it.

use podwait_core::{Decision, Exit, Failure, Input, Instant, PodSnapshot, Policy, WaitMachine};
use std::sync::Arc;

/// How containers ended, by name: each as a wait for it would say upon this one look.
pub type Ends = Vec<(String, Result<Exit, Failure>)>;

/// The ends of the regular containers that have one, and whether all have, or the pod is over.
pub(crate) fn ends_of(pod: &PodSnapshot) -> (Ends, bool) {
    let policy = Arc::new(Policy::default());
    let ends = pod.containers.iter().filter_map(|container| {
        let mut machine = WaitMachine::new(Arc::clone(&policy)).container(&container.name);
        match machine.handle(Instant::ZERO, Input::Snapshot(pod)) {
            Decision::Done(exit) => Some((container.name.clone(), Ok(exit))),
            Decision::Fail(failure) => Some((container.name.clone(), Err(failure))),
            Decision::Retry { .. } => None,
        }
    });
    let ends: Ends = ends.collect();
    let is_over = pod.phase.is_terminal() || ends.len() == pod.containers.len();
    (ends, is_over)
}
