//! Test cases as data: events and the expected answer.

use podwait::Observed;
use podwait::trace::{Header, read_event};
use podwait_core::Target;
use podwait_core::{Decision, Instant, Policy, WaitMachine};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt::Write;
use std::time::Duration;

/// One line of a file of cases.
#[derive(Deserialize)]
pub struct Case {
    /// A short name, unique among all cases.
    pub id: String,
    /// The situation.
    pub title: String,
    /// Where this was observed, or the source that shows it.
    #[serde(default)]
    pub source: String,
    target: Target,
    #[serde(default)]
    policy: Policy,
    events: Vec<Box<RawValue>>,
    expect: Expect,
}

/// The expected answer. `None` is any value.
#[derive(Debug, Deserialize)]
struct Expect {
    outcome: String,
    #[serde(default)]
    exit_code: Option<i32>,
    reason: Option<String>,
    #[serde(default)]
    decided_at_ms: Option<u64>,
    #[serde(default)]
    why: String,
    /// For an exit: `observed` or `inferred`.
    evidence: Option<String>,
    /// The number of the rule that decided.
    rule: Option<u8>,
    /// For a failure.
    may_have_finished: Option<bool>,
}

/// The machine after it was saved as JSON and restored.
///
/// # Panics
/// The restored machine differs.
#[must_use]
pub fn restore(machine: &WaitMachine) -> WaitMachine {
    let json = serde_json::to_string(&machine.save()).expect("a saved wait is JSON");
    let restored =
        WaitMachine::restore(serde_json::from_str(&json).expect("and reads back")).expect("and restores");
    assert_eq!(&restored, machine, "after {json}");
    restored
}

/// Sends ticks before the time of the last `Retry`, and before the next event.
fn tick_early(machine: &mut WaitMachine, last: Option<&(Instant, Decision)>, next: Instant) {
    let Some((at, Decision::Retry { after, .. })) = last else { return };
    for early in [Duration::ZERO, *after / 2, after.saturating_sub(Duration::from_millis(1))] {
        let time = at.after(early);
        if early < *after && time <= next {
            let _ = machine.handle(time, podwait_core::Input::Tick);
        }
    }
}

impl Case {
    /// Reads a file with one case on each line.
    ///
    /// # Panics
    /// A line is not a case.
    #[must_use]
    pub fn read_all(jsonl: &str) -> Vec<Self> {
        let read = |(number, line): (usize, &str)| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("line {}: {error}", number + 1))
        };
        jsonl.lines().enumerate().map(read).collect()
    }

    /// The events.
    ///
    /// # Panics
    /// An event cannot be read.
    #[must_use]
    pub fn events(&self) -> Vec<(Instant, Observed)> {
        let read =
            |json: &RawValue| read_event(json.get()).unwrap_or_else(|error| panic!("{}: {error}", self.id));
        self.events.iter().map(|json| read(json)).collect()
    }

    /// The header of a trace of this case.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::new(self.target.clone(), self.policy.clone())
    }

    /// Runs the case. The error describes the difference and has every turn.
    ///
    /// # Errors
    /// The answer is not the expected one.
    pub fn check(&self) -> Result<(), String> {
        let mut machine = self.header().machine();
        let (mut impatient, mut stammering) = (machine.clone(), machine.clone());
        let mut steps = String::new();
        let mut decided_at = None;
        let mut last: Option<(Instant, Decision)> = None;
        for (at, observed) in self.events() {
            let mut restored = restore(&machine);
            tick_early(&mut impatient, last.as_ref(), at);
            let decision = machine.handle(at, observed.as_input());
            for (other, how) in [(&mut restored, "once restored"), (&mut impatient, "after early ticks")] {
                let answer = other.handle(at, observed.as_input());
                assert_eq!(answer, decision, "{} decides differently {how}", self.id);
            }
            // A repeated input changes nothing. An error that is repeated counts twice, and makes the next delay
            // longer.
            let once = stammering.handle(at, observed.as_input());
            let twice = stammering.handle(at, observed.as_input());
            for answer in [once, twice] {
                let is_same =
                    if decision.is_final() { answer == decision } else { answer.code() == decision.code() };
                assert!(is_same, "{} is repeated: {answer:?} instead of {decision:?}", self.id);
            }
            let _ = writeln!(steps, "  {:>7} ms: {decision:?}", at.as_millis());
            if decision.is_final() {
                decided_at.get_or_insert(at.as_millis());
            }
            last = Some((at, decision));
        }
        let Some((_, last)) = last else { return Err(format!("{}: no events", self.id)) };
        let expect = &self.expect;
        let (outcome, exit_code, details) = match &last {
            Decision::Retry { .. } => ("retry", None, (None, None, None)),
            Decision::Done(exit) => {
                ("done", Some(exit.code), (Some(exit.evidence.as_str()), Some(exit.rule), None))
            }
            Decision::Fail(failure) => {
                ("fail", failure.exit_code, (None, Some(failure.rule), Some(failure.may_have_finished)))
            }
        };
        let (evidence, rule, may_have_finished) = details;
        let as_expected = outcome == expect.outcome
            && exit_code == expect.exit_code
            && expect.reason.as_deref().is_none_or(|reason| reason == last.code())
            && (decided_at == expect.decided_at_ms || outcome == "retry")
            && (expect.evidence.is_none() || expect.evidence.as_deref() == evidence)
            && (expect.rule.is_none() || expect.rule == rule)
            && (expect.may_have_finished.is_none() || expect.may_have_finished == may_have_finished);
        if as_expected {
            return Ok(());
        }
        Err(format!("{} {}\n{steps}  expected: {expect:?}\n  because: {}\n", self.id, self.title, expect.why))
    }
}
