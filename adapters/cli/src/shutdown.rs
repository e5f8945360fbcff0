//! Decides in one place how the command ends: signals and `--timeout`. Nothing can block this place.
//!
//! The command runs on its own thread. The main thread only waits: for the command's end, for signals and for limits. So a
//! plugin that hangs, a pipe without a reader or a silent server can block the command, but not the end of the process.
//!
//! | what | before there is work to undo | afterwards |
//! |---|---|---|
//! | first SIGINT, SIGTERM or SIGHUP | ends at once | cancels; ends after [`TimeToEnd::signal`] at the latest |
//! | second | - | holds are released for [`LAST_RELEASE`] at most, then it ends |
//! | third | - | ends in the signal handler |
//! | `--timeout` | ends after [`LIMIT_MARGIN`] | the waits end by themselves; it ends after [`TimeToEnd::limit`] at the latest |

mod supervisor;

use crate::status::Status;
use podwait::{CancellationToken, FailReason, Failure, Policy, PolicyBuilder};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
pub(crate) use supervisor::Supervisor;

/// How long logs and holds may take after a signal, after `--timeout`, and after the answer.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long after its own limits the command is ended by force.
const SLACK: Duration = Duration::from_secs(2);

/// How long the release of holds may take after the second signal.
pub(crate) const LAST_RELEASE: Duration = Duration::from_secs(1);

/// How long after `--timeout` the waits may take to end with a failure of their own.
const LIMIT_MARGIN: Duration = Duration::from_secs(3);

/// How long a command may take to undo its work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeToEnd {
    /// After the first signal.
    pub(crate) signal: Duration,
    /// After `--timeout`.
    pub(crate) limit: Duration,
}

impl Default for TimeToEnd {
    fn default() -> Self {
        Self { signal: DRAIN, limit: DRAIN }
    }
}

/// Why the command has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Signal,
    Limit,
}

/// The command's end of the connection to the [`Supervisor`]. Clones share it.
#[derive(Clone)]
pub(crate) struct Shutdown(Arc<Shared>);

struct Shared {
    begin: Instant,
    state: Mutex<State>,
    events: Sender<Event>,
    /// The first signal or the limit.
    stopping: CancellationToken,
    /// The first signal; or some time after the limit, for waits that have not ended by themselves.
    cancel: CancellationToken,
    /// The second signal.
    second: CancellationToken,
}

struct State {
    stage: Stage,
    limit: Option<Limit>,
    stop: Option<Stop>,
    /// A signal came.
    is_signalled: bool,
    /// When the waits that run beyond the limit are cancelled.
    cancel_at: Option<Instant>,
    /// When the command is ended by force.
    force_at: Option<Instant>,
    /// The exit status of the answer, once there is one.
    answer: Option<u8>,
}

/// `--timeout`.
#[derive(Clone, Copy)]
struct Limit {
    time: Duration,
    at: Instant,
}

/// The stage of the command.
#[derive(Clone, Copy)]
enum Stage {
    /// Nothing has to be undone yet. The text says what the command does.
    Starting(&'static str),
    Working(TimeToEnd),
}

enum Event {
    /// A signal came, with its name.
    Signal(&'static str),
    /// The state was changed.
    Changed,
    /// The command is over.
    Ended(ExitCode),
}

impl Shutdown {
    /// Handles signals from now on.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(crate) fn start() -> std::io::Result<(Self, Supervisor)> {
        let (events, received) = channel();
        // A third signal ends the process in the handler itself, even if all threads are blocked.
        let exits_in_handler = Arc::new(AtomicBool::new(false));
        let handled = handled();
        for signal in &handled {
            let status = i32::from(Status::Cancelled as u8);
            signal_hook::flag::register_conditional_shutdown(*signal, status, Arc::clone(&exits_in_handler))?;
        }
        let mut signals = Signals::new(&handled)?;
        let sender = events.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            let mut is_second = false;
            for signal in signals.forever() {
                exits_in_handler.store(is_second, Ordering::SeqCst);
                is_second = true;
                let _ = sender.send(Event::Signal(name(signal)));
            }
        })?;
        let state = State {
            stage: Stage::Starting("starting"),
            limit: None,
            stop: None,
            is_signalled: false,
            cancel_at: None,
            force_at: None,
            answer: None,
        };
        let shutdown = Self(Arc::new(Shared {
            begin: Instant::now(),
            state: Mutex::new(state),
            events,
            stopping: CancellationToken::new(),
            cancel: CancellationToken::new(),
            second: CancellationToken::new(),
        }));
        Ok((shutdown.clone(), Supervisor::new(shutdown, received)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        let _ = self.0.events.send(Event::Changed);
    }

    /// The command is over.
    pub(crate) fn end(&self, code: ExitCode) {
        let _ = self.0.events.send(Event::Ended(code));
    }

    /// Sets the time limit of the command, counted from its start. The time must be valid for a [`Policy`].
    pub(crate) fn limit(&self, time: Option<Duration>) {
        let limit = time.and_then(|time| Some(Limit { time, at: self.0.begin.checked_add(time)? }));
        self.change(|state| state.limit = limit);
    }

    /// The policy for waits that begin now: its deadline is the rest of the time limit.
    pub(crate) fn within(&self, policy: &Policy) -> Policy {
        let Some(limit) = self.lock().limit else { return policy.clone() };
        let left = limit.at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let within = PolicyBuilder::from(policy.clone()).deadline(Some(left)).build();
        within.unwrap_or_else(|_| policy.clone())
    }

    /// Sets what the command does now. Until [`work`](Self::work) nothing has to be undone, and the first signal ends the command.
    pub(crate) fn doing(&self, what: &'static str) {
        let mut state = self.lock();
        if let Stage::Starting(doing) = &mut state.stage {
            *doing = what;
        }
    }

    /// From now on the command ends by itself after a signal or its limit, within the given time.
    pub(crate) fn work(&self, time_to_end: TimeToEnd) {
        self.change(|state| state.stage = Stage::Working(time_to_end));
    }

    /// Sets the exit status once the answer is known, however the command ends.
    pub(crate) fn answered(&self, status: u8) {
        self.lock().answer = Some(status);
    }

    /// The token that cancels waits: at the first signal, or some time after the limit, which is also the deadline of the waits.
    pub(crate) fn token(&self) -> CancellationToken {
        self.0.cancel.clone()
    }

    /// Returns at the first signal or at the limit.
    pub(crate) async fn stopping(&self) {
        self.0.stopping.cancelled().await;
    }

    /// Returns when the time to end after a signal or a limit is over.
    pub(crate) async fn drained(&self) {
        self.0.stopping.cancelled().await;
        let left = || self.lock().force_at?.checked_duration_since(Instant::now() + SLACK);
        while let Some(left) = left() {
            // A second signal shortens the time; the caller waits for it separately.
            tokio::time::sleep(left).await;
        }
    }

    /// Returns at the second signal.
    pub(crate) async fn second(&self) {
        self.0.second.cancelled().await;
    }

    /// The exit status of a command that was ended by force.
    pub(crate) fn status(&self) -> u8 {
        let state = self.lock();
        state.answer.unwrap_or_else(|| state.stopped().0 as u8)
    }

    /// Words a failure by the limit for the command. The deadline of a wait is the rest of the limit, and a wait that exceeds it is
    /// cancelled.
    pub(crate) fn worded<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        let state = self.lock();
        outcome.map_err(|mut failure| {
            if failure.reason == FailReason::Cancelled && state.stop == Some(Stop::Limit) {
                failure.reason = FailReason::Deadline;
                failure.message = String::from(state.stopped().1);
            } else if let (FailReason::Deadline, Some(limit)) = (failure.reason, state.limit) {
                failure.message = with_limit(&failure.message, limit.time);
            }
            failure
        })
    }
}

/// The sentence about a deadline, with this time in place of its own.
fn with_limit(sentence: &str, time: Duration) -> String {
    let Some((what, rest)) = sentence.split_once(" within ") else { return sentence.to_owned() };
    let why = rest.find(' ').map_or("", |end| &rest[end..]);
    format!("{what} within {time:?}{why}")
}

impl State {
    /// The exit status and the sentence for the end of the command.
    fn stopped(&self) -> (Status, &'static str) {
        match self.stop {
            Some(Stop::Limit) => (Status::Limit, "the time limit of the command ran out"),
            Some(Stop::Signal) | None => (Status::Cancelled, "the command was interrupted"),
        }
    }
}

/// The signals that end the command. Signals that are ignored at its start stay ignored, as `nohup` and background jobs of a
/// shell expect. SIGTERM always ends the command, so that SIGKILL is not needed.
fn handled() -> Vec<i32> {
    // Without /proc no signal counts as ignored.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let is_handled = |signal: &i32| *signal == SIGTERM || ignored >> (signal - 1) & 1 == 0;
    [SIGINT, SIGTERM, SIGHUP].into_iter().filter(is_handled).collect()
}

fn name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT",
        SIGHUP => "SIGHUP",
        _ => "SIGTERM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reported_with_the_limit_of_the_command() {
        let time = Duration::from_secs(3);
        for (sentence, expected) in [
            ("the step did not end within 2.936683829s", "the step did not end within 3s"),
            (
                "the job did not end within 2.9s (no node has room within 1 h)",
                "the job did not end within 3s (no node has room within 1 h)",
            ),
            ("the time limit ran out", "the time limit ran out"),
        ] {
            assert_eq!(with_limit(sentence, time), expected);
        }
    }
}
