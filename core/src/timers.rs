//! The machine's own timers, each an absolute point or the point it counts from.

use crate::decision::{Exit, Failure};
use crate::rules::api::ApiFailure;
use crate::rules::waiting::{Stuck, Trouble};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;

/// When what began. `None` is not running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers {
    /// The first input: the overall deadline counts from here.
    pub(crate) started: Option<Instant>,
    /// The start deadline.
    pub(crate) start: Start,
    /// The first 404 of a pod that was never seen, or the first sight of another one of its name.
    pub(crate) absent: Option<Absent>,
    /// First sight of the image-pull group.
    pub(crate) image_pull: Option<Grace>,
    /// First sight of the config-error group.
    pub(crate) config_error: Option<Grace>,
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
    /// It counts from `from`, and rests since `since`: another controller holds the pod by scheduling gates, or an init
    /// container works.
    Rests { from: Instant, since: Instant },
}

impl Start {
    /// Takes in whether the target has yet to start, and whether the deadline rests meanwhile.
    pub(crate) fn set(&mut self, at: Instant, is_idle: bool, rests: bool) {
        let from = match *self {
            Self::Off => at,
            Self::Counts(from) => from,
            Self::Rests { .. } if is_idle && rests => return,
            Self::Rests { from, since } => from.after(at.since(since)),
        };
        *self = match (is_idle, rests) {
            (false, _) => Self::Off,
            (true, false) => Self::Counts(from),
            (true, true) => Self::Rests { from, since: at },
        };
    }
}

/// A pod that was never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Absent {
    pub(crate) since: Instant,
    /// The newest answer was another pod of its name.
    pub(crate) has_namesake: bool,
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
    pub(crate) failure: Box<Failure>,
}

impl Timers {
    /// Starts, keeps or cancels the grace timers of the waiting reasons: one for each group, counted from its first
    /// sight, not restarted by flapping inside the group.
    pub(crate) fn set_graces(&mut self, at: Instant, stuck: &Stuck<'_>) {
        set_grace(&mut self.image_pull, at, stuck.image_pull);
        set_grace(&mut self.config_error, at, stuck.config_error);
    }

    /// A good read: the API server works.
    pub(crate) fn clear_errors(&mut self, at: Instant) {
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

fn set_grace(timer: &mut Option<Grace>, at: Instant, trouble: Option<Trouble<'_>>) {
    if timer.is_none() && trouble.is_none() {
        return;
    }
    *timer = trouble.map(|trouble| Grace {
        since: timer.as_ref().map_or(at, |grace| grace.since),
        failure: Box::new(trouble.failure()),
    });
}

/// Starts the timer if the condition holds and it is not running, cancels it if the condition does not hold.
pub(crate) fn set(timer: &mut Option<Instant>, at: Instant, condition: bool) {
    *timer = condition.then(|| timer.unwrap_or(at));
}

/// The last thing that somebody else said about why nothing moves: the scheduler, or the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LastWord(pub(crate) String);

impl LastWord {
    /// Longest message that is kept, in bytes: foreign text ends up in failures and logs.
    const LONGEST: usize = 300;

    /// Keeps the beginning of `text`, without allocating where it says the same again.
    pub(crate) fn set(&mut self, text: &str) {
        // Nothing to keep, as nearly always. Told apart first because comparing two empty strings costs more than all the
        // rest of a decision: some vectorised `memcmp`s load from the pointer, which for an empty String is invalid.
        if text.is_empty() {
            self.0.clear();
            return;
        }
        let mut end = text.len().min(Self::LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if self.0 != text[..end] {
            self.0.clear();
            self.0.push_str(&text[..end]);
        }
    }

    /// The text in parentheses with a leading space, or nothing.
    pub(crate) fn in_parentheses(&self) -> String {
        if self.0.is_empty() { String::new() } else { alloc::format!(" ({})", self.0) }
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
        assert_eq!(word.0, "ä".repeat(150));
        // One byte off, so that the limit falls into the middle of a character.
        word.set(&("x".to_owned() + &"ä".repeat(400)));
        assert_eq!(word.0, "x".to_owned() + &"ä".repeat(149));
        word.set("");
        assert_eq!(word.in_parentheses(), "");
    }
}
