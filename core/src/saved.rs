//! A wait as a value: for a process that wants to go on with it later, or elsewhere.

use crate::decision::{Exit, Failure};
use crate::history::{Deletion, History, Run};
use crate::machine::{Missing, State, WaitMachine, Waiting};
use crate::policy::Policy;
use crate::reason::RetryReason;
use crate::rules::api::ApiFailure;
use crate::snapshot::{Phase, Terminated, Timestamp};
use crate::time::{Instant, millis};
use crate::timers::{Grace, LastWord, Timers};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

/// The version of the saved form that this crate writes and reads.
pub const SAVED_VERSION: u32 = 1;

/// A [`WaitMachine`] at one point of its life, made by [`WaitMachine::save`].
///
/// With the feature `serde` it can be written in any format. Times named `*_ms` or given as [`Instant`]s are
/// milliseconds on the machine's own time line, so whoever restores a machine in another process must go on counting
/// from [`now`](Self::now), plus the time for which nobody watched.
///
/// The form holds facts, not the machine's private fields: what was observed of the pod and since when something
/// lasts. A change of its meaning raises [`version`](Self::version).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedWait {
    /// [`SAVED_VERSION`] when it was written.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "known_version"))]
    pub version: u32,
    /// The policy.
    pub policy: Policy,
    /// The target's name, if the caller gave one.
    pub container: Option<String>,
    /// The pinned uid: the caller's, or the first one seen.
    pub uid: Option<String>,
    /// The time of the latest input.
    pub now: Instant,
    /// How far the wait is.
    pub state: SavedState,
}

/// How far a saved wait is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum SavedState {
    /// Nothing is decided.
    Waiting(Box<SavedWaiting>),
    /// The last word was `Done`.
    Done(Box<Exit>),
    /// The last word was `Fail`.
    Fail(Box<Failure>),
}

/// What a wait remembers that is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedWaiting {
    /// What was seen of the pod; `None` before its first snapshot.
    pub pod: Option<SavedPod>,
    /// Since when what lasts.
    pub since: SavedTimers,
    /// What is being waited for as long as reads succeed.
    pub situation: RetryReason,
    /// When the caller was told to come back, and why.
    pub wake: Option<(Instant, RetryReason)>,
    /// Retries of the present situation.
    pub attempt: u32,
    /// API errors in a row.
    pub errors: u32,
    /// 410s in a row, and the time of the last.
    pub relists: (u32, Instant),
    /// Observed milliseconds for which a terminal pod missed the record.
    pub missing_ms: u64,
    /// The last good read that missed it, if no error came since.
    pub missing_read: Option<Instant>,
    /// The last thing that the scheduler or the API server said about why nothing moves.
    pub last_word: String,
}

/// Facts about the pod. Fields that carry a Kubernetes name mean that field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedPod {
    /// The target's name.
    pub container: String,
    /// The newest resourceVersion accepted.
    pub resource_version: String,
    /// The newest phase.
    pub phase: Phase,
    /// The terminal phase, if it was seen without any mark of an outside cause.
    pub clean_terminal: Option<Phase>,
    /// The newest snapshot is `Failed`, and a container other than the target explains that.
    pub failure_is_explained: bool,
    /// The end of the target's latest run, if it left a real code.
    pub run: Option<SavedRun>,
    /// A snapshot before that with the target's latest end showed the pod being deleted, and not over.
    pub unfinished_under_deletion: bool,
    /// Likewise with the condition `DisruptionTarget`.
    pub unfinished_under_disruption: bool,
    /// Some snapshot showed the pod being deleted, and not over.
    pub open_under_deletion: bool,
    /// Likewise with the condition `DisruptionTarget`.
    pub open_under_disruption: bool,
    /// The earliest moment of the delete request, and the grace period in milliseconds when it was first seen.
    pub deletion: Option<(Timestamp, u64)>,
    /// The failure that the pod's absence would be, if the newest snapshot carries a cause for it.
    pub disrupted: Option<Failure>,
    /// Phase `Succeeded` says something about this target.
    pub succeeds_with_the_pod: bool,
}

/// One run of the target that ended with a real code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedRun {
    /// Its `terminated` record.
    pub record: Terminated,
    /// `restartCount` beside it.
    pub restart_count: i32,
    /// It was seen in an object that was not being deleted.
    pub seen_without_deletion: bool,
    /// It was seen in an object without `DisruptionTarget`.
    pub seen_without_disruption: bool,
    /// It was seen in an object whose `status.reason` names no outside cause.
    pub seen_without_reason: bool,
    /// Its object's generations say that it was written before the delete.
    pub written_before_delete: bool,
}

/// Since when what lasts; `None` is not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedTimers {
    /// The first input.
    pub started: Option<Instant>,
    /// The target is neither running nor between restarts.
    pub idle: Option<Instant>,
    /// The pod was never seen and answers 404.
    pub absent: Option<Instant>,
    /// A container waits for its image, and the failure that this becomes.
    pub image_pull: Option<(Instant, Failure)>,
    /// A container cannot be created from its configuration, and the failure that this becomes.
    pub config_error: Option<(Instant, Failure)>,
    /// The phase is `Unknown` or the node is lost.
    pub node_lost: Option<Instant>,
    /// The pod is being deleted.
    pub terminating: Option<Instant>,
    /// An exit 0 waits for the phase, under the policy `settle`.
    pub settling: Option<(Instant, Exit)>,
    /// The API server fails.
    pub api_error: Option<Instant>,
    /// The API server answers 401 or 403, and which of them last.
    pub auth_error: Option<(Instant, u16)>,
    /// The last time that the API server was heard of.
    pub heard: Option<Instant>,
}

/// Why a saved wait was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It was written by a version of this crate that saves something else.
    #[error("the saved wait has version {0}, this is version {SAVED_VERSION}")]
    Version(u32),
    /// A field has a value that no machine saves.
    #[error("the saved wait has an impossible {0}")]
    Impossible(&'static str),
}

#[cfg(feature = "serde")]
fn known_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version: u32 = serde::Deserialize::deserialize(deserializer)?;
    if version == SAVED_VERSION {
        Ok(version)
    } else {
        Err(serde::de::Error::custom(RestoreError::Version(version)))
    }
}

impl WaitMachine {
    /// The machine as a value, at any point of its life.
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

    /// A machine that goes on as if nothing had happened.
    ///
    /// # Errors
    /// The value is of another version, or holds what no machine saves.
    pub fn restore(saved: SavedWait) -> Result<Self, RestoreError> {
        if saved.version != SAVED_VERSION {
            return Err(RestoreError::Version(saved.version));
        }
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
        last_word: waiting.last_word.0.clone(),
    }
}

fn restore_waiting(saved: SavedWaiting) -> Result<Waiting, RestoreError> {
    Ok(Waiting {
        timers: restore_timers(saved.since)?,
        history: saved.pod.map(restore_pod),
        situation: saved.situation,
        wake: saved.wake,
        attempt: saved.attempt,
        errors: saved.errors,
        relists: saved.relists,
        missing: Missing { observed: Duration::from_millis(saved.missing_ms), last_read: saved.missing_read },
        last_word: LastWord(saved.last_word),
    })
}

fn save_pod(history: &History) -> SavedPod {
    SavedPod {
        container: history.container.clone(),
        resource_version: history.resource_version.clone(),
        phase: history.phase,
        clean_terminal: history.clean_terminal,
        failure_is_explained: history.failure_is_explained,
        run: history.run.as_deref().map(|run| SavedRun {
            record: run.record.clone(),
            restart_count: run.restart_count,
            seen_without_deletion: run.seen_without_deletion,
            seen_without_disruption: run.seen_without_disruption,
            seen_without_reason: run.seen_without_reason,
            written_before_delete: run.written_before_delete,
        }),
        unfinished_under_deletion: history.unfinished_under_deletion,
        unfinished_under_disruption: history.unfinished_under_disruption,
        open_under_deletion: history.open_under_deletion,
        open_under_disruption: history.open_under_disruption,
        deletion: history.deletion.map(|deletion| (deletion.earliest, millis(deletion.grace))),
        disrupted: history.disrupted.as_deref().cloned(),
        succeeds_with_the_pod: history.succeeds_with_the_pod,
    }
}

fn restore_pod(saved: SavedPod) -> History {
    History {
        container: saved.container,
        resource_version: saved.resource_version,
        phase: saved.phase,
        clean_terminal: saved.clean_terminal,
        failure_is_explained: saved.failure_is_explained,
        run: saved.run.map(|run| {
            Box::new(Run {
                record: run.record,
                restart_count: run.restart_count,
                seen_without_deletion: run.seen_without_deletion,
                seen_without_disruption: run.seen_without_disruption,
                seen_without_reason: run.seen_without_reason,
                written_before_delete: run.written_before_delete,
            })
        }),
        unfinished_under_deletion: saved.unfinished_under_deletion,
        unfinished_under_disruption: saved.unfinished_under_disruption,
        open_under_deletion: saved.open_under_deletion,
        open_under_disruption: saved.open_under_disruption,
        deletion: saved
            .deletion
            .map(|(earliest, grace_ms)| Deletion { earliest, grace: Duration::from_millis(grace_ms) }),
        disrupted: saved.disrupted.map(Box::new),
        succeeds_with_the_pod: saved.succeeds_with_the_pod,
    }
}

fn save_timers(timers: &Timers) -> SavedTimers {
    let grace = |grace: &Option<Grace>| grace.as_ref().map(|grace| (grace.since, (*grace.failure).clone()));
    SavedTimers {
        started: timers.started,
        idle: timers.idle,
        absent: timers.absent,
        image_pull: grace(&timers.image_pull),
        config_error: grace(&timers.config_error),
        node_lost: timers.node_lost,
        terminating: timers.terminating,
        settling: timers.settling.as_deref().cloned(),
        api_error: timers.api_error,
        auth_error: timers.auth_error.map(|(since, failure)| match failure {
            ApiFailure::Forbidden => (since, 403),
            ApiFailure::Unauthorized
            | ApiFailure::Expired
            | ApiFailure::Rejected
            | ApiFailure::Throttled
            | ApiFailure::Transient => (since, 401),
        }),
        heard: timers.heard,
    }
}

fn restore_timers(saved: SavedTimers) -> Result<Timers, RestoreError> {
    let grace = |saved: Option<(Instant, Failure)>| {
        saved.map(|(since, failure)| Grace { since, failure: Box::new(failure) })
    };
    Ok(Timers {
        started: saved.started,
        idle: saved.idle,
        absent: saved.absent,
        image_pull: grace(saved.image_pull),
        config_error: grace(saved.config_error),
        node_lost: saved.node_lost,
        terminating: saved.terminating,
        settling: saved.settling.map(Box::new),
        api_error: saved.api_error,
        auth_error: match saved.auth_error {
            None => None,
            Some((since, 401)) => Some((since, ApiFailure::Unauthorized)),
            Some((since, 403)) => Some((since, ApiFailure::Forbidden)),
            Some(_) => return Err(RestoreError::Impossible("auth_error")),
        },
        heard: saved.heard,
    })
}
