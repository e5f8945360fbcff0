//! The watch of one pod: its events and its end.

use super::{Alarm, Event, Head, Reflector};
use crate::failure::{ApiFailure, Via, is_refusal};
use crate::lane::Lane;
use crate::link::{From, LONGEST_REST, rest_after};
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::own::Own;
use crate::registry::{PodId, Read};
use core::time::Duration;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    pub(super) fn own_mut(&mut self, pod: PodId) -> Option<&mut Own> {
        self.registry.pods.get_mut(pod)?.own.as_deref_mut()
    }

    pub(super) fn on_own_event(
        &mut self,
        now: Instant,
        pod: PodId,
        event: Event,
        head: Head<'_>,
        read: impl FnOnce() -> Result<O, ApiFailure>,
    ) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        let is_same = head.name == entry.name.name()
            && (head.namespace.is_empty() || head.namespace == entry.name.namespace());
        let Some(own) = entry.own.as_deref_mut() else { return };
        // For one pod the watch's resourceVersion is not kept: a GET is compared with the pod's own version.
        if event == Event::Bookmark || !is_same {
            return;
        }
        own.link.has_reached(head.resource_version, true);
        own.is_failing = false;
        let version = parse_resource_version(head.resource_version);
        if event != Event::Deleted && !self.registry.is_of_use(pod, version) {
            return;
        }
        match read() {
            Ok(object) if event == Event::Deleted => self.deliver(pod, Observed::Deleted(object)),
            Ok(object) => {
                self.report_late_read(now, pod);
                self.deliver(pod, Observed::Pod(Via::Watch, object));
            }
            Err(failure) => self.deliver(pod, Observed::Failed(Self::unreadable_event(failure))),
        }
    }

    /// Requests a watch of one pod from the version that a GET returned, unless there is a watch already.
    pub(super) fn watch_from(&mut self, now: Instant, pod: PodId, version: &str) {
        let Some(own) = self.registry.pods.get_mut(pod).and_then(|entry| entry.own.as_deref_mut()) else {
            return;
        };
        let is_due = match own.link.down_until() {
            Some(until) => until <= now,
            None => own.link.reached() != Some(version),
        };
        if !own.may_watch || !is_due {
            return;
        }
        // If the API server was started after the pod's last change, or many other pods have changed since, it cannot
        // watch from that version any more (`getAllEventsSinceLocked` of its watch cache).
        let from = match core::mem::take(&mut own.has_expired) {
            true => From::Any(version.into()),
            false => From::After(version.into()),
        };
        if let Some(id) = own.link.request() {
            self.calls.close(id);
        }
        own.link.want(from);
        self.to_open.push_back(pod);
        self.set_own_alarm(pod);
    }

    /// The same for a pod's own watch. A GET shows as much as a resumed watch, and is more reliable.
    pub(super) fn renew_own(&mut self, now: Instant, pod: PodId) {
        let Some(own) = self.registry.pods.get_mut(pod).and_then(|entry| entry.own.as_deref_mut()) else {
            return;
        };
        own.link.end(now);
        if let Some(id) = own.link.request() {
            self.calls.close(id);
        }
        own.link.rest(now);
        self.set_own_alarm(pod);
        self.ask(now, pod, Duration::ZERO);
    }

    /// There is no pod to watch.
    pub(super) fn rest_own(&mut self, now: Instant, pod: PodId) {
        let Some(own) = self.registry.pods.get_mut(pod).and_then(|entry| entry.own.as_deref_mut()) else {
            return;
        };
        if let Some(id) = own.link.request() {
            self.calls.close(id);
        }
        own.link.rest(now);
        self.set_own_alarm(pod);
    }

    /// The watch of one pod failed. The failure is delivered unless the server refuses watches: whether reads are
    /// allowed is shown by the GETs.
    pub(super) fn lose_own(&mut self, now: Instant, pod: PodId, failure: ApiFailure) {
        self.lanes[Lane::Own].rate.heed(now, &failure);
        let Some(own) = self.registry.pods.get_mut(pod).and_then(|entry| entry.own.as_deref_mut()) else {
            return;
        };
        let failed = own.link.fail(now);
        if let Some(id) = own.link.request() {
            self.calls.close(id);
        }
        own.is_failing = true;
        own.has_expired = failure.is_expired();
        let is_refused = is_refusal(&failure);
        let rest = if is_refused { LONGEST_REST } else { rest_after(failed) };
        own.link.rest(now.after(rest));
        self.set_own_alarm(pod);
        if is_refused {
            self.reschedule_pod(pod);
        } else if !matches!(self.registry.pods[pod].read, Read::Sent(_)) {
            self.queue_delivery(pod, &Observed::Failed(failure));
        }
    }

    /// Sets the alarm for the check whether the watch of a pod is dead.
    pub(super) fn set_own_alarm(&mut self, pod: PodId) {
        let Some(own) = self.registry.pods.get_mut(pod).and_then(|entry| entry.own.as_deref_mut()) else {
            return;
        };
        let alarm = own.link.alarm();
        if let Some(before) = core::mem::replace(&mut own.alarm, alarm) {
            self.alarms.remove(&(before, Alarm::Own(pod)));
        }
        if let Some(at) = alarm {
            self.alarms.insert((at, Alarm::Own(pod)));
        }
    }
}
