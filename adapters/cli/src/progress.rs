//! What the waits of a command wait for: a table on a terminal, otherwise lines.

use crate::output::{self, Line};
use clap::ValueEnum;
use podwait::Progress;
use serde::Serialize;
use std::fmt::Write as _;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two updates of the table.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long something must be awaited before a line about it is printed. Most steps start sooner.
const STANDS: Duration = Duration::from_secs(2);

/// How long nothing is printed about a wait before its line is printed again.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Rows that are shown if the height of the terminal is unknown.
const ROWS: usize = 20;

/// How to show on standard error what is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A table on a terminal, `plain` elsewhere.
    Auto,
    /// A line when the reason to wait changes, and one every minute.
    Plain,
    /// The same as JSON objects.
    Json,
    /// Nothing.
    None,
}

/// The argument of the commands that wait.
#[derive(clap::Args)]
pub(crate) struct ProgressArgs {
    /// How to show on standard error what is awaited.
    #[arg(long, value_enum, default_value_t = Mode::Auto, value_name = "HOW")]
    progress: Mode,
}

/// What the waits of one command wait for. Clones share it.
#[derive(Clone)]
pub(crate) struct Board(Arc<Mutex<State>>);

struct State {
    rows: Vec<Row>,
    style: Style,
    /// The number of lines on the terminal.
    lines: usize,
    last: Option<Instant>,
    begin: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Table,
    Lines,
    Json,
    Nothing,
}

struct Row {
    namespace: String,
    /// `NAME` of a pod, `job/NAME` of a job.
    name: String,
    seen: Option<Seen>,
    /// How the wait ended, and after which time.
    ended: Option<(String, Duration)>,
}

/// What a wait waits for.
struct Seen {
    progress: Progress,
    /// When that was seen.
    at: Instant,
    /// When a line about it was last printed.
    printed: Option<Instant>,
}

impl Board {
    /// A board with a row for each wait, by namespace and name. Without a table if the logs are printed, which may be on the same
    /// terminal.
    pub(crate) fn new(names: Vec<(String, String)>, args: &ProgressArgs, has_logs: bool) -> Self {
        let style = match args.progress {
            Mode::Auto if std::io::stderr().is_terminal() && !has_logs => Style::Table,
            Mode::Auto | Mode::Plain => Style::Lines,
            Mode::Json => Style::Json,
            Mode::None => Style::Nothing,
        };
        let row = |(namespace, name)| Row { namespace, name, seen: None, ended: None };
        let rows = names.into_iter().map(row).collect();
        Self(Arc::new(Mutex::new(State { rows, style, lines: 0, last: None, begin: Instant::now() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows changes in time, and the time itself, while this future runs. Its result is printed without a table above.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => {
                    let mut state = self.lock();
                    state.erase();
                    state.style = Style::Nothing;
                    return output;
                }
                () = self.tick() => {}
            }
        }
    }

    /// Shows after a second what has changed, and the time.
    pub(crate) async fn tick(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut state = self.lock();
        state.draw(false);
        state.print_due();
    }

    /// Takes in what a wait waits for.
    pub(crate) fn see(&self, index: usize, progress: &Progress) {
        let mut state = self.lock();
        state.rows[index].seen = Some(Seen { progress: progress.clone(), at: Instant::now(), printed: None });
        state.draw(false);
    }

    /// Notes the answer of a wait: a sentence, a result line, and a few words for the table.
    pub(crate) fn end(&self, index: usize, sentence: &str, result: Option<Line>, short: String) {
        let mut state = self.lock();
        state.erase();
        if state.style != Style::Table {
            output::note(sentence);
        }
        if let Some(result) = result {
            output::result(result);
        }
        let elapsed = state.begin.elapsed();
        state.rows[index].ended = Some((short, elapsed));
        state.draw(true);
    }

    /// Prints a note above the table.
    pub(crate) fn note(&self, line: &str) {
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
        if self.style != Style::Table || !(at_once || is_due) {
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
        let widest = shown.iter().map(|row| row.label().chars().count()).max().unwrap_or(0);
        for row in &shown {
            let (what, time) = match &row.ended {
                Some((short, after)) => (short.clone(), *after),
                None => (row.what(), self.begin.elapsed()),
            };
            let line = format!("{:widest$}  {:>5} s  {what}", row.label(), time.as_secs());
            let line: String = output::clean(&line).chars().take(width.saturating_sub(1)).collect();
            let _ = writeln!(text, "{line}");
        }
        let mut lines = shown.len();
        if self.rows.len() > 1 {
            let _ = writeln!(text, "{ended} of {} ended", self.rows.len());
            lines += 1;
        }
        self.erase();
        let _ = write!(std::io::stderr(), "{text}");
        self.lines = lines;
    }

    /// Prints the lines that are due.
    fn print_due(&mut self) {
        for row in self.rows.iter_mut().filter(|row| row.ended.is_none()) {
            let is_due = row.seen.as_ref().is_some_and(|seen| match seen.printed {
                None => seen.at.elapsed() >= STANDS,
                Some(printed) => printed.elapsed() >= HEARTBEAT,
            });
            if !is_due {
                continue;
            }
            match self.style {
                Style::Lines => output::note(&format!("{}: {}", row.label(), row.what())),
                Style::Json => output::error_line(&Line::json(&row.view())),
                Style::Table | Style::Nothing => {}
            }
            if let Some(seen) = &mut row.seen {
                seen.printed = Some(Instant::now());
            }
        }
    }
}

/// A row as JSON.
#[derive(Serialize)]
struct RowView<'a> {
    event: &'static str,
    namespace: &'a str,
    pod: &'a str,
    stage: Option<&'static str>,
    message: Option<&'a str>,
    /// For how long the stage has lasted.
    seconds: Option<u64>,
    failures: Option<u32>,
    limit: Option<LimitView>,
}

/// The limit that ends the wait if nothing changes.
#[derive(Serialize)]
struct LimitView {
    reason: &'static str,
    /// The time until it expires.
    seconds: u64,
}

impl Row {
    fn label(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What is awaited, since when, and which limit will end that.
    fn what(&self) -> String {
        let Some(seen) = &self.seen else { return String::from("waiting") };
        let mut details = Vec::new();
        let lasts = seen.lasts();
        if lasts >= STANDS {
            details.push(format!("for {}", in_words(lasts)));
        }
        if seen.progress.failures > 1 {
            details.push(format!("failed {} times", seen.progress.failures));
        }
        if let Some((reason, left)) = seen.limit() {
            details.push(format!("{reason} in {}", in_words(left)));
        }
        let message = &seen.progress.message;
        if details.is_empty() { message.clone() } else { format!("{message}, {}", details.join(", ")) }
    }

    fn view(&self) -> RowView<'_> {
        let seen = self.seen.as_ref();
        RowView {
            event: "progress",
            namespace: &self.namespace,
            pod: &self.name,
            stage: seen.map(|seen| seen.progress.stage.as_str()),
            message: seen.map(|seen| seen.progress.message.as_str()),
            seconds: seen.map(|seen| seen.lasts().as_secs()),
            failures: seen.map(|seen| seen.progress.failures),
            limit: seen
                .and_then(Seen::limit)
                .map(|(reason, left)| LimitView { reason, seconds: left.as_secs() }),
        }
    }
}

impl Seen {
    /// For how long the stage has lasted.
    fn lasts(&self) -> Duration {
        self.progress.at.since(self.progress.since) + self.at.elapsed()
    }

    /// The reason code of the limit that ends the wait if nothing changes, and the time until then.
    fn limit(&self) -> Option<(&'static str, Duration)> {
        let limit = self.progress.limit?;
        let left = limit.at.since(self.progress.at).saturating_sub(self.at.elapsed());
        Some((limit.reason.as_str(), left))
    }
}

/// Whole seconds for people: `12s`, `1m 48s`.
fn in_words(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use podwait::WaitMachine;
    use podwait::core::{Input, ProgressLog};

    #[test]
    fn a_row_names_the_stage_its_duration_and_its_limit() {
        let (mut machine, mut log) =
            (WaitMachine::new(podwait::Policy::default().into()), ProgressLog::default());
        let mut row = Row { namespace: "ci".into(), name: "p".into(), seen: None, ended: None };
        assert_eq!((row.label(), row.what()), ("ci/p".into(), "waiting".into()));
        for millis in [0, 4000] {
            let _ = machine.handle(podwait::core::Instant::from_millis(millis), Input::NotFound);
            let _ = log.see(&machine, Input::NotFound);
        }
        let progress = log.last().expect("a stage").clone();
        row.seen = Some(Seen { progress, at: Instant::now(), printed: None });
        assert_eq!(row.what(), "the pod does not exist yet, for 4s, pod_never_seen in 5s");
        let json: serde_json::Value = serde_json::from_str(Line::json(&row.view()).as_str()).expect("JSON");
        let expected = serde_json::json!({
            "event": "progress", "namespace": "ci", "pod": "p", "stage": "absent", "message": "the pod does not exist yet",
            "seconds": 4, "failures": 0, "limit": { "reason": "pod_never_seen", "seconds": 5 },
        });
        assert_eq!(json, expected);
    }
}
