//! The host of the schedulers of podwait-hub: sends their requests, and hands over the answers.

use crate::cancelled::Cancelled;
use crate::client::Client;
use crate::client::answers::{Answers, Came, response_head};
use futures_util::FutureExt;
use podwait_core::{Exit, Failure, Instant, WaitMachine};
use podwait_hub::{Action, Observer, PodName, RequestId, ResponseHead, Turn, WaitId, Waits};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant as TokioInstant, Sleep, sleep_until};

/// How many parts of answers are taken in before the next advance.
const AT_ONCE: usize = 64;

/// A wait that is to begin. Boxed when it is passed on, so that a running future needs no room for it.
pub(crate) struct Start {
    pub(crate) pod: PodName,
    pub(crate) machine: WaitMachine,
    /// How long the machine had no input.
    pub(crate) asleep: Duration,
    pub(crate) may_watch: bool,
}

/// A scheduler without I/O, which reports its turns to `W`.
pub(crate) trait Schedule<W> {
    type Id: Copy + Eq + Hash + Unpin;

    /// Does everything that is due. Returns the time at which to call this again.
    fn poll(&mut self, now: Instant, observer: &mut W) -> Option<Instant>;
    fn next_action(&mut self, now: Instant) -> Option<(Self::Id, Action)>;
    fn head(&mut self, now: Instant, id: Self::Id, head: &ResponseHead<'_>);
    fn body(&mut self, now: Instant, id: Self::Id, piece: &[u8], observer: &mut W);
    fn end(&mut self, now: Instant, id: Self::Id, error: Option<&str>, observer: &mut W);
}

impl<W: Observer> Schedule<W> for Waits {
    type Id = RequestId;

    fn poll(&mut self, now: Instant, observer: &mut W) -> Option<Instant> {
        self.poll(now, observer)
    }

    fn next_action(&mut self, now: Instant) -> Option<(RequestId, Action)> {
        let action = self.next_action(now)?;
        match action {
            Action::Send { id, .. } | Action::Close(id) => Some((id, action)),
        }
    }

    fn head(&mut self, now: Instant, id: RequestId, head: &ResponseHead<'_>) {
        self.head(now, id, head);
    }

    fn body(&mut self, now: Instant, id: RequestId, piece: &[u8], observer: &mut W) {
        self.body(now, id, piece, observer);
    }

    fn end(&mut self, now: Instant, id: RequestId, error: Option<&str>, observer: &mut W) {
        self.end(now, id, error, observer);
    }
}

/// Waits, and the requests that are under way for them.
pub(crate) struct Driver<S = Waits, I = RequestId> {
    pub(crate) waits: S,
    answers: Answers<I>,
    /// Paused tokio time drives this clock too.
    start: TokioInstant,
    timer: Timer,
}

impl Driver {
    pub(crate) fn join(&mut self, start: Start, observer: &mut impl Observer) -> WaitId {
        let Start { pod, machine, asleep, may_watch } = start;
        self.waits.join(self.now(), pod, machine, asleep, may_watch, observer)
    }

    pub(crate) fn cancel(&mut self, wait: WaitId, observer: &mut impl Observer) {
        self.waits.cancel(self.now(), wait, observer);
    }
}

impl<S, I: Copy + Eq + Hash + Unpin> Driver<S, I> {
    /// Drives waits whose time began at `start` and that have no request under way.
    pub(crate) fn new(client: Client, waits: S, start: TokioInstant) -> Self {
        Self { waits, answers: Answers::new(client), start, timer: Timer::default() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.after(self.start.elapsed())
    }

    /// Does everything that is due. After this there may be final answers.
    pub(crate) fn advance<W>(&mut self, observer: &mut W)
    where
        S: Schedule<W, Id = I>,
    {
        let now = self.now();
        loop {
            let next = self.waits.poll(now, observer);
            let mut has_acted = false;
            while let Some((id, action)) = self.waits.next_action(now) {
                has_acted = true;
                match action {
                    Action::Send { target, accept, .. } => self.answers.send(id, &target, accept),
                    Action::Close(_) => self.answers.close(id),
                }
            }
            // An invalid request fails inside `next_action`, which may cause more actions.
            if !has_acted {
                let start = self.start;
                return self.timer.set(next.map(|next| start + Duration::from_millis(next.as_millis())));
            }
        }
    }

    /// Takes in the next parts of answers, or returns when something is due. Cancel-safe.
    pub(crate) async fn take<W>(&mut self, observer: &mut W)
    where
        S: Schedule<W, Id = I>,
    {
        tokio::select! {
            biased;
            Some((id, came)) = self.answers.next() => self.hand_over(id, came, observer),
            () = &mut self.timer => return,
        }
        for _ in 0..AT_ONCE {
            match self.answers.next().now_or_never() {
                Some(Some((id, came))) => self.hand_over(id, came, observer),
                Some(None) | None => return,
            }
        }
    }

    fn hand_over<W>(&mut self, id: I, came: Came, observer: &mut W)
    where
        S: Schedule<W, Id = I>,
    {
        let now = self.now();
        match came {
            Came::Head(status, headers) => self.waits.head(now, id, &response_head(status, &headers)),
            Came::Piece(piece) => self.waits.body(now, id, &piece, observer),
            Came::End(error) => self.waits.end(now, id, error.as_deref(), observer),
        }
    }
}

/// A timer that is reset only when its time changes.
#[derive(Default)]
struct Timer {
    at: Option<TokioInstant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn set(&mut self, at: Option<TokioInstant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        if let Some(at) = at {
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(at),
                None => self.sleep = Some(Box::pin(sleep_until(at))),
            }
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match (self.at, &mut self.sleep) {
            (Some(_), Some(sleep)) => sleep.as_mut().poll(context),
            _ => Poll::Pending,
        }
    }
}

/// A single wait, with a watch of its own or by GETs.
pub(crate) async fn wait_alone(
    client: Client,
    start: Box<Start>,
    keeps_json: bool,
    mut cancelled: Cancelled,
    look: impl FnMut(Turn<'_>),
) -> Result<Exit, Failure> {
    struct Look<F>(F);
    impl<F: FnMut(Turn<'_>)> Observer for Look<F> {
        fn on_turn(&mut self, _: WaitId, turn: Turn<'_>) {
            self.0(turn);
        }
    }
    let mut look = Look(look);
    let mut waits = Waits::single();
    waits.keep_json(keeps_json);
    let mut driver = Driver::new(client, waits, TokioInstant::now());
    let wait = driver.join(*start, &mut look);
    loop {
        driver.advance(&mut look);
        if let Some((_, answer)) = driver.waits.next_answer() {
            return answer;
        }
        tokio::select! {
            biased;
            // The machine's answer to the cancellation comes next.
            () = &mut cancelled => driver.cancel(wait, &mut look),
            () = driver.take(&mut look) => {}
        }
    }
}
