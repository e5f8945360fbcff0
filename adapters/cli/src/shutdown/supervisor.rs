//! The main thread: it waits for the command's end, and ends the process if the command does not end.

use super::{Event, LAST_RELEASE, LIMIT_MARGIN, SLACK, Shutdown, Stage, State, Stop};
use crate::output;
use crate::status::Status;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The main thread's end of the connection to the [`Shutdown`].
pub(crate) struct Supervisor {
    shutdown: Shutdown,
    events: Receiver<Event>,
}

/// The longest sleep. Later deadlines are checked again after it.
const LONGEST: Duration = Duration::from_secs(3600);

impl Supervisor {
    pub(super) fn new(shutdown: Shutdown, events: Receiver<Event>) -> Self {
        Self { shutdown, events }
    }

    /// Returns the exit status once the command is over, or ends the process.
    pub(crate) fn supervise(self) -> ExitCode {
        loop {
            self.act(Instant::now());
            let due = self.shutdown.lock().due();
            let sleep = due.map_or(LONGEST, |due| due.saturating_duration_since(Instant::now()).min(LONGEST));
            match self.events.recv_timeout(sleep) {
                Ok(Event::Ended(code)) => return code,
                Ok(Event::Signal(name)) => self.signal(name),
                Ok(Event::Changed) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    fn signal(&self, name: &str) {
        let shared = &self.shutdown.0;
        // The lock is held until the process has ended, so that no work begins meanwhile.
        let mut state = self.shutdown.lock();
        let time_to_end = match state.stage {
            Stage::Starting(doing) => {
                leave(Status::Cancelled as u8, &format!("interrupted by {name} while {doing}"))
            }
            Stage::Working(time_to_end) => time_to_end,
        };
        let now = Instant::now();
        if std::mem::replace(&mut state.is_signalled, true) {
            state.force(now + LAST_RELEASE + SLACK);
            shared.second.cancel();
            return;
        }
        state.stop.get_or_insert(Stop::Signal);
        state.force(now + time_to_end.signal + SLACK);
        state.cancel_at = None;
        drop(state);
        shared.stopping.cancel();
        shared.cancel.cancel();
    }

    /// Acts on the deadlines that are due.
    fn act(&self, now: Instant) {
        let shared = &self.shutdown.0;
        let mut state = self.shutdown.lock();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(state.force_at) {
            let (status, what) = state.stopped();
            let status = state.answer.unwrap_or(status as u8);
            leave(status, &format!("{what}, and its remaining work was abandoned"));
        }
        if is_due(state.cancel_at) {
            state.cancel_at = None;
            shared.cancel.cancel();
        }
        let limit = state.limit.map(|limit| limit.at);
        if state.stop.is_some() || !is_due(limit) {
            return;
        }
        match state.stage {
            Stage::Starting(doing) => {
                if is_due(limit.map(|limit| limit + LIMIT_MARGIN)) {
                    leave(
                        Status::Limit as u8,
                        &format!("the time limit of the command ran out while {doing}"),
                    );
                }
            }
            Stage::Working(time_to_end) => {
                state.stop = Some(Stop::Limit);
                state.force(now + time_to_end.limit + SLACK);
                state.cancel_at = Some(now + LIMIT_MARGIN);
                drop(state);
                shared.stopping.cancel();
            }
        }
    }
}

impl State {
    /// Ends the process by force at this time, unless an earlier time is set.
    fn force(&mut self, at: Instant) {
        self.force_at = Some(self.force_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The next deadline.
    fn due(&self) -> Option<Instant> {
        let limit = self.limit.filter(|_| self.stop.is_none()).map(|limit| match self.stage {
            Stage::Starting(_) => limit.at + LIMIT_MARGIN,
            Stage::Working(_) => limit.at,
        });
        [limit, self.cancel_at, self.force_at].into_iter().flatten().min()
    }
}

/// Ends the process without flushing buffers, since a flush could block too.
fn leave(status: u8, sentence: &str) -> ! {
    output::final_note(sentence);
    signal_hook::low_level::exit(status.into())
}
