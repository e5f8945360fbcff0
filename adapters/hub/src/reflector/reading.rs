//! The answers to reads of one pod.

use super::Reflector;
use crate::failure::Via;
use crate::lane::Lane;
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::pace::Coverage;
use crate::registry::{PodId, SelectorMatch};
use alloc::string::String;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    /// The answer to a read that was sent when the pod was in that generation; `None` if the label selector does not
    /// match the pod.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        pod: PodId,
        generation: u64,
        observed: Option<Observed<O>>,
    ) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        if entry.generation != generation {
            // Another answer was faster, so this one is old, unless it has a later state of the pod.
            if let Some(observed @ Observed::Pod(_, found)) = &observed
                && entry.is_worth(parse_resource_version(found.resource_version()))
            {
                let observed = observed.clone();
                self.deliver(pod, observed);
            }
            return;
        }
        let Some(observed) = observed else {
            // Then the pod is read by a GET, unless it does not exist.
            return self.mark_unmatched(now, pod);
        };
        let has_failed = matches!(observed, Observed::Failed(_));
        let is_own = entry.own.is_some();
        if let Some(own) = &mut entry.own {
            own.is_failing = has_failed;
        } else if let Some(shared) = &mut self.shared {
            let is_back = core::mem::replace(&mut shared.health.has_failed_reads, has_failed) && !has_failed;
            shared.health.is_failing = has_failed;
            shared.health.is_behind |= has_failed;
            if is_back {
                // The server works again: a new watch replaces the reads of all other pods.
                shared.link.rest_no_longer(now);
            }
        }
        match observed {
            Observed::Pod(via, found) => {
                self.on_found(now, pod, via, found, is_own);
            }
            Observed::NotFound(via) => {
                self.deliver(pod, Observed::NotFound(via));
                if is_own {
                    self.rest_own(now, pod);
                }
            }
            Observed::Failed(failure) => {
                self.lanes[if is_own { Lane::Own } else { Lane::Shared }].rate.heed(now, &failure);
                self.deliver(pod, Observed::Failed(failure));
            }
            Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => self.forget_read(pod),
        }
    }

    /// A pod was found: updates its watch.
    fn on_found(&mut self, now: Instant, pod: PodId, via: Via, found: O, is_own: bool) {
        let text: String = found.resource_version().into();
        let version = parse_resource_version(&text);
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        if entry.matches == SelectorMatch::No {
            // The pod exists, and the watch of the scope does not have it: only a watch by name can show its end.
            entry.has_matched = false;
        }
        let before = entry.version;
        self.deliver(pod, Observed::Pod(via, found));
        if is_own {
            return self.watch_from(now, pod, &text);
        }
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        if via == Via::List {
            entry.matched();
        }
        let Some(entry) = self.registry.pods.get(pod) else { return };
        let is_watched = self.coverage(entry) == Coverage::Watched;
        let Some(shared) = &mut self.shared else { return };
        // The watch is past this change without having shown it.
        let is_past = shared.link.is_open() && (version..u64::MAX).contains(&shared.link.place());
        let was_passed_over = is_watched && is_past && before.is_some_and(|before| before < version);
        if was_passed_over || before > Some(version) {
            self.list_anew(now);
        } else if is_watched {
            shared.link.expect(now, version);
        }
    }
}
