//! Formats observations and decisions as lines of text.

use podwait::core::{ContainerState, ContainerStatus, PodSnapshot, one_line};
use podwait::{Decision, Observed, Turn};
use std::borrow::Cow;
use std::fmt::Write;

/// Longest quotation from elsewhere on a line, in bytes.
const LONGEST: usize = 200;

/// Longest sentence about a decision, in bytes.
const LONGEST_SENTENCE: usize = 1000;

/// Most containers on a line; a pod may have thousands.
const CONTAINERS: usize = 10;

/// One line for one turn of a wait: its time, the observation and the decision.
pub(crate) fn line(turn: Turn<'_>) -> String {
    let seconds = turn.at.as_millis() as f64 / 1000.0;
    format!("{seconds:>8.3} s  {:<52} {}", observed(turn.observed), decided(turn.decision))
}

fn observed(observed: &Observed) -> String {
    match observed {
        Observed::Pod(via, pod) => format!("{:<8}{}", via.as_str(), describe(&pod.pod.snapshot)),
        Observed::Deleted(pod) => format!("deleted {}", describe(&pod.pod.snapshot)),
        Observed::NotFound(via) => format!("{:<8}no such pod (404)", via.as_str()),
        Observed::Failed(failure) => {
            format!("{:<8}error {}: {}", failure.via.as_str(), failure.code, clean(&failure.message))
        }
        Observed::Silence => String::from("-"),
        Observed::Cancelled => String::from("cancelled"),
    }
}

fn describe(pod: &PodSnapshot) -> String {
    let mut text = String::from(pod.phase.as_str());
    if !pod.reason.is_empty() {
        let _ = write!(text, "/{}", clean(&pod.reason));
    }
    if pod.deletion_timestamp.is_some() {
        text.push_str(", deleting");
    }
    for status in pod.container_statuses.iter().take(CONTAINERS) {
        let _ = write!(text, ", {} {}", clean(&status.name), state(status));
    }
    if let Some(more) = pod.container_statuses.len().checked_sub(CONTAINERS).filter(|more| *more > 0) {
        let _ = write!(text, ", {more} more");
    }
    text
}

fn state(status: &ContainerStatus) -> String {
    match &status.state {
        Some(ContainerState::Waiting { reason, .. }) => format!("waiting ({})", clean(reason)),
        Some(ContainerState::Running) => String::from("running"),
        Some(ContainerState::Terminated(record)) => format!("terminated {}", record.exit_code),
        None => String::from("unknown"),
    }
}

fn clean(text: &str) -> Cow<'_, str> {
    one_line(text, LONGEST)
}

fn decided(decision: &Decision) -> String {
    match decision {
        Decision::Retry { after, why } => format!("retry: {why}, again within {:.1} s", after.as_secs_f64()),
        Decision::Done(exit) => {
            let sentence = exit.to_string();
            let (sentence, evidence) = (one_line(&sentence, LONGEST_SENTENCE), exit.evidence.as_str());
            format!("DONE: {sentence} ({}, {evidence}, rule {})", exit.reason, exit.rule)
        }
        Decision::Fail(failure) => {
            let sentence = failure.to_string();
            let sentence = one_line(&sentence, LONGEST_SENTENCE);
            format!("FAIL: {sentence} ({}, rule {})", failure.reason, failure.rule)
        }
    }
}
