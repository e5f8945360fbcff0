//! How the containers of a pod ended, from one snapshot.

use podwait_core::{Decision, Exit, Failure, Input, Instant, PodSnapshot, Policy, WaitMachine};
use std::sync::Arc;

/// How containers ended, by name: each entry is the answer of a wait that sees only this snapshot.
type Ends = Vec<(String, Result<Exit, Failure>)>;

/// The verdict on each container needs all others, so the work grows with the square of their number. Most pods have a
/// few; if a pod has more than this, no ends are returned.
const MOST_CONTAINERS: usize = 250;

/// The ends of the regular containers that have one, and whether all have, or the pod is over.
pub(crate) fn ends_of(pod: &PodSnapshot) -> (Ends, bool) {
    let specs = pod.containers.len() + pod.init_containers.len() + pod.ephemeral_containers.len();
    let statuses = pod.container_statuses.len() + pod.init_container_statuses.len();
    if specs.max(statuses) > MOST_CONTAINERS {
        return (Ends::new(), pod.phase.is_terminal());
    }
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
    let has_all = !ends.is_empty() && ends.len() == pod.containers.len();
    let is_over = pod.phase.is_terminal() || has_all;
    (ends, is_over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use podwait_core::{Container, ContainerState, ContainerStatus, Phase, RestartPolicy, Terminated};

    /// A pod with `count` containers and `count` init containers, which have all ended or all wait.
    fn pod(count: usize, has_ended: bool) -> PodSnapshot {
        let name = |n: usize| format!("c-{n}");
        let state = match has_ended {
            true => ContainerState::Terminated(Terminated { exit_code: 3, ..Terminated::default() }),
            false => ContainerState::Waiting { reason: String::new(), message: String::new() },
        };
        let spec = |n| Container { name: name(n), ..Container::default() };
        let status = |n| ContainerStatus { name: name(n), state: Some(state.clone()), ..Default::default() };
        PodSnapshot {
            phase: Phase::Running,
            restart_policy: RestartPolicy::Never,
            containers: (0..count).map(spec).collect(),
            container_statuses: (0..count).map(status).collect(),
            init_containers: (count..2 * count).map(spec).collect(),
            init_container_statuses: (count..2 * count).map(status).collect(),
            ..PodSnapshot::default()
        }
    }

    #[test]
    fn a_pod_of_very_many_containers_is_not_looked_through_for_each() {
        let (ends, is_over) = ends_of(&pod(MOST_CONTAINERS / 2, true));
        assert_eq!((ends.len(), is_over), (MOST_CONTAINERS / 2, true));
        assert_eq!(ends_of(&pod(MOST_CONTAINERS / 2 + 1, true)), (Ends::new(), false));
        // As many as fit into 8 MiB of text: without the limit this would take hours.
        let over = PodSnapshot { phase: Phase::Failed, ..pod(50_000, false) };
        assert_eq!(ends_of(&over), (Ends::new(), true));
    }

    #[test]
    fn a_pod_without_containers_is_not_over() {
        assert_eq!(ends_of(&PodSnapshot::default()), (Ends::new(), false));
    }
}
