//! Which waits have to receive an observation.

use super::entries::{How, What};
use super::history::History;
use super::index::Topic;
use super::story::Story;
use crate::pod::Pod;
use podwait_hub::{ApiFailure, Confirms, Observed, Via, WaitId};

impl History {
    /// An observation of a pod, for all of its waits; if a watch sends an old state, for those that need it.
    pub fn show(&mut self, pod: usize, observed: Observed<Pod>) {
        let story = self.story();
        if let Observed::Pod(Via::Watch, object) | Observed::Deleted(object) = &observed
            && story.version(pod).is_some_and(|shown| object.revision <= shown)
        {
            let to = story.in_need(pod, &object.uid);
            return self.push(What::Shown { pod, how: How::Replay, observed, to });
        }
        match (story.doubted(pod).cloned(), &observed) {
            (Some(gone), Observed::NotFound(_)) => {
                return self.push_shown(pod, How::Confirmed, Observed::Deleted(gone));
            }
            (Some(gone), Observed::Pod(_, found))
                if gone.uid != found.uid && gone.revision <= found.revision =>
            {
                self.push_shown(pod, How::Replay, Observed::Deleted(gone));
            }
            _ => {}
        }
        self.push_shown(pod, How::News, observed);
    }

    pub fn push_shown(&mut self, pod: usize, how: How, observed: Observed<Pod>) {
        let (_, to) = self.story().waits(pod);
        self.push(What::Shown { pod, how, observed, to });
    }

    /// A watch sends a state that may be old: the waits whose read is late receive that first.
    pub fn report_late(&mut self, pod: usize) {
        let story = self.story();
        if story.version(pod).is_none() {
            return;
        }
        let is_late = |wait: &WaitId| {
            story.pending(*wait).is_empty()
                && story.want(*wait).is_some_and(|(place, after, confirms)| {
                    confirms == Confirms::Nothing && story.at(place).saturating_add(after) < self.now
                })
        };
        let to: Vec<WaitId> = story.waits(pod).1.into_iter().filter(is_late).collect();
        if !to.is_empty() {
            let observed = Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"));
            self.push(What::Shown { pod, how: How::Late, observed, to });
        }
    }
}

impl<'a> Story<'a> {
    /// The waits that need an object of that uid although a newer one was shown: those that confirm, and those that
    /// are for that uid while another pod has the name.
    pub fn in_need(self, pod: usize, uid: &str) -> Vec<WaitId> {
        let is_shown = self.shown(pod).is_some_and(|shown| shown.uid == uid);
        let needs = |wait: &WaitId| self.confirms(*wait) || (!is_shown && self.uid(*wait) == Some(uid));
        self.waits(pod).1.into_iter().filter(needs).collect()
    }

    /// Whether a wait is for another pod of the name than the one that was shown.
    pub fn is_for_another(self, pod: usize) -> bool {
        let shown = self.shown(pod).map(|shown| shown.uid.as_str());
        self.waits(pod).1.into_iter().any(|wait| self.uid(wait).is_some_and(|uid| shown != Some(uid)))
    }

    /// The uid that was known when the wait joined.
    pub fn uid(self, wait: WaitId) -> Option<&'a str> {
        self.about(Topic::Waits(self.pod_of(wait)), 0).find_map(|(_, what)| {
            let What::Join { wait: other, uid, .. } = what else { return None };
            (*other == wait).then_some(uid.as_deref())
        })?
    }
}
