//! The search for what came before a pod was gone: what is missed, and which probe is due.

use super::entries::{Call, How, Role, What};
use super::history::History;
use super::index::Topic;
use super::pod::Own;
use super::scope::{REST, Service, is_refusal};
use super::story::Story;
use podwait_hub::{ApiFailure, Observed, RequestId, Via};

impl History {
    /// No wait confirms any more that the pod is gone.
    pub fn find(&mut self, pod: usize) {
        self.push(What::Found { pod });
        self.push(What::NoProbe { of: Some(pod) });
        if !self.story().is_any_missed() {
            self.push(What::NoProbe { of: None });
        }
    }

    /// A wait confirms that the pod is gone: what came before is looked for, from the version up to which all was
    /// shown.
    pub fn miss(&mut self, pod: usize) {
        let story = self.story();
        let Some(good) = story.last_good(pod) else { return };
        let before = story.before(good);
        let Some(shown) = before.shown(pod) else { return };
        let is_shared = story.alone(pod).is_none() && (story.is_unfiltered() || story.had_matched(pod, good));
        let place = if is_shared { story.place_before(pod, good) } else { 0 };
        let is_open = match (is_shared, story.alone(pod)) {
            (true, _) => story.open_watch().is_some(),
            (false, Some(_)) => story.open(Role::OwnWatch(pod)).is_some_and(|call| call.opened.is_some()),
            (false, None) => false,
        };
        let (at, uid, of) = (shown.revision, shown.uid.clone(), (!is_shared).then_some(pod));
        self.push(What::Missed { pod, at, uid, is_shared });
        self.listen(of, at.max(place), self.now + if is_open { REST.0 } else { 0 });
    }

    /// A probe from there is needed. If none is under way, it does not begin before `at`.
    pub fn listen(&mut self, of: Option<usize>, from: u64, at: u64) {
        let story = self.story();
        let due = match (story.probing(of), story.probe_due(of)) {
            (Some(call), _) => (from < story.reached(call).0).then_some((from, at)),
            (None, Some((earlier, at))) => Some((from.min(earlier), at)),
            (None, None) => Some((from, at)),
        };
        if let Some((from, at)) = due {
            self.push(What::Probe { of, from, at });
        }
    }

    /// The probe of the scope cannot be opened: each of its missed pods has one by its name.
    pub fn probe_by_name(&mut self) {
        let story = self.story();
        if !matches!(story.service(), Service::Refused(_)) || story.probing(None).is_some() {
            return;
        }
        let missed = story.pods().into_iter().filter_map(|pod| Some((pod, story.missed(pod)?)));
        let missed: Vec<(usize, u64)> =
            missed.filter(|(_, missed)| missed.is_shared).map(|(pod, missed)| (pod, missed.at)).collect();
        self.push(What::ByName);
        self.push(What::NoProbe { of: None });
        for (pod, at) in missed {
            self.listen(Some(pod), at, self.now);
        }
    }

    pub fn loses_probe(&mut self, of: Option<usize>, id: RequestId, failure: Option<ApiFailure>) {
        let story = self.story();
        let Some(call) = story.call(id) else { return };
        let from = story.reached(call).0;
        self.push(What::Probe { of, from, at: self.now + REST.0 });
        let Some(failure) = failure.filter(|failure| failure.is_expired() || is_refusal(failure)) else {
            if of.is_none() {
                self.probe_by_name();
            }
            return;
        };
        self.push(What::NoProbe { of });
        let story = self.story();
        let is_watched = match of {
            None => story.link().is_on(),
            Some(pod) => story.alone(pod).is_some() && matches!(story.own(pod), Own::On(_)),
        };
        if is_watched {
            return;
        }
        let missed = |pod: &usize| match of {
            Some(of) => of == *pod,
            None => self.story().missed(*pod).is_some_and(|missed| missed.is_shared),
        };
        for pod in self.story().pods().into_iter().filter(missed).collect::<Vec<_>>() {
            self.push_shown(pod, How::Beside, Observed::Failed(failure.clone()));
        }
    }
}

impl<'a> Story<'a> {
    /// Whether the selector had matched the pod when it was seen last before this observation.
    pub fn had_matched(self, pod: usize, good: usize) -> bool {
        // The input that showed it may have been a match itself.
        let input = (0..good).rev().find(|place| self.is_input(*place)).unwrap_or(0);
        self.before(input).has_matched(pod) && self.before(good).has_matched(pod)
    }

    pub fn is_input(self, place: usize) -> bool {
        matches!(
            self.what(place),
            What::Event { .. }
                | What::Item { .. }
                | What::Page { .. }
                | What::Listed { .. }
                | What::Answer { .. }
        )
    }

    /// The version up to which the watch of the scope had shown everything before this observation.
    pub fn place_before(self, pod: usize, good: usize) -> u64 {
        let What::Shown { observed, how, .. } = self.what(good) else { return 0 };
        let is_by_watch = matches!(observed, Observed::Pod(Via::Watch, _))
            || (matches!(observed, Observed::Deleted(_)) && *how == How::News);
        if is_by_watch {
            return 0;
        }
        let earlier = self.before(good).last_good(pod).unwrap_or(0);
        let unlisted = self.before(good).about(Topic::Pod(pod), earlier).rev().find_map(|(_, what)| {
            let What::Unlisted { place, .. } = what else { return None };
            Some(*place)
        });
        unlisted.unwrap_or_else(|| self.before(good).place())
    }

    /// Whether the probe of the scope looks for a pod.
    pub fn is_any_missed(self) -> bool {
        self.pods().into_iter().any(|pod| self.missed(pod).is_some_and(|missed| missed.is_shared))
    }

    /// Where the last decision about a probe is.
    pub fn probe_decided(self, of: Option<usize>) -> Option<usize> {
        self.about(Topic::Probe(of), 0).next_back().map(|(place, _)| place)
    }

    /// The probe that is under way and needed.
    pub fn probing(self, of: Option<usize>) -> Option<Call<'a>> {
        let decided = self.probe_decided(of)?;
        let calls = self.under_way().into_iter();
        calls
            .filter(|call| call.role.probe() == Some(of))
            .find(|call| call.sent > decided && matches!(self.entries[decided].what, What::Probe { .. }))
    }

    /// Where and when a probe is to begin.
    pub fn probe_due(self, of: Option<usize>) -> Option<(u64, u64)> {
        let What::Probe { from, at, .. } = &self.entries[self.probe_decided(of)?].what else { return None };
        self.probing(of).is_none().then_some((*from, *at))
    }
}
