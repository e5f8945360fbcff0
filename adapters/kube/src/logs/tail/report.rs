//! Reports the new part of a stream.

use super::{AFTER_BREAK, Open, PAUSE, SILENCE, Tail};
use crate::client::later;
use crate::logs::cursor::Taken;
use crate::logs::pieces::Piece;
use crate::logs::prefix::Compared;
use crate::logs::{GapReason, LogEvent, LogGap, LogLine};
use bytes::Bytes;
use jiff::Timestamp;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

impl Tail {
    pub(super) fn report(&mut self, piece: &Piece, stream: &mut Open) {
        let Some(run) = &mut self.run else { return };
        let is_first_line = std::mem::take(&mut stream.is_fresh);
        self.pause = self.pause.min(AFTER_BREAK);
        if self.end.is_some() {
            self.came = self.came.saturating_add(piece.text.len() as u64);
        }
        let Some(time) = piece.time else { return self.report_untimed(piece, stream) };
        if stream.is_whole && is_first_line && run.cursor.last().is_none() {
            run.file.begin(Some(time));
        }
        if self.since.is_some_and(|since| time.as_second() < since) {
            // This part was requested only for the time of the next line.
            return;
        }
        let whole_until = run.whole_until();
        let last = run.cursor.last();
        let (text, gap) = match run.cursor.take(piece, time) {
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
        if gap {
            if let Some(run) = &mut self.run {
                run.file.begin(is_first_line.then_some(time));
            }
            self.report_gap(attempt..=attempt, whole_until, Some(time), GapReason::Rotated);
        }
        self.report_text(text, piece.is_first, piece, stream);
    }

    /// Reports a piece of a log without times.
    pub(super) fn report_untimed(&mut self, piece: &Piece, stream: &mut Open) {
        let Some(run) = &mut self.run else { return };
        let attempt = run.attempt;
        match run.untimed.get_or_insert_default().take(piece) {
            Compared::Old => {}
            Compared::New(text, is_first) => {
                if !std::mem::replace(&mut self.is_untimed, true) {
                    self.events.push_back(LogEvent::Untimed(Arc::clone(&self.container)));
                }
                self.report_text(text, is_first, piece, stream);
            }
            Compared::Other => {
                self.report_gap(attempt..=attempt, None, None, GapReason::Rotated);
                self.finish_run(None);
            }
        }
    }

    /// Reports new text.
    pub(super) fn report_text(&mut self, text: Bytes, is_first: bool, piece: &Piece, stream: &mut Open) {
        let Some(run) = &self.run else { return };
        stream.has_news = true;
        (self.pause, self.silence, self.failing) = (PAUSE.0, SILENCE.0, None);
        if run.has_ended && self.end.is_some() {
            self.end = Some(later(self.drain));
        }
        self.events.push_back(LogEvent::Line(LogLine {
            container: Arc::clone(&self.container),
            attempt: run.attempt,
            time: piece.time.map(SystemTime::from),
            text,
            is_first,
            ends_line: piece.ends_line,
        }));
    }

    pub(super) fn report_gap(
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
}
