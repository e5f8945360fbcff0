//! Observations and decisions as readable lines.

use podwait::core::{ContainerState, ContainerStatus, PodSnapshot};
use podwait::{Decision, Observed, Step};
use std::fmt::Write;

/// One line for one turn of the wait loop: when, what was observed, what was decided.
pub(crate) fn line(step: Step<'_>) -> String {
    let seconds = step.at.as_millis() as f64 / 1000.0;
    format!("{seconds:>8.3} s  {:<52} {}", observed(step.observed), decided(step.decision))
}

fn observed(observed: &Observed) -> String {
    match observed {
        Observed::Pod(pod) => format!("{:<8}{}", pod.via.as_str(), describe(&pod.pod.snapshot)),
        Observed::Deleted(pod) => format!("deleted {}", describe(&pod.pod.snapshot)),
        Observed::NotFound(via) => format!("{:<8}no such pod (404)", via.as_str()),
        Observed::ApiError(failure) => {
            format!("{:<8}error {}: {}", failure.via.as_str(), failure.code, failure.message)
        }
        Observed::Silence => String::from("-"),
        Observed::Cancelled => String::from("cancelled"),
    }
}

fn describe(pod: &PodSnapshot) -> String {
    let mut text = String::from(pod.phase.as_str());
    if !pod.reason.is_empty() {
        let _ = write!(text, "/{}", pod.reason);
    }
    if pod.deletion_timestamp.is_some() {
        text.push_str(", deleting");
    }
    for status in &pod.container_statuses {
        let _ = write!(text, ", {} {}", status.name, state(status));
    }
    text
}

fn state(status: &ContainerStatus) -> String {
    match &status.state {
        Some(ContainerState::Waiting { reason, .. }) => format!("waiting ({reason})"),
        Some(ContainerState::Running) => String::from("running"),
        Some(ContainerState::Terminated(record)) => format!("terminated {}", record.exit_code),
        None => String::from("unknown"),
    }
}

fn decided(decision: &Decision) -> String {
    match decision {
        Decision::Retry { after, why } => format!("retry: {why}, again within {:.1} s", after.as_secs_f64()),
        Decision::Done(exit) => {
            format!("DONE: {exit} ({}, {}, rule {})", exit.reason, exit.evidence.as_str(), exit.rule)
        }
        Decision::Fail(failure) => format!("FAIL: {failure} ({}, rule {})", failure.reason, failure.rule),
    }
}
