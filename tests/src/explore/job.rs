//! Every sequence of inputs about a Job, against the naive model.

use crate::case::play::{Found, Machine};
use crate::model::Config;
use crate::model::job::{JobEvent, JobVerdict, decide};
use podwait_core::{Instant, JobDecision, JobInput, JobMachine};
use std::sync::Arc;
use std::time::Duration;

/// One input, and what it is in a complaint.
pub type Letter<'a> = (&'static str, JobInput<'a>);

/// Plays every sequence of this length of these letters, each after each of these steps in milliseconds, and returns
/// the number of inputs played.
///
/// # Panics
/// The machine disagrees with the model, or breaks an invariant.
#[must_use]
pub fn walk(config: &Config, steps_ms: &[u64], length: usize, letters: &[Letter<'_>]) -> usize {
    let machine = JobMachine::new(Arc::new(config.policy()));
    let start = Node { machine, history: Vec::new(), path: Vec::new() };
    start.walk(config, steps_ms, length, letters)
}

/// A wait after some inputs.
#[derive(Clone)]
struct Node<'a> {
    machine: JobMachine,
    history: Vec<JobEvent<'a>>,
    path: Vec<String>,
}

impl<'a> Node<'a> {
    fn walk(&self, config: &Config, steps_ms: &[u64], length: usize, letters: &[Letter<'a>]) -> usize {
        if length == 0 || self.machine.verdict().is_some() {
            return 0;
        }
        let mut count = 0;
        let now = self.history.last().map_or(Instant::ZERO, |(at, _)| *at);
        for step in steps_ms {
            for (label, input) in letters {
                let mut next = self.clone();
                next.path.push(format!("+{step} {label}"));
                next.step(config, now.after(Duration::from_millis(*step)), *input);
                count += 1 + next.walk(config, steps_ms, length - 1, letters);
            }
        }
        count
    }

    fn step(&mut self, config: &Config, at: Instant, input: JobInput<'a>) {
        let mut restored = self.machine.restored();
        let mut impatient = self.machine.clone();
        if let (Some((last, _)), Some(due)) = (self.history.last(), self.machine.next_deadline()) {
            let early = Duration::from_millis(1);
            if last.after(early) < due && last.after(early) <= at {
                let _ = impatient.handle(last.after(early), JobInput::Tick);
                assert_eq!(
                    impatient.next_deadline(),
                    Some(due),
                    "{:?}: an early tick changes the time",
                    self.path
                );
            }
        }
        self.history.push((at, input));
        let decision = self.machine.handle(at, input);
        assert_eq!(restored.handle(at, input), decision, "{:?}: restored", self.path);
        let after_ticks = impatient.handle(at, input);
        assert_eq!(after_ticks, decision, "{:?}: after an early tick", self.path);
        let due = match &decision {
            JobDecision::Retry { after, .. } => Some(at.after(*after)),
            JobDecision::Done(_) | JobDecision::Fail(_) => None,
        };
        assert!(due != Some(at) && self.machine.next_deadline() == due, "{:?}: {decision:?}", self.path);
        let expected = decide(config, &self.history);
        let Found { exit_code, rule, pod, .. } = JobMachine::found(&decision);
        let found = match &decision {
            JobDecision::Retry { why, .. } => JobVerdict::Retry(*why),
            JobDecision::Done(_) => JobVerdict::Done(exit_code.unwrap_or(-1), rule.unwrap_or(0), pod),
            JobDecision::Fail(failure) => JobVerdict::Fail(failure.reason, failure.rule),
        };
        assert_eq!(found, expected, "{:#?}\n{decision:?}", self.path);
    }
}
