//! Which run is read, and how far it was read.

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

/// After so many bytes, and no sooner than after so long, it is asked whether the kubelet has begun a new file. It looks
/// every 10 s whether a file has become too large (`containerLogMonitorInterval`).
const FILE_CHECK: (usize, Duration) = (128 << 10, Duration::from_secs(2));

/// How far back to go for the beginning of a line, in seconds.
const FARTHEST: i64 = 64;

/// How often to come back where the kubelet seems to be ahead: some seconds. It is not if its files are not what they were.
const MOST_RETRIES_AHEAD: u32 = 6;

/// How much of a file is asked for to know the time of its first line.
const FIRST_LINE: u32 = 64;

/// The first line of a file.
pub(super) type FirstLine = Result<First, ApiFailure>;

/// How a file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// There is no line.
    Nothing,
    /// With a line of this time.
    Line(Timestamp),
    /// With something else.
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

/// A run that is read.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) has_ended: bool,
    finished_at: Option<podwait_core::Timestamp>,
    pub(super) cursor: Cursor,
    /// How far it was read, if its lines have no times.
    pub(super) untimed: Option<Prefix>,
    /// The cursor before the stream that was opened last.
    before: Cursor,
    /// How often in a row it was read to its end, after its end, without anything new.
    quiet: u32,
    /// How often the node said that it has nothing.
    pub(super) asked: u32,
    /// All of it was read that there is.
    is_read: bool,
    /// The last line that was told is not in the file any more.
    is_cut: bool,
    pub(super) file: File,
    /// How many seconds before the last line to begin to read again.
    pub(super) earlier: i64,
    /// As long as no line was told, all of it is asked for: `since` brought a line whose time is not known.
    is_whole: bool,
}

/// The time of the first line of the run before, by which one can tell whether the kubelet has begun the next one already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nobody knows.
    Unknown,
    /// There is no such run, or it has written nothing.
    Nothing,
    Line(Timestamp),
}

impl Before {
    /// Whether the kubelet serves the next run as the current one, of which the API server does not know yet. A stream that was
    /// opened before this was asked and answered is of the run that it should be of.
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
            // Its log is removed when the next run has ended; that of a run which has only just ended is there.
            First::NoLog(NoLog::Removed | NoLog::Untimed) => Ok(false),
            First::NoLog(no_log @ (NoLog::Unfollowable | NoLog::Unreadable)) => Err(no_log.failure()),
        }
    }
}

/// What is known of the file that the kubelet serves.
#[derive(Default)]
pub(super) struct File {
    /// The time of its first line.
    begin: Option<Timestamp>,
    /// The last line that was told when the file was still that one.
    last: Option<Timestamp>,
    /// What was read since it was looked at, and in all.
    bytes: usize,
    total: usize,
    looked: Option<Instant>,
}

impl File {
    /// The first line of the newest file is read; or it is not, and then it is looked for at once.
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

    /// Whether a log of this length may have filled a file.
    fn may_have_changed(&self) -> bool {
        self.begin.is_some() && self.total >= FILE_CHECK.0
    }

    /// Whether it is time to look whether it is still the same.
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

    /// Begins another stream. The second from which on to ask for it, if not for all: nothing is wanted before `since`.
    pub(super) fn begin_stream(&mut self, since: Option<i64>) -> Option<i64> {
        self.before = self.cursor.clone();
        if let Some(untimed) = &mut self.untimed {
            untimed.begin();
            return None;
        }
        let since = since.filter(|_| !self.is_whole);
        self.cursor.resume().or(since).map(|second| second.saturating_sub(self.earlier))
    }

    /// What came begins in the middle of a line: the kubelet leaves out the parts of a long one that were written before the
    /// second that was asked for, and the time with them. Whether to ask for more.
    fn reach_back(&mut self) -> bool {
        if self.cursor.last().is_none() {
            // Or the node gives no times. All of it will show that.
            return !std::mem::replace(&mut self.is_whole, true);
        }
        self.earlier = self.earlier.saturating_mul(2).max(1);
        self.earlier <= FARTHEST
    }

    /// One more read has come to an end. All is read if it brought nothing new behind the last line that was told. An answer
    /// that was cut off may bring nothing too, but not twice; then that line is gone with its file.
    pub(super) fn end_read(&mut self, has_news: bool) {
        self.quiet = if has_news { 0 } else { self.quiet + 1 };
        let (is_known, is_met) = match &self.untimed {
            Some(untimed) => (true, untimed.is_met()),
            None => (self.cursor.last().is_some(), self.cursor.last().is_some() && self.cursor.is_met()),
        };
        self.is_read = self.quiet >= if is_met { 1 } else { 2 };
        self.is_cut = self.is_read && is_known && !is_met;
    }

    /// Up to which line nothing is missing, if something is missing after the last one that was told: what the kubelet did with
    /// the file since it was looked at, nobody knows either.
    pub(super) fn whole_until(&self) -> Option<Timestamp> {
        let last = self.cursor.last();
        if self.file.may_have_changed() { last.min(self.file.last) } else { last }
    }

    /// Whether what was told came after the run's end, and so from the next one: the kubelet may have started that before
    /// the API server knew. Both times are the node's, and `finishedAt` has no fractions.
    fn is_overrun(&self) -> bool {
        let last = self.cursor.last().map(Timestamp::as_second);
        last.zip(self.finished_at).is_some_and(|(last, finished)| last > finished.0.saturating_add(1))
    }
}

impl Tail {
    /// Chooses the run to read. Whether it is the previous one, if there is any.
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
                // A status that went missing says nothing.
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

    /// Leaves the run. With a reason, if that is not its end.
    pub(super) fn finish_run(&mut self, gap: Option<GapReason>) {
        let Some(run) = self.run.take() else { return };
        // With `since`, or of a run that is not whole, it is not known which line is the first one.
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

    /// Leaves a run of which all was read. Whether there was one.
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
                    // There are lines, and yet none came.
                    self.read_again();
                } else {
                    self.finish_run(None);
                }
            }
        }
        true
    }

    /// Whether to ask for more before a line of this stream, the first, whose time is not known.
    pub(super) fn reach_back(&mut self, stream: &Open) -> bool {
        !stream.is_whole && self.run.as_mut().is_some_and(Run::reach_back)
    }

    /// Waits a little for the API server to hear of the next run.
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

    /// Asks for the time of the first line of the run's file.
    pub(super) fn first_line(&self, previous: bool) -> BoxFuture<'static, FirstLine> {
        let (calls, pod, container) = (self.calls.clone(), self.pod.clone(), self.container.clone());
        let known = self.run.as_ref().and_then(|run| run.file.begin);
        Box::pin(async move {
            let first = first_line_served(&calls, &pod, &container, previous).await?;
            if let (false, First::Line(begin), Some(known)) = (previous, first, known)
                && begin != known
            {
                // Another file of this run, or the next run, to which this one is the previous.
                let before = first_line_served(&calls, &pod, &container, true).await?;
                if before == First::Line(known) {
                    return Ok(before);
                }
            }
            Ok(first)
        })
    }

    /// Tells of a file that has taken the place of the one that was read.
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
