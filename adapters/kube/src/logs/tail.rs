//! The log of one container: run after run, stream after stream.

mod run;
mod trouble;

use super::board::{Board, ContainerFacts};
use super::cursor::Taken;
use super::pieces::{EndOfPieces, Piece, Pieces};
use super::request::{LogAnswer, LogQuery};
use super::{GapReason, LogEvent, LogGap, LogLine};
use crate::client::{CALL_TIMEOUT, Calls, failure};
use crate::selection::PodName;
use crate::source::Via;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use jiff::Timestamp;
use run::{Before, FirstLine, NO_LOG, Run};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// First and longest pause before a log is read again that failed or brought nothing.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Longest such pause once the wait is over: then there is little time for another try.
const LAST_PAUSES: Duration = Duration::from_secs(1);

/// Longest pause after a stream that broke off with what it brought, new or not: the server is there.
const AFTER_BREAK: Duration = Duration::from_millis(400);

/// Pause after a stream that ended by itself: as a rule the container has, and the API server hears of it within a second.
const AFTER_END: Duration = Duration::from_secs(1);

/// How long a stream may be silent before it is opened anew, for a dead connection is silent too, and so is a kubelet that
/// has missed the change of a file; it doubles while nothing new comes.
const SILENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(300));

/// How many events are read ahead.
const AHEAD: usize = 64;

/// Reads the log of one container.
pub(super) struct Tail {
    calls: Calls,
    pod: PodName,
    container: Arc<str>,
    board: watch::Receiver<Board>,
    drain: Duration,
    /// The second of the first line that is wanted.
    since: Option<i64>,
    /// What was read and is to be told next.
    events: VecDeque<LogEvent>,
    run: Option<Run>,
    /// The last run that was read to its end: its id, and which it was.
    done: Option<(String, u32)>,
    /// What the kubelet serves as the previous run as long as the one that is read is the current one.
    before: Before,
    /// How often in a row it did not.
    strays: u32,
    /// The cursor of the run after this one, of which a stream turned out to be.
    ahead: Option<super::cursor::Cursor>,
    stream: Option<Open>,
    /// Asks for the first line of the file.
    look: Option<BoxFuture<'static, FirstLine>>,
    /// What was known when the log was read last.
    seen: Option<(ContainerFacts, bool)>,
    /// Until when to go on without anything new, once the wait is over.
    end: Option<Instant>,
    not_before: Instant,
    pause: Duration,
    silence: Duration,
    /// Since when reading fails, and whether that was told.
    failing: Option<(Instant, bool)>,
    is_over: bool,
}

/// A stream that is read.
struct Open {
    pieces: Pieces,
    is_followed: bool,
    /// Begins with the first line of the file.
    is_whole: bool,
    /// Nothing has come yet.
    is_fresh: bool,
    has_news: bool,
    /// When something came last.
    heard: Instant,
}

impl Tail {
    pub(super) fn new(
        calls: Calls,
        pod: PodName,
        container: Arc<str>,
        board: watch::Receiver<Board>,
        drain: Duration,
        since: Option<SystemTime>,
    ) -> Self {
        let since = since.and_then(|time| Timestamp::try_from(time).ok()).map(Timestamp::as_second);
        Self {
            calls,
            pod,
            container,
            board,
            drain,
            since,
            events: VecDeque::new(),
            run: None,
            done: None,
            before: Before::Unknown,
            strays: 0,
            ahead: None,
            stream: None,
            look: None,
            seen: None,
            end: None,
            not_before: Instant::now(),
            pause: PAUSE.0,
            silence: SILENCE.0,
            failing: None,
            is_over: false,
        }
    }

    /// What it tells, until all is told.
    pub(super) fn into_events(self) -> BoxStream<'static, LogEvent> {
        let next = |mut tail: Self| async move {
            let event = tail.next().await?;
            Some((event, tail))
        };
        unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Option<LogEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            self.read_board();
            match self.stream.take() {
                Some(stream) => self.read(stream).await,
                None => self.open().await,
            }
        }
    }

    /// Takes in what the wait knows, and closes a stream that is the wrong one by now.
    fn read_board(&mut self) {
        let is_alone = self.board.has_changed().is_err();
        let board = self.board.borrow_and_update().clone();
        if board.is_over {
            self.end.get_or_insert_with(|| Instant::now() + self.drain);
        } else if is_alone {
            // The wait was dropped.
            self.is_over = true;
        }
        let facts =
            board.pod.as_ref().and_then(|pod| pod.container(&self.container)).cloned().unwrap_or_default();
        let seen = Some((facts, board.is_over));
        if seen != self.seen {
            self.seen = seen;
            if self.failing.is_none() {
                self.not_before = Instant::now();
            }
            if self.stream.as_ref().is_some_and(|stream| stream.is_followed) && !self.is_to_be_followed() {
                self.stream = None;
            }
        }
    }

    /// Whether the run that is read goes on, and somebody wants to know how.
    fn is_to_be_followed(&self) -> bool {
        let Some((facts, false)) = &self.seen else { return false };
        let current = facts.current.as_ref().filter(|current| !current.has_ended);
        current.zip(self.run.as_ref()).is_some_and(|(current, run)| current.id == run.id)
    }

    /// Opens the next stream, or waits until there may be one.
    async fn open(&mut self) {
        let uid = self.board.borrow().pod.as_ref().map(|pod| pod.uid.clone());
        let (Some(previous), Some(uid)) = (self.choose(), uid) else {
            if self.end.is_some() {
                self.is_over = true;
            } else {
                let _ = self.board.changed().await;
            }
            return;
        };
        if self.leave_run(previous).await {
            return;
        }
        if self.is_too_late() {
            return self.give_up();
        }
        let now = Instant::now();
        if self.not_before > now {
            let until = self.end.map_or(self.not_before, |end| end.min(self.not_before));
            tokio::select! {
                biased;
                () = changed(&mut self.board) => {}
                () = sleep_until(until) => {}
            }
            return;
        }
        let is_followed = !previous && self.is_to_be_followed();
        let Some(run) = &mut self.run else { return };
        let since = run.begin_stream(self.since);
        let query =
            LogQuery { container: &self.container, previous, follow: is_followed, since, limit: None };
        let may_restart = self.seen.as_ref().is_some_and(|(facts, _)| facts.may_restart);
        let before = if may_restart { self.before } else { Before::Unknown };
        let answer = async {
            let answer = self.calls.log(&self.pod, &query, self.silence).await;
            let LogAnswer::Body(_) = answer else { return Ok(Some(answer)) };
            // Names are given again.
            if !self.calls.is_still(&self.pod, &uid).await? {
                return Ok(Some(LogAnswer::NoPod));
            }
            // And so are the kubelet's "current" and "previous".
            let is_ahead = !previous && before.is_past(&self.calls, &self.pod, &self.container).await?;
            Ok((!is_ahead).then_some(answer))
        };
        let end = self.end;
        let answer = tokio::select! {
            answer = answer => answer,
            () = sleep_until_some(end) => return,
        };
        match answer.unwrap_or_else(|failure| Some(LogAnswer::Failed(failure))) {
            None => self.come_back(),
            Some(LogAnswer::Body(body)) => {
                self.strays = 0;
                let pieces = Pieces::new(body);
                let (is_whole, heard) = (since.is_none(), Instant::now());
                self.stream =
                    Some(Open { pieces, is_followed, is_whole, is_fresh: true, has_news: false, heard });
            }
            Some(LogAnswer::Nothing(message)) => self.find_nothing(message),
            Some(LogAnswer::NoPod) => {
                self.finish_run(Some(GapReason::Gone));
                self.is_over = true;
            }
            Some(LogAnswer::Failed(failure)) => self.fail(failure),
        }
    }

    /// Reads on, and keeps the stream if there may be more.
    async fn read(&mut self, mut stream: Open) {
        let patience = if stream.is_followed { self.silence } else { CALL_TIMEOUT };
        let silent = stream.heard + patience;
        let is_endless = self.run.as_ref().is_some_and(|run| !run.has_ended);
        // What keeps coming of a run that is over has an end, and may be much before anything of it is new.
        let grace = if is_endless { Duration::ZERO } else { AFTER_END };
        let until = self.end.map_or(silent, |end| end.max(stream.heard + grace).min(silent));
        let read = tokio::select! {
            biased;
            read = stream.pieces.next() => read,
            begin = some(&mut self.look) => {
                self.look = None;
                // It is looked at again before the run is left.
                self.compare_file(begin.unwrap_or_default());
                self.stream = Some(stream);
                return;
            }
            () = changed(&mut self.board) => {
                self.stream = Some(stream);
                return;
            }
            () = sleep_until(until) => return self.fall_silent(&stream),
        };
        stream.heard = Instant::now();
        match read {
            Ok(piece) => {
                self.tell(&piece, &mut stream);
                while self.events.len() < AHEAD
                    && let Ok(Some(piece)) = stream.pieces.take()
                {
                    self.tell(&piece, &mut stream);
                }
                if is_endless && self.is_too_late() {
                    self.is_over = true;
                } else {
                    self.stream = Some(stream);
                }
            }
            Err(EndOfPieces::Ended(rest)) => self.end_of_stream(stream, rest),
            Err(EndOfPieces::NoLog(message))
                if stream.is_fresh
                    && !stream.is_whole
                    && !message.starts_with(NO_LOG)
                    && self.run.as_mut().is_some_and(Run::reach_back) =>
            {
                self.rest();
            }
            Err(EndOfPieces::Broken(message) | EndOfPieces::NoLog(message)) => {
                self.fail(failure(Via::Get, 0, message));
            }
        }
    }

    fn tell(&mut self, piece: &Piece, stream: &mut Open) {
        let Some(run) = &mut self.run else { return };
        let is_first_line = std::mem::take(&mut stream.is_fresh);
        self.pause = self.pause.min(AFTER_BREAK);
        if self.since.is_some_and(|since| piece.time.as_second() < since) {
            // Only asked for to know when the next line began.
            return;
        }
        let whole_until = run.whole_until();
        if stream.is_whole && run.cursor.last().is_none() {
            run.file.begin(Some(piece.time));
        }
        let last = run.cursor.last();
        let (text, gap) = match run.cursor.take(piece) {
            Taken::Old => return,
            Taken::New(text) => (text, false),
            Taken::AfterGap(text) => (text, true),
        };
        let attempt = run.attempt;
        if run.cursor.last().map(Timestamp::as_second) != last.map(Timestamp::as_second) {
            run.earlier = 0;
        }
        run.file.add(text.len());
        if run.file.is_due() && stream.is_followed && self.look.is_none() {
            self.look = Some(self.first_line(false));
        }
        stream.has_news = true;
        (self.pause, self.silence, self.failing) = (PAUSE.0, SILENCE.0, None);
        if self.run.as_ref().is_some_and(|run| run.has_ended) && self.end.is_some() {
            self.end = Some(Instant::now() + self.drain);
        }
        if gap {
            if let Some(run) = &mut self.run {
                run.file.begin(is_first_line.then_some(piece.time));
            }
            self.tell_gap(attempt..=attempt, whole_until, Some(piece.time), GapReason::Rotated);
        }
        self.events.push_back(LogEvent::Line(LogLine {
            container: Arc::clone(&self.container),
            attempt,
            time: piece.time.into(),
            text,
            is_first: piece.is_first,
            ends_line: piece.ends_line,
        }));
    }

    fn tell_gap(
        &mut self,
        attempts: RangeInclusive<u32>,
        after: Option<Timestamp>,
        before: Option<Timestamp>,
        reason: GapReason,
    ) {
        let container = Arc::clone(&self.container);
        let (after, before) = (after.map(SystemTime::from), before.map(SystemTime::from));
        self.events.push_back(LogEvent::Gap(LogGap { container, attempts, after, before, reason }));
    }

    /// The stream has ended by itself, in good order as it seems.
    fn end_of_stream(&mut self, mut stream: Open, rest: Option<Piece>) {
        self.failing = None;
        if stream.is_followed {
            let pause = if stream.has_news { AFTER_END } else { self.next_pause() };
            self.not_before = Instant::now() + pause;
            return;
        }
        let has_ended = self.run.as_ref().is_some_and(|run| run.has_ended);
        // Of a run that goes on, the rest of the line comes with another stream if there is one.
        if let Some(rest) = rest.filter(|_| has_ended || self.end.is_some()) {
            self.tell(&rest, &mut stream);
        }
        self.not_before = Instant::now();
        match &mut self.run {
            Some(run) if has_ended => run.end_read(stream.has_news),
            // What was there when the wait was over.
            Some(_) | None => self.is_over |= self.end.is_some(),
        }
    }
}

/// Returns when the wait has something to tell, or was dropped before its end.
async fn changed(board: &mut watch::Receiver<Board>) {
    if board.changed().await.is_err() && board.borrow().is_over {
        std::future::pending().await
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn some<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
