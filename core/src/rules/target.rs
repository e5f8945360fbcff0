//! Rule 2: the target is looked up by name, never by index.
//!
//! The kubelet sorts `containerStatuses` by name (`convertToAPIContainerStatuses` in
//! `pkg/kubelet/kubelet_pods.go`), so an injected `istio-proxy` comes before `step`.

use crate::decision::Failure;
use crate::reason::FailReason;
use crate::rules::restart::is_sidecar;
use crate::rules::statuses::Statuses;
use crate::snapshot::{Container, ContainerState, ContainerStatus, PodSnapshot, Terminated};
use crate::text;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The target in one snapshot.
pub(crate) struct Target<'a> {
    pub(crate) kind: Kind,
    pub(crate) spec: &'a Container,
    /// `None` while the kubelet has not reported it.
    pub(crate) status: Option<&'a ContainerStatus>,
    /// `status.containerStatuses`
    pub(crate) regular: Statuses<'a>,
    /// `status.initContainerStatuses`
    pub(crate) init: Statuses<'a>,
}

/// Which list of the spec holds the target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular,
    /// With its position in the order of starting.
    Init(usize),
    /// A native sidecar (KEP-753), likewise.
    Sidecar(usize),
    Ephemeral,
}

impl Kind {
    /// How many init containers must succeed or start before the target may start.
    pub(crate) const fn init_containers_before(self, total: usize) -> usize {
        match self {
            Self::Regular => total,
            Self::Init(index) | Self::Sidecar(index) => index,
            Self::Ephemeral => 0,
        }
    }

    /// Whether phase `Succeeded` says that the target exited with 0: `getPhase` looks at regular and init
    /// containers only.
    pub(crate) const fn succeeds_with_the_pod(self) -> bool {
        match self {
            Self::Regular | Self::Init(_) => true,
            Self::Sidecar(_) | Self::Ephemeral => false,
        }
    }
}

impl<'a> Target<'a> {
    fn new(pod: &'a PodSnapshot, kind: Kind, spec: &'a Container) -> Self {
        let regular = Statuses::of(&pod.container_statuses);
        let init = Statuses::of(&pod.init_container_statuses);
        let status = match kind {
            Kind::Regular => regular.get(&spec.name),
            Kind::Init(_) | Kind::Sidecar(_) => init.get(&spec.name),
            Kind::Ephemeral => {
                pod.ephemeral_container_statuses.iter().find(|status| status.name == spec.name)
            }
        };
        Self { kind, spec, status, regular, init }
    }

    pub(crate) fn state(&self) -> Option<&'a ContainerState> {
        self.status.and_then(|status| status.state.as_ref())
    }

    pub(crate) fn terminated(&self) -> Option<&'a Terminated> {
        match self.state() {
            Some(ContainerState::Terminated(terminated)) => Some(terminated),
            Some(ContainerState::Waiting { .. } | ContainerState::Running) | None => None,
        }
    }

    pub(crate) fn last_terminated(&self) -> Option<&'a Terminated> {
        self.status.and_then(|status| status.last_terminated.as_ref())
    }

    /// Whether the status shows that the container was started. A made-up record counts too, because it may replace a
    /// real one.
    pub(crate) fn has_started(&self) -> bool {
        let has_run = |status: &ContainerStatus| {
            status.restart_count > 0 || !status.container_id.is_empty() || status.last_terminated.is_some()
        };
        self.is_running() || self.terminated().is_some() || self.status.is_some_and(has_run)
    }

    /// The init containers that come before it, in the order of starting, as far as the kubelet has reported them.
    pub(crate) fn init_before(
        &self,
        pod: &'a PodSnapshot,
    ) -> impl Iterator<Item = (&'a Container, &'a ContainerStatus)> {
        let before = self.kind.init_containers_before(pod.init_containers.len());
        pod.init_containers[..before]
            .iter()
            .filter_map(|container| self.init.get(&container.name).map(|status| (container, status)))
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state(), Some(ContainerState::Running))
    }
}

/// Finds the container named `name`, or the only regular one if no name was given.
pub(crate) fn find<'a>(pod: &'a PodSnapshot, name: Option<&str>) -> Result<Target<'a>, Failure> {
    let Some(name) = name else {
        return match pod.containers.as_slice() {
            [only] => Ok(Target::new(pod, Kind::Regular, only)),
            several => Err(Failure::new(FailReason::ContainerAmbiguous, ambiguous(several), None)),
        };
    };
    let position = |list: &[Container]| list.iter().position(|container| container.name == name);
    if let Some(index) = position(&pod.containers) {
        return Ok(Target::new(pod, Kind::Regular, &pod.containers[index]));
    }
    if let Some(index) = position(&pod.init_containers) {
        let spec = &pod.init_containers[index];
        let kind = if is_sidecar(spec) { Kind::Sidecar(index) } else { Kind::Init(index) };
        return Ok(Target::new(pod, kind, spec));
    }
    if let Some(index) = position(&pod.ephemeral_containers) {
        return Ok(Target::new(pod, Kind::Ephemeral, &pod.ephemeral_containers[index]));
    }
    let message = format!(
        "the pod has no container named {}; it has {}",
        text::name(name),
        names(pod.containers.iter().chain(&pod.init_containers).chain(&pod.ephemeral_containers))
    );
    Err(Failure::new(FailReason::ContainerNotInSpec, message, None))
}

fn ambiguous(containers: &[Container]) -> String {
    if containers.is_empty() {
        return String::from("no container was named and the pod has none");
    }
    format!(
        "no container was named and the pod has {}: {}; name one",
        containers.len(),
        names(containers.iter())
    )
}

/// The names, as many as fit into a sentence.
fn names<'a>(containers: impl Iterator<Item = &'a Container>) -> String {
    let names: Vec<_> = containers.take(50).map(|container| text::name(&container.name)).collect();
    text::quote("", &names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::snapshot::{Container, ContainerState, ContainerStatus, PodSnapshot, Terminated};
    use alloc::string::String;
    use alloc::vec;

    #[test]
    fn every_trace_of_a_run_shows_that_it_was_started() {
        let none = ContainerStatus::default;
        let waiting = || ContainerState::Waiting { reason: String::new(), message: String::new() };
        let state = |state| ContainerStatus { state: Some(state), ..none() };
        let last = Some(Terminated::default());
        for (status, expected) in [
            (none(), false),
            (state(waiting()), false),
            (state(ContainerState::Running), true),
            (state(ContainerState::Terminated(Terminated::default())), true),
            (ContainerStatus { restart_count: 1, ..none() }, true),
            (ContainerStatus { container_id: "containerd://a".into(), ..none() }, true),
            (ContainerStatus { last_terminated: last, ..none() }, true),
        ] {
            let pod = PodSnapshot {
                containers: vec![Container { name: "step".into(), ..Container::default() }],
                container_statuses: vec![ContainerStatus { name: "step".into(), ..status.clone() }],
                ..PodSnapshot::default()
            };
            let target = find(&pod, None).expect("it is there");
            assert_eq!(target.has_started(), expected, "{status:?}");
        }
    }
}
