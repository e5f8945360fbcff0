//! The machine's own timers, each an absolute point or the point it counts from.

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

/// When what began. `None` is not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers {
    /// The first input: the overall deadline counts from here.
    pub(crate) started: Option<Instant>,
    /// The start deadline.
    pub(crate) start: Start,
    /// The pod is not found, or another one of its name is there. Of a pod that was seen, until a read shows it again: its
    /// final state may still come.
    pub(crate) absent: Option<Absent>,
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
    /// After errors, or objects that were older than what was seen, only events have come, which may be of the time before: neither
    /// a grace nor a missing record speaks before this time.
    pub(crate) behind_until: Option<Instant>,
    /// The last time that the API server was heard of: a good read or an error.
    pub(crate) heard: Option<Instant>,
}

/// How long the target has not started. Time that it rests does not count, and time before and after that adds up: an init
/// container that is restarted again and again does not put the deadline off for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// The target runs, or is between restarts, or is over.
    #[default]
    Off,
    /// The deadline counts from there.
    Counts(Instant),
    /// It counts from `from`, and has rested since `since`, the last time that this was seen: another controller holds the pod by
    /// scheduling gates, or an init container works.
    Rests { from: Instant, since: Instant },
}

impl Start {
    /// Takes in whether the target has yet to start, and whether the deadline rests meanwhile.
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
    /// The first answer that did not have it.
    pub(crate) since: Instant,
    /// The newest answer was another pod of its name.
    pub(crate) has_namesake: bool,
}

impl Absent {
    /// What became of a pod that was seen, if nothing better is known.
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
    /// The newest error is another one, and what reports that did not look at the credentials.
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
    /// The container whose last attempt this is.
    pub(crate) container: String,
    /// Since when every attempt of it that was seen said that the registry refuses the image for good.
    pub(crate) refused: Option<Instant>,
    /// The failure this becomes, in the words of that attempt.
    pub(crate) failure: Failure,
}

impl Pull {
    /// How long a refusal must stand: the kubelet's second attempt comes 10 s after the first (`imageBackOffPeriod` in
    /// `pkg/kubelet/kubelet.go`), and then it stands to reason that all others end likewise.
    pub(crate) const REFUSAL: Duration = Duration::from_secs(15);

    /// What is known now. In back-off the last attempt's words stand, unless they are another container's.
    fn of(before: Option<Box<Self>>, at: Instant, waiting: WaitingContainer<'_>) -> Box<Self> {
        let since = before.as_ref().map_or(at, |pull| pull.since);
        let of_container = before.filter(|pull| pull.container == waiting.container);
        let refused = match (waiting.said(), of_container) {
            (Said::Nothing, Some(before)) => return before,
            (Said::Refused, before) => before.and_then(|pull| pull.refused).or(Some(at)),
            (Said::Passing | Said::Nothing, _) => None,
        };
        Box::new(Self { since, container: waiting.container.into(), refused, failure: waiting.failure() })
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

    /// A good read: the API server works. What is no consistent read may be behind for so long, after errors or where `is_behind`
    /// says that the last object was.
    pub(crate) fn clear_errors(&mut self, at: Instant, is_consistent: bool, is_behind: bool, lag: Duration) {
        let is_behind = is_behind || !is_consistent && (self.is_failing() || self.behind_until.is_some());
        self.behind_until = is_behind.then(|| self.behind_until.unwrap_or_else(|| at.after(lag)));
        self.api_error = None;
        self.auth_error = None;
        self.expired = None;
        self.heard = Some(at);
    }

    /// Whether the API server has not been read since an error.
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

/// The last thing that the API server said when it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastWord(pub(crate) String);

impl LastWord {
    /// Longest message that is kept, in bytes: foreign text ends up in failures and logs.
    const LONGEST: usize = 300;

    /// Keeps the beginning of `text`, on one line, without allocating where it says the same again.
    pub(crate) fn set(&mut self, text: &str) {
        // Nothing to keep, as nearly always. Told apart first because comparing two empty strings costs more than all the
        // rest of a decision: some vectorised `memcmp`s load from the pointer, which for an empty String is invalid.
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
