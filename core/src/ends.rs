//! How the containers of a pod ended, from one snapshot.

use crate::{
    ContainerState, ContainerStatus, Decision, Exit, Failure, Input, Instant, PodSnapshot, Policy,
    WaitMachine,
};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The verdict on each container needs all others, so the work grows with the square of their number. Most pods have a
/// few; if a pod has more than this, no ends are returned.
pub(crate) const MOST_CONTAINERS: usize = 250;

impl PodSnapshot {
    /// The regular containers that have ended for good or can never start, by name: each with the answer of a wait that
    /// sees only this snapshot. Empty for a pod of more than 250 containers.
    #[must_use]
    pub fn ends(&self) -> Vec<(String, Result<Exit, Failure>)> {
        let specs = self.containers.len() + self.init_containers.len() + self.ephemeral_containers.len();
        let statuses = self.container_statuses.len() + self.init_container_statuses.len();
        if specs.max(statuses) > MOST_CONTAINERS {
            return Vec::new();
        }
        let policy = Arc::new(Policy::default());
        let ends = self.containers.iter().filter_map(|container| {
            let mut machine = WaitMachine::new(Arc::clone(&policy)).container(&container.name);
            match machine.handle(Instant::ZERO, Input::Snapshot(self)) {
                Decision::Done(exit) => Some((container.name.clone(), Ok(exit))),
                Decision::Fail(failure) => Some((container.name.clone(), Err(failure))),
                Decision::Retry { .. } => None,
            }
        });
        ends.collect()
    }

    /// Whether the pod is over: its phase is final, or all of its regular containers have ended for good, which a kubelet
    /// shows about a second before. A pod of more than 250 containers is over when its phase is final.
    ///
    /// A pod whose image can never be pulled is not over: the kubelet keeps it, and its containers still wait.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let has_ended =
            |status: &ContainerStatus| matches!(status.state, Some(ContainerState::Terminated(_)));
        self.phase.is_terminal()
            || (!self.container_statuses.is_empty()
                && self.container_statuses.iter().all(has_ended)
                && self.ends().len() == self.containers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Container, Phase, RestartPolicy, Terminated};
    use alloc::vec;

    /// A pod with `count` containers and `count` init containers, which have all ended or all wait.
    fn pod(count: usize, has_ended: bool) -> PodSnapshot {
        let name = |n: usize| alloc::format!("c-{n}");
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
        let large = pod(MOST_CONTAINERS / 2, true);
        assert_eq!((large.ends().len(), large.is_over()), (MOST_CONTAINERS / 2, true));
        let larger = pod(MOST_CONTAINERS / 2 + 1, true);
        assert_eq!((larger.ends(), larger.is_over()), (vec![], false));
        // As many as fit into 8 MiB of text: without the limit this would take hours.
        let over = PodSnapshot { phase: Phase::Failed, ..pod(50_000, false) };
        assert_eq!((over.ends(), over.is_over()), (vec![], true));
    }

    #[test]
    fn a_pod_without_containers_is_not_over() {
        assert_eq!((PodSnapshot::default().ends(), PodSnapshot::default().is_over()), (vec![], false));
    }

    #[test]
    fn a_pod_is_over_when_the_last_container_has_ended_for_good() {
        let mut one = pod(2, true);
        one.init_containers.clear();
        one.init_container_statuses.clear();
        assert!(one.is_over());
        one.restart_policy = RestartPolicy::OnFailure;
        assert_eq!((one.ends().len(), one.is_over()), (0, false), "both will run again");
        one.restart_policy = RestartPolicy::Never;
        one.container_statuses[1].state = Some(ContainerState::Running);
        let ends: Vec<(String, i32)> =
            one.ends().into_iter().map(|(name, end)| (name, end.expect("an exit").code)).collect();
        assert_eq!((ends, one.is_over()), (vec![("c-0".into(), 3)], false));
    }

    #[test]
    fn a_pod_whose_image_has_an_invalid_name_is_not_over() {
        let mut waits = pod(1, false);
        waits.phase = Phase::Pending;
        waits.container_statuses[0].state =
            Some(ContainerState::Waiting { reason: "InvalidImageName".into(), message: String::new() });
        assert!(!waits.is_over());
    }
}
