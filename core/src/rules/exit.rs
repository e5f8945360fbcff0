//! Rules 5 and 6: whether the code of a `terminated` record is real, and what it means.

use crate::decision::{Evidence, Exit, Failure};
use crate::history::History;
use crate::policy::OnMissingTerminated;
use crate::reason::{DoneReason, FailReason};
use crate::rules::restart::is_sidecar;
use crate::rules::target::Target;
use crate::rules::words::not_by_the_step;
use crate::snapshot::{
    Container, ContainerState, ContainerStatus, Phase, PodSnapshot, Terminated, Timestamp,
};
use crate::text::{in_parentheses, name, quote};
use alloc::format;
use alloc::string::String;

/// Whether the code is made up because the real one is lost.
///
/// `ContainerStatusUnknown` is the kubelet's (`TerminatePod`, `convertToAPIContainerStatuses`), `Unknown` containerd's
/// after a restart. Providers of virtual-kubelet write `NotFound` for a container that they lost while it ran, with
/// -137 (`processPodUpdates` of node/podcontroller.go) or with 0 (`deleteContainerGroup` of azure-aci). Each of these
/// reasons says that the record is made up, so its code means nothing. `Terminated`/0 comes from a provider, too.
pub(crate) fn is_fabricated(record: &Terminated) -> bool {
    match record.reason.as_str() {
        "ContainerStatusUnknown" | "Unknown" | "NotFound" => true,
        // The latter two were never observed with 0, but a command that never ran has no exit 0.
        "Terminated" | "StartError" | "ContainerCannotRun" => record.exit_code == 0,
        // CRI-O writes this when it knows no code (`server/container_status.go`); on Linux no process ends with -1.
        "Error" if record.container_id.starts_with("cri-o://") => record.exit_code == -1,
        // containerd ended while it started the container, and knows of no start: the code may be that of runc's own
        // process, with 1, and the step never ran (`loadContainer` of pkg/cri/server/restart.go, a task that is stopped).
        // That process never exits 0.
        "Error" if record.container_id.starts_with("containerd://") => {
            record.exit_code != 0 && record.started_at == Some(Timestamp(0))
        }
        _ => false,
    }
}

/// Whether the kubelet inferred this end of an init container: the runtime no longer knows the container and the pod is
/// initialised, so the kubelet "treats it as exited normally" (`convertToAPIContainerStatuses` in
/// `pkg/kubelet/kubelet_pods.go`). Such a record has neither a containerID nor times; every observed record has both.
pub(crate) fn is_inferred(record: &Terminated) -> bool {
    record.exit_code == 0
        && record.container_id.is_empty()
        && record.started_at.is_none()
        && record.finished_at.is_none()
}

/// The failure for a code that is lost.
pub(crate) fn unknown(container: &str, record: &Terminated) -> Failure {
    let said = quote(&record.reason, not_by_the_step(&record.reason, &record.message));
    let message = format!(
        "the node lost container {}; {}{} is not its exit code, run the step again",
        name(container),
        record.exit_code,
        in_parentheses(&said)
    );
    Failure::new(FailReason::ContainerStatusUnknown, message, Some(record.exit_code))
}

/// The verdict for a final, real record of the target.
///
/// `outlived` if an outside cause came after the end: that explains a phase `Failed`.
pub(crate) fn judge(
    history: &History,
    record: &Terminated,
    restart_count: i32,
    outlived: bool,
    on_missing: OnMissingTerminated,
) -> Result<Exit, Failure> {
    let (container, phase) = (&history.container, history.phase);
    let oom_killed = record.reason == "OOMKilled";
    if record.exit_code == 0 && oom_killed {
        // The kernel killed a child process and its parent ignored that (kubernetes#131530), or a process of another
        // container over the pod's limit: with cgroups of version 1 it notifies all of the pod (`mem_cgroup_oom_notify`).
        let message = format!(
            "a process of container {} or of its pod was killed for memory, yet the container exited 0",
            name(container)
        );
        return Err(Failure::new(FailReason::OomKilled, message, Some(0)));
    }
    if record.exit_code == 0 && phase == Phase::Failed && !history.failure_is_explained && !outlived {
        let message = format!(
            "container {} exited 0, yet its pod is Failed{} and no other container explains it",
            name(container),
            history.said()
        );
        return Err(Failure::new(FailReason::PhaseContradictsExitCode, message, Some(0)));
    }
    let evidence =
        if history.is_init && is_inferred(record) { Evidence::Inferred } else { Evidence::Observed };
    if evidence == Evidence::Inferred && on_missing == OnMissingTerminated::Fail {
        let message = format!(
            "the kubelet infers that container {} exited 0, and the runtime does not know its exit; run it again",
            name(container)
        );
        return Err(Failure::new(FailReason::TerminatedStateMissing, message, Some(0)));
    }
    let reason = match record.reason.as_str() {
        "StartError" | "ContainerCannotRun" => DoneReason::StartError,
        _ if record.exit_code == 0 => DoneReason::Completed,
        _ if oom_killed => DoneReason::OomKilled,
        _ => DoneReason::NonzeroExit,
    };
    Ok(Exit {
        code: record.exit_code,
        evidence,
        reason,
        rule: reason.rule(),
        container: container.clone(),
        container_reason: record.reason.clone(),
        container_message: record.message.clone(),
        oom_killed,
        started_at: record.started_at,
        finished_at: record.finished_at,
        restart_count,
        container_id: record.container_id.clone(),
        pod_phase: phase,
    })
}

/// Whether a container other than the target explains that the pod is `Failed`.
///
/// An unknown `status.reason` of the pod is another explanation, and no proof of success.
pub(crate) fn another_container_failed(pod: &PodSnapshot, target: &Target<'_>) -> bool {
    // `getPhase` counts a regular container that waits after an end as stopped, not as succeeded.
    let stopped = |status: &ContainerStatus| match &status.state {
        Some(ContainerState::Terminated(record)) => record.exit_code != 0,
        Some(ContainerState::Waiting { .. }) | None => status.last_terminated.is_some(),
        Some(ContainerState::Running) => false,
    };
    let failed = |status: &ContainerStatus| match &status.state {
        Some(ContainerState::Terminated(record)) => record.exit_code != 0,
        Some(ContainerState::Waiting { .. }) | None => {
            status.last_terminated.as_ref().is_some_and(|last| last.exit_code != 0)
        }
        Some(ContainerState::Running) => false,
    };
    let is_other = |spec: &&Container| spec.name != target.spec.name;
    let regular = pod.containers.iter().filter(is_other);
    let mut init = pod.init_containers.iter().filter(is_other).filter(|spec| !is_sidecar(spec));
    pod.reason.is_empty()
        && (regular.filter_map(|spec| target.regular.get(&spec.name)).any(stopped)
            || init.any(|spec| target.init.get(&spec.name).is_some_and(failed)))
}

/// The exit that follows from phase `Succeeded`, or under `assume_success` from absence alone.
pub(crate) fn inferred(container: &str, phase: Phase) -> Exit {
    Exit {
        code: 0,
        evidence: Evidence::Inferred,
        reason: DoneReason::InferredFromPhase,
        rule: DoneReason::InferredFromPhase.rule(),
        container: String::from(container),
        container_reason: String::new(),
        container_message: String::new(),
        oom_killed: false,
        started_at: None,
        finished_at: None,
        restart_count: 0,
        container_id: String::new(),
        pod_phase: phase,
    }
}

#[cfg(test)]
mod tests {
    use super::is_fabricated;
    use crate::snapshot::Terminated;

    #[test]
    fn only_what_a_runtime_that_lost_the_code_writes_is_made_up() {
        for (reason, exit_code, container_id, expected) in [
            ("ContainerStatusUnknown", 137, "containerd://a", true),
            ("Unknown", 255, "containerd://a", true),
            ("Unknown", 1, "containerd://a", true),
            ("Unknown", 0, "", true),
            ("ContainerStatusUnknown", 0, "containerd://a", true),
            ("NotFound", -137, "", true),
            ("NotFound", 127, "", true),
            ("NotFound", 0, "aci://a", true),
            ("notfound", 0, "aci://a", false),
            ("Terminated", 0, "", true),
            ("Terminated", 143, "", false),
            ("StartError", 0, "containerd://a", true),
            ("StartError", 128, "containerd://a", false),
            ("ContainerCannotRun", 0, "docker://a", true),
            ("Error", -1, "cri-o://a", true),
            ("Error", 1, "cri-o://a", false),
            ("Error", -1, "containerd://a", false),
            ("Error", 137, "containerd://a", false),
            ("Completed", 0, "cri-o://a", false),
        ] {
            let record = Terminated {
                exit_code,
                reason: reason.into(),
                container_id: container_id.into(),
                ..Terminated::default()
            };
            assert_eq!(is_fabricated(&record), expected, "{reason} {exit_code} {container_id:?}");
        }
    }
}
