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

/// First and longest pause before a log is read again after a failure or an empty answer.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Longest such pause once the wait is over: then there is little time for another attempt.
const LAST_PAUSES: Duration = Duration::from_secs(1);

/// Longest pause after a stream that sent something before it broke: the server works.
const AFTER_BREAK: Duration = Duration::from_millis(400);

/// Pause after a stream that ended by itself: usually the container has ended, and the API server learns that within a
/// second.
const AFTER_END: Duration = Duration::from_secs(1);

/// How long a stream may be silent before it is opened again: the connection may be dead, or the kubelet may have
/// missed a change of the file. The time doubles while nothing new comes.
const SILENCE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(300));

/// Shortest time between two openings of a log that is followed: a node that cannot follow ends each stream at once.
const BETWEEN_OPENINGS: Duration = Duration::from_secs(1);

/// The limits for waiting for the node once the wait is over, as multiples of the drain time: the base, and the maximum
/// with the added seconds.
const DRAINS: (u32, u32) = (2, 6);

/// How many bytes add another second: a log with a higher rate is not slow.
const SLOWEST: u64 = 64 << 10;

/// How many events are buffered.
const AHEAD: usize = 64;

/// Reads the log of one container.
pub(super) struct Tail {
    calls: Calls,
    pod: PodName,
    container: Arc<str>,
    board: watch::Receiver<Board>,
    drain: Duration,
    /// The second from which on lines are wanted.
    since: Option<i64>,
    /// Events that are to be reported next.
    events: VecDeque<LogEvent>,
    run: Option<Run>,
    /// The last run that was read to its end: its id and its number.
    done: Option<(String, u32)>,
    /// The first line of the previous run, which the kubelet serves as "previous" as long as the run being read is the
    /// current one.
    before: Before,
    /// How often in a row the kubelet was ahead.
    retries_ahead: u32,
    /// The cursor of the next run, if a stream turned out to be of that run.
    ahead: Option<super::cursor::Cursor>,
    stream: Option<Open>,
    /// A request for the first line of the file.
    look: Option<BoxFuture<'static, FirstLine>>,
    /// The container's facts when the log was read last.
    seen: Option<(ContainerFacts, bool)>,
    /// Until when to continue without new lines, once the wait is over.
    end: Option<Instant>,
    /// The time spent waiting for the node since then, the bytes that it sent, and since when the tail waits now.
    waited: Duration,
    came: u64,
    waiting: Option<Instant>,
    /// There is no wait whose answer the logs could delay.
    is_so_far: bool,
    not_before: Instant,
    pause: Duration,
    silence: Duration,
    /// Since when reading fails, and whether that was reported.
    failing: Option<(Instant, bool)>,
    /// The lack of times was reported.
    is_untimed: bool,
    is_over: bool,
}

/// A stream that is open.
struct Open {
    pieces: Pieces,
    is_followed: bool,
    /// The stream begins with the first line of the file.
    is_whole: bool,
    /// Nothing has arrived yet.
    is_fresh: bool,
    has_news: bool,
    opened: Instant,
    /// When bytes last arrived.
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

    /// The events of the tail, until it ends.
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

    /// Takes in the published facts, and closes a stream of the wrong run.
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

    /// Whether the run being read goes on, and its log is to be followed.
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
            // Names are reused.
            if !calls.is_still(&pod, &uid).await? {
                return Ok(Some(LogAnswer::NoPod));
            }
            // The kubelet's "current" and "previous" may also mean another run by now.
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

    /// Reads the stream, and keeps it if there may be more.
    async fn read(&mut self, mut stream: Open) {
        let patience = if stream.is_followed { self.silence } else { CALL_TIMEOUT };
        let silent = stream.heard + patience;
        let is_endless = self.run.as_ref().is_some_and(|run| !run.has_ended);
        // The log of an ended run is finite, and a long part of it may come again before new lines.
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
                // The file is checked again before the run is left.
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
                    // The log has been replaced.
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

    /// The stream has ended by itself, without an error.
    fn end_of_stream(&mut self, mut stream: Open, rest: Option<Piece>) {
        self.failing = None;
        if stream.is_followed {
            let pause = if stream.has_news { AFTER_END } else { self.next_pause() };
            self.not_before = Instant::now() + pause;
            return;
        }
        let has_ended = self.run.as_ref().is_some_and(|run| run.has_ended);
        // If the run goes on, another stream will have the rest of the line.
        if let Some(rest) = rest.filter(|_| has_ended || self.end.is_some()) {
            self.report(&rest, &mut stream);
        }
        self.not_before = Instant::now();
        match &mut self.run {
            Some(run) if has_ended => run.end_read(stream.has_news),
            // The log up to the end of the wait was read.
            Some(_) | None => self.is_over |= self.end.is_some(),
        }
    }
}

/// Returns when the wait publishes something, or was dropped before its end.
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
