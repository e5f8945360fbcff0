//! Judges an answer by the truth and by what was observable.

use crate::storm::Run;
use crate::storm::life::uid;
use crate::storm::truth::{Answer, ShownBy, Truth};
use podwait::{Class, FailReason};
use podwait_sim::EventType;
use std::fmt;
use std::time::Duration;

/// How long an object must have been in the store without faults to count as observable even if no request read it: a
/// silent watch is followed by a GET after 30 s, a poll by the next one after 5 s.
const IN_PLAIN_SIGHT: Duration = Duration::from_secs(45);

/// The verdict on one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// True.
    Right,
    /// The API server could not be read for longer than the budget, and the answer reports that.
    CutOff,
    /// Less than the truth, which was not observable, and not green.
    Unseen,
    /// False, and not green.
    Wrong,
    /// Exit 0, which is false.
    Greener,
    /// Less than the truth, though it was observable.
    Lost,
    /// A failure because of the weather, although no outage exceeded the budget.
    Spurious,
    /// No answer within the bound.
    Hung,
}

impl Verdict {
    /// Whether this is a defect.
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
            // An exit 0 that had not settled when the pod was gone: by the policy `settle` it is a failure, with the
            // code.
            Answer::Fail(FailReason::PodDeleted | FailReason::PodReplaced)
                if self.limits.settle.is_some() && self.code_beside == Some(0) && !truth.right.is_empty() =>
            {
                Verdict::Unseen
            }
            // The last read, too, was stale and without the record, and no other read could show the record.
            Answer::Fail(FailReason::TerminatedStateMissing)
                if self.weather.is_stale(self.answered_at, self.answered_at)
                    && !self.was_observable(ours, truth.shown_by) =>
            {
                Verdict::Unseen
            }
            // The last read, too, was stale, from before the image or the Secret was available.
            Answer::Fail(FailReason::ImagePull | FailReason::ContainerConfigError)
                if self.weather.is_stale(self.answered_at, self.answered_at)
                    && !self.was_observable(ours, ShownBy::Start) =>
            {
                Verdict::Unseen
            }
            // The caller's own limit, and true by all that was observable.
            Answer::Fail(FailReason::StartTimeout) if !self.was_observable(ours, ShownBy::Start) => {
                Verdict::Unseen
            }
            Answer::Fail(reason) if truth.vague.contains(&reason) => {
                let is_never_seen = reason == FailReason::PodNeverSeen;
                let shown_by = if is_never_seen { ShownBy::Anything } else { truth.shown_by };
                if self.was_observable(ours, shown_by) { Verdict::Lost } else { Verdict::Unseen }
            }
            // A limit of the policy that expired although the API server could not be read.
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

    /// The uid of the wait's pod: the given one, or else that of the first pod that arrived.
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

    /// Whether an object that shows the truth about our pod was observable: it arrived completely, or it was in the
    /// store for a while during the wait, in weather that harmed no read.
    fn was_observable(&self, ours: &str, shown_by: ShownBy) -> bool {
        let mut standing: Option<Duration> = None;
        for (at, event) in &self.story.history {
            if uid(event) != ours {
                continue;
            }
            let is_shown = shown_by.matches(&event.object);
            if is_shown && self.has_arrived(ours, event.revision) {
                return true;
            }
            let stands = is_shown && event.kind != EventType::Deleted;
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

    /// Whether this object arrived, and no newer one of the pod before it, after which it would not count.
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

    /// Whether the pod was no longer in the store at this time.
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

    /// Whether a failure of the API is true: no read succeeded for as long as the budget, there was bad weather or its
    /// aftermath for all that time, and the weather was still bad at the last read.
    fn was_cut_off(&self, reason: FailReason) -> bool {
        let budget = if reason == FailReason::ApiUnavailable {
            self.limits.api
        } else if matches!(reason, FailReason::Unauthorized | FailReason::Forbidden) {
            self.limits.auth
        } else {
            // No weather makes the request itself invalid.
            return false;
        };
        let end = self.answered_at;
        let Some(begin) = end.checked_sub(budget) else { return false };
        let was_read = self.ledger.last_good_read(end).is_some_and(|at| at > begin);
        let mut begin = begin + self.turn;
        if self.weather.harms_watches(begin, begin) {
            // A failed watch also begins the budget; reads fail from the next read on.
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
