//! What comes in, and who is told.

use super::{Answer, BETWEEN_LISTS, Feed, LAG, LONGEST_REST, SHORTEST_REST};
use crate::client::{StatusView, failure};
use crate::decode::{DecodeError, decode};
use crate::envelope::{EventKind, Head, envelope, head};
use crate::listing::Listed;
use crate::mailbox::Notice;
use crate::selection::{PodName, Selection};
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use crate::waits::{Service, number};
use crate::watch::{From, News, Watch};
use bytes::Bytes;
use std::borrow::Borrow;
use std::fmt::Display;
use std::time::Duration;
use tokio::time::Instant;

impl Feed {
    /// Takes what the watch brings.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Line(line) => {
                if let Err(failure) = self.take(&line) {
                    self.lose_watch(failure);
                }
            }
            News::Over => self.resume(),
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
        let Some(waited) = table.get_mut(&self.key) else { return Ok(()) };
        let observed = match event.pod() {
            Ok((pod, json)) => {
                ObservedPod { via: Via::Watch, pod: Box::new(pod), json: line.slice_ref(json) }
            }
            Err(error) => {
                // Not the watch's fault, and none of the other waits' business.
                table.deliver(&self.key, Observed::ApiError(unreadable(&error)));
                return Ok(());
            }
        };
        if !is_deletion {
            waited.is_selected = true;
            waited.doubted = None;
            table.deliver(&self.key, Observed::Pod(observed));
        } else if self.selection.is_whole() {
            table.deliver(&self.key, Observed::Deleted(observed));
        } else {
            // It may only have lost its label.
            waited.doubted = Some(observed);
            waited.is_selected = false;
            table.forget_read(&self.key);
            table.ask(&PodName::new(&event.head.namespace, &event.head.name), Duration::ZERO);
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
            Selection::Pod(pod) => {
                let pod = pod.clone();
                self.set_watch(Watch::none());
                self.waits.lock().ask(&pod, Duration::ZERO);
            }
        }
    }

    /// Does without a watch for a while. The failure is worth telling unless the server simply will not watch: whether
    /// it lets us read is for the GETs to find out.
    fn lose_watch(&mut self, failure: ApiFailure) {
        let failed = self.failed;
        self.has_expired = failure.code == 410;
        self.failed = failed.saturating_add(1);
        let will_not = matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422);
        let is_shared = matches!(self.selection, Selection::Pods(_));
        if is_shared {
            if let Some(time) = failure.retry_after {
                self.budget.hold(time);
            } else if failed == 0 && !will_not && failure.code != 410 && self.watch.reached().is_some() {
                // A hiccup, as a load balancer has them. What was missed comes with the next watch.
                return self.resume();
            }
            if will_not {
                return self.refuse(failure);
            }
        }
        let rest = match failed {
            _ if will_not => LONGEST_REST,
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
        self.waits.lock().close(Service::Refused(failure, until));
    }

    fn set_watch(&mut self, watch: Watch) {
        self.ahead = None;
        self.watch = watch;
        self.waits.lock().is_watching = self.watch.is_on();
    }

    /// Takes what a LIST brings.
    pub(super) fn listed(&mut self, listed: Listed) {
        match listed {
            Listed::Item(json) => {
                if let Err(error) = self.take_item(&json) {
                    // Nobody can say whom it is about, and so of nobody that he is not there.
                    let failure = failure(Via::List, 0, format!("unreadable item of a list: {error}"));
                    self.listed(Listed::Failed(failure));
                }
            }
            Listed::All(version) => {
                let number = number(&version);
                self.miss(number);
                if !self.watch.is_on() {
                    self.set_watch(Watch::Wanted(From::Version(version)));
                }
                self.finish_list();
            }
            Listed::Failed(failure) => {
                self.finish_list();
                if self.watch.is_on() {
                    // It was to save GETs: those go on.
                    if let Some(time) = failure.retry_after {
                        self.budget.hold(time);
                    }
                } else if failure.code == 410 {
                    // A page that came too late. From the start.
                    self.lose_watch(failure);
                } else {
                    // Nobody knows anything without it, so nobody is spared the first failure either.
                    self.failed = self.failed.max(1);
                    self.lose_watch(failure);
                }
            }
        }
    }

    fn finish_list(&mut self) {
        self.waits.lock().is_listing = false;
        if let Some(list) = self.list.take() {
            let (shortest, times) = BETWEEN_LISTS;
            self.next_list = Instant::now() + list.began.elapsed().saturating_mul(times).max(shortest);
        }
    }

    fn take_item(&mut self, json: &Bytes) -> Result<(), DecodeError> {
        let head = head(json)?;
        set_key(&mut self.key, &head);
        let mut table = self.waits.lock();
        let lists = table.lists;
        let Some(waited) = table.get_mut(&self.key) else { return Ok(()) };
        waited.listed = lists;
        waited.is_selected = true;
        if waited.version > Some(number(&head.resource_version)) {
            // The watch or a GET was faster.
            return Ok(());
        }
        let observed = match decode(json) {
            Ok(pod) => Observed::Pod(ObservedPod { via: Via::List, pod: Box::new(pod), json: json.clone() }),
            Err(error) => {
                Observed::ApiError(failure(Via::List, 0, format!("unreadable item of a list: {error}")))
            }
        };
        table.deliver(&self.key, observed);
        Ok(())
    }

    /// Tells whoever waits for a pod that was not in the LIST, if that means something.
    fn miss(&mut self, version: u64) {
        let is_watching = self.watch.is_on();
        let is_whole = self.selection.is_whole();
        let mut table = self.waits.lock();
        let lists = table.lists;
        for pod in table.names() {
            let Some(waited) = table.get_mut(as_key(&pod)) else { continue };
            if waited.listed == lists {
                continue;
            }
            let was_there = waited.came < lists;
            // Versions that are no numbers cannot be compared.
            let is_newer = waited.version.is_some_and(|seen| seen > version || version == u64::MAX);
            let is_known = waited.version.is_some();
            if !was_there || !is_whole || is_newer {
                table.ask(&pod, Duration::ZERO);
            } else if is_known && is_watching {
                // The watch has its last words, and if not, a GET.
                table.ask(&pod, LAG);
            } else {
                table.deliver(as_key(&pod), Observed::NotFound(Via::List));
            }
        }
    }

    /// Takes a GET's answer.
    pub(super) fn answered(&mut self, answer: Answer) {
        let Answer { pod, turn, observed } = answer;
        let key = as_key(&pod);
        let mut table = self.waits.lock();
        let Some(waited) = table.get_mut(key) else { return };
        if waited.turn != turn {
            // Something else was faster, and this is old.
            return;
        }
        let doubted = match observed {
            Observed::Pod(_) | Observed::NotFound(_) => waited.doubted.take(),
            Observed::ApiError(_) | Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => None,
        };
        match (&self.selection, &observed) {
            (Selection::Pod(_), Observed::Pod(found)) => {
                let version = found.pod.snapshot.resource_version.clone();
                table.deliver(key, observed);
                drop(table);
                self.watch_from(version);
            }
            (Selection::Pod(_), Observed::NotFound(_)) => {
                table.deliver(key, observed);
                drop(table);
                self.set_watch(Watch::none());
            }
            (Selection::Pods(_), Observed::Pod(found)) => {
                let version = number(&found.pod.snapshot.resource_version);
                let gone = doubted.filter(|gone| gone.pod.snapshot.uid != found.pod.snapshot.uid);
                let is_watched = table.is_watched(key);
                if let Some(gone) = gone {
                    table.deliver(key, Observed::Deleted(gone));
                }
                table.deliver(key, observed);
                drop(table);
                if is_watched {
                    self.compare(version);
                }
            }
            (Selection::Pods(_), Observed::NotFound(_)) => {
                let gone = doubted.map_or(observed, Observed::Deleted);
                table.deliver(key, gone);
            }
            (_, Observed::ApiError(failure)) => {
                if let (Selection::Pods(_), Some(time)) = (&self.selection, failure.retry_after) {
                    self.budget.hold(time);
                }
                table.deliver(key, observed);
            }
            (_, Observed::Deleted(_) | Observed::Silence | Observed::Cancelled) => table.forget_read(key),
        }
    }

    /// Watches one pod from where a GET found it, unless the watch is there already.
    fn watch_from(&mut self, version: String) {
        let is_due = match &self.watch {
            Watch::None { until } => *until <= Instant::now(),
            watch @ (Watch::Wanted(_) | Watch::Opening(..) | Watch::Open(..)) => {
                watch.reached() != Some(&version)
            }
        };
        if self.may_watch && is_due {
            // An API server that was started since the pod's last change, or has seen many changes of other pods since, will
            // never watch from there again (`getAllEventsSinceLocked` of its watch cache).
            let from = match std::mem::take(&mut self.has_expired) {
                true => From::Any(version),
                false => From::Version(version),
            };
            self.set_watch(Watch::Wanted(from));
        }
    }

    /// Remembers that a GET has found a resourceVersion to which the watch has not come yet.
    fn compare(&mut self, version: u64) {
        if self.ahead.is_none() && self.watch.reached().is_some_and(|reached| number(reached) < version) {
            self.ahead = Some((Instant::now() + LAG, version));
        }
    }
}

/// Writes a pod's name as it is looked up.
fn set_key(key: &mut String, head: &Head<'_>) {
    key.clear();
    key.extend([&*head.namespace, "/", &*head.name]);
}

fn as_key(pod: &PodName) -> &str {
    pod.borrow()
}
