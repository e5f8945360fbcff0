//! By when the answer must be there.

use crate::storm::Run;
use crate::storm::truth::ToldBy;
use std::time::Duration;

/// The policy's own, which is not drawn by lot.
const IMAGE_PULL_GRACE: Duration = Duration::from_secs(120);

impl Run {
    /// When the answer must be there at the latest.
    ///
    /// Counted from the last change that matters: the policy's own waiting time, the 30 s after which a silent watch is
    /// checked, a call that hangs (10 s), the longest backoff (5 s), its turn among others; and all that again after every
    /// spell that may have kept the wait from reading during it.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let truth = &self.story.truth;
        let decided = match truth.told_by {
            // A step that has ended is told at once, whatever becomes of its pod.
            ToldBy::Record(_) if self.story.successor.is_none() => {
                let mut history = self.story.history.iter();
                history.find(|(_, event)| truth.told_by.tells(&event.object)).map(|(at, _)| *at)
            }
            ToldBy::Record(_) | ToldBy::Phase(_) | ToldBy::Cause | ToldBy::Start | ToldBy::Anything => None,
        };
        let mut last = decided.unwrap_or_else(|| self.story.end()).max(self.story.wait_at);
        let mut patience = truth.patience.max(self.limits.settle.unwrap_or_default());
        if self.has_missed_the_refusal() {
            patience = patience.max(IMAGE_PULL_GRACE);
        }
        if self.story.successor.is_some() && self.story.knows_uid {
            // Whoever comes too late waits until the start deadline for a pod that is gone.
            patience = patience.max(Duration::from_secs(600));
        }
        let around = Duration::from_secs(30 + 10 + 5) + self.turn * 5;
        if matches!(truth.told_by, ToldBy::Phase(_))
            && self.weather.harms_watches(last, last + patience + around)
        {
            // A missing record is awaited in observed time (rule 7), and each watch that fails takes the gap between two reads out
            // of that. Reads are made at least as often as watches are tried again, so that half of the time counts.
            patience *= 2;
        }
        let slack = patience + around;
        for (from, to) in self.weather.shadows() {
            if from <= last + slack {
                last = last.max(to);
            }
        }
        last + slack
    }

    /// Whether the registry has refused the image for good, and no object that arrived says so: who comes late finds only that
    /// the kubelet backs off, which may be for any reason, and has to grant the time for those.
    fn has_missed_the_refusal(&self) -> bool {
        let history = self.story.history.iter();
        let mut refusals = history
            .filter(|(_, event)| event.object["status"].to_string().contains("code = NotFound"))
            .map(|(_, event)| event.revision)
            .peekable();
        let has_arrived = |revision| self.ledger.objects.iter().any(|object| object.version == revision);
        refusals.peek().is_some() && !refusals.any(has_arrived)
    }
}
