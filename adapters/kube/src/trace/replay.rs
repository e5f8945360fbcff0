//! Replaying: the recorded events, a new machine, the same answers.

use super::{Decided, TraceError, TraceLine, TraceReader};
use podwait_core::{Decision, Instant};
use podwait_hub::Turn;
use std::io::BufRead;

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The decision after the last event; `None` for a trace without events.
    pub decision: Option<Decision>,
    /// The time of the event that brought the verdict.
    pub decided_at: Option<Instant>,
    /// The first decision that differs from the recorded one.
    pub difference: Option<Difference>,
    /// The recorder stopped at this time, at its size limit: later events are not in the trace.
    pub stopped_at: Option<Instant>,
}

/// A decision that was not reproduced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: recorded {}, replayed {}", show(.recorded), show_replayed(.replayed))]
pub struct Difference {
    /// The line of the recorded decision.
    pub line: u64,
    /// The recorded decision.
    pub recorded: Decided,
    /// The machine's present answer; `None` if no event precedes the recorded decision.
    pub replayed: Option<Decided>,
}

fn show(decided: &Decided) -> String {
    serde_json::to_string(decided).unwrap_or_default()
}

fn show_replayed(decided: &Option<Decided>) -> String {
    decided.as_ref().map_or_else(|| String::from("nothing"), show)
}

/// Feeds the events of a trace, with their times, to a new machine, and compares its answers with the recorded ones, if
/// there are any. `look` is called after every event.
///
/// # Errors
/// The trace cannot be read to its end.
pub fn replay<R: BufRead>(
    mut trace: TraceReader<R>,
    mut look: impl FnMut(Turn<'_>),
) -> Result<Replay, TraceError> {
    let mut machine = trace.header().machine();
    let mut replay = Replay { decision: None, decided_at: None, difference: None, stopped_at: None };
    while let Some(line) = trace.next()? {
        match line {
            TraceLine::Event(at, observed) => {
                let decision = machine.handle(at, observed.as_input());
                look(Turn { at, observed: &observed, decision: &decision, machine: &machine });
                if decision.is_final() {
                    replay.decided_at.get_or_insert(at);
                }
                replay.decision = Some(decision);
            }
            TraceLine::Decision(_, recorded) => {
                let replayed = replay.decision.as_ref().map(Decided::from);
                if replayed.as_ref() != Some(&recorded) && replay.difference.is_none() {
                    replay.difference = Some(Difference { line: trace.line(), recorded, replayed });
                }
            }
            TraceLine::Stopped(at) => replay.stopped_at = Some(at),
        }
    }
    Ok(replay)
}
