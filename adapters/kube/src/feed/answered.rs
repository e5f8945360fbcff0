//! What a read of one pod brings.

use super::{Answer, Feed, LAG};
use crate::selection::Selection;
use crate::source::{Observed, Via};
use crate::table::{Match, number};
use crate::watch::{From, Watch};
use std::borrow::Borrow;
use std::time::Duration;
use tokio::time::Instant;

impl Feed {
    /// Takes the answer to a read.
    pub(super) fn answered(&mut self, answer: Answer) {
        let Answer { pod, turn, observed } = answer;
        let key: &str = pod.borrow();
        let mut table = self.waits.lock();
        let Some(waited) = table.get_mut(key) else { return };
        if waited.turn != turn {
            // Something else was faster, and this is old.
            return;
        }
        let Some(observed) = observed else {
            // Then it is read by itself, unless it is not there at all.
            waited.matches = Match::No;
            table.forget_read(key);
            table.ask(&pod, Duration::ZERO);
            return;
        };
        match &observed {
            Observed::Pod(found) => {
                if found.via == Via::List {
                    waited.matches = Match::Yes;
                }
                let version = found.pod.snapshot.resource_version.clone();
                table.deliver(key, observed);
                let is_watched = table.is_watched(key);
                drop(table);
                match &self.selection {
                    Selection::Pod(..) => self.watch_from(version),
                    Selection::Pods(_) if is_watched => self.compare(number(&version)),
                    Selection::Pods(_) => {}
                }
            }
            Observed::NotFound(via) => {
                let is_told = table.miss(&pod, *via);
                drop(table);
                if is_told && matches!(self.selection, Selection::Pod(..)) {
                    self.set_watch(Watch::none());
                }
            }
            Observed::ApiError(failure) => {
                if let Some(time) = failure.retry_after {
                    self.budget.hold(time);
                }
                table.deliver(key, observed);
            }
            Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => table.forget_read(key),
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
