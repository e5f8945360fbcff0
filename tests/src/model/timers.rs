//! Rules 7, 8, 10, 11 and 12: the timers that run at the end of a history.

use super::record::{self, Ending};
use super::story::{Sight, Story, is_older};
use super::target::{State, Target};
use super::{Verdict, gone, pull};
use podwait_core::{ApiError, FailReason, Input, Instant, Phase};
use std::time::Duration;

/// Every running timer, with the time at which it fires and its verdict.
pub(super) fn armed(story: &Story<'_>) -> Vec<(Instant, Verdict)> {
    let config = story.config;
    let fail = |since: Option<Instant>, limit: Duration, reason| {
        since.map(|since| (since.after(limit), Verdict::fail(reason, story.seen_code())))
    };
    let deadline = config.deadline.and_then(|limit| fail(Some(story.start()), limit, FailReason::Deadline));
    let how = story.gone.map_or(FailReason::PodDeleted, |(_, how)| how);
    if let Some(since) = story.confirming_since() {
        let verdict = gone::judge(story, how);
        let limits = [Some(since.after(config.gone_grace)), deadline.map(|(at, _)| at)];
        return limits.into_iter().flatten().map(|at| (at, verdict)).collect();
    }
    let start = config
        .start_deadline
        .and_then(|limit| fail(not_started_since(story), limit, FailReason::StartTimeout));
    let since = |holds: &dyn Fn(&Sight<'_>) -> bool| since(&story.sights, holds);

    let mut timers = vec![
        deadline,
        start,
        fail(failing_since(story, is_transient), config.api_error_budget, FailReason::ApiUnavailable),
        fail(failing_since(story, is_expiry), config.api_error_budget, FailReason::ApiUnavailable),
        fail(refused_since(story), config.auth_error_budget, auth_reason(story)),
    ];
    // While reads fail, it is unknown whether the seen state still holds.
    let is_failing = |kind| failing_since(story, kind).is_some();
    let is_outdated = story.has_been_older(Duration::ZERO, |_| true);
    if !is_outdated && ![is_transient, is_auth, is_expiry].into_iter().any(is_failing) {
        let not_before = catching_up(story);
        let graces = [
            settling(story),
            fail(absent_since(story), config.absent_grace, absent_reason(story)),
            fail(since(&is_lost), config.unknown_grace, FailReason::NodeLost),
            fail(
                since(&|sight| waits_for(sight, is_image_pull)),
                config.image_pull_grace,
                FailReason::ImagePull,
            ),
            fail(pull::refused_twice(story), Duration::ZERO, FailReason::ImagePull),
            fail(
                since(&|sight| waits_for(sight, is_config_error)),
                config.config_error_grace,
                FailReason::ContainerConfigError,
            ),
            terminating(story),
        ];
        // The timer that expired first decides, however late.
        let first = graces.iter().flatten().map(|(at, _)| *at).min();
        timers.extend(graces.into_iter().flatten().filter_map(|(at, verdict)| match not_before {
            None => Some(Some((at, verdict))),
            Some(not_before) => (Some(at) == first).then(|| Some((at.max(not_before), verdict))),
        }));
    }
    timers.retain(Option::is_some);
    // A wait without reads must end too, although its pod does not seem to change.
    let is_deleted = |sight: &Sight<'_>| sight.pod.deletion_timestamp.is_some();
    let moves = story.newest().is_some_and(|sight| is_running_or_restarting(sight) && !is_deleted(sight))
        && settling(story).is_none();
    let terminal = story.newest().is_some_and(|sight| sight.phase.is_terminal());
    if terminal || (timers.is_empty() && !moves) {
        timers.push(fail(Some(heard_of(story)), config.api_error_budget, FailReason::ApiUnavailable));
    }
    timers.into_iter().flatten().collect()
}

/// Rule 12: after errors, and after older states, a watch may replay missed events, so an event may not be the current
/// state. Returns when a grace or a missing record may decide if there are only events.
pub(super) fn catching_up(story: &Story<'_>) -> Option<Instant> {
    let (mut has_failed, mut until) = (false, None::<Instant>);
    let mut is_older_now = false;
    for (index, (at, input)) in story.inputs.iter().enumerate() {
        let is_sight = story.sights.iter().any(|sight| sight.index == index);
        let known = story.sights.iter().rev().find(|sight| sight.index < index);
        match input {
            Input::ApiError(_) => (has_failed, until) = (true, None),
            Input::Snapshot(_) | Input::Deleted(_) => {
                let doubts = has_failed || is_older_now;
                until = until.or_else(|| doubts.then(|| at.after(story.config.finalize_initial)));
                has_failed = false;
            }
            Input::Read(_) | Input::NotFound => (has_failed, until) = (false, None),
            Input::Tick | Input::Cancel => {}
        }
        let shown = if let Input::Snapshot(pod) | Input::Read(pod) = input { Some(*pod) } else { None };
        let is_behind = shown.zip(known).is_some_and(|(pod, known)| is_older(pod, known.pod));
        is_older_now = !is_sight && (is_older_now || is_behind);
    }
    until
}

/// Rule 7: whether the record has been missing for too long. If reads and errors alternate, there is hardly any
/// observed time. Then the sum of the two budgets is the limit.
pub(super) fn is_given_up(story: &Story<'_>) -> bool {
    let config = story.config;
    let first = story.sights.iter().find(|sight| sight.phase.is_terminal());
    let longest = config.api_error_budget + config.finalize_budget;
    missed(story) >= config.finalize_budget
        || first.is_some_and(|first| story.now().since(first.at) >= longest)
}

/// The time between consecutive good reads without the record and without an API error in between.
fn missed(story: &Story<'_>) -> Duration {
    let missing = |sight: &Sight<'_>| sight.phase.is_terminal();
    let pairs = story.sights.windows(2).filter(|pair| missing(&pair[0]) && missing(&pair[1]));
    let answered = pairs.filter(|pair| !has_error_between(story, pair));
    answered.map(|pair| pair[1].at.since(pair[0].at)).sum()
}

fn has_error_between(story: &Story<'_>, pair: &[Sight<'_>]) -> bool {
    let between = &story.inputs[pair[0].index..pair[1].index];
    between.iter().any(|(_, input)| matches!(input, Input::ApiError(_)))
}

/// The beginning of the stretch of sights, up to the newest, for which all this holds.
fn since(sights: &[Sight<'_>], holds: &dyn Fn(&Sight<'_>) -> bool) -> Option<Instant> {
    sights.iter().rev().take_while(|sight| holds(sight)).last().map(|sight| sight.at)
}

/// The beginning of the start deadline, plus the time in which the deadline rested.
fn not_started_since(story: &Story<'_>) -> Option<Instant> {
    let waits = |sight: &Sight<'_>| !sight.phase.is_terminal() && !is_running_or_restarting(sight);
    let stretch = story.sights.iter().rev().take_while(|sight| waits(sight)).count();
    let stretch = &story.sights[story.sights.len() - stretch..];
    let always = stretch.len() == story.sights.len();
    let begin = if always { Some(story.start()) } else { stretch.first().map(|sight| sight.at) }?;
    let rested = stretch.windows(2).filter(|pair| rests(&pair[0])).map(|pair| pair[1].at.since(pair[0].at));
    let rests_now = stretch.last().is_some_and(rests);
    (!rests_now).then(|| begin.after(rested.sum()))
}

/// Rule 12: another controller decides when the pod starts, or an init container runs.
fn rests(sight: &Sight<'_>) -> bool {
    let works = |init: Target<'_>| !init.is_sidecar() && matches!(init.state(), State::Running);
    let target = sight.target.as_ref().ok();
    sight.pod.is_scheduling_gated || target.is_some_and(|target| target.init_before(sight.pod).any(works))
}

/// The target runs, is between two runs, or has ended and its end is not confirmed yet.
fn is_running_or_restarting(sight: &Sight<'_>) -> bool {
    let Ok(target) = &sight.target else { return false };
    matches!(target.state(), State::Running | State::Ended(_)) || target.is_between_restarts(sight.pod)
}

/// For a pod that was never seen: since when responses are 404, or show a namesake.
fn absent_since(story: &Story<'_>) -> Option<Instant> {
    let first = story.inputs.iter().find(|(_, input)| is_absence(input));
    first.filter(|_| story.sights.is_empty()).map(|(at, _)| *at)
}

/// The reason by the last such response.
fn absent_reason(story: &Story<'_>) -> FailReason {
    match story.inputs.iter().rev().find(|(_, input)| is_absence(input)) {
        Some((_, Input::Snapshot(_) | Input::Read(_))) => FailReason::PodReplaced,
        _ => FailReason::PodNeverSeen,
    }
}

const fn is_absence(input: &Input<'_>) -> bool {
    matches!(input, Input::NotFound | Input::Snapshot(_) | Input::Read(_))
}

/// Rule 10: the node cannot be reached.
fn is_lost(sight: &Sight<'_>) -> bool {
    sight.phase == Phase::Unknown || (sight.pod.reason == "NodeLost" && !sight.phase.is_terminal())
}

/// Rule 10: a pod that should be gone by now, by the grace period in the first sight of its deletion.
fn terminating(story: &Story<'_>) -> Option<(Instant, Verdict)> {
    let is_deleted = |sight: &Sight<'_>| sight.pod.deletion_timestamp.is_some();
    let since = since(&story.sights, &|sight| !sight.phase.is_terminal() && is_deleted(sight))?;
    let first = story.sights.iter().find(|sight| is_deleted(sight))?;
    let grace = first.pod.deletion_grace_period_seconds.and_then(|grace| u64::try_from(grace).ok());
    let own = Duration::from_secs(grace.unwrap_or(0));
    let verdict = Verdict::fail(FailReason::PodDeleted, story.seen_code()).by_rule(10);
    Some((since.after(own).after(story.config.unknown_grace), verdict))
}

/// Policy `settle`: an exit 0 that the phase has not confirmed yet.
fn settling(story: &Story<'_>) -> Option<(Instant, Verdict)> {
    let unsettled = |end: usize| match record::ending(story.config, &story.sights[..end]) {
        Some(Ending::Unsettled(verdict)) => Some((story.sights[end - 1].at, verdict)),
        Some(Ending::Final(_)) | None => None,
    };
    let mut stretch = (1..=story.sights.len()).rev().map_while(unsettled);
    let (newest, verdict) = stretch.next()?;
    let since = stretch.last().map_or(newest, |(first, _)| first);
    Some((since.after(story.config.settle?), verdict))
}

/// Rule 8: whether the target, or an init container before it, waits for such a reason.
pub(super) fn waits_for(sight: &Sight<'_>, group: fn(&str) -> bool) -> bool {
    let Ok(target) = &sight.target else { return false };
    let in_group = |state: State<'_>| matches!(state, State::Waiting { reason, .. } if group(reason));
    // A target that has ended and will run again also waits for init containers: sidecars start first.
    let started = matches!(target.state(), State::Running);
    let held_up = target.init_before(sight.pod).any(|init| in_group(init.state()));
    !sight.phase.is_terminal() && (in_group(target.state()) || (!started && held_up))
}

pub(super) fn is_image_pull(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed"
    )
}

fn is_config_error(reason: &str) -> bool {
    matches!(
        reason,
        "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "PreStartHookError"
            | "PostStartHookError"
            | "PreCreateHookError"
    )
}

const fn is_auth(error: &ApiError<'_>) -> bool {
    matches!(error.code, 401 | 403)
}

const fn is_transient(error: &ApiError<'_>) -> bool {
    !is_auth(error) && !is_expiry(error)
}

/// The page of a proxy is no evidence that the API server has removed the history.
const fn is_expiry(error: &ApiError<'_>) -> bool {
    error.is_status && error.code == 410
}

/// Rule 11: since when the credentials are refused, if that is the API server's newest response.
fn refused_since(story: &Story<'_>) -> Option<Instant> {
    let says = |input: &Input<'_>| is_error(input, is_auth) || is_error(input, is_transient);
    let newest = story.inputs.iter().rev().find(|(_, input)| says(input))?;
    failing_since(story, is_auth).filter(|_| is_error(&newest.1, is_auth))
}

/// Rule 11: the first error of this kind since the last good read.
fn failing_since(story: &Story<'_>, kind: fn(&ApiError<'_>) -> bool) -> Option<Instant> {
    let good = |input: &Input<'_>| match input {
        Input::Snapshot(_) | Input::Read(_) | Input::Deleted(_) | Input::NotFound => true,
        Input::ApiError(_) | Input::Tick | Input::Cancel => false,
    };
    let errors = story.inputs.iter().rev().take_while(|(_, input)| !good(input));
    errors.filter(|(_, input)| is_error(input, kind)).last().map(|(at, _)| *at)
}

fn auth_reason(story: &Story<'_>) -> FailReason {
    match story.inputs.iter().rev().find(|(_, input)| is_error(input, is_auth)) {
        Some((_, Input::ApiError(error))) if error.code == 403 => FailReason::Forbidden,
        _ => FailReason::Unauthorized,
    }
}

fn is_error(input: &Input<'_>, kind: fn(&ApiError<'_>) -> bool) -> bool {
    matches!(input, Input::ApiError(error) if kind(error))
}

/// The time of the last response of the API server.
fn heard_of(story: &Story<'_>) -> Instant {
    let heard = |input: &Input<'_>| match input {
        Input::Snapshot(_) | Input::Read(_) | Input::Deleted(_) | Input::NotFound | Input::ApiError(_) => {
            true
        }
        Input::Tick | Input::Cancel => false,
    };
    story.inputs.iter().rev().find(|(_, input)| heard(input)).map_or_else(|| story.start(), |(at, _)| *at)
}
