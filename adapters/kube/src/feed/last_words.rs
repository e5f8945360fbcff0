//! The last words of pods that were not found: a second watch, for a moment, from where they were known last.
//!
//! A read that does not find a pod says nothing of how it ended, and neither does a LIST after an outage. The watch that would
//! have told it may be dead, or was not there. The API server keeps what it told, for some minutes, and tells it again.

use super::heard::{said, will_not};
use super::{Feed, LAG, LAST_WORDS, SHORTEST_REST};
use crate::feed::table::{Missed, Waited, number};
use crate::feed::watch::{From, News, Watch};
use crate::selection::PodName;
use crate::source::ApiFailure;
use crate::wire::envelope::EventKind;
use bytes::Bytes;
use std::borrow::Borrow;
use std::time::Duration;
use tokio::time::Instant;

/// How long the server is asked to keep the watch open: longer than anybody listens, should nobody close it.
const SECONDS: u32 = 10;

/// Nobody listens.
const NOWHERE: u64 = u64::MAX;

/// Who listens for last words.
pub(super) struct LastWords {
    watch: Watch,
    /// The resourceVersion after which they come.
    from: u64,
}

impl LastWords {
    pub(super) fn none() -> Self {
        Self { watch: Watch::none(), from: NOWHERE }
    }

    /// Whether there is a watch to be opened.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.watch, Watch::Wanted(_))
    }

    /// When there will be one to be opened.
    fn due(&self) -> Option<Instant> {
        match self.watch {
            Watch::None { until } => (self.from != NOWHERE).then_some(until),
            Watch::Wanted(_) | Watch::Opening(..) | Watch::Open(..) => None,
        }
    }

    /// Listens from there: where somebody listens already, also to what has been said since; else not before that time.
    fn listen(&mut self, from: u64, at: Instant) {
        let is_said = self.watch.reached().is_some_and(|reached| from < number(reached));
        if is_said {
            self.watch = Watch::none();
        } else if self.from == NOWHERE {
            self.watch = Watch::None { until: at };
        }
        self.from = self.from.min(from);
    }

    /// The next thing that is said; never, while nobody listens. Cancel-safe.
    pub(super) async fn next(&mut self) -> News {
        self.watch.next().await
    }
}

impl Feed {
    /// Tells those who wait for a pod that it was not found, or another one of its name: at once, or after a moment in which
    /// its last words may come.
    pub(super) fn miss(&mut self, pod: &PodName, missed: Missed) {
        let mut table = self.waits.lock();
        if table.is_held_back(pod) {
            return;
        }
        let kept = if self.may_watch { table.hold_back(pod, missed, LAST_WORDS) } else { Err(missed) };
        drop(table);
        let version = match kept {
            Ok(version) => version,
            Err(missed) => return self.tell_missed(pod.borrow(), missed),
        };
        // All until there was told.
        let place = self.watch.reached().map_or(self.left_at, number);
        // A watch that is well needs no other beside it.
        let pause = if self.watch.is_open() { SHORTEST_REST } else { Duration::ZERO };
        self.last_words.listen(version.max(place), Instant::now() + pause);
    }

    /// Tells what was kept back until now, without another read: that might fail for as long as a budget lasts, and the pod
    /// is gone all the same. When the next one is due.
    pub(super) fn tell_all_missed(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let mut table = self.waits.lock();
            let Some((pod, missed)) = table.next_missed(now) else { return table.reads.put_off_until() };
            drop(table);
            self.tell_missed(pod.borrow(), missed);
        }
    }

    /// Tells what was found in place of a pod.
    pub(super) fn tell_missed(&mut self, key: &str, missed: Missed) {
        match missed {
            Missed::Nothing(via) => self.not_found(key, via),
            Missed::Another(found) => self.found(key, found),
        }
    }

    /// Listens for last words as long as somebody waits for them. When there is something to do, if not at once.
    pub(super) fn listen(&mut self, now: Instant, is_any_missed: bool) -> Option<Instant> {
        if !is_any_missed {
            self.last_words = LastWords::none();
        }
        let due = self.last_words.due()?;
        if due <= now {
            self.last_words.watch = Watch::Wanted(From::Version(self.last_words.from.to_string()));
        }
        Some(due)
    }

    pub(super) fn open_last_words(&mut self) {
        self.last_words.watch.open(&self.calls, &self.selection, SECONDS);
    }

    /// Takes what is said.
    pub(super) fn hear_last_words(&mut self, news: News) {
        let said = match news {
            News::Opened => Ok(()),
            News::Line(line) => self.take_last_words(&line).map_err(Some),
            News::Over => Err(None),
            News::Failed(failure) => Err(Some(failure)),
        };
        let Err(failure) = said else { return };
        self.last_words.from = self.last_words.watch.reached().map_or(NOWHERE, number);
        self.last_words.watch = Watch::None { until: Instant::now() + SHORTEST_REST };
        let Some(failure) = failure else { return };
        self.budget.heed(&failure);
        if failure.is_expired() || will_not(&failure) {
            // Whoever waits is told at once, unless the other watch may still tell.
            self.last_words = LastWords::none();
            if !self.watch.is_on() {
                self.tell_all_missed(Instant::now() + LAST_WORDS);
            }
        }
    }

    fn take_last_words(&mut self, line: &Bytes) -> Result<(), ApiFailure> {
        let event = said(line)?;
        if event.kind == EventKind::Bookmark {
            return Ok(());
        }
        if !self.selection.may_have(&event.head.namespace, &event.head.name) {
            return Ok(());
        }
        let version = number(&event.head.resource_version);
        self.last_words.watch.has_reached(&event.head.resource_version);
        // Of one that nobody misses it is not the latest there is to know.
        let is_news = |waited: &Waited| waited.is_missed() && waited.is_news(version);
        let Some(observed) = self.read(line, &event, is_news) else { return Ok(()) };
        if event.kind == EventKind::Deleted {
            self.tell(&event, observed);
        } else {
            self.waits.lock().recall(&self.key, observed);
        }
        self.expect(LAG, version);
        Ok(())
    }
}
