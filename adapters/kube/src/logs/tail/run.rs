//! The run that is read, and the position in its log.

use super::super::GapReason;
use super::super::cursor::Cursor;
use super::super::kubelet_message::NoLog;
use super::super::pieces::{EndOfPieces, Pieces};
use super::super::prefix::Prefix;
use super::super::request::{LogAnswer, LogQuery};
use super::{LAST_PAUSES, Open, Tail};
use crate::board::RunFacts;
use crate::client::{CALL_TIMEOUT, Calls, failure, timed_out};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use podwait_hub::PodName;
use podwait_wire::{ApiFailure, Via};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// After this many bytes, and at the earliest after this time, the tail checks whether the kubelet has begun a new
/// file. The kubelet checks every 10 s whether a file has become too large (`containerLogMonitorInterval`).
const FILE_CHECK: (usize, Duration) = (128 << 10, Duration::from_secs(2));

/// How far back to search for the beginning of a line, in seconds.
const FARTHEST: i64 = 64;

/// How often to retry if the kubelet seems to be ahead of the API server: some seconds. After that its files must have
/// changed.
const MOST_RETRIES_AHEAD: u32 = 6;

/// How many bytes of a file are requested for the time of its first line.
const FIRST_LINE: u32 = 64;

/// The first line of a file.
pub(super) type FirstLine = Result<First, ApiFailure>;

/// How a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The file has no line.
    Nothing,
    /// With a line of this time.
    Line(Timestamp),
    /// With a line that does not belong to a log.
    NoLog(NoLog),
}

impl First {
    /// The time of the first line, if there is one.
    pub(super) fn time(self) -> Result<Option<Timestamp>, ApiFailure> {
        match self {
            Self::Nothing => Ok(None),
            Self::Line(time) => Ok(Some(time)),
            Self::NoLog(no_log) => Err(no_log.failure()),
        }
    }
}

/// A run that is being read.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) has_ended: bool,
    finished_at: Option<podwait_core::Timestamp>,
    pub(super) cursor: Cursor,
    /// The position in the log, if its lines have no times.
    pub(super) untimed: Option<Prefix>,
    /// The cursor before the stream that was opened last.
    before: Cursor,
    /// How often in a row, after the run's end, a read to the end of the log had nothing new.
    quiet: u32,
    /// How often the node answered that it has no log.
    pub(super) asked: u32,
    /// The whole log was read.
    is_read: bool,
    /// The last reported line is not in the file any more.
    is_cut: bool,
    pub(super) file: File,
    /// How many seconds before the last line to begin when the log is read again.
    pub(super) earlier: i64,
    /// Before the first reported line, the whole log is requested: with `since` came a line without its time.
    is_whole: bool,
}

/// The time of the first line of the previous run. If it changes, the kubelet has already begun the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Not known.
    Unknown,
    /// There is no previous run, or it has written nothing.
    Nothing,
    Line(Timestamp),
}

impl Before {
    /// Whether the kubelet already serves the next run as the current one, before the API server knows that run. If
    /// not, a stream that was opened before this check is of the right run.
    pub(super) async fn is_past(
        self,
        calls: &Calls,
        pod: &PodName,
        container: &Arc<str>,
    ) -> Result<bool, ApiFailure> {
        if self == Self::Unknown {
            return Ok(false);
        }
        match first_line_served(calls, pod, container, true).await? {
            First::Nothing => Ok(self != Self::Nothing),
            First::Line(time) => Ok(self != Self::Line(time)),
            // The previous run's log is removed only when the next run has ended; the log of a run that has just ended
            // exists.
            First::NoLog(NoLog::Removed | NoLog::Untimed) => Ok(false),
            First::NoLog(no_log @ (NoLog::Unfollowable | NoLog::Unreadable)) => Err(no_log.failure()),
        }
    }
}

/// The facts about the file that the kubelet serves.
#[derive(Default)]
pub(super) struct File {
    /// The time of its first line.
    begin: Option<Timestamp>,
    /// The time of the last reported line when the file was still that one.
    last: Option<Timestamp>,
    /// The bytes read since the last check, and in all.
    bytes: usize,
    total: usize,
    looked: Option<Instant>,
}

impl File {
    /// A new file begins. If its first line is not known, it is looked for at once.
    pub(super) fn begin(&mut self, first: Option<Timestamp>) {
        (self.begin, self.last) = (first, first);
        if first.is_none() {
            (self.bytes, self.looked) = (FILE_CHECK.0, None);
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.total = self.total.saturating_add(bytes);
    }

    /// Whether a log of this length may fill a file.
    fn may_have_changed(&self) -> bool {
        self.begin.is_some() && self.total >= FILE_CHECK.0
    }

    /// Whether to check now if the file is still the same.
    pub(super) fn is_due(&self) -> bool {
        let (bytes, time) = FILE_CHECK;
        self.bytes >= bytes && self.looked.is_none_or(|looked| looked.elapsed() >= time)
    }
}

impl Run {
    fn new(facts: &RunFacts, cursor: Cursor) -> Self {
        Self {
            id: facts.id.clone(),
            attempt: facts.attempt,
            has_ended: facts.has_ended,
            finished_at: facts.finished_at,
            before: cursor.clone(),
            cursor,
            untimed: None,
            quiet: 0,
            asked: 0,
            is_read: false,
            is_cut: false,
            file: File::default(),
            earlier: 0,
            is_whole: false,
        }
    }

    fn update(&mut self, facts: &RunFacts) {
        self.has_ended = facts.has_ended;
        self.finished_at = facts.finished_at;
    }

    /// Begins another stream. Returns the second from which to request the log, if not all of it: no line before
    /// `since` is wanted.
    pub(super) fn begin_stream(&mut self, since: Option<i64>) -> Option<i64> {
        self.before = self.cursor.clone();
        if let Some(untimed) = &mut self.untimed {
            untimed.begin();
            return None;
        }
        let since = since.filter(|_| !self.is_whole);
        self.cursor.resume().or(since).map(|second| second.saturating_sub(self.earlier))
    }

    /// The stream begins in the middle of a line: the kubelet leaves out the parts of a long line that were written
    /// before the requested second, and with them the time. Returns whether to request more.
    fn reach_back(&mut self) -> bool {
        if self.cursor.last().is_none() {
            // Or the node sends no times, which the whole log will show.
            return !std::mem::replace(&mut self.is_whole, true);
        }
        self.earlier = self.earlier.saturating_mul(2).max(1);
        self.earlier <= FARTHEST
    }

    /// A read has ended. The log is complete if the read had nothing new after the last reported line. If the read did
    /// not reach that line, it may have been cut off; after two such reads the line is gone with its file.
    pub(super) fn end_read(&mut self, has_news: bool) {
        self.quiet = if has_news { 0 } else { self.quiet + 1 };
        let (is_known, is_met) = match &self.untimed {
            Some(untimed) => (true, untimed.is_met()),
            None => (self.cursor.last().is_some(), self.cursor.last().is_some() && self.cursor.is_met()),
        };
        self.is_read = self.quiet >= if is_met { 1 } else { 2 };
        self.is_cut = self.is_read && is_known && !is_met;
    }

    /// The last line before a possible gap: nothing is known about the file since its last check.
    pub(super) fn whole_until(&self) -> Option<Timestamp> {
        let last = self.cursor.last();
        if self.file.may_have_changed() { last.min(self.file.last) } else { last }
    }

    /// Whether the last reported line is later than the run's end, and so belongs to the next run: the kubelet may have
    /// started that run before the API server knew. Both times are from the node, and `finishedAt` has no fractions.
    fn is_overrun(&self) -> bool {
        let last = self.cursor.last().map(Timestamp::as_second);
        last.zip(self.finished_at).is_some_and(|(last, finished)| last > finished.0.saturating_add(1))
    }
}

impl Tail {
    /// Chooses the run to read. Returns whether it is the kubelet's previous one; `None` if there is none to read.
    pub(super) fn choose(&mut self) -> Option<bool> {
        let (facts, _) = self.seen.clone()?;
        let (current, before) = (facts.current, facts.before);
        if let Some(run) = &mut self.run {
            let is_this = |facts: &&RunFacts| facts.id == run.id;
            if let Some(facts) = current.as_ref().filter(is_this) {
                run.update(facts);
                return Some(false);
            }
            if let Some(facts) = before.as_ref().filter(is_this) {
                run.update(facts);
                if run.is_overrun() && self.ahead.is_none() {
                    self.ahead = Some(std::mem::replace(&mut run.cursor, run.before.clone()));
                }
                return Some(true);
            }
            if current.is_none() && before.is_none() {
                // A missing status shows nothing.
                return Some(false);
            }
            self.finish_run(Some(GapReason::Gone));
        }
        let is_done = |facts: &RunFacts| self.done.as_ref().is_some_and(|(id, _)| *id == facts.id);
        if current.as_ref().is_some_and(is_done) {
            return None;
        }
        let before = before.filter(|before| !is_done(before));
        let (facts, previous) = match (before, current) {
            (Some(before), _) => (before, true),
            (None, Some(current)) => (current, false),
            (None, None) => return None,
        };
        let expected = self.done.as_ref().map_or(1, |(_, attempt)| attempt.saturating_add(1));
        if facts.attempt > expected && self.since.is_none() {
            self.report_gap(expected..=facts.attempt - 1, None, None, GapReason::Gone);
        }
        if facts.attempt == 1 {
            self.before = Before::Nothing;
        } else if facts.attempt != expected {
            self.before = Before::Unknown;
        }
        let cursor = if previous { None } else { self.ahead.take() };
        self.run = Some(Run::new(&facts, cursor.unwrap_or_default()));
        Some(previous)
    }

    /// Leaves the run; with a gap's reason, if the run was not read to its end.
    pub(super) fn finish_run(&mut self, gap: Option<GapReason>) {
        let Some(run) = self.run.take() else { return };
        // With `since`, or if the run's beginning is missing, its first line is not known.
        self.before = match run.file.begin {
            _ if gap.is_some() || self.since.is_some() || run.untimed.is_some() => Before::Unknown,
            Some(begin) => Before::Line(begin),
            None if run.cursor.last().is_none() => Before::Nothing,
            None => Before::Unknown,
        };
        if let Some(reason) = gap {
            self.report_gap(run.attempt..=run.attempt, run.cursor.last(), None, reason);
        }
        self.done = Some((run.id, run.attempt));
        self.look = None;
    }

    /// Leaves a run that was read completely. Returns whether there was one.
    pub(super) async fn leave_run(&mut self, previous: bool) -> bool {
        let Some(run) = self.run.as_ref().filter(|run| run.is_read) else { return false };
        let is_cut = run.is_cut;
        if run.untimed.is_some() {
            if is_cut {
                self.report_gap(run.attempt..=run.attempt, None, None, GapReason::Rotated);
            }
            self.finish_run(None);
            return true;
        }
        if !is_cut && !run.file.may_have_changed() {
            self.finish_run(None);
            return true;
        }
        let Some(first) = self.beside(self.first_line(previous), false, LAST_PAUSES).await else {
            if self.is_too_late() {
                self.give_up(None);
            }
            return true;
        };
        match first.and_then(First::time) {
            Err(failure) => self.fail(failure),
            Ok(None) if is_cut => {
                let after = self.run.as_ref().and_then(Run::whole_until);
                let attempt = self.run.as_ref().map_or(1, |run| run.attempt);
                self.report_gap(attempt..=attempt, after, None, GapReason::Rotated);
                self.finish_run(None);
            }
            Ok(begin) => {
                self.compare_file(begin);
                if is_cut {
                    // The file has lines, but none came.
                    self.read_again();
                } else {
                    self.finish_run(None);
                }
            }
        }
        true
    }

    /// Whether to request an earlier part of the log, because the first line of this stream has no time.
    pub(super) fn reach_back(&mut self, stream: &Open) -> bool {
        !stream.is_whole && self.run.as_mut().is_some_and(Run::reach_back)
    }

    /// Waits a little, until the API server knows the next run.
    pub(super) fn come_back(&mut self) {
        self.rest();
        self.retries_ahead += 1;
        if self.retries_ahead >= MOST_RETRIES_AHEAD {
            (self.before, self.retries_ahead) = (Before::Unknown, 0);
        }
    }

    fn read_again(&mut self) {
        if let Some(run) = &mut self.run {
            (run.quiet, run.is_read) = (0, false);
        }
        self.rest();
    }

    /// Requests the time of the first line of the run's file.
    pub(super) fn first_line(&self, previous: bool) -> BoxFuture<'static, FirstLine> {
        let (calls, pod, container) = (self.calls.clone(), self.pod.clone(), self.container.clone());
        let known = self.run.as_ref().and_then(|run| run.file.begin);
        Box::pin(async move {
            let first = first_line_served(&calls, &pod, &container, previous).await?;
            if let (false, First::Line(begin), Some(known)) = (previous, first, known)
                && begin != known
            {
                // Another file of this run, or the next run, whose previous one is this run.
                let before = first_line_served(&calls, &pod, &container, true).await?;
                if before == First::Line(known) {
                    return Ok(before);
                }
            }
            Ok(first)
        })
    }

    /// Reports a gap if another file has replaced the one that was read.
    pub(super) fn compare_file(&mut self, begin: Option<Timestamp>) {
        let Some(run) = &mut self.run else { return };
        let (attempt, file) = (run.attempt, &mut run.file);
        file.looked = Some(Instant::now());
        let Some(begin) = begin else { return };
        file.bytes = 0;
        let last = std::mem::replace(&mut file.last, run.cursor.last());
        if file.begin.replace(begin).is_some_and(|old| old != begin) {
            self.report_gap(attempt..=attempt, last, Some(begin), GapReason::Rotated);
        }
    }
}

/// The time of the first line that the kubelet serves.
async fn first_line_served(calls: &Calls, pod: &PodName, container: &Arc<str>, previous: bool) -> FirstLine {
    let container = Arc::clone(container);
    let query = LogQuery { container, previous, follow: false, since: None, limit: Some(FIRST_LINE) };
    match calls.log(pod, &query, CALL_TIMEOUT).await {
        LogAnswer::Body(body) => {
            let mut pieces = Pieces::of_whole(body);
            let piece = match timeout(CALL_TIMEOUT, pieces.next()).await {
                Ok(Ok(piece) | Err(EndOfPieces::Ended(Some(piece)))) => piece,
                Ok(Err(EndOfPieces::Ended(None))) => return Ok(First::Nothing),
                Ok(Err(EndOfPieces::NoLog(no_log))) => return Ok(First::NoLog(no_log)),
                Ok(Err(EndOfPieces::Broken(message))) => return Err(failure(Via::Get, 0, message)),
                Err(_) => return Err(timed_out(Via::Get)),
            };
            Ok(piece.time.map_or(First::NoLog(NoLog::Untimed), First::Line))
        }
        LogAnswer::Nothing(_) | LogAnswer::NoPod => Ok(First::Nothing),
        LogAnswer::Failed(failure) => Err(failure),
    }
}
