//! What an answer is worth, given the truth and what could be known of it.

use crate::storm::Run;
use crate::storm::life::uid;
use crate::storm::truth::{Answer, ToldBy, Truth};
use podwait::{Class, FailReason};
use podwait_sim::EventType;
use std::fmt;
use std::time::Duration;

/// How long an object must have stood in the store in fair weather to count as observable even if nothing asked for it: a
/// watch that is silent makes its GET after 30 s, a poll after 5 s.
const IN_PLAIN_SIGHT: Duration = Duration::from_secs(45);

/// What one answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// True.
    Right,
    /// The API server could not be read for longer than the budget, and the wait says so.
    CutOff,
    /// Less than the truth, which nobody could observe, and not green.
    Unseen,
    /// Untrue, and not green.
    Wrong,
    /// Exit 0, and that is not true.
    Greener,
    /// Less than the truth, though it was observable.
    Lost,
    /// A failure that only the weather explains, though no outage exceeded the budget.
    Spurious,
    /// No answer within the bound.
    Hung,
}

impl Verdict {
    /// Whether this must not be.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        match self {
            Self::Right | Self::CutOff | Self::Unseen => false,
            Self::Wrong | Self::Greener | Self::Lost | Self::Spurious | Self::Hung => true,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Right => "right",
            Self::CutOff => "cut off",
            Self::Unseen => "unseen",
            Self::Wrong => "WRONG",
            Self::Greener => "GREENER THAN THE TRUTH",
            Self::Lost => "LOST",
            Self::Spurious => "SPURIOUS",
            Self::Hung => "HUNG",
        })
    }
}

impl Run {
    /// Judges the answer.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let Some(answer) = self.answer else { return Verdict::Hung };
        let verdict = self.worth(answer);
        if !verdict.is_bad() && self.answered_at > self.bound() { Verdict::Hung } else { verdict }
    }

    fn worth(&self, answer: Answer) -> Verdict {
        let ours = self.ours();
        let truth = self.truth_of(ours);
        if self.code_beside.is_some_and(|code| !self.story.has_code(code)) {
            return Verdict::Wrong;
        }
        if truth.right.contains(&answer) {
            return Verdict::Right;
        }
        match answer {
            Answer::Exit(0, _) => Verdict::Greener,
            Answer::Exit(..) => Verdict::Wrong,
            Answer::Fail(reason) if reason.class() == Class::Api => {
                if self.was_cut_off(reason) {
                    Verdict::CutOff
                } else {
                    Verdict::Spurious
                }
            }
            // An exit 0 that had not settled when the pod was gone: the caller wanted to be sure, and is told the code.
            Answer::Fail(FailReason::PodDeleted | FailReason::PodReplaced)
                if self.limits.settle.is_some() && self.code_beside == Some(0) && !truth.right.is_empty() =>
            {
                Verdict::Unseen
            }
            // The last look, too, found the pod as it was before the record, which no other look could find.
            Answer::Fail(FailReason::TerminatedStateMissing)
                if self.weather.is_stale(self.answered_at, self.answered_at)
                    && !self.was_observable(ours, truth.told_by) =>
            {
                Verdict::Unseen
            }
            // The last look, too, found the pod as it was before the image or the Secret came.
            Answer::Fail(FailReason::ImagePull | FailReason::ContainerConfigError)
                if self.weather.is_stale(self.answered_at, self.answered_at)
                    && !self.was_observable(ours, ToldBy::Start) =>
            {
                Verdict::Unseen
            }
            // The caller's own limit, and true as far as could be known.
            Answer::Fail(FailReason::StartTimeout) if !self.was_observable(ours, ToldBy::Start) => {
                Verdict::Unseen
            }
            Answer::Fail(reason) if truth.vague.contains(&reason) => {
                let is_never_seen = reason == FailReason::PodNeverSeen;
                let told_by = if is_never_seen { ToldBy::Anything } else { truth.told_by };
                if self.was_observable(ours, told_by) { Verdict::Lost } else { Verdict::Unseen }
            }
            // A limit of the policy that ran out while the API could not be read, as if it had been.
            Answer::Fail(
                FailReason::PodNeverSeen
                | FailReason::ImagePull
                | FailReason::ContainerConfigError
                | FailReason::NodeLost
                | FailReason::PodDeleted
                | FailReason::StartTimeout,
            ) if self.weather_was_bad() => Verdict::Spurious,
            Answer::Fail(_) => Verdict::Wrong,
        }
    }

    /// The uid of the pod that the wait is about: the one it was told, or else the first one that reached it.
    fn ours(&self) -> &str {
        let first_seen = || {
            let first = self.ledger.objects.iter().find(|object| !object.is_recalled)?;
            self.story.history.iter().find(|(_, event)| event.revision == first.version)
        };
        match first_seen().filter(|_| !self.story.knows_uid) {
            Some((_, event)) => uid(event),
            None => self.story.first_uid(),
        }
    }

    fn truth_of(&self, ours: &str) -> &Truth {
        let story = &self.story;
        story.successor.as_ref().filter(|_| ours != story.first_uid()).unwrap_or(&story.truth)
    }

    /// Whether an object that tells the truth about our pod could be observed: it arrived whole, or it stood in the store
    /// for a while, during the wait, in weather that harmed no read.
    fn was_observable(&self, ours: &str, told_by: ToldBy) -> bool {
        let mut standing: Option<Duration> = None;
        for (at, event) in &self.story.history {
            if uid(event) != ours {
                continue;
            }
            let tells = told_by.tells(&event.object);
            if tells && self.has_arrived(ours, event.revision) {
                return true;
            }
            let stands = tells && event.kind != EventType::Deleted;
            match (standing, stands) {
                (None, true) => standing = Some(*at),
                (Some(since), false) => {
                    if self.is_in_plain_sight(since, *at) {
                        return true;
                    }
                    standing = None;
                }
                (Some(_), true) | (None, false) => {}
            }
        }
        standing.is_some_and(|since| self.is_in_plain_sight(since, self.answered_at))
    }

    /// Whether that object arrived, and no newer one of the pod before it: what is old by then is no news.
    fn has_arrived(&self, ours: &str, revision: u64) -> bool {
        let versions = self.story.history.iter().filter(|(_, event)| uid(event) == ours);
        let versions: Vec<u64> = versions.map(|(_, event)| event.revision).collect();
        let (mut newest, mut is_known) = (0, false);
        self.ledger.objects.iter().any(|object| {
            let is_missed = is_known && self.is_gone(ours, object.at);
            if object.is_recalled && !(is_missed && object.at < self.answered_at) {
                return false;
            }
            is_known |= versions.contains(&object.version);
            let is_news = object.version >= newest || object.is_gone;
            newest = newest.max(object.version);
            is_news && object.version == revision
        })
    }

    /// Whether the pod was no longer in the store by then.
    fn is_gone(&self, ours: &str, by: Duration) -> bool {
        let mut ends = self.story.history.iter().filter(|(_, event)| event.kind == EventType::Deleted);
        ends.any(|(at, event)| *at <= by && uid(event) == ours)
    }

    fn is_in_plain_sight(&self, from: Duration, to: Duration) -> bool {
        let (mut from, to) = (from.max(self.story.wait_at), to.min(self.answered_at));
        for (begin, end) in self.weather.shadows() {
            if begin.min(to).saturating_sub(from) >= IN_PLAIN_SIGHT {
                return true;
            }
            from = from.max(end);
        }
        to.saturating_sub(from) >= IN_PLAIN_SIGHT
    }

    /// Whether a failure of the API is true: nothing was read for as long as the budget, all that time was in the shadow of
    /// bad weather, and the weather was still bad at the last look.
    fn was_cut_off(&self, reason: FailReason) -> bool {
        let budget = if reason == FailReason::ApiUnavailable {
            self.limits.api
        } else if matches!(reason, FailReason::Unauthorized | FailReason::Forbidden) {
            self.limits.auth
        } else {
            // Nothing in the weather makes the request itself a bad one.
            return false;
        };
        let end = self.answered_at;
        let Some(begin) = end.checked_sub(budget) else { return false };
        let was_read = self.ledger.last_good_read(end).is_some_and(|at| at > begin);
        let mut begin = begin + self.turn;
        if self.weather.harms_watches(begin, begin) {
            // A watch that fails is where the budget begins, too; reads fail from the next one on.
            begin = self.ledger.requests.iter().copied().find(|at| *at > begin).unwrap_or(begin);
        }
        let is_covered = self.weather.shadows().iter().any(|(from, to)| *from <= begin && end <= *to);
        !was_read && is_covered && self.weather_was_bad()
    }

    /// Whether the weather harmed reads at the time of the answer, or of the call that hung until then.
    fn weather_was_bad(&self) -> bool {
        let last_look = self.answered_at.saturating_sub(Duration::from_secs(11));
        self.weather.harms_reads(last_look, self.answered_at)
    }
}
