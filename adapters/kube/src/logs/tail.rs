//! The log of one container: run after run, stream after stream.

mod limit;
mod report;
mod retry;
mod run;

use super::kubelet_message::NoLog;
use super::pieces::{EndOfPieces, Piece, Pieces};
use super::request::{LogAnswer, LogQuery};
use super::{GapReason, LogEvent};
use crate::board::{Board, ContainerFacts};
use crate::client::{CALL_TIMEOUT, Calls, failure, later};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, unfold};
use jiff::Timestamp;
use podwait_hub::PodName;
use podwait_wire::Via;
use run::{Before, First, FirstLine, Run};
use std::collections::VecDeque;
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

/// Shortest time between two openings of a log that is followed: a node that cannot follow ends each stream at once.
const BETWEEN_OPENINGS: Duration = Duration::from_secs(1);

/// How long the node may be waited for once the wait is over, in drains: in any case, and with all that its bytes buy.
const DRAINS: (u32, u32) = (2, 6);

/// How many bytes buy another second: what comes faster than that does not drip.
const SLOWEST: u64 = 64 << 10;

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
    retries_ahead: u32,
    /// The cursor of the run after this one, of which a stream turned out to be.
    ahead: Option<super::cursor::Cursor>,
    stream: Option<Open>,
    /// Asks for the first line of the file.
    look: Option<BoxFuture<'static, FirstLine>>,
    /// What was known when the log was read last.
    seen: Option<(ContainerFacts, bool)>,
    /// Until when to go on without anything new, once the wait is over.
    end: Option<Instant>,
    /// How long the node was waited for since, what it brought meanwhile, and since when it is waited for now.
    waited: Duration,
    came: u64,
    waiting: Option<Instant>,
    /// No wait goes on beside it, whose answer it could hold up.
    is_so_far: bool,
    not_before: Instant,
    pause: Duration,
    silence: Duration,
    /// Since when reading fails, and whether that was told.
    failing: Option<(Instant, bool)>,
    /// It was reported that there are no times.
    is_untimed: bool,
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
    opened: Instant,
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
        is_so_far: bool,
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
            retries_ahead: 0,
            ahead: None,
            stream: None,
            look: None,
            seen: None,
            end: None,
            waited: Duration::ZERO,
            came: 0,
            waiting: None,
            is_so_far,
            not_before: Instant::now(),
            pause: PAUSE.0,
            silence: SILENCE.0,
            failing: None,
            is_untimed: false,
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
            self.waiting = self.end.map(|_| Instant::now());
            match self.stream.take() {
                Some(stream) => self.read(stream).await,
                None => self.open().await,
            }
            self.waited += self.waiting.take().map_or(Duration::ZERO, |since| since.elapsed());
        }
    }

    /// Takes in what the wait knows, and closes a stream that is the wrong one by now.
    fn read_board(&mut self) {
        let is_alone = self.board.has_changed().is_err();
        let board = self.board.borrow_and_update().clone();
        if board.is_over {
            self.end.get_or_insert_with(|| later(self.drain));
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
            return self.give_up(None);
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
        let container = Arc::clone(&self.container);
        let query = LogQuery { container, previous, follow: is_followed, since, limit: None };
        let may_restart = self.seen.as_ref().is_some_and(|(facts, _)| facts.may_restart);
        let before = if may_restart { self.before } else { Before::Unknown };
        let (calls, pod, patience) = (self.calls.clone(), self.pod.clone(), self.silence);
        let answer = async move {
            let answer = calls.log(&pod, &query, patience).await;
            let LogAnswer::Body(_) = answer else { return Ok(Some(answer)) };
            // Names are given again.
            if !calls.is_still(&pod, &uid).await? {
                return Ok(Some(LogAnswer::NoPod));
            }
            // And so are the kubelet's "current" and "previous".
            let is_ahead = !previous && before.is_past(&calls, &pod, &query.container).await?;
            Ok((!is_ahead).then_some(answer))
        };
        let opened = Instant::now();
        let Some(answer) = self.beside(answer.boxed(), is_followed, Duration::ZERO).await else { return };
        match answer.unwrap_or_else(|failure| Some(LogAnswer::Failed(failure))) {
            None => self.come_back(),
            Some(LogAnswer::Body(body)) => {
                self.retries_ahead = 0;
                let is_whole = since.is_none();
                let pieces = if is_whole { Pieces::of_whole(body) } else { Pieces::of_part(body) };
                let heard = Instant::now();
                let (is_fresh, has_news) = (true, false);
                self.stream = Some(Open { pieces, is_followed, is_whole, is_fresh, has_news, opened, heard });
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
        let until = match self.end {
            Some(end) => end.max(stream.heard + grace).min(silent).min(later(self.left())),
            None => silent,
        };
        let read = tokio::select! {
            biased;
            read = stream.pieces.next() => read,
            begin = some(&mut self.look) => {
                self.look = None;
                // It is looked at again before the run is left.
                self.compare_file(begin.and_then(First::time).unwrap_or_default());
                self.stream = Some(stream);
                return;
            }
            () = changed(&mut self.board) => {
                self.stream = Some(stream);
                return;
            }
            () = sleep_until(until) => return self.fall_silent(stream),
        };
        stream.heard = Instant::now();
        let (is_followed, opened) = (stream.is_followed, stream.opened);
        match read {
            Ok(piece) => {
                self.report(&piece, &mut stream);
                while self.events.len() < AHEAD
                    && let Ok(Some(piece)) = stream.pieces.take()
                {
                    self.report(&piece, &mut stream);
                }
                if self.run.is_none() {
                    // It is not the log that it was.
                } else if is_endless && self.is_too_late() {
                    self.is_over = true;
                } else if self.end.is_some() && self.left().is_zero() {
                    self.give_up(Some(stream));
                } else {
                    self.stream = Some(stream);
                }
                return;
            }
            Err(EndOfPieces::Ended(rest)) => self.end_of_stream(stream, rest),
            Err(EndOfPieces::NoLog(NoLog::Untimed)) if stream.is_fresh && self.reach_back(&stream) => {
                self.rest();
            }
            Err(EndOfPieces::NoLog(no_log)) => self.fail(no_log.failure()),
            Err(EndOfPieces::Broken(message)) => self.fail(failure(Via::Get, 0, message)),
        }
        if is_followed {
            self.not_before = self.not_before.max(opened + BETWEEN_OPENINGS);
        }
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
            self.report(&rest, &mut stream);
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
