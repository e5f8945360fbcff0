//! Lines of logs on standard output, written by a thread of its own: whoever does not read holds up no wait.

use crate::args::Output;
use crate::output;
use futures_util::FutureExt;
use podwait::{LogEvent, LogGap, LogLine, LogStream};
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::thread::JoinHandle;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// How many pieces are kept for the thread, and how much of what has come goes into one.
const KEPT: usize = 16;
const LONGEST_PIECE: usize = 64 << 10;

/// What stands before a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prefix {
    /// The pod.
    pub(crate) pod: bool,
    /// The container, and which run of it if not the first.
    pub(crate) container: bool,
    /// When the container's runtime got the line.
    pub(crate) time: bool,
}

/// Prints lines.
pub(crate) struct Lines {
    pieces: mpsc::Sender<Vec<u8>>,
    thread: JoinHandle<()>,
    output: Output,
    prefix: Prefix,
}

/// What was told of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Whole,
    /// Lines may be missing.
    InPart,
    /// Lines are missing, since the API server does not let us read them.
    Denied,
}

/// Of which pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
}

/// A line, or a part of one, for programs.
#[derive(Serialize)]
struct LineView<'a> {
    event: &'static str,
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    attempt: u32,
    time: String,
    /// Bytes that are no UTF-8 are replaced.
    text: std::borrow::Cow<'a, str>,
    ends_line: bool,
}

#[derive(Serialize)]
struct GapView<'a> {
    event: &'static str,
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    attempts: [u32; 2],
    after: Option<String>,
    before: Option<String>,
    reason: &'static str,
}

impl Lines {
    pub(crate) fn new(output: Output, prefix: Prefix) -> Self {
        let (pieces, mut received) = mpsc::channel::<Vec<u8>>(KEPT);
        let thread = std::thread::spawn(move || {
            let mut out = BufWriter::with_capacity(LONGEST_PIECE, std::io::stdout());
            // Whoever closes the pipe wants no more of it; the exit status matters more.
            let mut is_read = true;
            while let Some(piece) = received.blocking_recv() {
                is_read = is_read && out.write_all(&piece).is_ok();
                if is_read && received.is_empty() {
                    is_read = out.flush().is_ok();
                }
            }
            let _ = out.flush();
        });
        Self { pieces, thread, output, prefix }
    }

    /// Prints all that a stream tells.
    pub(crate) async fn print_all(&self, of: Of<'_>, mut stream: LogStream) -> Told {
        let (mut told, mut is_in_line, mut is_denied) = (Told::Whole, None, false);
        let mut text = Vec::new();
        loop {
            // What has come already goes in one piece, since each may have to wake the thread.
            let event = match stream.next().now_or_never() {
                Some(event) if text.len() < LONGEST_PIECE => event,
                known => {
                    self.hand_over(&mut text).await;
                    match known {
                        Some(event) => event,
                        None => stream.next().await,
                    }
                }
            };
            match event {
                None => break,
                Some(LogEvent::Line(line)) => {
                    is_denied = false;
                    self.print(of, &line, &mut is_in_line, &mut text);
                }
                Some(LogEvent::Gap(gap)) => {
                    told = if is_denied { Told::Denied } else { Told::InPart };
                    self.tell_gap(of, &gap, &mut text);
                }
                Some(LogEvent::Trouble(trouble)) => {
                    is_denied = matches!(trouble.failure.code, 401 | 403);
                    output::note(&format!(
                        "{}/{}: the log of {} cannot be read for now: {}",
                        of.namespace, of.pod, trouble.container, trouble.failure.message
                    ));
                }
                Some(_) => {}
            }
        }
        self.hand_over(&mut text).await;
        told
    }

    async fn hand_over(&self, text: &mut Vec<u8>) {
        if !text.is_empty() {
            // It ends only with the process.
            let _ = self.pieces.send(std::mem::take(text)).await;
        }
    }

    fn print(
        &self,
        of: Of<'_>,
        line: &LogLine,
        is_in_line: &mut Option<std::sync::Arc<str>>,
        text: &mut Vec<u8>,
    ) {
        if self.output == Output::Json {
            let view = LineView {
                event: "line",
                namespace: of.namespace,
                pod: of.pod,
                container: &line.container,
                attempt: line.attempt,
                time: rfc3339(line.time),
                text: String::from_utf8_lossy(&line.text),
                ends_line: line.ends_line,
            };
            let _ = writeln!(text, "{}", serde_json::json!(view));
        } else {
            let goes_on = !line.is_first && is_in_line.as_ref() == Some(&line.container);
            if is_in_line.is_some() && !goes_on {
                // A long line of another container is under way.
                text.push(b'\n');
            }
            if !goes_on {
                self.write_prefix(of, line, text);
            }
            text.extend_from_slice(&line.text);
            if line.ends_line {
                text.push(b'\n');
            }
            *is_in_line = (!line.ends_line).then(|| line.container.clone());
        }
    }

    fn write_prefix(&self, of: Of<'_>, line: &LogLine, text: &mut Vec<u8>) {
        let Prefix { pod, container, time } = self.prefix;
        let attempt = if line.attempt > 1 { format!("#{}", line.attempt) } else { String::new() };
        let _ = match (pod, container) {
            (true, true) => write!(text, "[{}/{}{attempt}] ", of.pod, line.container),
            (true, false) => write!(text, "[{}] ", of.pod),
            (false, true) => write!(text, "[{}{attempt}] ", line.container),
            (false, false) => Ok(()),
        };
        if time {
            let _ = write!(text, "{} ", rfc3339(line.time));
        }
    }

    fn tell_gap(&self, of: Of<'_>, gap: &LogGap, text: &mut Vec<u8>) {
        let (first, last) = (*gap.attempts.start(), *gap.attempts.end());
        if self.output == Output::Json {
            let view = GapView {
                event: "gap",
                namespace: of.namespace,
                pod: of.pod,
                container: &gap.container,
                attempts: [first, last],
                after: gap.after.map(rfc3339),
                before: gap.before.map(rfc3339),
                reason: gap.reason.as_str(),
            };
            let _ = writeln!(text, "{}", serde_json::json!(view));
        }
        let runs = match (first, last) {
            (1, 1) => String::new(),
            (first, last) if first == last => format!(", attempt {first}"),
            (first, last) => format!(", attempts {first} to {last}"),
        };
        let bounds = match (gap.after, gap.before) {
            (Some(after), Some(before)) => format!(" between {} and {}", rfc3339(after), rfc3339(before)),
            (Some(after), None) => format!(" after {}", rfc3339(after)),
            (None, Some(before)) => format!(" before {}", rfc3339(before)),
            (None, None) => String::new(),
        };
        let why = match gap.reason {
            podwait::GapReason::Rotated => "the node began a new file",
            podwait::GapReason::Gone => "the node keeps it no longer",
            podwait::GapReason::Unreadable => "it could not be read",
            _ => "unknown",
        };
        output::note(&format!(
            "{}/{}: lines of {}{runs} may be missing{bounds}: {why}",
            of.namespace, of.pod, gap.container
        ));
    }

    /// Prints a line of another kind after what was told so far.
    pub(crate) async fn add(&self, line: String) {
        let _ = self.pieces.send(format!("{line}\n").into_bytes()).await;
    }

    /// Returns when all is printed.
    pub(crate) async fn finish(self) {
        drop(self.pieces);
        let _ = tokio::task::spawn_blocking(|| self.thread.join()).await;
    }
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::from("?"), |time| format!("{time:.9}"))
}
