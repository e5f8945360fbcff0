//! A wait as a value: for a process that wants to go on with it later, or elsewhere.

mod convert;

use crate::decision::{Exit, Failure};
use crate::policy::Policy;
use crate::reason::{FailReason, RetryReason};
use crate::snapshot::{Phase, Terminated, Timestamp};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;

/// The version of the saved form that this crate writes. It also reads those before it.
const SAVED_VERSION: u32 = 2;

/// A [`WaitMachine`](crate::WaitMachine) at one point of its life, made by [`WaitMachine::save`](crate::WaitMachine::save).
///
/// With the feature `serde` it can be written in every format that describes itself, such as JSON, and read by this version of
/// the crate and by later ones. Its times are milliseconds on the machine's own time line: a machine that is restored in another
/// process goes on from [`now`](Self::now), plus the time for which nothing was observed.
///
/// The form holds facts, not the machine's private fields: what was observed of the pod and since when something lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedWait {
    /// [`SAVED_VERSION`] when it was written; once it was read, its content is of that version.
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
    /// How far the wait is.
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

    /// The same but for when the pod was observed last and when to look again: two that are equal so differ in nothing that would be
    /// lost.
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

/// How far a saved wait is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub(crate) enum SavedState {
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
pub(crate) struct SavedWaiting {
    /// What was seen of the pod; `None` before its first snapshot.
    pub(crate) pod: Option<SavedPod>,
    /// Since when what lasts.
    pub(crate) since: SavedTimers,
    /// What is being waited for as long as reads succeed.
    pub(crate) situation: RetryReason,
    /// When the caller is to come back, and why.
    pub(crate) wake: Option<(Instant, RetryReason)>,
    /// Retries of the present situation.
    pub(crate) attempt: u32,
    /// API errors in a row.
    pub(crate) errors: u32,
    /// 410s in a row, and the time of the last.
    pub(crate) relists: (u32, Instant),
    /// Observed milliseconds for which a terminal pod missed the record.
    pub(crate) missing_ms: u64,
    /// The last good read that missed it, if no error came since.
    pub(crate) missing_read: Option<Instant>,
    /// The first good read that missed it.
    pub(crate) missing_since: Option<Instant>,
    /// The last thing that the API server said when it failed.
    pub(crate) last_word: String,
    /// The first object in an unbroken row of such that are older than what was seen before them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) older_since: Option<Instant>,
    /// The first of them that a consistent read brought.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) older_read: Option<Instant>,
    /// Until when neither a grace nor a missing record speaks, where after errors or older objects only events have come.
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
    /// What snapshots before that with the target's latest end showed the pod to be under.
    pub(crate) unfinished: SavedUnder,
    /// What any snapshot showed the pod to be under while it was not over.
    pub(crate) open: SavedUnder,
    /// The failure of an init container before the target: its name, its end, and what the pod was under before that.
    pub(crate) failed_init: Option<(String, SavedRun, SavedUnder)>,
    /// The earliest moment of the delete request, and the grace period in milliseconds when it was first seen.
    pub(crate) deletion: Option<(Timestamp, u64)>,
    /// The failure that the pod's absence would be, if the newest snapshot carries a cause for it.
    pub(crate) disrupted: Option<Failure>,
    /// Phase `Succeeded` says something about this target.
    pub(crate) succeeds_with_the_pod: bool,
    /// The target is an init container that ends before the regular ones start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) is_init: bool,
    /// Something has shown that the target was started.
    pub(crate) has_started: bool,
    /// What the newest snapshot says about why the target does not go on, or why the pod ended, cleaned and cut.
    #[cfg_attr(feature = "serde", serde(default))]
    pub(crate) said: String,
}

/// What kept a pod from ending by itself.
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
    /// `restartCount` beside it.
    pub(crate) restart_count: i32,
    /// Another run may have followed, unseen.
    pub(crate) may_be_followed: bool,
    /// It was seen in an object that was not being deleted.
    pub(crate) seen_without_deletion: bool,
    /// It was seen in an object without `DisruptionTarget`.
    pub(crate) seen_without_disruption: bool,
    /// It was seen in an object whose `status.reason` names no outside cause.
    pub(crate) seen_without_reason: bool,
    /// Its object's generations say that it was written before the delete.
    pub(crate) written_before_delete: bool,
    /// And before any other change of the spec.
    pub(crate) written_before_edits: bool,
}

/// Since when what lasts; `None` is not running.
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
    /// The pod was never seen, and its name answers 404 or has another pod.
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
    /// The last time that the API server was heard of.
    pub(crate) heard: Option<Instant>,
}

/// An image that cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct SavedPull {
    /// Since when some image cannot be pulled.
    pub(crate) since: Instant,
    /// The container whose image it is now.
    pub(crate) container: String,
    /// Since when its attempts say that the registry refuses the image for good.
    pub(crate) refused: Option<Instant>,
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
    /// A field has a value that no machine saves.
    #[error("the saved wait has an impossible {0}")]
    Impossible(&'static str),
}

#[cfg(feature = "serde")]
fn known_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match serde::Deserialize::deserialize(deserializer)? {
        // What is different is read field by field.
        1..=SAVED_VERSION => Ok(SAVED_VERSION),
        version => Err(serde::de::Error::custom(RestoreError::Version(version))),
    }
}

/// Version 1 knew of no container and no refusal.
#[cfg(feature = "serde")]
fn pull<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SavedPull>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Form {
        Present(SavedPull),
        First(Instant, Failure),
    }
    let form: Option<Form> = serde::Deserialize::deserialize(deserializer)?;
    Ok(form.map(|form| match form {
        Form::Present(pull) => pull,
        Form::First(since, failure) => SavedPull { since, container: String::new(), refused: None, failure },
    }))
}
