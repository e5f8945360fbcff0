//! A wait as a value: for a process that wants to go on with it later, or elsewhere.

mod convert;

use crate::decision::{Exit, Failure};
use crate::policy::Policy;
use crate::reason::{FailReason, RetryReason};
use crate::snapshot::{Phase, Terminated, Timestamp};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;

/// The version of the saved form that this crate writes and reads.
pub const SAVED_VERSION: u32 = 2;

/// A [`WaitMachine`](crate::WaitMachine) at one point of its life, made by [`WaitMachine::save`](crate::WaitMachine::save).
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
    /// The first good read that missed it.
    pub missing_since: Option<Instant>,
    /// The last thing that the API server said when it failed.
    pub last_word: String,
    /// The first object in an unbroken row of such that are older than what was seen before them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub older_since: Option<Instant>,
    /// The first of them that a consistent read brought.
    #[cfg_attr(feature = "serde", serde(default))]
    pub older_read: Option<Instant>,
    /// Until when no grace speaks, where after errors only events have come.
    #[cfg_attr(feature = "serde", serde(default))]
    pub behind_until: Option<Instant>,
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
    /// What snapshots before that with the target's latest end showed the pod to be under.
    pub unfinished: SavedUnder,
    /// What any snapshot showed the pod to be under while it was not over.
    pub open: SavedUnder,
    /// The failure of an init container before the target: its name, its end, and what the pod was under before that.
    pub failed_init: Option<(String, SavedRun, SavedUnder)>,
    /// The earliest moment of the delete request, and the grace period in milliseconds when it was first seen.
    pub deletion: Option<(Timestamp, u64)>,
    /// The failure that the pod's absence would be, if the newest snapshot carries a cause for it.
    pub disrupted: Option<Failure>,
    /// Phase `Succeeded` says something about this target.
    pub succeeds_with_the_pod: bool,
    /// The target is an init container that ends before the regular ones start.
    #[cfg_attr(feature = "serde", serde(default))]
    pub is_init: bool,
    /// Something has shown that the target was started.
    pub has_started: bool,
    /// What the newest snapshot says about why the target does not go on, or why the pod ended, cleaned and cut.
    pub said: String,
}

/// What kept a pod from ending by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedUnder {
    /// It was being deleted.
    pub deletion: bool,
    /// Its condition `DisruptionTarget` was True.
    pub disruption: bool,
    /// Its `status.reason` was a cause, which would have this reason code.
    pub reason: Option<FailReason>,
}

/// One run of a container that ended with a real code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedRun {
    /// Its `terminated` record.
    pub record: Terminated,
    /// `restartCount` beside it.
    pub restart_count: i32,
    /// Another run may have followed, unseen.
    pub may_be_followed: bool,
    /// It was seen in an object that was not being deleted.
    pub seen_without_deletion: bool,
    /// It was seen in an object without `DisruptionTarget`.
    pub seen_without_disruption: bool,
    /// It was seen in an object whose `status.reason` names no outside cause.
    pub seen_without_reason: bool,
    /// Its object's generations say that it was written before the delete.
    pub written_before_delete: bool,
    /// And before any other change of the spec.
    pub written_before_edits: bool,
}

/// Since when what lasts; `None` is not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedTimers {
    /// The first input.
    pub started: Option<Instant>,
    /// The target is neither running nor between restarts.
    pub idle: Option<Instant>,
    /// The start deadline rests.
    #[cfg_attr(feature = "serde", serde(default))]
    pub resting: Option<Instant>,
    /// The pod was never seen, and its name answers 404 or has another pod.
    pub absent: Option<Instant>,
    /// The newest answer was another pod of the name.
    #[cfg_attr(feature = "serde", serde(default))]
    pub has_namesake: bool,
    /// A container's image cannot be pulled.
    pub image_pull: Option<SavedPull>,
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
    /// Another error came after that.
    pub auth_error_rests: bool,
    /// The API server answers 410.
    #[cfg_attr(feature = "serde", serde(default))]
    pub expired: Option<Instant>,
    /// The last time that the API server was heard of.
    pub heard: Option<Instant>,
}

/// An image that cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedPull {
    /// Since when some image cannot be pulled.
    pub since: Instant,
    /// The container whose image it is now.
    pub container: String,
    /// Since when its attempts say that the registry refuses the image for good.
    pub refused: Option<Instant>,
    /// The failure that this becomes.
    pub failure: Failure,
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
