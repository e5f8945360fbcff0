//! The states of many waits, as a table that is updated on a terminal.

use crate::output::{self, Line};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two updates.
const INTERVAL: Duration = Duration::from_millis(200);

/// Rows that are shown if the height of the terminal is unknown.
const ROWS: usize = 20;

/// The table. Clones share it. Nothing is drawn if standard error is not a terminal.
#[derive(Clone)]
pub(super) struct Table(Arc<Mutex<State>>);

struct State {
    rows: Vec<Row>,
    is_drawn: bool,
    /// The number of lines on the terminal.
    lines: usize,
    last: Option<Instant>,
    begin: Instant,
}

struct Row {
    label: String,
    what: String,
    /// The duration of the wait, once it has ended.
    ended: Option<Duration>,
}

impl Table {
    /// A table with a row for each label. It is drawn if `may_draw` and there is a terminal.
    pub(super) fn new(labels: Vec<String>, may_draw: bool) -> Self {
        let row = |label: String| Row {
            label: output::clean(&label).into_owned(),
            what: String::from("awaiting_pod"),
            ended: None,
        };
        let is_drawn = may_draw && std::io::stderr().is_terminal();
        let rows = labels.into_iter().map(row).collect();
        let state = State { rows, is_drawn, lines: 0, last: None, begin: Instant::now() };
        Self(Arc::new(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the table after a second, since it shows the time.
    pub(super) async fn tick(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.lock().draw(false);
    }

    /// Sets the state of a wait: the reason why it still waits.
    pub(super) fn see(&self, index: usize, what: &str) {
        let mut state = self.lock();
        if state.rows[index].what != what {
            what.clone_into(&mut state.rows[index].what);
            state.draw(false);
        }
    }

    /// Notes the answer of a wait: a sentence, a result line, and a few words for the table.
    pub(super) fn end(&self, index: usize, sentence: &str, result: Option<Line>, short: String) {
        let mut state = self.lock();
        state.erase();
        if !state.is_drawn {
            output::note(sentence);
        }
        if let Some(result) = result {
            output::result(result);
        }
        let elapsed = state.begin.elapsed();
        state.rows[index].what = short;
        state.rows[index].ended = Some(elapsed);
        state.draw(true);
    }

    /// Prints a note above the table.
    pub(super) fn note(&self, line: &str) {
        let mut state = self.lock();
        state.erase();
        output::note(line);
        state.draw(true);
    }
}

impl State {
    fn erase(&mut self) {
        if self.lines > 0 {
            // Moves the cursor up by the lines of the table, and erases everything below.
            let _ = write!(std::io::stderr(), "\x1b[{}A\x1b[J", self.lines);
            self.lines = 0;
        }
    }

    fn draw(&mut self, at_once: bool) {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if !self.is_drawn || !(at_once || is_due) {
            return;
        }
        self.last = Some(Instant::now());
        let (width, height) = terminal_size::terminal_size_of(std::io::stderr())
            .map_or((80, ROWS), |(width, height)| {
                (usize::from(width.0), usize::from(height.0).saturating_sub(2))
            });
        let mut text = String::new();
        let ended = self.rows.iter().filter(|row| row.ended.is_some()).count();
        // Open waits come first, if not all rows fit.
        let open = self.rows.iter().filter(|row| row.ended.is_none());
        let rows = open.chain(self.rows.iter().filter(|row| row.ended.is_some()));
        let shown: Vec<&Row> = rows.take(height.max(1)).collect();
        let widest = shown.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        for row in &shown {
            let time = row.ended.unwrap_or_else(|| self.begin.elapsed()).as_secs();
            let line = format!("{:widest$}  {:>5} s  {}", row.label, time, row.what);
            let line: String = line.chars().take(width.saturating_sub(1)).collect();
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "{ended} of {} ended", self.rows.len());
        let lines = shown.len() + 1;
        self.erase();
        let _ = write!(std::io::stderr(), "{text}");
        self.lines = lines;
    }
}
