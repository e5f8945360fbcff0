//! Prints lines of logs on standard output.

use crate::args::Output;
use crate::outlet::{Outlet, Written};
use crate::output::{self, Line, with_cause};
use crate::shutdown::DRAIN;
use futures_util::FutureExt;
use podwait::{LogEvent, LogGap, LogLine, LogStream};
use serde::Serialize;
use std::io::Write;
use std::pin::pin;
use std::time::SystemTime;

/// Longest piece that is passed to the outlet at once, in bytes.
const LONGEST_PIECE: usize = 64 << 10;

/// The parts of the prefix before a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prefix {
    /// The pod.
    pub(crate) pod: bool,
    /// The container, and the number of its run if that is not the first.
    pub(crate) container: bool,
    /// The time at which the container runtime received the line.
    pub(crate) time: bool,
}

/// Prints lines.
pub(crate) struct Lines {
    outlet: Outlet,
    output: Output,
    prefix: Prefix,
}

/// How much of a log was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    Whole,
    /// Lines may be missing.
    InPart,
    /// Lines are missing, since the API server denies access to them.
    Denied,
}

/// The pod whose log is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
}

/// A line, or a part of one, as JSON.
#[derive(Serialize)]
struct LineView<'a> {
    event: &'static str,
    namespace: &'a str,
    pod: &'a str,
    container: &'a str,
    attempt: u32,
    time: Option<String>,
    /// Invalid UTF-8 is replaced.
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
        Self { outlet: Outlet::new(), output, prefix }
    }

    /// Ends [`print_all`](Self::print_all) when the reader of standard output has closed it, even if there is nothing to print.
    pub(crate) fn watch_reader(&self) {
        self.outlet.watch_reader();
    }

    /// Returns when nothing can be printed any more.
    pub(crate) async fn closed(&self) -> Written {
        self.outlet.closed().await
    }

    /// Drives a wait and prints its log meanwhile. Once the wait is over, the rest of the log delays the answer only while standard
    /// output accepts it, and at most until `cut`.
    pub(crate) async fn beside<T>(
        &self,
        wait: impl Future<Output = T>,
        of: Of<'_>,
        stream: LogStream,
        cut: impl Future<Output = ()>,
    ) -> T {
        let (mut wait, mut print) = (pin!(wait), pin!(self.print_all(of, stream)));
        let answer = tokio::select! {
            answer = &mut wait => answer,
            _ = &mut print => return wait.await,
        };
        tokio::select! {
            _ = print => {}
            () = self.outlet.stalled(DRAIN) => {}
            () = cut => {}
        }
        answer
    }

    /// Prints all events of a stream.
    pub(crate) async fn print_all(&self, of: Of<'_>, stream: LogStream) -> Printed {
        tokio::select! {
            printed = self.print_stream(of, stream) => printed,
            // Nothing can be printed any more.
            _ = self.outlet.closed() => Printed::InPart,
        }
    }

    async fn print_stream(&self, of: Of<'_>, mut stream: LogStream) -> Printed {
        let (mut printed, mut is_in_line, mut is_denied) = (Printed::Whole, None, false);
        let mut text = Vec::new();
        loop {
            // Lines that are here already go in one piece, since each piece may have to wake the thread.
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
                    printed = if is_denied { Printed::Denied } else { Printed::InPart };
                    self.print_gap(of, &gap, &mut text);
                }
                Some(LogEvent::Trouble(trouble)) => {
                    is_denied = matches!(trouble.failure.code, 401 | 403);
                    let (Of { namespace, pod }, container) = (of, &trouble.container);
                    let sentence =
                        format!("{namespace}/{pod}: the log of {container} cannot be read at the moment");
                    output::note(&with_cause(&sentence, &trouble.failure.message));
                }
                Some(LogEvent::Untimed(container)) => output::note(&format!(
                    "{}/{}: the node sends the log of {container} without times; after an interruption the log may not continue",
                    of.namespace, of.pod
                )),
                Some(_) => {}
            }
        }
        self.hand_over(&mut text).await;
        printed
    }

    async fn hand_over(&self, text: &mut Vec<u8>) {
        if !text.is_empty() {
            self.outlet.write(std::mem::take(text)).await;
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
                time: line.time.map(rfc3339),
                text: String::from_utf8_lossy(&line.text),
                ends_line: line.ends_line,
            };
            // The text of the line is not cleaned.
            let _ = writeln!(text, "{}", Line::json_with(&view, Some("text")).as_str());
        } else {
            let goes_on = !line.is_first && is_in_line.as_ref() == Some(&line.container);
            if is_in_line.is_some() && !goes_on {
                // A long line of another container is not finished.
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
        let prefix = match (pod, container) {
            (true, true) => format!("[{}/{}{attempt}] ", of.pod, line.container),
            (true, false) => format!("[{}] ", of.pod),
            (false, true) => format!("[{}{attempt}] ", line.container),
            (false, false) => String::new(),
        };
        text.extend_from_slice(output::clean(&prefix).as_bytes());
        if let (true, Some(time)) = (time, line.time) {
            let _ = write!(text, "{} ", rfc3339(time));
        }
    }

    fn print_gap(&self, of: Of<'_>, gap: &LogGap, text: &mut Vec<u8>) {
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
            let _ = writeln!(text, "{}", Line::json(&view).as_str());
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
            podwait::GapReason::Gone => "the node no longer has them",
            podwait::GapReason::Unreadable => "they could not be read",
            _ => "unknown",
        };
        output::note(&format!(
            "{}/{}: lines of {}{runs} may be missing{bounds}: {why}",
            of.namespace, of.pod, gap.container
        ));
    }

    /// Prints a line of another kind after everything that was printed so far.
    pub(crate) async fn add(&self, line: Line) {
        tokio::select! {
            () = self.outlet.write(format!("{}\n", line.as_str()).into_bytes()) => {}
            () = self.outlet.stalled(DRAIN) => {}
        }
    }

    /// Returns when everything is printed, or nothing can be printed any more.
    pub(crate) async fn finish(mut self) -> Written {
        self.outlet.close();
        self.outlet.closed().await
    }

    /// The same after an answer: returns after a limit if standard output accepts nothing.
    pub(crate) async fn finish_soon(mut self) {
        self.outlet.close();
        tokio::select! {
            _ = self.outlet.closed() => {}
            () = self.outlet.stalled(DRAIN) => {}
        }
    }
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::from("?"), |time| format!("{time:.9}"))
}
