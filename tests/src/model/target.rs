//! Rules 2, 3 and 8: the target among the containers, its state, and whether it will run again.

use super::config::Goal;
use podwait_core::{
    Container, ContainerState, ContainerStatus, FailReason, PodSnapshot, RestartAction, RestartPolicy,
    RestartRule, Terminated,
};

/// The list of the spec that has a container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Regular,
    Init,
    Ephemeral,
}

/// A container, the target or another one, with its status.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) list: List,
    pub(super) container: &'a Container,
    pub(super) status: Option<&'a ContainerStatus>,
}

/// The state of a container.
#[derive(Clone, Copy)]
pub(super) enum State<'a> {
    Unreported,
    Waiting { reason: &'a str, message: &'a str, last: Option<&'a Terminated> },
    Running,
    Ended(&'a Terminated),
}

impl<'a> Target<'a> {
    pub(super) fn find(goal: &Goal, pod: &'a PodSnapshot) -> Result<Self, FailReason> {
        let Some(name) = &goal.container else {
            let [only] = pod.containers.as_slice() else { return Err(FailReason::ContainerAmbiguous) };
            return Ok(Self::with_status(pod, List::Regular, only));
        };
        all(pod).find(|found| found.container.name == *name).ok_or(FailReason::ContainerNotInSpec)
    }

    fn with_status(pod: &'a PodSnapshot, list: List, container: &'a Container) -> Self {
        let statuses = match list {
            List::Regular => &pod.container_statuses,
            List::Init => &pod.init_container_statuses,
            List::Ephemeral => &pod.ephemeral_container_statuses,
        };
        let status = statuses.iter().find(|status| status.name == container.name);
        Self { list, container, status }
    }

    pub(super) fn state(&self) -> State<'a> {
        let Some(status) = self.status else { return State::Unreported };
        let last = status.last_terminated.as_ref();
        match &status.state {
            None => State::Waiting { reason: "", message: "", last },
            Some(ContainerState::Waiting { reason, message }) => State::Waiting { reason, message, last },
            Some(ContainerState::Running) => State::Running,
            Some(ContainerState::Terminated(record)) => State::Ended(record),
        }
    }

    pub(super) fn is_sidecar(&self) -> bool {
        self.list == List::Init && self.container.restart_policy == Some(RestartPolicy::Always)
    }

    /// The init containers that must have completed, or started, before this container starts.
    pub(super) fn init_before(&self, pod: &'a PodSnapshot) -> impl Iterator<Item = Self> + use<'a> {
        let (list, name) = (self.list, self.container.name.as_str());
        all(pod)
            .filter(|other| other.list == List::Init)
            .take_while(move |init| list == List::Regular || init.container.name != name)
            .filter(move |_| list != List::Ephemeral)
    }

    /// Every other container of the pod.
    pub(super) fn others(&self, pod: &'a PodSnapshot) -> impl Iterator<Item = Self> + use<'a> {
        let (list, name) = (self.list, self.container.name.as_str());
        all(pod).filter(move |other| other.list != list || other.container.name != name)
    }

    /// Whether the last run that ended is followed by another one.
    pub(super) fn is_between_restarts(&self, pod: &'a PodSnapshot) -> bool {
        match self.state() {
            State::Ended(record) => !self.is_final(pod, record),
            State::Waiting { reason: "CrashLoopBackOff" | "RestartingAllContainers", .. } => true,
            // A deletion ends the restarts, but a step that has run still counts as started.
            State::Waiting { last: Some(record), .. } => !self.is_last_but_for_deletion(pod, record),
            State::Waiting { .. } | State::Running | State::Unreported => false,
        }
    }

    /// Whether this end is the container's last one, apart from the phase: nothing starts the container again.
    pub(super) fn is_final(&self, pod: &'a PodSnapshot, record: &Terminated) -> bool {
        if record.reason == "RestartingAllContainers" {
            return false;
        }
        pod.deletion_timestamp.is_some() || self.is_last_but_for_deletion(pod, record)
    }

    /// Whether another run may follow this end.
    pub(super) fn is_followed(&self, pod: &'a PodSnapshot, record: &Terminated) -> bool {
        !self.is_last_but_for_deletion(pod, record)
    }

    fn is_last_but_for_deletion(&self, pod: &'a PodSnapshot, record: &Terminated) -> bool {
        record.reason != "RestartingAllContainers"
            && !self.restarts_after(pod, record.exit_code)
            // Ephemeral containers are not restarted.
            && (self.list == List::Ephemeral || !self.others(pod).any(|other| other.may_restart_all(pod)))
    }

    /// Kubernetes' `ContainerShouldRestart`, and the part that its callers do.
    fn restarts_after(&self, pod: &PodSnapshot, code: i32) -> bool {
        match self.list {
            List::Ephemeral => return false,
            List::Init if self.is_sidecar() => return true,
            List::Init if code == 0 => return false,
            List::Init | List::Regular => {}
        }
        match self.rule_for(code).map(|rule| rule.action) {
            Some(RestartAction::Restart | RestartAction::RestartAllContainers) => return true,
            Some(RestartAction::Unrecognized) | None => {}
        }
        match self.container.restart_policy.unwrap_or(pod.restart_policy) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }

    fn rule_for(&self, code: i32) -> Option<&'a RestartRule> {
        // A container without its own restartPolicy has no rules: validation requires the policy.
        self.container.restart_policy?;
        self.container.restart_policy_rules.iter().find(|rule| rule.matches(code))
    }

    /// Whether this container may still cause another run of the whole pod, including finished containers.
    fn may_restart_all(&self, pod: &PodSnapshot) -> bool {
        let all = RestartAction::RestartAllContainers;
        let has_rule = self.container.restart_policy_rules.iter().any(|rule| rule.action == all);
        match self.state() {
            State::Ended(record) => {
                let rule = self.rule_for(record.exit_code);
                rule.is_some_and(|rule| rule.action == all)
                    || (has_rule && self.restarts_after(pod, record.exit_code))
            }
            State::Unreported | State::Waiting { .. } | State::Running => has_rule,
        }
    }

    /// Whether the container is started again after this end, by its own rules and policy.
    pub(super) fn is_restarted(&self, pod: &PodSnapshot, record: &Terminated) -> bool {
        self.restarts_after(pod, record.exit_code)
    }
}

fn all(pod: &PodSnapshot) -> impl Iterator<Item = Target<'_>> {
    let lists = [
        (List::Regular, &pod.containers),
        (List::Init, &pod.init_containers),
        (List::Ephemeral, &pod.ephemeral_containers),
    ];
    lists.into_iter().flat_map(move |(list, containers)| {
        containers.iter().map(move |container| Target::with_status(pod, list, container))
    })
}
