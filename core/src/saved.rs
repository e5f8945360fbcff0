//! A wait as a value, so that a process can continue it later or elsewhere.

mod convert;

use crate::decision::{Exit, Failure};
use crate::policy::Policy;
use crate::reason::{FailReason, RetryReason};
use crate::snapshot::{Phase, Terminated, Timestamp};
use crate::time::Instant;
use crate::timers::Refusals;
use alloc::boxed::Box;
use alloc::string::String;

/// The version of the saved form that this crate writes. It also reads those before it.
const SAVED_VERSION: u32 = 3;

/// The state of a [`WaitMachine`](crate::WaitMachine) between two inputs, made by
/// [`WaitMachine::save`](crate::WaitMachine::save).
///
/// With the feature `serde` it can be written in every format that describes itself, such as JSON, and read by this version of
/// the crate and by later ones. Its times are milliseconds on the machine's own time line: a machine that is restored
/// in another process continues from [`now`](Self::now), plus the time without observations.
///
/// The form holds facts, not the machine's private fields: the observed facts about the pod, and when each timer began.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedWait {
    /// The version in which the wait was written. After reading this is [`SAVED_VERSION`], and the content is in that
    /// version.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "known_version"))]
    pub(crate) version: u32,
    /// The policy.
    pub(crate) policy: Policy,
    /// The target's name, if the caller gave one.
    pub(crate) container: Option<String>,
    /// The pinned uid: the caller's, or the first one seen.
    pub(crate) uid: Option<String>,
    /// The time of the latest input.
    pub(crate) now: Instant,
    /// The state of the wait.
    pub(crate) state: SavedState,
}

impl SavedWait {
    /// The time of the latest input.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The uid of the pod: the caller's, or the first one seen.
    #[must_use]
    pub fn pod_uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    /// Whether the wait has its answer.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self.state {
            SavedState::Waiting(_) => false,
            SavedState::Done(_) | SavedState::Fail(_) => true,
        }
    }

    /// The saved wait without the time of the last observation and of the next wake-up. If two saved waits are equal in
    /// this form, either can replace the other without loss.
    #[must_use]
    pub fn without_time(mut self) -> Self {
        self.now = Instant::ZERO;
        if let SavedState::Waiting(waiting) = &mut self.state {
            (waiting.wake, waiting.behind_until, waiting.since.heard) = (None, None, None);
            (waiting.attempt, waiting.errors) = (0, 0);
            waiting.relists = (0, Instant::ZERO);
        }
        self
    }
}

/// The state of a saved wait.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub(crate) enum SavedState {
    /// Nothing is decided.
    Waiting(Box<SavedWaiting>),
    /// The final answer was `Done`.
    Done(Box<Exit>),
    /// The final answer was `Fail`.
    Fail(Box<Failure>),
}

/// The facts of a wait that is not decided yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedWaiting {
    /// The facts about the pod; `None` before its first snapshot.
    pub(crate) pod: Option<SavedPod>,
    /// When each timer began.
    pub(crate) since: SavedTimers,
    /// The reason to wait as long as reads succeed.
    pub(crate) situation: RetryReason,
    /// When the caller is to come back, and why.
    pub(crate) wake: Option<(Instant, RetryReason)>,
    /// Retries of the present situation.
    pub(crate) attempt: u32,
    /// API errors in a row.
    pub(crate) errors: u32,
    /// 410s in a row, and the time of the last.
    pub(crate) relists: (u32, Instant),
    /// Observed milliseconds without the record of a terminal pod.
    pub(crate) missing_ms: u64,
    /// The last good read without the record, if no error came since.
    pub(crate) missing_read: Option<Instant>,
    /// The first good read without the record.
    pub(crate) missing_since: Option<Instant>,
    /// The last error message of the API server.
    pub(crate) last_word: String,
    /// The first of consecutive objects that are older than the newest accepted one.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) older_since: Option<Instant>,
    /// The first of these from a consistent read.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) older_read: Option<Instant>,
    /// Set if only events came after errors or older objects: before this time neither a grace nor a missing record
    /// decides.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) behind_until: Option<Instant>,
}

/// Facts about the pod. Fields that carry a Kubernetes name mean that field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedPod {
    /// The target's name.
    pub(crate) container: String,
    /// The newest resourceVersion accepted.
    pub(crate) resource_version: String,
    /// The newest phase.
    pub(crate) phase: Phase,
    /// The terminal phase, if it was seen without any mark of an outside cause.
    pub(crate) clean_terminal: Option<Phase>,
    /// The newest snapshot is `Failed`, and a container other than the target explains that.
    pub(crate) failure_is_explained: bool,
    /// The end of the target's latest run, if it left a real code.
    pub(crate) run: Option<SavedRun>,
    /// The outside causes in the snapshots before the one with the target's latest end.
    pub(crate) unfinished: SavedUnder,
    /// The outside causes in any snapshot in which the pod had not ended.
    pub(crate) open: SavedUnder,
    /// The failure of an init container before the target: its name, its end, and the outside causes before that end.
    pub(crate) failed_init: Option<(String, SavedRun, SavedUnder)>,
    /// The earliest moment of the delete request, and the grace period in milliseconds when it was first seen.
    pub(crate) deletion: Option<(Timestamp, u64)>,
    /// The failure that the pod's absence would become, if the newest snapshot has a cause for it.
    pub(crate) disrupted: Option<Failure>,
    /// Phase `Succeeded` says something about this target.
    pub(crate) succeeds_with_the_pod: bool,
    /// The target is an init container that ends before the regular ones start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) is_init: bool,
    /// Something has shown that the target was started.
    pub(crate) has_started: bool,
    /// What the newest snapshot says about why the target does not make progress, or why the pod ended, cleaned and
    /// cut.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) said: String,
}

/// The outside causes that kept a pod from ending by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedUnder {
    /// It was being deleted.
    pub(crate) deletion: bool,
    /// Its condition `DisruptionTarget` was True.
    pub(crate) disruption: bool,
    /// Its `status.reason` was a cause, which would have this reason code.
    pub(crate) reason: Option<FailReason>,
}

/// One run of a container that ended with a real code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedRun {
    /// Its `terminated` record.
    pub(crate) record: Terminated,
    /// The `restartCount` of the same status.
    pub(crate) restart_count: i32,
    /// Another run may have followed, unseen.
    pub(crate) may_be_followed: bool,
    /// It was seen in an object without a deletion.
    pub(crate) seen_without_deletion: bool,
    /// It was seen in an object without `DisruptionTarget`.
    pub(crate) seen_without_disruption: bool,
    /// It was seen in an object whose `status.reason` names no outside cause.
    pub(crate) seen_without_reason: bool,
    /// Its object's generations say that it was written before the delete.
    pub(crate) written_before_delete: bool,
    /// It was also written before any other change of the spec.
    pub(crate) written_before_edits: bool,
}

/// When each timer began; `None` is not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedTimers {
    /// The first input.
    pub(crate) started: Option<Instant>,
    /// The target is neither running nor between restarts.
    pub(crate) idle: Option<Instant>,
    /// The start deadline rests.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) resting: Option<Instant>,
    /// The pod was never seen: the API server answers 404, or another pod has the name.
    pub(crate) absent: Option<Instant>,
    /// The newest answer was another pod of the name.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) has_namesake: bool,
    /// Since when a consistent read shows that the record is lost, and what that comes to.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) lost_record: Option<(Instant, Failure)>,
    /// A container's image cannot be pulled.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "pull"))]
    pub(crate) image_pull: Option<SavedPull>,
    /// A container cannot be created from its configuration, and the failure that this becomes.
    pub(crate) config_error: Option<(Instant, Failure)>,
    /// The phase is `Unknown` or the node is lost.
    pub(crate) node_lost: Option<Instant>,
    /// The pod is being deleted.
    pub(crate) terminating: Option<Instant>,
    /// An exit 0 waits for the phase, under the policy `settle`.
    pub(crate) settling: Option<(Instant, Exit)>,
    /// The API server fails.
    pub(crate) api_error: Option<Instant>,
    /// The API server answers 401 or 403, and which of them last.
    pub(crate) auth_error: Option<(Instant, u16)>,
    /// Another error came after that.
    pub(crate) auth_error_rests: bool,
    /// The API server answers 410.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) expired: Option<Instant>,
    /// The time of the last answer or error of the API server.
    pub(crate) heard: Option<Instant>,
}

/// An image that cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedPull {
    /// Since when some image cannot be pulled.
    pub(crate) since: Instant,
    /// The container whose image is meant.
    pub(crate) container: String,
    /// The permanent refusals of that image by the registry.
    pub(crate) refusals: Refusals,
    /// The failure that this becomes.
    pub(crate) failure: Failure,
}

/// Why a saved wait was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It was written by a later version of this crate.
    #[error("the saved wait has version {0}, this reads up to version {SAVED_VERSION}")]
    Version(u32),
    /// A field has a value that `save` never writes.
    #[error("the saved wait has an impossible {0}")]
    Impossible(&'static str),
}

#[cfg(feature = "serde")]
fn known_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match serde::Deserialize::deserialize(deserializer)? {
        // Differences between versions are handled in each field.
        1..=SAVED_VERSION => Ok(SAVED_VERSION),
        version => Err(serde::de::Error::custom(RestoreError::Version(version))),
    }
}

/// Version 1 had neither the container nor the refusals, version 2 only had the time of the first refusal.
#[cfg(feature = "serde")]
fn pull<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SavedPull>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Form {
        Present(SavedPull),
        Second { since: Instant, container: String, refused: Option<Instant>, failure: Failure },
        First(Instant, Failure),
    }
    let form: Option<Form> = serde::Deserialize::deserialize(deserializer)?;
    Ok(form.map(|form| match form {
        Form::Present(pull) => pull,
        Form::Second { since, container, refused, failure } => {
            let refusals = refused.map_or(Refusals::None, |_| Refusals::Once);
            SavedPull { since, container, refusals, failure }
        }
        Form::First(since, failure) => {
            SavedPull { since, container: String::new(), refusals: Refusals::None, failure }
        }
    }))
}
