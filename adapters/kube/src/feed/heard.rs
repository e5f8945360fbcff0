//! What the watch brings, and what becomes of it when it ends.

use super::{Feed, LONGEST_REST, REFUSALS, SHORTEST_REST};
use crate::client::refusal::StatusView;
use crate::client::{self, WATCH_SECONDS};
use crate::feed::mailbox::Notice;
use crate::feed::table::{Service, Waited, number};
use crate::feed::watch::{From, News, Watch};
use crate::selection::{PodName, Selection};
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use crate::wire::envelope::{Envelope, EventKind, Head, envelope};
use bytes::Bytes;
use std::borrow::Borrow;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant;

impl Feed {
    /// Takes what the watch brings.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Opened => {
                self.forgiven = REFUSALS;
                self.has_news = false;
                let mut table = self.waits.lock();
                (table.is_open, table.is_failing) = (true, false);
                table.refusal = None;
            }
            News::Line(line) => {
                if let Err(failure) = self.take(&line) {
                    self.lose_watch(failure);
                }
            }
            News::Over => {
                // Up to its end it has said all there was.
                self.waits.lock().is_behind = false;
                self.renew();
                self.waits.lock().goes_on_until = Some(Instant::now() + SHORTEST_REST);
            }
            News::Failed(failure) => self.lose_watch(failure),
        }
    }

    /// Takes one event.
    fn take(&mut self, line: &Bytes) -> Result<(), ApiFailure> {
        let event = said(line)?;
        if let EventKind::Bookmark = event.kind {
            if let Selection::Pods(_) = self.selection {
                self.waits.lock().is_behind = false;
                self.watch.has_reached(&event.head.resource_version);
            }
            // Of one pod the place in history is not kept: what is compared with a GET is the pod's own version.
            return Ok(());
        }
        if !self.selection.may_have(&event.head.namespace, &event.head.name) {
            return Ok(());
        }
        let reached = self.watch.reached().map_or(0, number);
        self.has_news |= number(&event.head.resource_version) > reached;
        self.watch.has_reached(&event.head.resource_version);
        let mut table = self.waits.lock();
        (table.is_behind, table.is_failing) = (false, false);
        drop(table);
        let version = number(&event.head.resource_version);
        // A watch that goes on from further back tells again what a read has found, and so says nothing about it.
        let is_news = |waited: &Waited| event.kind == EventKind::Deleted || !waited.has_heard_of(version);
        if let Some(observed) = self.read(line, &event, is_news) {
            self.tell(&event, observed);
        }
        Ok(())
    }

    /// Reads the pod of an event, if somebody waits for it and it is news to him.
    pub(super) fn read(
        &mut self,
        line: &Bytes,
        event: &Envelope<'_>,
        is_news: impl FnOnce(&Waited) -> bool,
    ) -> Option<ObservedPod> {
        set_key(&mut self.key, &event.head);
        if !self.waits.lock().get_mut(&self.key).is_some_and(|waited| is_news(waited)) {
            return None;
        }
        // While it is read those who wait may look at the table.
        let mut pod = self.waits.vacate(&mut self.spare);
        match event.pod_with(&mut self.spare) {
            Ok((read, json)) => {
                *pod = read;
                Some(ObservedPod { via: Via::Watch, pod, json: line.slice_ref(json) })
            }
            Err(error) => {
                // Not the watch's fault, and none of the other waits' business.
                self.waits.lock().deliver(&self.key, Observed::ApiError(unreadable(&error)));
                None
            }
        }
    }

    /// Tells what was read last.
    pub(super) fn tell(&mut self, event: &Envelope<'_>, observed: ObservedPod) {
        let mut table = self.waits.lock();
        let Some(waited) = table.get_mut(&self.key) else { return };
        if event.kind != EventKind::Deleted {
            waited.matched();
            table.deliver(&self.key, Observed::Pod(observed));
        } else if self.selection.is_whole() {
            table.deliver(&self.key, Observed::Deleted(observed));
        } else {
            // It may only have lost its label.
            waited.doubted = Some(observed);
            let pod = PodName::new(&event.head.namespace, &event.head.name);
            let missed = table.let_go(&self.key);
            // What a read under way finds may be from before.
            table.forget_read(&self.key);
            table.stray(&pod);
            drop(table);
            if let Some(missed) = missed {
                // A read has said already that it is not there any more.
                self.tell_missed(pod.borrow(), missed);
            }
        }
    }

    /// Takes a new watch for one that did not fail.
    pub(super) fn renew(&mut self) {
        if self.watch.has_stood(std::mem::take(&mut self.has_news)) {
            self.failed = 0;
        }
        self.resume();
    }

    /// Goes on from where the watch was.
    pub(super) fn resume(&mut self) {
        match &self.selection {
            Selection::Pods(_) => {
                let reached = self.watch.reached().unwrap_or_default().to_owned();
                self.set_watch(Watch::Wanted(From::Version(reached)));
            }
            // A GET tells as much, and more surely.
            Selection::Pod(pod, _) => {
                let pod = pod.clone();
                self.set_watch(Watch::none());
                self.waits.lock().ask(&pod, Duration::ZERO);
            }
        }
    }

    /// Opens the watch that is wanted. A watch that goes on tells first how things were; where waits have been told meanwhile
    /// that nobody knows, what they are told next must be how things are: by a LIST, after which the watch begins anew.
    pub(super) fn open_watch(&mut self) {
        if self.waits.lock().is_behind && matches!(self.selection, Selection::Pods(_)) {
            self.set_watch(Watch::none());
        } else {
            self.watch.open(&self.calls, &self.selection, WATCH_SECONDS);
        }
    }

    /// Goes on from where the watch was, or does without one for a while. The failure is worth telling unless the server
    /// simply will not watch: whether it lets us read is for the GETs to find out.
    pub(super) fn lose_watch(&mut self, failure: ApiFailure) {
        let has_news = std::mem::take(&mut self.has_news);
        self.failed = match self.watch.has_stood(has_news) {
            true => 0,
            // What it says is worth a watch every four seconds, and no more.
            false if has_news => self.failed.min(3),
            false => self.failed,
        };
        self.waits.lock().is_failing = true;
        self.budget.heed(&failure);
        let failed = self.failed;
        self.failed = failed.saturating_add(1);
        self.has_expired = failure.is_expired();
        let will_not = will_not(&failure);
        let is_shared = matches!(self.selection, Selection::Pods(_));
        // One page of a proxy is no refusal; what comes again and again is one, whatever it is.
        if is_shared && will_not && (failure.is_status || failed >= REFUSALS) {
            let Some(left) = self.forgiven.checked_sub(1) else { return self.refuse(failure) };
            self.forgiven = left;
        }
        if is_shared && failed == 0 && !self.has_expired && self.watch.reached().is_some() {
            // A hiccup, as a load balancer has them. What was missed comes with the next watch.
            return self.resume();
        }
        let rest = match failed {
            _ if will_not && !is_shared => LONGEST_REST,
            // The first failure may be a mere hiccup, and a 410 is no failure: the machine paces those.
            0 => Duration::ZERO,
            failed => SHORTEST_REST.saturating_mul(1 << (failed - 1).min(6)).min(LONGEST_REST),
        };
        self.set_watch(Watch::None { until: Instant::now() + rest });
        if will_not {
            self.waits.lock().notify_all(Notice::Changed);
        } else if !(is_shared && failure.is_expired()) {
            self.waits.lock().fail_all(&failure);
        }
    }

    /// The server will not let us watch all of these pods.
    fn refuse(&mut self, failure: ApiFailure) {
        let until = Instant::now() + LONGEST_REST;
        let mut table = self.waits.lock();
        table.refusal = Some(failure);
        table.close(Service::Refused(until));
    }

    pub(super) fn set_watch(&mut self, watch: Watch) {
        self.ahead = None;
        if let Some(reached) = self.watch.reached() {
            self.left_at = number(reached);
        }
        self.watch = watch;
        let mut table = self.waits.lock();
        table.is_watching = self.watch.is_on();
        table.is_open = false;
    }
}

/// Reads one line of a watch: something about a pod, or a bookmark.
pub(super) fn said(line: &[u8]) -> Result<Envelope<'_>, ApiFailure> {
    let event = envelope(line).map_err(|error| unreadable(&error))?;
    match &event.kind {
        EventKind::Added | EventKind::Modified | EventKind::Deleted | EventKind::Bookmark => Ok(event),
        EventKind::Error => {
            let status = event.object().ok().and_then(|object| serde_json::from_slice(object).ok());
            Err(status.unwrap_or_else(StatusView::default).into_failure())
        }
        EventKind::Other(kind) => Err(unreadable(&format_args!("unknown type {kind:?}"))),
    }
}

fn unreadable(error: &dyn Display) -> ApiFailure {
    client::unreadable(Via::Watch, format!("unreadable watch event: {error}"))
}

/// Whether the server has not failed, but will not let us watch.
pub(super) fn will_not(failure: &ApiFailure) -> bool {
    matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422)
}

/// Writes a pod's name as it is looked up.
pub(super) fn set_key(key: &mut String, head: &Head<'_>) {
    key.clear();
    key.extend([&*head.namespace, "/", &*head.name]);
}
