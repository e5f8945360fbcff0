//! What a read of one pod brings.

use super::{Answer, Feed, LAG, LONGEST_REST};
use crate::feed::table::{Missed, number, version};
use crate::feed::watch::{From, Watch};
use crate::selection::Selection;
use crate::source::{Observed, ObservedPod, Via};
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
            // Something else was faster, and this is old, unless it is a later state of the pod.
            if let Some(observed @ Observed::Pod(found)) = &observed
                && waited.is_worth(version(found))
            {
                table.deliver(key, observed.clone());
            }
            return;
        }
        let Some(observed) = observed else {
            // Then it is read by itself, unless it is not there at all.
            return table.stray(&pod);
        };
        let has_failed = matches!(observed, Observed::ApiError(_));
        let is_back = std::mem::replace(&mut self.has_failed_reads, has_failed) && !has_failed;
        table.is_failing = has_failed;
        table.is_behind |= has_failed;
        match observed {
            Observed::Pod(found) => {
                if found.via == Via::List
                    && let Some(waited) = table.get_mut(key)
                {
                    waited.matched();
                }
                let is_another = table.get_mut(key).is_some_and(|waited| waited.is_another(&found));
                drop(table);
                if is_another {
                    self.miss(&pod, Missed::Another(found));
                } else {
                    self.found(key, found);
                }
            }
            Observed::NotFound(via) => {
                drop(table);
                self.miss(&pod, Missed::Nothing(via));
            }
            Observed::ApiError(failure) => {
                self.budget.heed(&failure);
                table.deliver(key, Observed::ApiError(failure));
            }
            Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => table.forget_read(key),
        }
        if let Watch::None { until } = &mut self.watch
            && is_back
            && matches!(self.selection, Selection::Pods(_))
        {
            // The server is back, and all the others need not be read one by one.
            *until = (*until).min(Instant::now());
        }
    }

    /// Tells that a pod was not found.
    pub(super) fn not_found(&mut self, key: &str, via: Via) {
        self.waits.lock().deliver(key, Observed::NotFound(via));
        if let Selection::Pod(..) = self.selection {
            self.set_watch(Watch::none());
        }
    }

    /// Tells how a pod was found, and looks after its watch.
    pub(super) fn found(&mut self, key: &str, found: ObservedPod) {
        let version = found.pod.snapshot.resource_version.clone();
        let mut table = self.waits.lock();
        let has_gone_back = table.get_mut(key).is_some_and(|waited| waited.is_ahead_of(number(&version)));
        table.deliver(key, Observed::Pod(found));
        let is_watched = table.is_watched(key);
        drop(table);
        match &self.selection {
            Selection::Pod(..) => self.watch_from(version),
            Selection::Pods(_) if has_gone_back => self.list_anew(),
            Selection::Pods(_) if is_watched => self.expect(LAG, number(&version)),
            Selection::Pods(_) => {}
        }
    }

    /// Gives the watch up for a LIST: a read that nothing had overtaken shows an older state of a pod, so the store was
    /// restored from a backup. A watch from a resourceVersion that a server has yet to reach brings nothing
    /// (kubernetes#107457). A cache on the way looks the same, so this is not done often.
    fn list_anew(&mut self) {
        let now = Instant::now();
        let rests = self.listed_anew.is_some_and(|at| now < at + LONGEST_REST);
        if self.list.is_none() && !rests {
            self.listed_anew = Some(now);
            self.set_watch(Watch::none());
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

    /// Remembers that a read was ahead of the watch, which should have come to this resourceVersion by then.
    pub(super) fn expect(&mut self, within: Duration, version: u64) {
        if self.ahead.is_none() && self.watch.reached().is_some_and(|reached| number(reached) < version) {
            self.ahead = Some((Instant::now() + within, version));
        }
    }
}
