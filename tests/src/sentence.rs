//! The requirements for the sentence of every verdict, whatever the messages of the pod and the API server.

use podwait_core::{ApiError, Decision, Input, Instant, PodSnapshot, Policy, ProgressLog, WaitMachine};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest sentence, in bytes.
const LONGEST: usize = 1024;

/// Whether the decision's sentence is one clean line of bounded length.
///
/// # Errors
/// The sentence breaks a requirement, which the error describes.
pub fn check(decision: &Decision) -> Result<(), String> {
    of(decision).map_or(Ok(()), |sentence| check_text(&sentence))
}

/// The sentence of a verdict.
fn of(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Retry { .. } => None,
        Decision::Done(exit) => Some(exit.to_string()),
        Decision::Fail(failure) => Some(failure.to_string()),
    }
}

/// Whether this sentence is one clean line of bounded length.
///
/// # Errors
/// The sentence breaks a requirement, which the error describes.
pub fn check_text(sentence: &str) -> Result<(), String> {
    let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
    let complaint = match sentence.chars().find(|c| c.is_control() || turns(*c) || breaks(*c)) {
        Some(bad) => format!("{bad:?}"),
        None if sentence.len() > LONGEST => format!("{} bytes", sentence.len()),
        None => return Ok(()),
    };
    Err(format!("{complaint} in {sentence:?}"))
}

/// The sentences about a pod, those of verdicts and those about what the wait waits for: for each of its containers, for a pod that
/// exists and for one that is gone, in time and late, and with an API server that fails with the pod's message.
#[must_use]
pub fn all_of(pod: &PodSnapshot) -> BTreeSet<String> {
    let policy = Policy::builder().deadline(Duration::from_secs(30)).build().map(Arc::new);
    let patient = Policy::builder().start_deadline(None).build().map(Arc::new);
    let containers = pod.containers.iter().chain(&pod.init_containers).chain(&pod.ephemeral_containers);
    let mut targets = vec![None, Some(pod.message.as_str())];
    targets.extend(containers.map(|container| Some(container.name.as_str())));
    let error =
        |code| Input::ApiError(ApiError { code, is_status: true, retry_after: None, message: &pod.message });
    let after = [Input::Tick, Input::NotFound, Input::Deleted(pod), error(503), error(401), error(422)];
    let mut sentences = BTreeSet::new();
    for policy in [policy, patient].into_iter().flatten() {
        for target in &targets {
            for input in after {
                let mut machine = WaitMachine::new(Arc::clone(&policy));
                let mut log = ProgressLog::default();
                if let Some(target) = target {
                    machine = machine.container(*target);
                }
                let late = [(0, Input::Snapshot(pod)), (1000, input), (20_000, Input::Snapshot(pod))];
                for (at, input) in late.into_iter().chain([(3_000_000, Input::Tick)]) {
                    let decision = machine.handle(Instant::from_millis(at), input);
                    sentences.extend(log.see(&machine, input).map(|progress| progress.message.clone()));
                    if let Some(sentence) = of(&decision) {
                        sentences.insert(sentence);
                        break;
                    }
                }
            }
        }
    }
    sentences
}
