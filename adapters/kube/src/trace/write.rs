//! Writing: every turn of a wait as it happens.

use super::read::is_usually_status;
use super::{Decided, Header};
use crate::source::Observed;
use podwait_core::Decision;
use podwait_hub::{ObservedPod, Turn};
use podwait_wire::reduce;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{self, Write};

/// Longest trace, in bytes, unless another limit is set. A turn of a wait takes some 2 KB with a reduced pod, and some 10 to
/// 30 KB with a whole one.
const LONGEST: u64 = 256 << 20;

/// Space for the last line, which says that the limit is reached.
const LAST_LINE: u64 = 128;

/// How much of a pod goes into a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pods {
    /// Only the fields that the rules read: no command, environment, annotation, image or message of the pod, and no
    /// message of the API server. Such a trace can be shared if the names of the pod and its containers may be shared.
    #[default]
    Reduced,
    /// The whole object as received, if the wait [keeps](crate::Wait::keep_json) it. It may contain secrets.
    Full,
}

/// Writes a wait as a trace. Give [`Recorder::on_turn`] to [`Wait::on_turn`](crate::Wait::on_turn) or [`drive`](crate::drive).
///
/// Every turn is flushed, so the trace of a killed process lacks at most its last line. A recorder that cannot write,
/// or has written 256 MiB, does not affect the wait: it stops, and [`finish`](Self::finish) returns the error. At the
/// limit the trace's last line says that the recorder stopped.
///
/// The recorder writes on the task that polls the wait, so `output` should be fast, or pass the data to another thread.
pub struct Recorder<W> {
    output: W,
    pods: Pods,
    /// Bytes that may still be written.
    left: u64,
    limit: u64,
    failed: Option<io::Error>,
}

/// The last line of a trace that reached its limit.
#[derive(Serialize)]
struct StoppedView {
    at_ms: u64,
    stopped: String,
}

/// An event as it is written.
#[derive(Serialize)]
struct EventView<'a> {
    at_ms: u64,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// Only if it differs from [the usual value](is_usually_status).
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

/// A decision as it is written: the compared fields, and the sentence for people.
#[derive(Serialize)]
struct DecisionView<'a> {
    at_ms: u64,
    #[serde(flatten)]
    decided: Decided,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl<W: Write> Recorder<W> {
    /// Begins a trace.
    ///
    /// # Errors
    /// The header cannot be written.
    pub fn new(mut output: W, header: &Header, pods: Pods) -> io::Result<Self> {
        let mut line = Vec::new();
        add_line(&mut line, header)?;
        output.write_all(&line)?;
        output.flush()?;
        Ok(Self { output, pods, left: LONGEST, limit: LONGEST, failed: None })
    }

    /// Sets another limit for the bytes written from now on. Default: 256 MiB.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        (self.left, self.limit) = (bytes, bytes);
        self
    }

    /// Writes one turn.
    pub fn on_turn(&mut self, turn: Turn<'_>) {
        if self.failed.is_none() {
            self.failed = self.write(turn).err();
        }
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// A turn could not be written, or would have exceeded the limit; the trace ends before it.
    pub fn finish(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }

    fn write(&mut self, turn: Turn<'_>) -> io::Result<()> {
        let at_ms = turn.at.as_millis();
        let mut lines = Vec::new();
        add_line(&mut lines, &self.event(at_ms, turn.observed)?)?;
        let message = match turn.decision {
            // The sentence of a failure may quote the cluster, so it is left out with reduced pods.
            Decision::Fail(failure) if self.pods == Pods::Full => Some(failure.message.as_str()),
            Decision::Fail(_) | Decision::Done(_) | Decision::Retry { .. } => None,
        };
        add_line(&mut lines, &DecisionView { at_ms, decided: turn.decision.into(), message })?;
        if lines.len() as u64 + LAST_LINE > self.left {
            let stopped = format!("the trace has reached its limit of {} bytes", self.limit);
            let mut line = Vec::new();
            add_line(&mut line, &StoppedView { at_ms, stopped: stopped.clone() })?;
            self.output.write_all(&line)?;
            self.output.flush()?;
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, stopped));
        }
        self.output.write_all(&lines)?;
        self.left -= lines.len() as u64;
        self.output.flush()
    }

    fn event<'a>(&self, at_ms: u64, observed: &'a Observed) -> io::Result<EventView<'a>> {
        let none = EventView {
            at_ms,
            event: "tick",
            via: None,
            pod: None,
            code: None,
            status: None,
            retry_after_s: None,
            op: None,
            message: None,
        };
        Ok(match observed {
            Observed::Pod(via, pod) => {
                EventView { event: "snapshot", via: Some(via.as_str()), pod: Some(self.pod(pod)?), ..none }
            }
            Observed::Deleted(pod) => EventView { event: "deleted", pod: Some(self.pod(pod)?), ..none },
            Observed::NotFound(via) => EventView { event: "not_found", via: Some(via.as_str()), ..none },
            Observed::Failed(failure) => EventView {
                event: "api_error",
                code: Some(failure.code),
                status: (failure.is_status != is_usually_status(failure.code)).then_some(failure.is_status),
                // The header has only whole seconds.
                retry_after_s: failure.retry_after.map(|after| after.as_secs()),
                op: Some(failure.via.as_str()),
                // The message may name the user and the server.
                message: (self.pods == Pods::Full).then_some(&failure.message),
                ..none
            },
            Observed::Silence => none,
            Observed::Cancelled => EventView { event: "cancel", ..none },
        })
    }

    fn pod(&self, observed: &ObservedPod) -> io::Result<Box<RawValue>> {
        let json = match self.pods {
            Pods::Reduced => serde_json::to_string(&reduce(&observed.pod))?,
            // As received, but on one line: JSON has line ends only between its tokens. The text is not parsed for
            // that, because it may have numbers that no type here can hold.
            Pods::Full => {
                let json = observed.json.as_deref().ok_or_else(|| {
                    let sentence = "the wait keeps no JSON of its pods, see Wait::keep_json";
                    io::Error::new(io::ErrorKind::InvalidInput, sentence)
                })?;
                String::from_utf8_lossy(json).replace(['\n', '\r'], " ")
            }
        };
        Ok(RawValue::from_string(json)?)
    }
}

fn add_line(text: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *text, value)?;
    text.push(b'\n');
    Ok(())
}
