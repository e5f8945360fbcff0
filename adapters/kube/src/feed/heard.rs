//! What the watch brings, and what becomes of it when it ends.

use super::{Feed, LONGEST_REST, REFUSALS, SHORTEST_REST};
use crate::client::failure;
use crate::client::refusal::StatusView;
use crate::feed::mailbox::Notice;
use crate::feed::table::{Match, Service};
use crate::feed::watch::{From, News, Watch};
use crate::selection::{PodName, Selection};
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use crate::wire::envelope::{EventKind, Head, envelope};
use bytes::Bytes;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant;

impl Feed {
    /// Takes what the watch brings.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Opened => {
                self.forgiven = REFUSALS;
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
                self.resume();
                self.waits.lock().goes_on_until = Some(Instant::now() + SHORTEST_REST);
            }
            News::Failed(failure) => self.lose_watch(failure),
        }
    }

    /// Takes one event.
    fn take(&mut self, line: &Bytes) -> Result<(), ApiFailure> {
        let unreadable =
            |error: &dyn Display| failure(Via::Watch, 0, format!("unreadable watch event: {error}"));
        let event = envelope(line).map_err(|error| unreadable(&error))?;
        let is_deletion = match &event.kind {
            EventKind::Added | EventKind::Modified => false,
            EventKind::Deleted => true,
            EventKind::Bookmark => {
                if let Selection::Pods(_) = self.selection {
                    self.failed = 0;
                    self.waits.lock().is_behind = false;
                    self.watch.has_reached(&event.head.resource_version);
                }
                // Of one pod the place in history is not kept: what is compared with a GET is the pod's own version.
                return Ok(());
            }
            EventKind::Error => {
                let status = event.object().ok().and_then(|object| serde_json::from_slice(object).ok());
                return Err(status.unwrap_or_else(StatusView::default).into_failure());
            }
            EventKind::Other(kind) => return Err(unreadable(&format_args!("unknown type {kind:?}"))),
        };
        if self.selection.name().is_some_and(|name| name != event.head.name) {
            return Ok(());
        }
        self.failed = 0;
        self.watch.has_reached(&event.head.resource_version);
        set_key(&mut self.key, &event.head);
        let mut table = self.waits.lock();
        (table.is_behind, table.is_failing) = (false, false);
        if table.get_mut(&self.key).is_none() {
            return Ok(());
        }
        // While it is read those who wait may look at the table.
        drop(table);
        let mut pod = self.waits.vacate(&mut self.spare);
        let read = event.pod_with(&mut self.spare);
        let mut table = self.waits.lock();
        let observed = match read {
            Ok((read, json)) => {
                *pod = read;
                ObservedPod { via: Via::Watch, pod, json: line.slice_ref(json) }
            }
            Err(error) => {
                // Not the watch's fault, and none of the other waits' business.
                table.deliver(&self.key, Observed::ApiError(unreadable(&error)));
                return Ok(());
            }
        };
        let Some(waited) = table.get_mut(&self.key) else { return Ok(()) };
        if !is_deletion {
            waited.matches = Match::Yes;
            table.deliver(&self.key, Observed::Pod(observed));
        } else if self.selection.is_whole() {
            table.deliver(&self.key, Observed::Deleted(observed));
        } else {
            // It may only have lost its label.
            waited.doubted = Some(observed);
            // What a read under way finds may be from before.
            table.forget_read(&self.key);
            table.stray(&PodName::new(&event.head.namespace, &event.head.name));
        }
        Ok(())
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
            self.watch.open(&self.calls, &self.selection);
        }
    }

    /// Goes on from where the watch was, or does without one for a while. The failure is worth telling unless the server
    /// simply will not watch: whether it lets us read is for the GETs to find out.
    pub(super) fn lose_watch(&mut self, failure: ApiFailure) {
        if self.watch.has_stood() {
            self.failed = 0;
        }
        self.waits.lock().is_failing = true;
        if let Some(time) = failure.retry_after {
            self.budget.hold(time);
        }
        let failed = self.failed;
        self.failed = failed.saturating_add(1);
        self.has_expired = failure.code == 410;
        let will_not = matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422);
        let is_shared = matches!(self.selection, Selection::Pods(_));
        if is_shared && will_not {
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
        } else if !(is_shared && failure.code == 410) {
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
        self.watch = watch;
        let mut table = self.waits.lock();
        table.is_watching = self.watch.is_on();
        table.is_open = false;
    }
}

/// Writes a pod's name as it is looked up.
pub(super) fn set_key(key: &mut String, head: &Head<'_>) {
    key.clear();
    key.extend([&*head.namespace, "/", &*head.name]);
}
