//! The machine of a pod in a case.

use super::play::{Found, Machine};
use podwait::Observed;
use podwait_core::{Decision, Input, Instant, WaitMachine};

impl Machine for WaitMachine {
    type Decision = Decision;
    type Seen = Observed;

    fn see(&mut self, at: Instant, seen: &Observed) -> Decision {
        self.handle(at, seen.as_input())
    }

    fn tick(&mut self, at: Instant) -> Decision {
        self.handle(at, Input::Tick)
    }

    fn restored(&self) -> Self {
        super::restore(self)
    }

    fn found(decision: &Decision) -> Found {
        let found = Found { reason: decision.code(), ..Found::default() };
        match decision {
            Decision::Retry { after, .. } => Found { outcome: "retry", after: Some(*after), ..found },
            Decision::Done(exit) => Found {
                outcome: "done",
                exit_code: Some(exit.code),
                evidence: Some(exit.evidence.as_str()),
                rule: Some(exit.rule),
                ..found
            },
            Decision::Fail(failure) => Found {
                outcome: "fail",
                exit_code: failure.exit_code,
                rule: Some(failure.rule),
                may_have_finished: Some(failure.may_have_finished),
                ..found
            },
        }
    }
}
