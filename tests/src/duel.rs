//! The machine against the model, input by input, and the invariants of every turn.

use crate::model::{Config, Event, Goal, Verdict, judge};
use crate::sentence;
use podwait_core::{
    ContainerState, ContainerStatus, Decision, DoneReason, Evidence, Exit, Input, Instant, OnGone, Phase,
    PodSnapshot, Policy, RetryReason, WaitMachine,
};
use std::sync::Arc;
use std::time::Duration;

/// One wait, in the machine and in the model at the same time.
#[derive(Clone)]
pub struct Duel<'a> {
    config: &'a Config,
    goal: &'a Goal,
    machine: WaitMachine,
    /// The same machine with early ticks before every input.
    impatient: WaitMachine,
    history: Vec<Event<'a>>,
    answer: Option<(Verdict, Decision)>,
}

impl<'a> Duel<'a> {
    /// A wait that has not begun.
    #[must_use]
    pub fn new(config: &'a Config, goal: &'a Goal, policy: &Arc<Policy>) -> Self {
        let machine = goal.machine(Arc::clone(policy));
        Self { config, goal, impatient: machine.clone(), machine, history: Vec::new(), answer: None }
    }

    /// The machine's last decision.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.answer.as_ref().map(|(_, decision)| decision)
    }

    /// Whether the wait is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.decision().is_some_and(Decision::is_final)
    }

    /// The latest time of any input: if the time goes back, no time has passed.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.history.iter().map(|(at, _)| *at).max().unwrap_or_default()
    }

    /// Handles one input.
    ///
    /// # Errors
    /// The machine disagrees with the model, or breaks an invariant.
    pub fn step(&mut self, at: Instant, input: Input<'a>) -> Result<(), String> {
        self.be_impatient(at)?;
        // Invariants 2 and 10.
        let mut twin = WaitMachine::restore(self.machine.save()).map_err(|error| error.to_string())?;
        let decision = self.machine.handle(at, input);
        if twin.handle(at, input) != decision || twin != self.machine {
            return Err("a machine that was saved and restored decides differently".to_owned());
        }
        let due = match &decision {
            Decision::Retry { after, .. } => Some(self.machine.now().after(*after)),
            Decision::Done(_) | Decision::Fail(_) => None,
        };
        if self.machine.next_deadline() != due {
            return Err(format!("{decision:?}, and due at {:?}", self.machine.next_deadline()));
        }
        let impatient = self.impatient.handle(at, input);
        if impatient != decision {
            return Err(format!("early ticks lead to {impatient:?} instead of {decision:?}"));
        }
        self.history.push((at, input));
        if let Some((verdict, last)) = self.answer.as_ref().filter(|(verdict, _)| verdict.is_final()) {
            let latched = *last == decision && self.machine.verdict().is_some();
            return if latched { Ok(()) } else { Err(format!("{verdict:?} became {decision:?}")) };
        }
        let verdict = judge(self.config, self.goal, &self.history);
        if !verdict.agrees_with(&decision) {
            return Err(format!("machine: {decision:?}\n    model: {verdict:?}"));
        }
        sentence::check(&decision)?;
        match (verdict, &decision) {
            // The pod is gone, so no read is awaited.
            (
                Verdict::Retry {
                    why: RetryReason::ConfirmingDeletion | RetryReason::ConfirmingLostRecord,
                    timer,
                },
                Decision::Retry { after, .. },
            ) => {
                if timer != Some(self.now().after(*after)) {
                    return Err(format!("after {after:?} does not end at {timer:?}"));
                }
            }
            (Verdict::Retry { timer, .. }, Decision::Retry { after, .. }) => {
                self.check_delay(*after, timer, input)?;
            }
            (_, Decision::Done(exit)) => self.check_evidence(exit)?,
            (_, Decision::Retry { .. } | Decision::Fail(_)) => {}
        }
        self.answer = Some((verdict, decision));
        Ok(())
    }

    /// Invariant 4: with ticks alone, each when it is due, the wait ends when the next own timer fires.
    ///
    /// # Errors
    /// The wait does not end, or ends differently.
    pub fn check_ticks_alone(&self) -> Result<(), String> {
        let Some((Verdict::Retry { why, timer }, _)) = self.answer else { return Ok(()) };
        let Some(timer) = timer else {
            let may_last = matches!(why, RetryReason::Running | RetryReason::Restarting);
            let next_year = self.now().after(Duration::from_secs(366 * 24 * 3600));
            let lasts = !self.machine.clone().handle(next_year, Input::Tick).is_final();
            return if may_last && lasts { Ok(()) } else { Err(format!("{why} for ever, or not: {lasts}")) };
        };
        let mut alone = self.machine.clone();
        let (mut now, mut last) = (self.now(), self.decision().cloned());
        for _ in 0..1000 {
            let Some(Decision::Retry { after, .. }) = last else { break };
            // A tick reads nothing, so the machine returns the rest of the finalize budget again and again, even if it
            // is a millisecond. A later tick has the same result.
            now = now.after(after.max(timer.since(now).min(self.config.finalize_initial)));
            last = Some(alone.handle(now, Input::Tick));
        }
        let mut history = self.history.clone();
        history.push((timer, Input::Tick));
        let expected = judge(self.config, self.goal, &history);
        let agrees = last.as_ref().is_some_and(|last| expected.is_final() && expected.agrees_with(last));
        if agrees && now == timer {
            return Ok(());
        }
        Err(format!("ticks alone end in {last:?} at {now:?}, the model says {expected:?} at {timer:?}"))
    }

    /// Invariant 6, without the model: an object showed the code, or `Succeeded`.
    fn check_evidence(&self, exit: &Exit) -> Result<(), String> {
        let shows = |status: &ContainerStatus| {
            let now = match &status.state {
                Some(ContainerState::Terminated(record)) => Some(record),
                Some(ContainerState::Waiting { .. } | ContainerState::Running) | None => None,
            };
            let mut ends = now.into_iter().chain(&status.last_terminated);
            status.name == exit.container && ends.any(|record| record.exit_code == exit.code)
        };
        let supports = |pod: &PodSnapshot| match exit.evidence {
            Evidence::Inferred if exit.reason == DoneReason::InferredFromPhase => {
                exit.code == 0 && pod.phase == Phase::Succeeded
            }
            Evidence::Observed | Evidence::Inferred => {
                let lists = [&pod.container_statuses, &pod.init_container_statuses];
                lists.into_iter().chain([&pod.ephemeral_container_statuses]).flatten().any(shows)
            }
        };
        let gone_is_success = self.config.on_gone == OnGone::AssumeSuccess;
        let supported = self.history.iter().any(|(_, input)| match input {
            Input::Snapshot(pod) | Input::Read(pod) => supports(pod),
            Input::Deleted(pod) => supports(pod) || gone_is_success,
            Input::NotFound => gone_is_success,
            Input::ApiError(_) | Input::Tick | Input::Cancel => false,
        });
        if supported { Ok(()) } else { Err(format!("nothing supports {exit:?}")) }
    }

    /// No delay is zero or reaches past the next own timer, and `Retry-After` is obeyed within that.
    fn check_delay(&self, after: Duration, timer: Option<Instant>, input: Input<'_>) -> Result<(), String> {
        let now = self.now();
        let limit = timer.map_or(Duration::MAX, |timer| timer.since(now));
        if after.is_zero() || after > limit {
            return Err(format!("after {after:?} is not in (0, {limit:?}]"));
        }
        // A 410 needs no recovery of the server: a longer delay has no use.
        if let Input::ApiError(error) = input
            && error.code != 410
        {
            let asked = error.retry_after.unwrap_or_default();
            let (least, most) = (asked.min(limit), asked.max(self.config.finalize_max));
            if !(least..=most).contains(&after) {
                return Err(format!("after {after:?} is not in [{least:?}, {most:?}]"));
            }
        }
        Ok(())
    }

    /// Invariant 5: an early tick does not postpone the next deadline.
    fn be_impatient(&mut self, next: Instant) -> Result<(), String> {
        let Some(Decision::Retry { after, why }) = self.decision().cloned() else { return Ok(()) };
        let (now, millisecond) = (self.now(), Duration::from_millis(1));
        for early in [millisecond, after.saturating_sub(millisecond)] {
            if early.is_zero() || early >= after || now.after(early) > next {
                continue;
            }
            let expected = Decision::Retry { after: after - early, why };
            let decision = self.impatient.handle(now.after(early), Input::Tick);
            if decision != expected {
                return Err(format!("{early:?} early: {decision:?} instead of {expected:?}"));
            }
        }
        Ok(())
    }
}
