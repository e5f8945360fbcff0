//! Pauses and retries when there is nothing to read.

use super::{LAST_PAUSES, Open, PAUSE, SILENCE, Tail};
use crate::client::{later, timed_out};
use crate::logs::{GapReason, LogEvent, LogTrouble};
use podwait_wire::{ApiFailure, Via};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time for which one `Retry-After` delays the reading of a log.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How long reading may fail before the failure is reported.
const REPORT_AFTER: Duration = Duration::from_secs(5);

/// How often a node is asked for a log that it says it does not have.
const ASK: u32 = 3;

impl Tail {
    /// There is no log of the run, or not yet.
    pub(super) fn find_nothing(&mut self, message: String) {
        self.rest();
        match &mut self.run {
            Some(run) if run.has_ended => {
                run.asked += 1;
                if run.asked >= ASK {
                    self.finish_run(Some(GapReason::Gone));
                }
            }
            Some(_) | None if self.end.is_some() => self.is_over = true,
            // The kubelet knows the present run before the API server does.
            Some(_) | None => drop(message),
        }
    }

    /// Nothing came for too long.
    pub(super) fn fall_silent(&mut self, stream: Open) {
        if self.is_too_late() {
            return self.give_up(Some(stream));
        }
        if stream.is_followed {
            self.silence = (self.silence * 2).min(SILENCE.1);
            self.not_before = Instant::now();
        } else {
            self.fail(timed_out(Via::Get));
        }
    }

    pub(super) fn fail(&mut self, failure: ApiFailure) {
        let now = Instant::now();
        let will_last = matches!(failure.code, 400..=499 if failure.code != 429);
        let longest = if self.end.is_some() && !will_last { LAST_PAUSES } else { PAUSE.1 };
        let asked_for = failure.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.not_before = later(self.next_pause().min(longest).max(asked_for));
        let (since, was_reported) = *self.failing.get_or_insert((now, false));
        if !was_reported && (will_last || now - since >= REPORT_AFTER) {
            self.failing = Some((since, true));
            let container = Arc::clone(&self.container);
            self.events.push_back(LogEvent::Trouble(LogTrouble { container, failure }));
        }
    }

    /// Begins the next pause.
    pub(super) fn rest(&mut self) {
        self.not_before = Instant::now() + self.next_pause();
    }

    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE.1);
        pause
    }

    /// Whether the wait has been over for too long.
    pub(super) fn is_too_late(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now() || self.left().is_zero())
    }

    /// Stops reading, even if lines are missing. The received part of a line is reported.
    pub(super) fn give_up(&mut self, stream: Option<Open>) {
        if let Some(mut stream) = stream {
            let rest = stream.pieces.rest();
            rest.iter().for_each(|rest| self.report(rest, &mut stream));
        }
        let has_ended = self.run.as_ref().is_some_and(|run| run.has_ended);
        if has_ended || self.failing.is_some() {
            self.finish_run(Some(GapReason::Unreadable));
        }
        self.is_over = true;
    }
}
