//! Messages of the pod for the sentences, cleaned and cut.
//!
//! A record's message is quoted only if the step cannot have written it. Otherwise it is the step's own output, which
//! may be unfit for a log: that has its own field in [`Exit`](crate::Exit).

use crate::rules::restart::is_sidecar;
use crate::rules::target::Target;
use crate::snapshot::{Container, ContainerState, ContainerStatus, PodSnapshot, Terminated};
use crate::text::{in_parentheses, name, quote};
use alloc::format;
use alloc::string::String;

/// Why the target does not make progress, or how a terminal pod ended. Empty if the pod has no such message, or the
/// target runs.
pub(crate) fn of_pod(pod: &PodSnapshot, target: &Target<'_>) -> String {
    if pod.phase.is_terminal() {
        return quote(&pod.reason, &pod.message);
    }
    if target.is_running() {
        return String::new();
    }
    if pod.deletion_timestamp.is_some() {
        return String::from("the pod is being deleted");
    }
    if let Some(scheduler) = pod.pod_scheduled.as_ref().filter(|condition| !condition.is_true) {
        let reason = if scheduler.message.is_empty() { scheduler.reason.as_str() } else { "" };
        return quote(reason, &scheduler.message);
    }
    if let Some(init) = target.init_before(pod).find_map(|(spec, status)| of_init(spec, status)) {
        return init;
    }
    let of_target = target.status.and_then(|status| of_container("container", status));
    of_target.unwrap_or_else(|| quote(&pod.reason, &pod.message))
}

/// The state of an init container that has not succeeded. A running sidecar does not count.
fn of_init(spec: &Container, status: &ContainerStatus) -> Option<String> {
    match &status.state {
        Some(ContainerState::Waiting { reason, .. }) if reason == "PodInitializing" => None,
        Some(ContainerState::Running) if is_sidecar(spec) => None,
        Some(ContainerState::Terminated(record)) if record.exit_code == 0 => None,
        Some(ContainerState::Waiting { .. } | ContainerState::Running | ContainerState::Terminated(_))
        | None => of_container("init container", status),
    }
}

fn of_container(kind: &str, status: &ContainerStatus) -> Option<String> {
    let name = name(&status.name);
    match &status.state {
        Some(ContainerState::Waiting { reason, message }) => {
            Some(format!("{kind} {name} waits{}", in_parentheses(&quote(reason, message))))
        }
        Some(ContainerState::Running) => Some(format!("{kind} {name} is running")),
        Some(ContainerState::Terminated(record)) => {
            Some(format!("{kind} {name} ended with code {}{}", record.exit_code, of_record(record)))
        }
        None => None,
    }
}

/// A record's reason and message, in parentheses with a space before them, or nothing.
pub(crate) fn of_record(record: &Terminated) -> String {
    let reason = match record.reason.as_str() {
        "Completed" | "Error" => "",
        reason => reason,
    };
    let words = quote(reason, not_by_the_step(&record.reason, &record.message));
    let doubt = doubt(record.exit_code, &record.reason, &record.container_id);
    // A record whose code is in doubt is not quoted.
    if doubt.is_empty() { in_parentheses(&words) } else { doubt.into() }
}

/// The message of a record with this reason, if the step cannot have written it: the command never ran, or the record
/// is made up.
pub(crate) fn not_by_the_step<'a>(reason: &str, message: &'a str) -> &'a str {
    match reason {
        "StartError" | "ContainerCannotRun" | "ContainerStatusUnknown" | "NotFound" => message,
        _ => "",
    }
}

/// A note about a code that looks like the step's own but may not be.
///
/// CRI-O reports 255 with the reason `Error` if it has neither the runtime's state nor the exit file
/// (`UpdateContainerStatus`; cri-o#8980, cri-o#9840). containerd reports the same for a step whose shim was killed: 12
/// of 12 times in `tests/it/containerd`, on containerd 1.6.20.
pub(crate) fn doubt(exit_code: i32, reason: &str, container_id: &str) -> &'static str {
    match (exit_code, reason, container_id.split_once("://")) {
        (255, "Error", Some(("cri-o", _))) => " (which is also what CRI-O writes where it has lost the code)",
        (255, "Error", Some(("containerd", _))) => {
            " (which is also what containerd writes where its shim was killed)"
        }
        _ => "",
    }
}
