//! Which run is read, and how far it was read.

use super::super::GapReason;
use super::super::board::RunFacts;
use super::super::cursor::Cursor;
use super::super::pieces::Pieces;
use super::super::request::{LogAnswer, LogQuery};
use super::Tail;
use crate::client::{CALL_TIMEOUT, Calls, timed_out};
use crate::selection::PodName;
use crate::source::{ApiFailure, Via};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// After so many bytes, and no sooner than after so long, it is asked whether the kubelet has begun a new file. It looks
/// every 10 s whether a file has become too large (`containerLogMonitorInterval`).
const FILE_CHECK: (usize, Duration) = (128 << 10, Duration::from_secs(2));

/// How much of a file is asked for to know the time of its first line.
const FIRST_LINE: u32 = 64;

/// The time of the first line of a file, if there is one.
pub(super) type FirstLine = Result<Option<Timestamp>, ApiFailure>;

/// A run that is read.
pub(super) struct Run {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) has_ended: bool,
    finished_at: Option<podwait_core::Timestamp>,
    pub(super) cursor: Cursor,
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
    pub(super) doubt: Doubt,
    /// That the kubelet serves this run as the previous one was looked at.
    is_placed: bool,
}

/// Whether lines that do not follow on what was told are of this run at all. The kubelet serves the run that it has begun last, and
/// the API server may hear of that one a second later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// To be asked.
    Open,
    /// They are: the file has been changed.
    Settled,
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
            quiet: 0,
            asked: 0,
            is_read: false,
            is_cut: false,
            file: File::default(),
            doubt: Doubt::None,
            is_placed: false,
        }
    }

    fn update(&mut self, facts: &RunFacts) {
        self.has_ended = facts.has_ended;
        self.finished_at = facts.finished_at;
    }

    /// Begins another stream. The second from which on to ask for it.
    pub(super) fn begin_stream(&mut self) -> Option<i64> {
        self.before = self.cursor.clone();
        self.cursor.resume()
    }

    /// One more read has come to an end. All is read if it brought nothing new behind the last line that was told. An answer
    /// that was cut off may bring nothing too, but not twice; then that line is gone with its file.
    pub(super) fn end_read(&mut self, has_news: bool) {
        self.quiet = if has_news { 0 } else { self.quiet + 1 };
        let is_known = self.cursor.last().is_some();
        let is_met = is_known && self.cursor.is_met();
        self.is_read = self.quiet >= if is_met { 1 } else { 2 };
        self.is_cut = self.is_read && is_known && !is_met;
    }

    /// Up to which line nothing is missing, if something is missing after the last one that was told: what the kubelet did with
    /// the file since it was looked at, nobody knows either.
    pub(super) fn whole_until(&self) -> Option<Timestamp> {
        let last = self.cursor.last();
        if self.file.may_have_changed() { last.min(self.file.last) } else { last }
    }

    /// Whether to ask first, where lines seem to be missing. Nothing of this stream has been told yet then.
    pub(super) fn begins_to_doubt(&mut self) -> bool {
        let is_doubtful = self.file.begin.is_some() && self.doubt != Doubt::Settled;
        if is_doubtful {
            (self.doubt, self.cursor) = (Doubt::Open, self.before.clone());
        }
        is_doubtful
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
            self.tell_gap(expected..=facts.attempt - 1, None, None, GapReason::Gone);
        }
        let cursor = if previous { None } else { self.ahead.take() };
        self.run = Some(Run::new(&facts, cursor.unwrap_or_default()));
        Some(previous)
    }

    /// Leaves the run. With a reason, if that is not its end.
    pub(super) fn finish_run(&mut self, gap: Option<GapReason>) {
        let Some(run) = self.run.take() else { return };
        if let Some(reason) = gap {
            self.tell_gap(run.attempt..=run.attempt, run.cursor.last(), None, reason);
        }
        self.done = Some((run.id, run.attempt));
        self.look = None;
    }

    /// Leaves a run of which all was read. Whether there was one.
    pub(super) async fn leave_run(&mut self, previous: bool) -> bool {
        let Some(run) = self.run.as_ref().filter(|run| run.is_read) else { return false };
        let is_cut = run.is_cut;
        if !is_cut && !run.file.may_have_changed() {
            self.finish_run(None);
            return true;
        }
        let first = self.first_line(previous).await;
        match first {
            Err(failure) => self.fail(failure),
            Ok(None) if is_cut => {
                let after = self.run.as_ref().and_then(Run::whole_until);
                let attempt = self.run.as_ref().map_or(1, |run| run.attempt);
                self.tell_gap(attempt..=attempt, after, None, GapReason::Rotated);
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

    pub(super) fn is_in_doubt(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.doubt == Doubt::Open)
    }

    /// Finds out whether the kubelet serves the run where the API server says that it is, if that has become doubtful. If not, or
    /// if nobody can say, it is to be looked at again a little later.
    pub(super) async fn is_placed(&mut self, previous: bool) -> bool {
        let Some(run) = &self.run else { return false };
        let Some(begin) = run.file.begin else { return true };
        let is_doubtful = if previous { !run.is_placed } else { run.doubt == Doubt::Open };
        if !is_doubtful {
            return true;
        }
        let first = self.first_line(true).await;
        let Some(run) = &mut self.run else { return false };
        match first {
            Err(failure) => {
                self.fail(failure);
                return false;
            }
            Ok(first) if previous => {
                (run.is_placed, run.doubt) = (true, Doubt::None);
                if first.is_some_and(|first| first < begin) && self.ahead.is_none() {
                    // All that was told is of the next one, which was there when this one was asked for.
                    self.ahead = Some(std::mem::take(&mut run.cursor));
                    run.file = File::default();
                }
            }
            Ok(first) if first == Some(begin) => {
                // It is the previous one by now, and the API server will say so.
                let pause = self.next_pause();
                self.not_before = Instant::now() + pause;
                return false;
            }
            Ok(_) => run.doubt = Doubt::Settled,
        }
        true
    }

    fn read_again(&mut self) {
        if let Some(run) = &mut self.run {
            (run.quiet, run.is_read) = (0, false);
        }
        let pause = self.next_pause();
        self.not_before = Instant::now() + pause;
    }

    /// Asks for the time of the first line of the run's file.
    pub(super) fn first_line(&self, previous: bool) -> BoxFuture<'static, FirstLine> {
        let (calls, pod, container) = (self.calls.clone(), self.pod.clone(), self.container.clone());
        let known = self.run.as_ref().and_then(|run| run.file.begin);
        Box::pin(async move {
            let first = first_line_served(&calls, &pod, &container, previous).await?;
            if !previous && first.is_some() && known.is_some() && first != known {
                // Another file of this run, or the next run, to which this one is the previous.
                let before = first_line_served(&calls, &pod, &container, true).await?;
                if before == known {
                    return Ok(known);
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
            self.tell_gap(attempt..=attempt, last, Some(begin), GapReason::Rotated);
        }
    }
}

/// The time of the first line that the kubelet serves.
async fn first_line_served(calls: &Calls, pod: &PodName, container: &str, previous: bool) -> FirstLine {
    let query = LogQuery { container, previous, follow: false, since: None, limit: Some(FIRST_LINE) };
    match calls.log(pod, &query, CALL_TIMEOUT).await {
        LogAnswer::Body(body) => {
            let first = timeout(CALL_TIMEOUT, Pieces::new(body).next_time()).await;
            first.unwrap_or_else(|_| Err(timed_out(Via::Get)))
        }
        LogAnswer::Nothing(_) | LogAnswer::NoPod => Ok(None),
        LogAnswer::Failed(failure) => Err(failure),
    }
}
