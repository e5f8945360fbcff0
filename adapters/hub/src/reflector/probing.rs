//! Probes for the final states of missed pods.

use super::{Alarm, Event, Head, Reflector};
use crate::failure::{ApiFailure, is_refusal};
use crate::lane::Lane;
use crate::link::{Link, SHORTEST_REST};
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::probe::Probe;
use crate::registry::{Before, Entry, Missed, PodId};
use crate::shared::Service;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    /// A deletion or a record is to be confirmed: probes for what came before, from the resourceVersion up to which everything
    /// was delivered. The present watch may have begun later, at the read that did not find the pod.
    pub(super) fn miss(&mut self, now: Instant, pod: PodId) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let Before { version: Some(seen), uid: Some(uid), place, has_matched } = entry.before else { return };
        let of_scope = self
            .shared
            .as_mut()
            .filter(|shared| entry.own.is_none() && (shared.scope.is_unfiltered() || has_matched));
        entry.missed = Some(Missed { at: seen, uid, is_gone: false, is_shared: of_scope.is_some() });
        let (probe, link, place) = match (of_scope, &entry.own) {
            (Some(shared), _) => {
                shared.missed += 1;
                (&mut shared.probe, Some(&shared.link), place)
            }
            (None, own) => {
                (&mut **entry.probe.get_or_insert_default(), own.as_deref().map(|own| &own.link), 0)
            }
        };
        // An open watch needs no probe yet.
        let pause = if link.is_some_and(Link::is_open) { SHORTEST_REST } else { Duration::ZERO };
        if let Some(id) = probe.listen(seen.max(place), now.after(pause)) {
            self.calls.close(id);
        }
        self.set_probe_alarm(pod);
    }

    /// Closes the probe of this pod if no wait confirms its deletion any more.
    pub(super) fn end_miss(&mut self, pod: PodId) {
        let Some(entry) = self.registry.pods.get_mut(pod).filter(|entry| entry.confirming == 0) else {
            return;
        };
        let (missed, probe) = (entry.missed.take(), entry.probe.take());
        self.close_probe(pod, probe);
        self.found_shared(missed);
    }

    /// Closes the probe of the scope with the last pod that is missed.
    pub(super) fn found_shared(&mut self, missed: Option<Missed>) {
        let Some(shared) = self.shared.as_mut().filter(|_| missed.is_some_and(|missed| missed.is_shared))
        else {
            return;
        };
        shared.missed = shared.missed.saturating_sub(1);
        if shared.missed == 0 {
            let request = shared.probe.request();
            shared.probe = Probe::Off;
            if let Some(id) = request {
                self.calls.close(id);
            }
        }
    }

    pub(super) fn on_probe_event(
        &mut self,
        now: Instant,
        of: Option<PodId>,
        event: Event,
        head: Head<'_>,
        read: impl FnOnce() -> Result<O, ApiFailure>,
    ) {
        if event == Event::Bookmark {
            return;
        }
        let found = self.registry.find(head.namespace, head.name);
        let pod = match of {
            None => {
                let Some(shared) =
                    self.shared.as_mut().filter(|shared| shared.scope.includes(head.namespace))
                else {
                    return;
                };
                shared.probe.has_reached(head.resource_version);
                found
            }
            Some(own) => {
                if let Some(probe) = self.registry.pods.get_mut(own).and_then(|entry| entry.probe.as_mut()) {
                    probe.has_reached(head.resource_version);
                }
                found.filter(|found| *found == own)
            }
        };
        // For a pod that is not missed this may be an old state.
        let version = parse_resource_version(head.resource_version);
        let Some(pod) = pod else { return };
        let entry = &self.registry.pods[pod];
        if entry.missed.is_none() || !entry.is_news(version) {
            return;
        }
        match read() {
            Ok(object) => self.on_object(now, pod, event, of.is_some(), object),
            Err(failure) => self.deliver(pod, Observed::Failed(Self::unreadable_event(failure))),
        }
        if let (None, Some(shared)) = (of, &mut self.shared) {
            shared.link.expect(now, version);
        }
    }

    /// The probe of the scope ended. If no probe can deliver the final states, the waits that confirm a deletion
    /// receive the failure, unless the watch may still deliver them.
    pub(super) fn lose_shared_probe(&mut self, now: Instant, failure: Option<ApiFailure>) {
        let Some(shared) = &mut self.shared else { return };
        shared.probe.ended(now);
        let Some(failure) = failure else { return self.probe_by_name(now) };
        self.lanes[Lane::Shared].rate.heed(now, &failure);
        let is_final = failure.is_expired() || is_refusal(&failure);
        if !is_final {
            return self.probe_by_name(now);
        }
        shared.probe = Probe::Off;
        if shared.link.is_on() {
            return;
        }
        let is_meant = |missed: Missed| missed.is_shared;
        let pods = self.registry.pods.iter();
        let pods: Vec<PodId> =
            pods.filter(|(_, entry)| entry.missed.is_some_and(is_meant)).map(|(pod, _)| pod).collect();
        for pod in pods {
            self.queue_delivery(pod, &Observed::Failed(failure.clone()));
        }
    }

    /// If the API server refuses to watch the scope, its probe cannot be opened: missed pods without a probe get probes
    /// by name.
    pub(super) fn probe_by_name(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else { return };
        if !matches!(shared.service, Service::Refused(_)) || shared.probe.request().is_some() {
            return;
        }
        (shared.probe, shared.missed) = (Probe::Off, 0);
        let is_meant = |entry: &Entry<O>| entry.missed.is_some_and(|missed| missed.is_shared);
        let pods = self.registry.pods.iter();
        let pods: Vec<PodId> = pods.filter(|(_, entry)| is_meant(entry)).map(|(pod, _)| pod).collect();
        for pod in pods {
            let entry = &mut self.registry.pods[pod];
            let Some(missed) = &mut entry.missed else { continue };
            missed.is_shared = false;
            let from = missed.at;
            // The probe is not under way yet, so there is no request to close.
            let _ = entry.probe.get_or_insert_default().listen(from, now);
            self.set_probe_alarm(pod);
        }
    }

    /// The probe of one pod ended.
    pub(super) fn lose_probe(&mut self, now: Instant, pod: PodId, failure: Option<ApiFailure>) {
        if let Some(failure) = &failure {
            self.lanes[Lane::Own].rate.heed(now, failure);
        }
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let Some(probe) = &mut entry.probe else { return };
        probe.ended(now);
        self.set_probe_alarm(pod);
        let Some(failure) = failure.filter(|failure| failure.is_expired() || is_refusal(failure)) else {
            return;
        };
        let entry = &mut self.registry.pods[pod];
        let probe = entry.probe.take();
        let is_watched = entry.own.as_deref().is_some_and(|own| own.link.is_on());
        self.close_probe(pod, probe);
        if !is_watched {
            self.queue_delivery(pod, &Observed::Failed(failure));
        }
    }

    pub(super) fn close_probe(&mut self, pod: PodId, probe: Option<Box<Probe>>) {
        let Some(probe) = probe else { return };
        if let Some(id) = probe.request() {
            self.calls.close(id);
        }
        if let Some(at) = probe.due() {
            self.alarms.remove(&(at, Alarm::Probe(pod)));
        }
    }

    /// Sets the alarm for the opening of a pod's probe.
    pub(super) fn set_probe_alarm(&mut self, pod: PodId) {
        let due = self.registry.pods.get(pod).and_then(|entry| entry.probe.as_ref()?.due());
        if let Some(at) = due {
            self.alarms.insert((at, Alarm::Probe(pod)));
        }
    }
}
