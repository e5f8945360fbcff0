//! The watch of the scope: its events and its end.

use super::{Event, Head, Reflector};
use crate::failure::{ApiFailure, Via, is_refusal};
use crate::lane::Lane;
use crate::link::{LONGEST_REST, rest_after};
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::own::{Cause, Own};
use crate::pace::Pace;
use crate::registry::{Entry, PodId, Read, SelectorMatch};
use crate::shared::{REFUSALS, Service};
use alloc::boxed::Box;
use alloc::vec::Vec;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    pub(super) fn on_shared_event(
        &mut self,
        event: Event,
        head: Head<'_>,
        read: impl FnOnce() -> Result<O, ApiFailure>,
        now: Instant,
    ) {
        let Some(shared) = &mut self.shared else { return };
        if event == Event::Bookmark {
            shared.health.is_behind = false;
            shared.link.has_reached(head.resource_version, false);
            return;
        }
        if !shared.scope.includes(head.namespace) {
            return;
        }
        shared.link.has_reached(head.resource_version, true);
        shared.health.is_current();
        let is_open = shared.link.is_open();
        let Some(pod) = self.registry.find(head.namespace, head.name) else {
            return self.collect(Via::Watch, event, read);
        };
        // A watch that resumes from an older version repeats what a read has found, so the event says nothing about the
        // read.
        let version = parse_resource_version(head.resource_version);
        let is_of_use = event == Event::Deleted || self.registry.is_of_use(pod, version);
        let entry = &mut self.registry.pods[pod];
        if !is_of_use {
            if entry.version == Some(version) {
                entry.matched();
            }
            self.cover(pod, is_open);
            return;
        }
        match read() {
            Ok(object) => self.on_object(now, pod, event, false, object),
            // This concerns neither the watch nor the other waits.
            Err(failure) => {
                if event == Event::Deleted {
                    entry.matches = SelectorMatch::No;
                }
                self.deliver(pod, Observed::Failed(Self::unreadable_event(failure)));
            }
        }
        self.cover(pod, is_open);
    }

    /// The watch of the scope has shown a pod.
    pub(super) fn cover(&mut self, pod: PodId, is_open: bool) {
        let Some(own) = self.own_mut(pod) else { return };
        if let Cause::Refused { is_covered } = &mut own.cause {
            *is_covered = true;
            if is_open {
                self.leave_own(pod);
            }
        }
    }

    /// The watch of the scope is open: the pods that it covers need no watch of their own.
    pub(super) fn leave_covered(&mut self) {
        let is_covered = |own: &Own| matches!(own.cause, Cause::Refused { is_covered: true });
        let pods = self.registry.pods.iter();
        let covered: Vec<PodId> = pods
            .filter(|(_, entry)| entry.own.as_deref().is_some_and(is_covered))
            .map(|(pod, _)| pod)
            .collect();
        covered.into_iter().for_each(|pod| self.leave_own(pod));
    }

    pub(super) fn leave_own(&mut self, pod: PodId) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let own = entry.own.take();
        if let Read::Queued(Lane::Own, _) = entry.read {
            self.forget_read(pod);
        }
        self.close_own(pod, own);
        self.reschedule_pod(pod);
    }

    /// Replaces a watch that did not fail by a new one.
    pub(super) fn renew_shared(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else { return };
        shared.link.end(now);
        if let Some(id) = shared.link.request() {
            self.calls.close(id);
        }
        shared.link.resume();
    }

    /// The watch of the scope failed. Resumes it, or waits before the next one.
    pub(super) fn lose_shared(&mut self, now: Instant, failure: ApiFailure) {
        let Some(shared) = &mut self.shared else { return };
        let failed = shared.link.fail(now);
        if let Some(id) = shared.link.request() {
            self.calls.close(id);
        }
        shared.health.is_failing = true;
        self.lanes[Lane::Shared].rate.heed(now, &failure);
        let is_refused = is_refusal(&failure);
        // A single proxy answer is no refusal; repeated answers are, whatever they are.
        if is_refused && (failure.is_status || failed >= REFUSALS) {
            let Some(left) = shared.forgiven.checked_sub(1) else { return self.refuse(now, failure) };
            shared.forgiven = left;
        }
        if failed == 0 && !failure.is_expired() && shared.link.reached().is_some() {
            // A short interruption, for instance of a load balancer. The next watch delivers the missed events.
            return shared.link.resume();
        }
        shared.link.rest(now.after(rest_after(failed)));
        if is_refused {
            self.reschedule(|entry| entry.own.is_none());
        } else if !failure.is_expired() {
            self.fail_shared(&failure);
        }
    }

    /// A request for all pods has failed. Reads continue.
    pub(super) fn fail_shared(&mut self, failure: &ApiFailure) {
        self.fail_collection(failure);
        self.fall_behind();
        let pods = self.registry.pods.iter();
        // A pod with a read under way receives the result of that read instead: the read may succeed, and until then
        // the watch's failure must not use up a budget.
        let is_meant = |entry: &Entry<O>| entry.own.is_none() && !matches!(entry.read, Read::Sent(_));
        let pods: Vec<PodId> = pods.filter(|(_, entry)| is_meant(entry)).map(|(pod, _)| pod).collect();
        for pod in pods {
            self.queue_delivery(pod, &Observed::Failed(failure.clone()));
        }
    }

    /// The server refuses to watch all pods of the scope: until it allows that, each has a watch of its own.
    pub(super) fn refuse(&mut self, now: Instant, failure: ApiFailure) {
        self.fail_collection(&failure);
        let Some(shared) = &mut self.shared else { return };
        shared.refusal = Some(failure);
        // An open probe may still deliver the final states.
        let (probe, missed) = (core::mem::take(&mut shared.probe), shared.missed);
        self.stop(Service::Refused(now.after(LONGEST_REST)));
        if let Some(shared) = &mut self.shared {
            (shared.probe, shared.missed) = (probe, missed);
        }
        let all: Vec<PodId> = self.registry.pods.keys().collect();
        for pod in all {
            let entry = &mut self.registry.pods[pod];
            match &mut entry.own {
                Some(own) => {
                    if let Cause::Refused { is_covered } = &mut own.cause {
                        *is_covered = false;
                    }
                    continue;
                }
                None => {
                    let cause = Cause::Refused { is_covered: false };
                    entry.own = Some(Box::new(Own::new(now, cause, true)));
                }
            }
            self.forget_read(pod);
            for wait in self.registry.pods[pod].waits.clone() {
                let Some(place) = self.registry.waits.get_mut(wait) else { continue };
                place.pace = Pace::Again;
                if place.alarm.is_some() {
                    self.schedule(wait);
                }
            }
        }
        self.probe_by_name(now);
    }

    /// The scope is tried again: the pods that had left it take part, and keep their own watches until the scope covers
    /// them.
    pub(super) fn rejoin(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else { return };
        for entry in self.registry.pods.values_mut() {
            let Some(Cause::Refused { is_covered }) = entry.own.as_mut().map(|own| &mut own.cause) else {
                continue;
            };
            *is_covered = false;
            entry.came = shared.lister.count;
            shared.lister.join(now);
        }
    }

    /// Replaces the watch by a LIST: a current read shows an older state of a pod, or a state that the watch should
    /// have shown, so the store was restored from a backup. A watch from a resourceVersion that the server has yet to
    /// reach delivers nothing (kubernetes#107457). A stale cache on the way looks the same, so this is done rarely.
    pub(super) fn list_anew(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else { return };
        let rests = shared.listed_anew.is_some_and(|at| now < at.after(LONGEST_REST));
        if shared.lister.listing.is_none() && !rests {
            shared.listed_anew = Some(now);
            if let Some(id) = shared.link.request() {
                self.calls.close(id);
            }
            shared.link.rest(now);
        }
    }
}
