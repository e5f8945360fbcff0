//! From a machine to its saved form, and back.

use super::{
    RestoreError, SAVED_VERSION, SavedPod, SavedPull, SavedRun, SavedState, SavedTimers, SavedUnder,
    SavedWait, SavedWaiting,
};
use crate::decision::Failure;
use crate::history::{Deletion, FailedInit, History, Run, Under};
use crate::machine::{Missing, Older, State, WaitMachine, Waiting};
use crate::rules::api::ApiFailure;
use crate::rules::cause::Cause;
use crate::time::{Instant, millis};
use crate::timers::{Absent, AuthError, Grace, LastWord, Pull, Start, Timers};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

impl WaitMachine {
    /// The machine as a value; possible at any time.
    #[must_use]
    pub fn save(&self) -> SavedWait {
        let state = match &self.state {
            State::Waiting(waiting) => SavedState::Waiting(Box::new(save_waiting(waiting))),
            State::Over(verdict) => match &**verdict {
                Ok(exit) => SavedState::Done(Box::new(exit.clone())),
                Err(failure) => SavedState::Fail(Box::new(failure.clone())),
            },
        };
        SavedWait {
            version: SAVED_VERSION,
            policy: (*self.policy).clone(),
            container: self.container.clone(),
            uid: self.uid.clone(),
            now: self.now,
            state,
        }
    }

    /// A machine that continues from the saved state.
    ///
    /// # Errors
    /// The value holds something that [`save`](Self::save) never writes.
    pub fn restore(saved: SavedWait) -> Result<Self, RestoreError> {
        let state = match saved.state {
            SavedState::Waiting(waiting) => State::Waiting(Box::new(restore_waiting(*waiting)?)),
            SavedState::Done(exit) => State::Over(Box::new(Ok(*exit))),
            SavedState::Fail(failure) => State::Over(Box::new(Err(*failure))),
        };
        Ok(Self {
            policy: Arc::new(saved.policy),
            container: saved.container,
            uid: saved.uid,
            now: saved.now,
            state,
        })
    }
}

fn save_waiting(waiting: &Waiting) -> SavedWaiting {
    SavedWaiting {
        pod: waiting.history.as_ref().map(save_pod),
        since: save_timers(&waiting.timers),
        situation: waiting.situation,
        wake: waiting.wake,
        attempt: waiting.attempt,
        errors: waiting.errors,
        relists: waiting.relists,
        missing_ms: millis(waiting.missing.observed),
        missing_read: waiting.missing.last_read,
        missing_since: waiting.missing.since,
        last_word: waiting.last_word.0.clone(),
        older_since: waiting.older.as_ref().map(|older| older.since),
        older_read: waiting.older.as_ref().and_then(|older| older.read),
        behind_until: waiting.timers.behind_until,
    }
}

fn restore_waiting(saved: SavedWaiting) -> Result<Waiting, RestoreError> {
    Ok(Waiting {
        timers: restore_timers(saved.since, saved.behind_until)?,
        history: saved.pod.map(restore_pod).transpose()?,
        situation: saved.situation,
        wake: saved.wake,
        attempt: saved.attempt,
        errors: saved.errors,
        relists: saved.relists,
        missing: Missing {
            observed: Duration::from_millis(saved.missing_ms),
            last_read: saved.missing_read,
            since: saved.missing_since,
        },
        last_word: LastWord(saved.last_word),
        older: saved.older_since.map(|since| Box::new(Older { since, read: saved.older_read })),
    })
}

fn save_pod(history: &History) -> SavedPod {
    SavedPod {
        container: history.container.clone(),
        resource_version: history.resource_version.clone(),
        phase: history.phase,
        clean_terminal: history.clean_terminal,
        failure_is_explained: history.failure_is_explained,
        run: history.run.as_deref().map(save_run),
        unfinished: save_under(history.unfinished),
        open: save_under(history.open),
        failed_init: history
            .failed_init
            .as_deref()
            .map(|failed| (failed.container.clone(), save_run(&failed.run), save_under(failed.unfinished))),
        deletion: history.deletion.map(|deletion| (deletion.earliest, millis(deletion.grace))),
        disrupted: history.disrupted.as_deref().cloned(),
        succeeds_with_the_pod: history.succeeds_with_the_pod,
        is_init: history.is_init,
        has_started: history.has_started,
        said: history.said.as_deref().unwrap_or_default().into(),
    }
}

fn restore_pod(saved: SavedPod) -> Result<History, RestoreError> {
    let failed_init = match saved.failed_init {
        Some((container, run, under)) => {
            let (run, unfinished) = (restore_run(run), restore_under(under)?);
            Some(Box::new(FailedInit { container, run, unfinished }))
        }
        None => None,
    };
    Ok(History {
        container: saved.container,
        resource_version: saved.resource_version,
        phase: saved.phase,
        clean_terminal: saved.clean_terminal,
        failure_is_explained: saved.failure_is_explained,
        run: saved.run.map(|run| Box::new(restore_run(run))),
        unfinished: restore_under(saved.unfinished)?,
        open: restore_under(saved.open)?,
        failed_init,
        deletion: saved
            .deletion
            .map(|(earliest, grace_ms)| Deletion { earliest, grace: Duration::from_millis(grace_ms) }),
        disrupted: saved.disrupted.map(Box::new),
        succeeds_with_the_pod: saved.succeeds_with_the_pod,
        is_init: saved.is_init,
        has_started: saved.has_started,
        said: Some(saved.said).filter(|said| !said.is_empty()).map(Into::into),
    })
}

fn save_run(run: &Run) -> SavedRun {
    SavedRun {
        record: run.record.clone(),
        restart_count: run.restart_count,
        may_be_followed: run.may_be_followed,
        seen_without_deletion: run.seen_without_deletion,
        seen_without_disruption: run.seen_without_disruption,
        seen_without_reason: run.seen_without_reason,
        written_before_delete: run.written_before_delete,
        written_before_edits: run.written_before_edits,
    }
}

fn restore_run(saved: SavedRun) -> Run {
    Run {
        record: saved.record,
        restart_count: saved.restart_count,
        may_be_followed: saved.may_be_followed,
        seen_without_deletion: saved.seen_without_deletion,
        seen_without_disruption: saved.seen_without_disruption,
        seen_without_reason: saved.seen_without_reason,
        written_before_delete: saved.written_before_delete,
        written_before_edits: saved.written_before_edits,
    }
}

fn save_under(under: Under) -> SavedUnder {
    let Under { deletion, disruption, reason } = under;
    SavedUnder { deletion, disruption, reason: reason.map(Cause::reason) }
}

fn restore_under(saved: SavedUnder) -> Result<Under, RestoreError> {
    let SavedUnder { deletion, disruption, reason } = saved;
    let cause = |code| Cause::ALL.into_iter().find(|cause| cause.reason() == code);
    let reason = match reason {
        Some(code) => Some(cause(code).ok_or(RestoreError::Impossible("cause"))?),
        None => None,
    };
    Ok(Under { deletion, disruption, reason })
}

fn save_timers(timers: &Timers) -> SavedTimers {
    let (idle, resting) = match timers.start {
        Start::Off => (None, None),
        Start::Counts(from) => (Some(from), None),
        Start::Rests { from, since } => (Some(from), Some(since)),
    };
    let grace = |grace: &Option<Box<Grace>>| grace.as_ref().map(|grace| (grace.since, grace.failure.clone()));
    SavedTimers {
        started: timers.started,
        idle,
        resting,
        absent: timers.absent.map(|absent| absent.since),
        has_namesake: timers.absent.is_some_and(|absent| absent.has_namesake),
        lost_record: grace(&timers.lost_record),
        image_pull: timers.image_pull.as_deref().cloned().map(
            |Pull { since, container, refusals, failure }| SavedPull { since, container, refusals, failure },
        ),
        config_error: grace(&timers.config_error),
        node_lost: timers.node_lost,
        terminating: timers.terminating,
        settling: timers.settling.as_deref().cloned(),
        api_error: timers.api_error,
        auth_error: timers.auth_error.map(|AuthError { since, failure, .. }| match failure {
            ApiFailure::Forbidden => (since, 403),
            ApiFailure::Unauthorized
            | ApiFailure::Expired
            | ApiFailure::Rejected
            | ApiFailure::Throttled
            | ApiFailure::Transient => (since, 401),
        }),
        auth_error_rests: timers.auth_error.is_some_and(|error| error.rests),
        expired: timers.expired,
        heard: timers.heard,
    }
}

fn restore_timers(saved: SavedTimers, behind_until: Option<Instant>) -> Result<Timers, RestoreError> {
    let grace =
        |saved: Option<(Instant, Failure)>| saved.map(|(since, failure)| Box::new(Grace { since, failure }));
    let auth_error = |since, failure| AuthError { since, failure, rests: saved.auth_error_rests };
    Ok(Timers {
        behind_until,
        started: saved.started,
        start: match (saved.idle, saved.resting) {
            (None, _) => Start::Off,
            (Some(from), None) => Start::Counts(from),
            (Some(from), Some(since)) => Start::Rests { from, since },
        },
        absent: saved.absent.map(|since| Absent { since, has_namesake: saved.has_namesake }),
        lost_record: grace(saved.lost_record),
        image_pull: saved.image_pull.map(|SavedPull { since, container, refusals, failure }| {
            Box::new(Pull { since, container, refusals, failure })
        }),
        config_error: grace(saved.config_error),
        node_lost: saved.node_lost,
        terminating: saved.terminating,
        settling: saved.settling.map(Box::new),
        api_error: saved.api_error,
        auth_error: match saved.auth_error {
            None => None,
            Some((since, 401)) => Some(auth_error(since, ApiFailure::Unauthorized)),
            Some((since, 403)) => Some(auth_error(since, ApiFailure::Forbidden)),
            Some(_) => return Err(RestoreError::Impossible("auth_error")),
        },
        expired: saved.expired,
        heard: saved.heard,
    })
}
