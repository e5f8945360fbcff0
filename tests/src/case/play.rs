//! Plays observations on a machine in several ways, which must all lead to the same decisions.

use podwait_core::Instant;
use std::fmt::{Debug, Write};
use std::time::Duration;

/// A machine of a wait, for a pod or for a Job.
pub trait Machine: Clone {
    /// What it decides.
    type Decision: Debug + Clone + PartialEq;
    /// An observation.
    type Seen;

    /// Takes one observation.
    fn see(&mut self, at: Instant, seen: &Self::Seen) -> Self::Decision;

    /// Only time passes.
    fn tick(&mut self, at: Instant) -> Self::Decision;

    /// The same machine after it was saved as JSON and restored.
    #[must_use]
    fn restored(&self) -> Self;

    /// The parts of a decision that a case names.
    fn found(decision: &Self::Decision) -> Found;
}

/// The parts of a decision that a case names.
#[derive(Debug, Default)]
pub struct Found {
    /// `retry`, `done` or `fail`.
    pub outcome: &'static str,
    /// The code of the reason.
    pub reason: &'static str,
    /// How long to wait, of a `retry`.
    pub after: Option<Duration>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// `observed` or `inferred`, of the exit of a pod.
    pub evidence: Option<&'static str>,
    /// The number of the rule that decided.
    pub rule: Option<u8>,
    /// Of a failure.
    pub may_have_finished: Option<bool>,
    /// The pod that decided about a Job.
    pub pod: Option<String>,
}

/// What came of the observations.
pub struct Played {
    /// The last decision.
    pub found: Found,
    /// The time of the first final one.
    pub decided_at: Option<u64>,
    /// Every turn, for a complaint.
    pub turns: String,
}

/// Plays the observations; `None` if there are none.
///
/// # Panics
/// A machine that was saved and restored, that had ticks in between, or that got every observation twice, decides
/// differently.
pub fn play<M: Machine>(id: &str, mut machine: M, events: &[(Instant, M::Seen)]) -> Option<Played> {
    let (mut impatient, mut stammering) = (machine.clone(), machine.clone());
    let mut turns = String::new();
    let mut decided_at = None;
    let mut last: Option<(Instant, Found)> = None;
    for (at, seen) in events {
        let mut restored = machine.restored();
        if let Some((last, found)) = &last {
            tick_early(&mut impatient, *last, found, *at);
        }
        let decision = machine.see(*at, seen);
        for (other, how) in [(&mut restored, "once restored"), (&mut impatient, "after early ticks")] {
            assert_eq!(other.see(*at, seen), decision, "{id} decides differently {how}");
        }
        let found = M::found(&decision);
        // A repeated input changes nothing. An error that is repeated counts twice, and makes the next delay
        // longer.
        for answer in [stammering.see(*at, seen), stammering.see(*at, seen)] {
            let is_same = if found.outcome == "retry" {
                M::found(&answer).reason == found.reason
            } else {
                answer == decision
            };
            assert!(is_same, "{id} is repeated: {answer:?} instead of {decision:?}");
        }
        let _ = writeln!(turns, "  {:>7} ms: {decision:?}", at.as_millis());
        if found.outcome != "retry" {
            decided_at.get_or_insert(at.as_millis());
        }
        last = Some((*at, found));
    }
    last.map(|(_, found)| Played { found, decided_at, turns })
}

/// Sends ticks before the time of the last `Retry`, and before the next event.
fn tick_early<M: Machine>(machine: &mut M, at: Instant, found: &Found, next: Instant) {
    let Some(after) = found.after else { return };
    for early in [Duration::ZERO, after / 2, after.saturating_sub(Duration::from_millis(1))] {
        let time = at.after(early);
        if early < after && time <= next {
            let _ = machine.tick(time);
        }
    }
}
