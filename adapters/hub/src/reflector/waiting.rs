//! Waits: their deliveries, and when their pods are read.

use super::{Alarm, Reflector};
use crate::failure::{ApiFailure, Via};
use crate::hash::TextHash;
use crate::lane::Lane;
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::pace::{Coverage, Pace};
use crate::registry::{Confirms, Entry, Place, PodId, Read, SelectorMatch, WaitId};
use alloc::vec::Vec;
use core::time::Duration;
use podwait_core::Instant;

/// How much longer than `after` a wait may be kept for a final read, or for the LIST in its place, that began in time.
const FINAL_READ: Duration = Duration::from_secs(1);

impl<O: Object> Reflector<O> {
    /// The wait needs a delivery after that time at the latest. `confirms` is what its machine confirms meanwhile.
    pub fn want(&mut self, now: Instant, wait: WaitId, after: Duration, confirms: Confirms) {
        let Some(place) = self.registry.waits.get_mut(wait) else { return };
        (place.start, place.after, place.end) = (now, after, now.after(after));
        let before = core::mem::replace(&mut place.confirms, confirms);
        let pod = place.pod;
        let entry = &mut self.registry.pods[pod];
        match (before.is_any(), confirms.is_any()) {
            (false, true) => {
                entry.confirming += 1;
                if entry.confirming == 1 {
                    self.miss(now, pod);
                }
            }
            (true, false) => {
                entry.confirming -= 1;
                self.end_miss(pod);
            }
            (false, false) | (true, true) => {}
        }
        if let Some(missed) = &mut self.registry.pods[pod].missed {
            missed.is_gone |= confirms == Confirms::Deletion;
        }
        self.schedule(wait);
    }

    /// Sets the alarm of a wait.
    pub(super) fn schedule(&mut self, wait: WaitId) {
        let Some(place) = self.registry.waits.get(wait) else { return };
        let entry = &self.registry.pods[place.pod];
        let at = if place.confirms.is_any() || entry.read != Read::None {
            place.end
        } else {
            place.start.after(place.pace.delay(place.after, self.coverage(entry)))
        };
        self.set_alarm(wait, Some(at));
    }

    fn set_alarm(&mut self, wait: WaitId, at: Option<Instant>) {
        let Some(place) = self.registry.waits.get_mut(wait) else { return };
        if let Some(before) = core::mem::replace(&mut place.alarm, at) {
            self.alarms.remove(&(before, Alarm::Wait(wait)));
        }
        if let Some(at) = at {
            self.alarms.insert((at, Alarm::Wait(wait)));
        }
    }

    /// Updates the alarms of the waits of these pods: their coverage has changed.
    pub(super) fn reschedule(&mut self, is_meant: impl Fn(&Entry<O>) -> bool) {
        let pods = self.registry.pods.values().filter(|entry| is_meant(entry));
        let waits: Vec<WaitId> = pods.flat_map(|entry| entry.waits.iter().copied()).collect();
        for wait in waits {
            // Without an alarm there is a delivery, after which the host calls `want`.
            if self.registry.waits.get(wait).is_some_and(|place| place.alarm.is_some()) {
                self.schedule(wait);
            }
        }
    }

    /// The same for one pod.
    pub(super) fn reschedule_pod(&mut self, pod: PodId) {
        let Some(entry) = self.registry.pods.get(pod) else { return };
        for wait in entry.waits.clone() {
            if self.registry.waits.get(wait).is_some_and(|place| place.alarm.is_some()) {
                self.schedule(wait);
            }
        }
    }

    /// The alarm of a wait is due. Returns the wait if it is due a delivery, but for a final read.
    pub(super) fn wake(&mut self, now: Instant, wait: WaitId) -> Option<WaitId> {
        let place = self.registry.waits.get_mut(wait)?;
        place.alarm = None;
        let (pod, pace, after, confirms) = (place.pod, place.pace, place.after, place.confirms);
        let (start, end) = (place.start, place.end);
        let is_first = end <= start.after(after);
        let entry = &self.registry.pods[pod];
        if confirms.is_any() {
            self.deliveries.push_back((wait, Observed::Silence));
        } else if entry.read == Read::None {
            let delay = pace.delay(after, self.coverage(entry));
            if start.after(delay) <= now {
                self.ask(now, pod, pace.patience(delay, after));
                // Only once: a read that replaces a dropped one has the deadline of the dropped one.
                let end = if is_first { end.max(now.after(FINAL_READ)) } else { end };
                self.registry.waits[wait].end = end;
                self.set_alarm(wait, Some(end));
            } else {
                self.set_alarm(wait, Some(start.after(delay)));
            }
        } else if end > now {
            self.set_alarm(wait, Some(end));
        } else if is_first {
            return Some(wait);
        } else {
            self.end(now, wait);
        }
        None
    }

    /// The wait is due, and what is due was sent: keeps it once for a read that another wait has begun.
    pub(super) fn keep_or_end(&mut self, now: Instant, wait: WaitId) {
        let Some(place) = self.registry.waits.get(wait) else { return };
        let entry = &self.registry.pods[place.pod];
        let is_listed = self.shared.as_ref().is_some_and(|shared| shared.lister.listing.is_some());
        let began = match entry.read {
            // The LIST under way will have the pod.
            Read::Queued(Lane::Shared, _) if is_listed => Some(now),
            Read::Sent(_) => entry.sent.and_then(|id| self.calls.sent(id)),
            Read::Queued(..) | Read::None => None,
        };
        let end = began.map(|began| began.after(FINAL_READ)).filter(|end| *end > now);
        let Some(end) = end else { return self.end(now, wait) };
        self.registry.waits[wait].end = end;
        self.set_alarm(wait, Some(end));
    }

    /// A wait has had no read in time.
    fn end(&mut self, now: Instant, wait: WaitId) {
        let Some(Place { pod, pace, .. }) = self.registry.waits.get(wait) else { return };
        let observed = self.no_answer(now, *pod, *pace);
        if let Some(place) = self.registry.waits.get_mut(wait) {
            place.pace = place.pace.next(&observed);
        }
        self.deliveries.push_back((wait, observed));
    }

    /// The observation if a read has no answer in time. An earlier 404 is out of date soon, because the pod may exist
    /// by now, and a missing answer is no absence. Nor is it known then whether a known pod has changed.
    fn no_answer(&mut self, now: Instant, pod: PodId, pace: Pace) -> Observed<O> {
        let entry = &self.registry.pods[pod];
        if let Read::Queued(lane, _) = entry.read
            && let Some((until, failure)) = self.lanes[lane].rate.paused(now)
        {
            // The API server sent this `Retry-After` to another read, and it holds for this one too. It replaces the
            // last failure of this pod, for instance a denied access. After the pause the read has a second for its
            // answer.
            let retry_after = Some(until.since(now).saturating_add(FINAL_READ));
            let failure = ApiFailure { retry_after, ..failure.clone() };
            self.fall_behind();
            return Observed::Failed(failure);
        }
        let is_silence = match pace {
            Pace::Now | Pace::Asked => true,
            Pace::Interval(..) => self.only_waits_its_turn(now, entry),
            Pace::Again | Pace::Absent => false,
        };
        if is_silence {
            return Observed::Silence;
        }
        self.fall_behind();
        Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"))
    }

    /// A wait receives that the state of its pod is unknown.
    pub(super) fn fall_behind(&mut self) {
        if let Some(shared) = &mut self.shared {
            shared.health.is_behind = true;
        }
    }

    /// The coverage of a pod without a read.
    pub(super) fn coverage(&self, entry: &Entry<O>) -> Coverage {
        if let Some(own) = &entry.own {
            return if own.link.is_on() { Coverage::Watched } else { Coverage::Uncovered };
        }
        let Some(shared) = &self.shared else { return Coverage::Uncovered };
        let is_matched = shared.scope.is_unfiltered() || entry.matches == SelectorMatch::Yes;
        match (shared.link.is_on(), shared.lister.listing.is_some()) {
            (true, _) if is_matched => Coverage::Watched,
            (_, true) => Coverage::Listed,
            (true, false) => Coverage::Uncovered,
            (false, false) => Coverage::Pending,
        }
    }

    /// Whether only the rate limit delays a queued read, while the API server answers and the watch would show a
    /// change. The API server has not paused the reads.
    fn only_waits_its_turn(&self, now: Instant, entry: &Entry<O>) -> bool {
        if !matches!(entry.read, Read::Queued(..)) {
            return false;
        }
        if let Some(own) = &entry.own {
            let is_open = own.link.is_on() && (own.link.is_open() || now < own.goes_on_until);
            return is_open && !own.is_failing;
        }
        let Some(shared) = &self.shared else { return false };
        let is_open = shared.link.is_open() || (shared.link.is_on() && shared.health.goes_on(now));
        let is_watched = self.coverage(entry) == Coverage::Watched;
        is_watched && is_open && !shared.health.is_failing
    }

    /// Puts a read of the pod in the queue, unless one is under way.
    pub(super) fn ask(&mut self, now: Instant, pod: PodId, patience: Duration) {
        let Some(entry) = self.registry.pods.get_mut(pod).filter(|entry| entry.read == Read::None) else {
            return;
        };
        let lane = if entry.own.is_some() { Lane::Own } else { Lane::Shared };
        let is_unfiltered = self.shared.as_ref().is_some_and(|shared| shared.scope.is_unfiltered());
        // If a LIST does not have the pod, that only shows that the selector does not match it. For a pod with a watch of its own
        // no LIST is made, whatever is counted.
        let would_be_listed = is_unfiltered || entry.matches != SelectorMatch::No;
        entry.read = Read::Queued(lane, self.lanes[lane].reads.ask(now, pod, patience, would_be_listed));
    }

    /// A read of the pod that is under way is out of date.
    pub(super) fn forget_read(&mut self, pod: PodId) {
        let generation = self.registry.next_generation();
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        entry.generation = generation;
        if let Read::Queued(lane, due) = core::mem::take(&mut entry.read) {
            self.lanes[lane].reads.forget(due);
        }
    }

    /// Another wait has joined: a read that was sent before may report an absence from before the pod was created.
    pub(super) fn renew_read(&mut self, pod: PodId) {
        if matches!(self.registry.pods.get(pod).map(|entry| entry.read), Some(Read::Sent(_))) {
            self.forget_read(pod);
            self.reschedule_pod(pod);
        }
    }

    /// A watch sends a state of a pod whose waits needed a read by now, and had none. It may be an old state, with newer ones
    /// right behind: no time that ran out meanwhile may speak of it. So these waits receive first that the read is late.
    pub(super) fn report_late_read(&mut self, now: Instant, pod: PodId) {
        let is_known = |entry: &&Entry<O>| entry.read != Read::None && entry.version.is_some();
        if self.registry.pods.get(pod).filter(is_known).is_none() {
            return;
        }
        let late = Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"));
        self.queue_for(pod, &late, |place| {
            let is_due = place.alarm.is_some() && place.start.after(place.after) < now;
            is_due && !place.confirms.is_any()
        });
    }

    /// Delivers an observation to all waits for a pod. A read of the pod that is under way is then out of date.
    pub(super) fn deliver(&mut self, pod: PodId, mut observed: Observed<O>) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        if entry.is_replay(&observed) {
            return self.queue_replay(pod, &observed);
        }
        self.forget_read(pod);
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        entry.delivered(&observed, self.shared.as_ref().map_or(0, |shared| shared.link.place()));
        let mut before = None;
        match &observed {
            Observed::Pod(_, found) => {
                // Another pod has the name, so the one before is gone. An object older than a DELETED proves nothing.
                let version = parse_resource_version(found.resource_version());
                let is_settled = |gone: &mut O| parse_resource_version(gone.resource_version()) <= version;
                let gone = entry.unconfirmed.take_if(is_settled);
                before = gone.filter(|gone| gone.uid() != found.uid()).map(Observed::Deleted);
            }
            Observed::Deleted(_) => entry.unconfirmed = None,
            Observed::NotFound(_) => {
                observed = entry.unconfirmed.take().map_or(observed, Observed::Deleted);
            }
            Observed::Failed(_) | Observed::Silence | Observed::Cancelled => {}
        }
        before.into_iter().for_each(|before| self.queue_delivery(pod, &before));
        self.queue_delivery(pod, &observed);
    }

    /// Queues a delivery, and leaves reads unchanged.
    pub(super) fn queue_delivery(&mut self, pod: PodId, observed: &Observed<O>) {
        let Some(entry) = self.registry.pods.get_mut(pod) else { return };
        entry.has_failed = matches!(observed, Observed::Failed(_));
        self.queue_for(pod, observed, |_| true);
    }

    /// The same for an object that is older than the last delivered one, only to the waits that need it.
    fn queue_replay(&mut self, pod: PodId, observed: &Observed<O>) {
        let (Observed::Pod(_, object) | Observed::Deleted(object)) = observed else { return };
        let (shown, uid) = (self.registry.pods[pod].uid, TextHash::of(object.uid()));
        self.queue_for(pod, observed, |place| place.uses_replay(shown, uid));
    }

    fn queue_for(&mut self, pod: PodId, observed: &Observed<O>, is_meant: impl Fn(&Place) -> bool) {
        let Some(entry) = self.registry.pods.get(pod) else { return };
        for index in 0..entry.waits.len() {
            let wait = self.registry.pods[pod].waits[index];
            if !self.registry.waits.get(wait).is_some_and(&is_meant) {
                continue;
            }
            self.set_alarm(wait, None);
            if let Some(place) = self.registry.waits.get_mut(wait) {
                place.pace = place.pace.next(observed);
            }
            self.deliveries.push_back((wait, observed.clone()));
        }
    }
}
