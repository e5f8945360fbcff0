//! Test cases as data: events and the expected answer.

pub mod job;
pub mod play;
mod pod;

use job::{JobTarget, SeenOfJob};
use play::{Played, play};
use podwait::Observed;
use podwait::trace::{Header, read_event};
use podwait_core::Target;
use podwait_core::{Instant, JobMachine, Policy, WaitMachine};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

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
    #[serde(default)]
    target: Target,
    /// The Job, in a case about one.
    #[serde(default)]
    job: Option<JobTarget>,
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
    /// For a Job: the pod that decided.
    pod: Option<String>,
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

    /// The events of a case about a pod.
    ///
    /// # Panics
    /// An event cannot be read.
    #[must_use]
    pub fn events(&self) -> Vec<(Instant, Observed)> {
        let read =
            |json: &RawValue| read_event(json.get()).unwrap_or_else(|error| panic!("{}: {error}", self.id));
        self.events.iter().map(|json| read(json)).collect()
    }

    /// The events of a case about a Job.
    fn events_of_job(&self) -> Vec<(Instant, SeenOfJob)> {
        let read =
            |json: &RawValue| job::read(json.get()).unwrap_or_else(|error| panic!("{}: {error}", self.id));
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
        let played = match &self.job {
            None => play(&self.id, self.header().machine(), &self.events()),
            Some(target) => {
                let mut machine = JobMachine::new(Arc::new(self.policy.clone()));
                if let Some(uid) = &target.uid {
                    machine = machine.uid(uid);
                }
                play(&self.id, machine, &self.events_of_job())
            }
        };
        let Some(Played { found, decided_at, turns }) = played else {
            return Err(format!("{}: no events", self.id));
        };
        let expect = &self.expect;
        let as_expected = found.outcome == expect.outcome
            && found.exit_code == expect.exit_code
            && expect.reason.as_deref().is_none_or(|reason| reason == found.reason)
            && (decided_at == expect.decided_at_ms || found.outcome == "retry")
            && (expect.evidence.is_none() || expect.evidence.as_deref() == found.evidence)
            && (expect.rule.is_none() || expect.rule == found.rule)
            && (expect.pod.is_none() || expect.pod == found.pod)
            && (expect.may_have_finished.is_none() || expect.may_have_finished == found.may_have_finished);
        if as_expected {
            return Ok(());
        }
        Err(format!("{} {}\n{turns}  expected: {expect:?}\n  because: {}\n", self.id, self.title, expect.why))
    }
}
