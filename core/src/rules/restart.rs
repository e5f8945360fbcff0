//! Rule 3: when a `terminated` record is final.
//!
//! Follows `ContainerShouldRestart` (`pkg/api/v1/pod/util.go`), `ShouldContainerBeRestarted`
//! (`pkg/kubelet/container/helpers.go`), KEP-753 (sidecars), KEP-5307 (container restart rules) and KEP-5532
//! (restart of all containers).

use crate::rules::statuses::Statuses;
use crate::rules::target::{Kind, Target};
use crate::snapshot::{
    Container, ContainerState, PodSnapshot, RestartAction, RestartPolicy, RestartRule, Terminated,
};

/// The kubelet's reason on a container that it stopped in order to restart all containers (KEP-5532).
const RESTARTING_ALL_CONTAINERS: &str = "RestartingAllContainers";

/// The kubelet's reason on a container that it will start again after a delay.
const CRASH_LOOP_BACK_OFF: &str = "CrashLoopBackOff";

/// Whether the record is the target's last one: the container will not start again.
pub(crate) fn is_final(
    pod: &PodSnapshot,
    target: &Target<'_>,
    terminated: &Terminated,
    phase_is_terminal: bool,
) -> bool {
    if is_restarting_all(terminated) {
        return false;
    }
    phase_is_terminal || pod.deletion_timestamp.is_some() || !may_restart(pod, target, terminated.exit_code)
}

/// Whether the record exists only because all containers are being restarted.
pub(crate) fn is_restarting_all(terminated: &Terminated) -> bool {
    terminated.reason == RESTARTING_ALL_CONTAINERS
}

/// Whether the target may start again after this code, in a pod that is neither terminal nor being deleted.
pub(crate) fn may_restart(pod: &PodSnapshot, target: &Target<'_>, exit_code: i32) -> bool {
    match target.kind {
        Kind::Ephemeral => false,
        Kind::Sidecar(_) => true,
        // A regular init container that succeeded is never run again.
        Kind::Init(_) if exit_code == 0 => another_may_restart_all(pod, target),
        Kind::Init(_) | Kind::Regular => {
            restarts(target.spec, pod.restart_policy, exit_code) || another_may_restart_all(pod, target)
        }
    }
}

/// Whether the target is between two runs: it ended, or waits after an end, and will start again.
pub(crate) fn is_between_restarts(pod: &PodSnapshot, target: &Target<'_>) -> bool {
    let waits_after_an_end = || {
        target
            .last_terminated()
            .is_some_and(|last| is_restarting_all(last) || may_restart(pod, target, last.exit_code))
    };
    match target.state() {
        Some(ContainerState::Running) => false,
        Some(ContainerState::Terminated(record)) => !is_final(pod, target, record, pod.phase.is_terminal()),
        Some(ContainerState::Waiting { reason, .. }) => {
            reason == RESTARTING_ALL_CONTAINERS || reason == CRASH_LOOP_BACK_OFF || waits_after_an_end()
        }
        None => waits_after_an_end(),
    }
}

/// Whether the container is a native sidecar.
pub(crate) fn is_sidecar(init_container: &Container) -> bool {
    init_container.restart_policy == Some(RestartPolicy::Always)
}

/// The container's own rules, then its own policy, then the pod's. As in the kubelet, rules count only if the container
/// has a policy of its own.
pub(crate) fn restarts(container: &Container, pod_policy: RestartPolicy, exit_code: i32) -> bool {
    let rule = match container.restart_policy {
        Some(_) => container.restart_policy_rules.iter().find(|rule| rule.matches(exit_code)),
        None => None,
    };
    match rule.map(|rule| rule.action) {
        Some(RestartAction::Restart | RestartAction::RestartAllContainers) => true,
        Some(RestartAction::Unrecognized) | None => match container.restart_policy.unwrap_or(pod_policy) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        },
    }
}

/// Whether another container's exit may still restart all containers, including the target, whatever its exit code. The
/// other container has not ended yet, will be restarted by its own policy, or has ended with a code of such a rule.
fn another_may_restart_all(pod: &PodSnapshot, target: &Target<'_>) -> bool {
    let armed = |container: &Container, statuses: &Statuses<'_>, is_init: bool| {
        // An init container that succeeded is never run again.
        let runs_again = |code: i32| {
            let has_succeeded = is_init && code == 0 && !is_sidecar(container);
            !has_succeeded && restarts(container, pod.restart_policy, code)
        };
        let all = |rule: &&RestartRule| rule.action == RestartAction::RestartAllContainers;
        let mut rules = container.restart_policy_rules.iter().filter(all).peekable();
        if container.name == target.spec.name || container.restart_policy.is_none() || rules.peek().is_none()
        {
            return false;
        }
        match statuses.get(&container.name).and_then(|status| status.state.as_ref()) {
            Some(ContainerState::Terminated(record)) => {
                rules.any(|rule| rule.matches(record.exit_code)) || runs_again(record.exit_code)
            }
            Some(ContainerState::Waiting { .. } | ContainerState::Running) | None => true,
        }
    };
    pod.containers.iter().any(|container| armed(container, &target.regular, false))
        || pod.init_containers.iter().any(|container| armed(container, &target.init, true))
}

#[cfg(test)]
mod tests {
    use super::may_restart;
    use crate::rules::target::find;
    use crate::snapshot::{
        Container, ContainerState, ContainerStatus, PodSnapshot, RestartAction, RestartPolicy, RestartRule,
        Terminated,
    };
    use alloc::vec;

    /// Whether a container of that list may start again after this code, in a pod with that policy.
    fn may(pod_policy: RestartPolicy, is_init: bool, exit_code: i32) -> bool {
        let step = Container { name: "step".into(), ..Container::default() };
        let mut pod = PodSnapshot { restart_policy: pod_policy, ..PodSnapshot::default() };
        if is_init { &mut pod.init_containers } else { &mut pod.containers }.push(step);
        let target = find(&pod, Some("step")).expect("it is there");
        may_restart(&pod, &target, exit_code)
    }

    /// KEP-5532.
    #[test]
    fn a_container_that_has_finished_restarts_no_other_and_one_that_may_exit_again_does() {
        use RestartPolicy::{Always, Never};
        let may = |is_init: bool, policy: RestartPolicy, exit_code: Option<i32>| {
            let all = RestartRule {
                action: RestartAction::RestartAllContainers,
                negated: false,
                exit_codes: vec![42],
            };
            let other = Container {
                name: "other".into(),
                restart_policy: Some(policy),
                restart_policy_rules: vec![all],
            };
            let step = Container { name: "step".into(), ..Container::default() };
            let state = match exit_code {
                Some(exit_code) => {
                    ContainerState::Terminated(Terminated { exit_code, ..Terminated::default() })
                }
                None => ContainerState::Running,
            };
            let status = ContainerStatus { name: "other".into(), state: Some(state), ..Default::default() };
            let mut pod = PodSnapshot { restart_policy: Never, ..PodSnapshot::default() };
            pod.containers.push(step);
            if is_init {
                (pod.init_containers, pod.init_container_statuses) = (vec![other], vec![status]);
            } else {
                pod.containers.push(other);
                pod.container_statuses.push(status);
            }
            may_restart(&pod, &find(&pod, Some("step")).expect("it is there"), 0)
        };
        for (is_init, policy, exit_code, expected) in [
            (false, Never, None, true),
            (false, Never, Some(42), true),
            (false, Never, Some(0), false),
            (false, Never, Some(1), false),
            (false, Always, Some(0), true),
            (true, Never, None, true),
            (true, Never, Some(42), true),
            (true, Never, Some(0), false),
            (true, Never, Some(1), false),
            (true, RestartPolicy::OnFailure, Some(0), false),
            (true, RestartPolicy::OnFailure, Some(1), true),
            (true, Always, Some(0), true),
        ] {
            assert_eq!(may(is_init, policy, exit_code), expected, "{is_init} {policy:?} {exit_code:?}");
        }
    }

    #[test]
    fn an_init_container_that_has_succeeded_is_not_run_again() {
        use RestartPolicy::{Always, Never, OnFailure};
        for (policy, after_0, after_1) in
            [(Always, true, true), (OnFailure, false, true), (Never, false, false)]
        {
            assert_eq!(
                (may(policy, false, 0), may(policy, false, 1)),
                (after_0, after_1),
                "regular, {policy:?}"
            );
            assert_eq!((may(policy, true, 0), may(policy, true, 1)), (false, after_1), "init, {policy:?}");
        }
    }
}
