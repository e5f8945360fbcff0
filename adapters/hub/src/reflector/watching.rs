//! The events and the ends of watches.

use super::{Event, Head, Reflector};
use crate::call::Purpose;
use crate::failure::{ApiFailure, Via};
use crate::hash::TextHash;
use crate::link::early_end;
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::registry::{PodId, Read, SelectorMatch};
use crate::shared::REFUSALS;
use core::time::Duration;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    /// The API server has opened a watch.
    pub(super) fn on_opened(&mut self, now: Instant, purpose: &Purpose) {
        match *purpose {
            Purpose::SharedWatch => {
                let Some(shared) = &mut self.shared else { return };
                shared.forgiven = REFUSALS;
                shared.health.is_failing = false;
                shared.refusal = None;
                shared.link.opened(now);
                self.leave_covered();
            }
            Purpose::SharedProbe => {
                if let Some(shared) = &mut self.shared {
                    shared.probe.opened();
                }
            }
            Purpose::OwnWatch(pod) => {
                if let Some(own) = self.own_mut(pod) {
                    own.is_failing = false;
                    own.link.opened(now);
                }
                self.set_own_alarm(pod);
            }
            Purpose::OwnProbe(pod) => {
                if let Some(probe) = self.registry.pods.get_mut(pod).and_then(|entry| entry.probe.as_mut()) {
                    probe.opened();
                }
            }
            Purpose::WatchList | Purpose::Page | Purpose::Read { .. } => {}
        }
    }

    /// An event of a watch.
    pub(super) fn on_event(
        &mut self,
        now: Instant,
        purpose: &Purpose,
        event: Event,
        head: Head<'_>,
        read: impl FnOnce() -> Result<O, ApiFailure>,
    ) {
        match *purpose {
            Purpose::SharedWatch => self.on_shared_event(event, head, read, now),
            Purpose::OwnWatch(pod) => self.on_own_event(now, pod, event, head, read),
            Purpose::SharedProbe => self.on_probe_event(now, None, event, head, read),
            Purpose::OwnProbe(pod) => self.on_probe_event(now, Some(pod), event, head, read),
            Purpose::WatchList => match event {
                Event::State => self.on_item(head, read),
                Event::Deleted => self.on_shared_event(event, head, read, now),
                Event::Bookmark | Event::Listed => {}
            },
            Purpose::Page | Purpose::Read { .. } => {}
        }
    }

    /// An object of a probe or of the watch of the scope. `is_by_name` if the request had no selector.
    pub(super) fn on_object(&mut self, now: Instant, pod: PodId, event: Event, is_by_name: bool, object: O) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let is_unfiltered = self.shared.as_ref().is_some_and(|shared| shared.scope.is_unfiltered());
        let version = parse_resource_version(object.resource_version());
        let is_latest = entry.version <= Some(version);
        if event != Event::Deleted {
            // Events of another pod with the same name do not belong to the missed pod.
            if let Some(missed) =
                entry.missed.as_mut().filter(|missed| missed.uid == TextHash::of(object.uid()))
            {
                missed.at = missed.at.max(version);
            }
            self.report_late_read(now, pod);
            self.deliver(pod, Observed::Pod(Via::Watch, object));
            if let Some(entry) = self.registry.pods.get_mut(pod).filter(|_| is_latest && !is_by_name) {
                entry.matched();
            }
        } else if is_by_name || is_unfiltered || entry.is_gone(&object) {
            self.deliver(pod, Observed::Deleted(object));
        } else {
            // The pod may only have lost its label.
            entry.unconfirmed = Some(object);
            entry.matches = SelectorMatch::No;
            // The answer to a read under way may be from before this event.
            self.forget_read(pod);
            self.ask(now, pod, Duration::ZERO);
        }
    }

    /// The label selector does not match the pod, so the pod has to be read.
    pub(super) fn mark_unmatched(&mut self, now: Instant, pod: PodId) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        entry.matches = SelectorMatch::No;
        // A read is under way, or the last one did not find the pod.
        if entry.read == Read::Sent(false) || entry.confirming > 0 {
            return self.reschedule_pod(pod);
        }
        // A read that was queued in favour of a LIST gets nothing from it, and the answer to a LIST by name under way
        // may be from before.
        self.forget_read(pod);
        self.ask(now, pod, Duration::ZERO);
    }

    pub(super) fn unreadable_event(failure: ApiFailure) -> ApiFailure {
        Self::unreadable("watch event", failure)
    }

    /// A watch has ended without an error.
    pub(super) fn on_end(&mut self, now: Instant, purpose: Purpose) {
        match purpose {
            Purpose::SharedWatch => {
                let Some(shared) = &mut self.shared else { return };
                if !shared.link.ends_in_order(now) {
                    return self.lose_shared(now, early_end());
                }
                // Up to its end the watch has sent all events.
                shared.health.ends_in_order(now);
                self.renew_shared(now);
            }
            Purpose::OwnWatch(pod) => {
                let Some(own) = self.own_mut(pod) else { return };
                if !own.link.ends_in_order(now) {
                    return self.lose_own(now, pod, early_end());
                }
                own.goes_on_until = now.after(crate::link::SHORTEST_REST);
                self.renew_own(now, pod);
            }
            Purpose::SharedProbe => self.lose_shared_probe(now, None),
            Purpose::OwnProbe(pod) => self.lose_probe(now, pod, None),
            purpose @ (Purpose::WatchList | Purpose::Page | Purpose::Read { .. }) => {
                let failure = ApiFailure::new(purpose.via(), 0, "the response ended early");
                self.has_failed(now, purpose, failure);
            }
        }
    }
}
