//! The naive model: the result of the rules for a whole history, computed from the beginning each time.
//!
//! It is the oracle of the exhaustive tests, the property tests and the fuzz targets. So it shares only the public
//! types with the machine, and is written for a comparison with the rules by eye: it has no state and sets no timers,
//! but only has functions of the history. It may be slow.

mod cause;
mod config;
mod finished;
mod gone;
pub mod job;
mod pull;
mod record;
mod rule;
mod story;
mod target;
mod timers;

pub use config::{Config, Goal};

use podwait_core::{
    ApiError, Decision, DoneReason, Evidence, FailReason, Failure, Input, Instant, OnGone,
    OnMissingTerminated, Phase, RetryReason,
};
use record::Ending;
use story::Story;
use target::{List, State};

/// One input with its time.
pub type Event<'a> = (Instant, Input<'a>);

/// The model's decision: the parts of a decision that the rules determine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no verdict yet.
    Retry {
        /// What the machine waits for.
        why: RetryReason,
        /// The machine's next own timer. `after` must not end later.
        timer: Option<Instant>,
    },
    /// The target's own exit.
    Done {
        /// The exit code.
        code: i32,
        /// Why this is the answer.
        reason: DoneReason,
        /// The evidence for the code.
        evidence: Evidence,
        /// The rule that decided.
        rule: u8,
    },
    /// There is no exit that the step itself produced.
    Fail {
        /// The reason.
        reason: FailReason,
        /// An exit code that was seen.
        code: Option<i32>,
        /// The rule that decided.
        rule: u8,
        /// The target may have run to its end.
        may_have_finished: bool,
    },
}

impl Verdict {
    /// Whether this is a verdict.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Retry { .. } => false,
            Self::Done { .. } | Self::Fail { .. } => true,
        }
    }

    /// Whether the machine's decision is the same, except for the timer, which only bounds `after`.
    #[must_use]
    pub fn agrees_with(&self, decision: &Decision) -> bool {
        match (self, decision) {
            (Self::Retry { why, .. }, Decision::Retry { why: machine, .. }) => why == machine,
            (Self::Done { code, reason, evidence, rule }, Decision::Done(exit)) => {
                (*code, *reason, *evidence, *rule) == (exit.code, exit.reason, exit.evidence, exit.rule)
            }
            (Self::Fail { reason, code, rule, may_have_finished }, Decision::Fail(failure)) => {
                let Failure { may_have_finished: machine, exit_code, .. } = failure;
                (*reason, *code, *rule) == (failure.reason, *exit_code, failure.rule)
                    && may_have_finished == machine
            }
            (Self::Retry { .. } | Self::Done { .. } | Self::Fail { .. }, _) => false,
        }
    }

    const fn inferred() -> Self {
        let reason = DoneReason::InferredFromPhase;
        Self::Done { code: 0, reason, evidence: Evidence::Inferred, rule: rule::of_exit(reason) }
    }

    const fn done(code: i32, reason: DoneReason, evidence: Evidence) -> Self {
        Self::Done { code, reason, evidence, rule: rule::of_exit(reason) }
    }

    /// A failure by the rule that its reason belongs to.
    const fn fail(reason: FailReason, code: Option<i32>) -> Self {
        Self::Fail { reason, code, rule: rule::of_failure(reason), may_have_finished: false }
    }

    /// The same by another rule.
    const fn by_rule(self, rule: u8) -> Self {
        match self {
            Self::Retry { .. } => self,
            Self::Done { code, reason, evidence, .. } => Self::Done { code, reason, evidence, rule },
            Self::Fail { reason, code, may_have_finished, .. } => {
                Self::Fail { reason, code, rule, may_have_finished }
            }
        }
    }

    /// The same, with whether the target may have finished by the whole story.
    fn complete(self, story: &Story<'_>) -> Self {
        match self {
            Self::Retry { .. } | Self::Done { .. } => self,
            Self::Fail { reason, code, rule, .. } => {
                let may_have_finished = finished::may_have_finished(story, reason);
                Self::Fail { reason, code, rule, may_have_finished }
            }
        }
    }
}

/// The answer after this history: its first verdict, or the decision on its last input.
///
/// # Panics
/// The history is empty.
#[must_use]
pub fn decide(config: &Config, goal: &Goal, history: &[Event<'_>]) -> Verdict {
    let mut answers = (1..=history.len()).map(|length| judge(config, goal, &history[..length]));
    let last = answers.clone().next_back();
    answers.find(Verdict::is_final).or(last).expect("a history that is not empty")
}

/// The answer to the last input of a history without an earlier verdict.
///
/// # Panics
/// The history is empty.
#[must_use]
pub fn judge(config: &Config, goal: &Goal, history: &[Event<'_>]) -> Verdict {
    let story = Story::of(config, goal, history);
    answer(&story).complete(&story)
}

fn answer(story: &Story<'_>) -> Verdict {
    if let Some(verdict) = observed(story) {
        return verdict;
    }
    // An observation takes precedence over a timer. Of several timers the earliest counts.
    match timers::armed(story).into_iter().min_by_key(|(at, _)| *at) {
        Some((at, verdict)) if at <= story.now() => verdict,
        next => Verdict::Retry { why: why(story), timer: next.map(|(at, _)| at) },
    }
}

/// The verdict by the last input alone.
fn observed(story: &Story<'_>) -> Option<Verdict> {
    match story.last() {
        Input::Cancel => Some(Verdict::fail(FailReason::Cancelled, story.seen_code())),
        Input::Tick => None,
        Input::ApiError(error) if story.confirming_since().is_some() => {
            let how = story.gone.map_or(FailReason::PodDeleted, |(_, how)| how);
            says_that_nothing_comes(&error).then(|| gone::judge(story, how))
        }
        Input::ApiError(error) => (error.is_status && matches!(error.code, 400 | 405 | 406 | 415 | 422))
            .then(|| Verdict::fail(FailReason::ApiRejected, story.seen_code())),
        Input::NotFound if story.sights.is_empty() => absence_is_success(story).then(Verdict::inferred),
        // The timer of the absence decides.
        Input::NotFound if story.lost.is_some() => None,
        Input::NotFound => absence_is_success(story).then(|| gone::judge(story, FailReason::PodDeleted)),
        Input::Snapshot(_) | Input::Read(_) if story.replaced => {
            absence_is_success(story).then(|| gone::judge(story, FailReason::PodReplaced))
        }
        Input::Snapshot(_) | Input::Read(_) if story.outdated => {
            Some(Verdict::fail(FailReason::ApiUnavailable, story.seen_code()).by_rule(1))
        }
        Input::Snapshot(_) | Input::Read(_) => story.fresh.then(|| sight(story)).flatten(),
        Input::Deleted(_) if story.fresh => {
            Some(sight(story).unwrap_or_else(|| gone::judge(story, FailReason::PodDeleted)))
        }
        // A pod that is gone does not return, however old the object is that shows the deletion.
        Input::Deleted(_) => story.ours.then(|| gone::judge(story, FailReason::PodDeleted)),
    }
}

fn absence_is_success(story: &Story<'_>) -> bool {
    story.config.on_gone == OnGone::AssumeSuccess
}

/// Rule 9: the API server no longer has the history, or refuses to send it.
fn says_that_nothing_comes(error: &ApiError<'_>) -> bool {
    error.code == 403 || (error.is_status && matches!(error.code, 400 | 405 | 406 | 410 | 415 | 422))
}

/// The verdict by the newest sight of our pod.
fn sight(story: &Story<'_>) -> Option<Verdict> {
    let sight = story.newest()?;
    if let Err(reason) = sight.target {
        return Some(Verdict::fail(reason, None));
    }
    match record::ending(story.config, &story.sights) {
        Some(Ending::Final(verdict)) => return Some(verdict),
        // The record was lost later, which shows that no other run followed it.
        Some(Ending::Unsettled(verdict)) => return story.lost.map(|_| verdict),
        None => {}
    }
    if sight.phase.is_terminal() {
        return missing_record(story);
    }
    let invalid = |reason: &str| reason == "InvalidImageName";
    timers::waits_for(sight, invalid).then(|| Verdict::fail(FailReason::InvalidImageName, story.seen_code()))
}

/// Rule 7: the phase is terminal, and the target has no record.
fn missing_record(story: &Story<'_>) -> Option<Verdict> {
    let sight = story.newest()?;
    let failed_init = record::failed_init(sight);
    let by_itself = || record::init_failed_by_itself(story.config, &story.sights);
    if let Some(reason) = cause::of_missing_record(&story.sights).filter(|_| !by_itself()) {
        return Some(Verdict::fail(reason, story.seen_code()).by_rule(4));
    }
    if let Some((_, end)) = failed_init {
        // A made-up code shows that the node lost the container, and not that the container failed.
        let lost = record::is_fabricated(end.record);
        let reason = if lost { FailReason::ContainerStatusUnknown } else { FailReason::InitContainerFailed };
        return Some(Verdict::fail(reason, Some(end.record.exit_code)));
    }
    // For a pod that is gone no record is awaited: rule 9 decides, however long the record was missing.
    let is_awaited = !matches!(story.last(), Input::Deleted(_)) && story.confirming_since().is_none();
    let is_behind = timers::catching_up(story).is_some_and(|until| story.now() < until);
    (is_awaited && !is_behind && timers::is_given_up(story)).then(|| give_up_on_record(story))
}

/// The answer when the record is no longer awaited, from the best evidence so far.
fn give_up_on_record(story: &Story<'_>) -> Verdict {
    if let Some(record) = record::latest_but_for_success(&story.sights) {
        return record::exit(story.config, record, &story.sights, false);
    }
    match story::clean_end(&story.sights) {
        Some(Phase::Succeeded) => infer(story),
        _ => Verdict::fail(FailReason::TerminatedStateMissing, None),
    }
}

/// `Succeeded` proves success of every regular container, and of every init container that ends, since these came
/// first.
fn infer(story: &Story<'_>) -> Verdict {
    let target = story.newest().and_then(|sight| sight.target.as_ref().ok());
    let spoken_for = target.is_some_and(|target| target.list != List::Ephemeral && !target.is_sidecar());
    match story.config.on_missing_terminated {
        OnMissingTerminated::Infer if spoken_for => Verdict::inferred(),
        OnMissingTerminated::Infer | OnMissingTerminated::Fail => {
            Verdict::fail(FailReason::TerminatedStateMissing, None)
        }
    }
}

/// What the machine waits for.
fn why(story: &Story<'_>) -> RetryReason {
    if story.lost.is_some() {
        return RetryReason::ConfirmingLostRecord;
    }
    if story.gone.is_some() {
        return RetryReason::ConfirmingDeletion;
    }
    let latest = story.inputs.iter().rev().find(|(_, input)| !matches!(input, Input::Tick));
    if let Some((_, Input::ApiError(error))) = latest {
        return match error.code {
            410 if error.is_status => RetryReason::Relist,
            429 => RetryReason::ApiThrottled,
            _ => RetryReason::ApiError,
        };
    }
    let Some(sight) = story.newest() else { return RetryReason::AwaitingPod };
    let Ok(target) = &sight.target else { return RetryReason::Pending };
    match target.state() {
        _ if sight.phase.is_terminal() => RetryReason::AwaitingTerminatedState,
        _ if record::ending(story.config, &story.sights).is_some() => RetryReason::Running,
        _ if sight.pod.deletion_timestamp.is_some() => RetryReason::PodTerminating,
        _ if target.is_between_restarts(sight.pod) => RetryReason::Restarting,
        State::Running => RetryReason::Running,
        State::Unreported | State::Waiting { .. } | State::Ended(_) => RetryReason::Pending,
    }
}
