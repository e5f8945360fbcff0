//! The machine's own timers, each stored as the time when it began.

use crate::decision::{Exit, Failure};
use crate::reason::FailReason;
use crate::rules::api::ApiFailure;
use crate::rules::pull::Said;
use crate::rules::waiting::{Stuck, WaitingContainer};
use crate::text::{in_parentheses, one_line};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

/// When each timer began. `None` is not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers {
    /// The first input: the overall deadline counts from here.
    pub(crate) started: Option<Instant>,
    /// The start deadline.
    pub(crate) start: Start,
    /// The pod is not found, or another pod has its name. If the pod was seen before, this lasts until a read shows it
    /// again, because its final state may still come.
    pub(crate) absent: Option<Absent>,
    /// A consistent read has shown that the record of the target's end is lost, and what that comes to, unless the record that was
    /// there before is found.
    pub(crate) lost_record: Option<Box<Grace>>,
    /// First sight of the image-pull group.
    pub(crate) image_pull: Option<Box<Pull>>,
    /// First sight of the config-error group.
    pub(crate) config_error: Option<Box<Grace>>,
    /// First sight of a phase `Unknown` or a lost node.
    pub(crate) node_lost: Option<Instant>,
    /// First sight of the deletion.
    pub(crate) terminating: Option<Instant>,
    /// First sight of an exit 0 under a non-terminal phase, under the policy `settle`.
    pub(crate) settling: Option<Box<(Instant, Exit)>>,
    /// The first API error since the last good read.
    pub(crate) api_error: Option<Instant>,
    /// 401 or 403 since the last good read.
    pub(crate) auth_error: Option<AuthError>,
    /// The first 410 since the last good read.
    pub(crate) expired: Option<Instant>,
    /// Only events have come after errors or older objects, and these events may be old: before this time neither a
    /// grace nor a missing record decides.
    pub(crate) behind_until: Option<Instant>,
    /// The time of the last good read or error.
    pub(crate) heard: Option<Instant>,
}

/// How long the target has not started. Rests do not count, and the times between them add up, so an init container in
/// a crash loop cannot postpone the deadline for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// The target runs, or is between restarts, or is over.
    #[default]
    Off,
    /// The deadline counts from there.
    Counts(Instant),
    /// The deadline counts from `from`. It rests, last confirmed at `since`, because another controller holds the pod
    /// with scheduling gates, or an init container runs.
    Rests { from: Instant, since: Instant },
}

impl Start {
    /// Updates whether the target has yet to start, and whether the deadline rests.
    pub(crate) fn set(&mut self, at: Instant, is_idle: bool, rests: bool) {
        let from = match *self {
            Self::Off => at,
            Self::Counts(from) => from,
            Self::Rests { from, since } => from.after(at.since(since)),
        };
        *self = match (is_idle, rests) {
            (false, _) => Self::Off,
            (true, false) => Self::Counts(from),
            (true, true) => Self::Rests { from, since: at },
        };
    }
}

/// A pod that is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Absent {
    /// The first answer without the pod.
    pub(crate) since: Instant,
    /// The newest answer was another pod of its name.
    pub(crate) has_namesake: bool,
}

impl Absent {
    /// The failure for a pod that was seen, if no better cause is known.
    pub(crate) const fn how(self) -> FailReason {
        if self.has_namesake { FailReason::PodReplaced } else { FailReason::PodDeleted }
    }
}

/// Credentials that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuthError {
    /// The first refusal since the last good read.
    pub(crate) since: Instant,
    /// The newest of them.
    pub(crate) failure: ApiFailure,
    /// The newest error is of another kind, which says nothing about the credentials.
    pub(crate) rests: bool,
}

/// A grace that ends in a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grace {
    pub(crate) since: Instant,
    pub(crate) failure: Failure,
}

/// An image that cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pull {
    /// First sight of the group.
    pub(crate) since: Instant,
    /// The container of the last attempt.
    pub(crate) container: String,
    /// The permanent refusals of this container's image by the registry.
    pub(crate) refusals: Refusals,
    /// The failure when the grace is over, with the message of that attempt.
    pub(crate) failure: Failure,
}

/// How often in a row the registry has refused an image for good, as far as the sights of the pod show it.
///
/// Each `ErrImagePull` is an attempt, and `ImagePullBackOff` is none (`EnsureImageExists` in
/// `pkg/kubelet/images/image_manager.go`). So an `ErrImagePull` after an `ImagePullBackOff` is another attempt. Time alone
/// shows no attempt: the kubelet publishes the result of an attempt with the next one, 10 to 15 s later or more
/// (`completeWork` in `pkg/kubelet/pod_workers.go`), and `ImagePullBackOff` stands while an attempt goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub(crate) enum Refusals {
    /// None: the last attempt failed in a way that may pass, or its result is unknown.
    None,
    /// The last attempt was refused.
    Once,
    /// The same, and the kubelet was seen to wait for the next attempt.
    OnceAndBackedOff,
    /// The last two attempts were refused; the second was seen at that time. Further attempts are not expected to succeed.
    Twice(Instant),
}

impl Refusals {
    /// What follows from another sight of the container.
    const fn after(self, said: Said, at: Instant) -> Self {
        match (said, self) {
            (Said::Passing, _) | (Said::Nothing, Self::None) => Self::None,
            (Said::Refused, Self::None | Self::Once) => Self::Once,
            (Said::RefusedBefore, Self::None | Self::Once | Self::OnceAndBackedOff)
            | (Said::Nothing, Self::Once | Self::OnceAndBackedOff) => Self::OnceAndBackedOff,
            (Said::Refused, Self::OnceAndBackedOff) => Self::Twice(at),
            (Said::Refused | Said::RefusedBefore | Said::Nothing, Self::Twice(since)) => Self::Twice(since),
        }
    }

    /// When the second refusal was seen.
    pub(crate) const fn since(self) -> Option<Instant> {
        match self {
            Self::Twice(since) => Some(since),
            Self::None | Self::Once | Self::OnceAndBackedOff => None,
        }
    }
}

impl Pull {
    /// The present state. During back-off the message of the last attempt stays, unless that was another container's.
    fn of(before: Option<Box<Self>>, at: Instant, waiting: WaitingContainer<'_>) -> Box<Self> {
        let since = before.as_ref().map_or(at, |pull| pull.since);
        let of_container = before.filter(|pull| pull.container == waiting.container);
        let said = waiting.said();
        let refusals = of_container.as_ref().map_or(Refusals::None, |pull| pull.refusals).after(said, at);
        if said == Said::Nothing
            && let Some(before) = of_container
        {
            return Box::new(Self { refusals, ..*before });
        }
        Box::new(Self { since, container: waiting.container.into(), refusals, failure: waiting.failure() })
    }
}

impl Timers {
    /// Starts, keeps or cancels the grace timers of the waiting reasons: one for each group, counted from its first
    /// sight, not restarted by flapping inside the group.
    pub(crate) fn set_graces(&mut self, at: Instant, stuck: &Stuck<'_>) {
        let before = self.image_pull.take();
        self.image_pull = stuck.image_pull.map(|waiting| Pull::of(before, at, waiting));
        set_grace(&mut self.config_error, at, stuck.config_error);
    }

    /// A good read: the API server works. An event may be stale for the time `lag` after an error, or after an older
    /// object (`is_behind`).
    pub(crate) fn clear_errors(&mut self, at: Instant, is_consistent: bool, is_behind: bool, lag: Duration) {
        let is_behind = is_behind || !is_consistent && (self.is_failing() || self.behind_until.is_some());
        self.behind_until = is_behind.then(|| self.behind_until.unwrap_or_else(|| at.after(lag)));
        self.api_error = None;
        self.auth_error = None;
        self.expired = None;
        self.heard = Some(at);
    }

    /// Whether no good read has come since an error.
    pub(crate) const fn is_failing(&self) -> bool {
        self.api_error.is_some() || self.auth_error.is_some() || self.expired.is_some()
    }
}

fn set_grace(timer: &mut Option<Box<Grace>>, at: Instant, waiting: Option<WaitingContainer<'_>>) {
    if timer.is_none() && waiting.is_none() {
        return;
    }
    let since = timer.as_ref().map_or(at, |grace| grace.since);
    *timer = waiting.map(|waiting| Box::new(Grace { since, failure: waiting.failure() }));
}

/// Starts the timer if the condition holds and it is not running, cancels it if the condition does not hold.
pub(crate) fn set(timer: &mut Option<Instant>, at: Instant, condition: bool) {
    *timer = condition.then(|| timer.unwrap_or(at));
}

/// The last error message of the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastWord(pub(crate) String);

impl LastWord {
    /// Longest message that is kept, in bytes: foreign text ends up in failures and logs.
    const LONGEST: usize = 300;

    /// Keeps the beginning of `text`, on one line, and allocates nothing if the text is the same as before.
    pub(crate) fn set(&mut self, text: &str) {
        // The usual case, checked first: comparing two empty strings costs more than the rest of a decision, because
        // some vectorised `memcmp`s load from the pointer, which for an empty String is invalid.
        if text.is_empty() {
            self.0.clear();
            return;
        }
        let line = one_line(text, Self::LONGEST);
        if self.0 != line {
            self.0.clear();
            self.0.push_str(&line);
        }
    }

    /// The text in parentheses with a leading space, or nothing.
    pub(crate) fn in_parentheses(&self) -> String {
        in_parentheses(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::LastWord;
    use alloc::borrow::ToOwned;

    #[test]
    fn foreign_text_is_cut_between_characters_and_kept_once() {
        let mut word = LastWord::default();
        assert_eq!(word.in_parentheses(), "");
        word.set("no nodes available");
        word.set("no nodes available");
        assert_eq!(word.in_parentheses(), " (no nodes available)");
        word.set(&"ä".repeat(400));
        assert_eq!(word.0, "ä".repeat(148) + "…");
        // One byte off, so that the limit falls into the middle of a character.
        word.set(&("x".to_owned() + &"ä".repeat(400)));
        assert_eq!(word.0, "x".to_owned() + &"ä".repeat(148) + "…");
        word.set("no\r\nsuch\u{1b}[2J host");
        assert_eq!(word.in_parentheses(), " (no such\u{fffd}[2J host)");
        for nothing in ["", " \n"] {
            word.set(nothing);
            assert_eq!(word.in_parentheses(), "", "{nothing:?}");
        }
    }
}
