//! The latest time of the answer.

use crate::storm::Run;
use crate::storm::truth::ShownBy;
use std::time::Duration;

impl Run {
    /// The latest time of the answer.
    ///
    /// From the last change that matters it is the sum of the policy's own delays, the 30 s after which a silent watch
    /// is checked, a call that hangs (10 s), the longest backoff (5 s), and the queue of other reads. The sum begins
    /// again after every spell that may have prevented reads in that time.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let truth = &self.story.truth;
        let decided = match truth.shown_by {
            // The answer about a step that has ended comes at once, whatever happens to its pod.
            ShownBy::Record(_) if self.story.successor.is_none() => {
                let mut history = self.story.history.iter();
                history.find(|(_, event)| truth.shown_by.matches(&event.object)).map(|(at, _)| *at)
            }
            ShownBy::Record(_) | ShownBy::Phase(_) | ShownBy::Cause | ShownBy::Start | ShownBy::Anything => {
                None
            }
        };
        let mut last = decided.unwrap_or_else(|| self.story.end()).max(self.story.wait_at);
        let mut patience = truth.patience.max(self.limits.settle.unwrap_or_default());
        if self.story.successor.is_some() && self.story.knows_uid {
            // A wait that begins too late waits until the start deadline for a pod that is gone.
            patience = patience.max(Duration::from_secs(600));
        }
        let around = Duration::from_secs(30 + 10 + 5) + self.turn * 5;
        if matches!(truth.shown_by, ShownBy::Phase(_))
            && self.weather.harms_watches(last, last + patience + around)
        {
            // A missing record is awaited in observed time (rule 7). Each failed watch removes the gap between two
            // reads from the observed time. Reads are at least as frequent as attempts to watch, so that at least half
            // of the time counts.
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
}
