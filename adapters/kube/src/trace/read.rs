//! Reading: one line at a time, with the line's number in every error.

use super::error::{EventError, LONGEST_LINE, TraceError, TraceProblem};
use super::{Decided, Header, VERSION};
use crate::source::Observed;
use crate::text::{LONGEST_QUOTE, clean};
use podwait_core::{Instant, one_line};
use podwait_hub::ObservedPod;
use podwait_wire::{ApiFailure, Encoding, Via};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::io::{BufRead, Read};
use std::sync::Arc;
use std::time::Duration;

/// Reads a trace line by line, holding one line at a time.
pub struct TraceReader<R> {
    input: R,
    line: u64,
    latest: Instant,
    header: Header,
}

/// One line of a trace after its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceLine {
    /// An observation.
    Event(Instant, Observed),
    /// The machine's answer to the event before.
    Decision(Instant, Decided),
    /// The recorder stopped here, at its size limit. The wait continued.
    Stopped(Instant),
}

impl<R: BufRead> TraceReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// The first line is no header of a known version.
    pub fn new(input: R) -> Result<Self, TraceError> {
        let mut reader = Self { input, line: 0, latest: Instant::ZERO, header: Header::default() };
        let header = reader.next_line().and_then(|line| {
            let (line, _) = line.ok_or(TraceProblem::NoHeader)?;
            #[derive(Deserialize)]
            struct Versioned {
                podwait_trace: u64,
            }
            let header = |error| TraceProblem::Header(clean(&error));
            let version = serde_json::from_slice::<Versioned>(&line).map_err(header)?.podwait_trace;
            if version != VERSION {
                return Err(TraceProblem::Version(version));
            }
            serde_json::from_slice(&line).map_err(header)
        });
        reader.header = header.map_err(|problem| TraceError { line: 1, problem })?;
        Ok(reader)
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the line that was read last, counting from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The next event or decision; `None` at the end. A last line that was cut off also counts as the end: the writer
    /// was killed.
    ///
    /// # Errors
    /// The line cannot be read; the lines after it are not read either.
    #[expect(clippy::should_implement_trait, reason = "it ends with its first error")]
    pub fn next(&mut self) -> Result<Option<TraceLine>, TraceError> {
        self.read_next().map_err(|problem| TraceError { line: self.line, problem })
    }

    fn read_next(&mut self) -> Result<Option<TraceLine>, TraceProblem> {
        let Some((line, is_whole)) = self.next_line()? else { return Ok(None) };
        if !is_whole && is_cut_off(&line) {
            return Ok(None);
        }
        let text =
            std::str::from_utf8(&line).map_err(|error| EventError::Json(serde::de::Error::custom(error)))?;
        let read = read_line(text)?;
        let (TraceLine::Event(at, _) | TraceLine::Decision(at, _) | TraceLine::Stopped(at)) = &read;
        if *at < self.latest {
            return Err(TraceProblem::TimeGoesBack { from: self.latest.as_millis(), to: at.as_millis() });
        }
        self.latest = *at;
        Ok(Some(read))
    }

    /// The next line that is not blank, and whether it has an end.
    fn next_line(&mut self) -> Result<Option<(Vec<u8>, bool)>, TraceProblem> {
        loop {
            let mut line = Vec::new();
            self.line += 1;
            let read = (&mut self.input).take(LONGEST_LINE + 1).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            if line.len() as u64 > LONGEST_LINE {
                return Err(TraceProblem::TooLong);
            }
            let is_whole = line.last() == Some(&b'\n');
            if !line.trim_ascii().is_empty() {
                return Ok(Some((line, is_whole)));
            }
        }
    }
}

/// Whether a line is the beginning of JSON and not all of it.
fn is_cut_off(line: &[u8]) -> bool {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        // The line was cut within a character.
        Err(error) if error.error_len().is_none() => return true,
        Err(_) => return false,
    };
    serde_json::from_str::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

fn read_line(text: &str) -> Result<TraceLine, TraceProblem> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        decision: Option<IgnoredAny>,
        #[serde(default)]
        stopped: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct At {
        at_ms: Instant,
    }
    let decision = |error| TraceProblem::Decision(clean(&error));
    let at = || serde_json::from_str::<At>(text).map(|at| at.at_ms);
    // A line with `decision` is a decision, and one with `stopped` comes from the recorder; every other line must be an
    // event.
    match serde_json::from_str(text) {
        Ok(Kind { decision: Some(_), .. }) => {
            Ok(TraceLine::Decision(at().map_err(decision)?, serde_json::from_str(text).map_err(decision)?))
        }
        Ok(Kind { stopped: Some(_), .. }) => {
            Ok(TraceLine::Stopped(at().map_err(|error| EventError::Json(clean(&error)))?))
        }
        Ok(Kind { decision: None, stopped: None }) | Err(_) => {
            let (at, observed) = read_event(text)?;
            Ok(TraceLine::Event(at, observed))
        }
    }
}

/// The common fields of a trace's event.
#[derive(Deserialize)]
struct EventView<'a> {
    at_ms: Instant,
    event: std::borrow::Cow<'a, str>,
    #[serde(default)]
    via: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    op: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, borrow)]
    pod: Option<&'a RawValue>,
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    status: Option<bool>,
    #[serde(default)]
    retry_after_s: Option<u64>,
    #[serde(default)]
    message: Option<String>,
}

/// Reads one event: its time and its observation.
///
/// # Errors
/// See [`EventError`].
pub fn read_event(json: &str) -> Result<(Instant, Observed), EventError> {
    let view: EventView<'_> = serde_json::from_str(json).map_err(|error| EventError::Json(clean(&error)))?;
    let via = match view.via.as_deref().or(view.op.as_deref()) {
        Some("watch") => Via::Watch,
        Some("list") => Via::List,
        Some(_) | None => Via::Get,
    };
    let missing = |field| EventError::Missing { event: view.event.to_string(), field };
    let pod = || -> Result<Arc<ObservedPod>, EventError> {
        let json = view.pod.ok_or_else(|| missing("pod"))?.get().as_bytes();
        let pod = podwait_wire::pod(Encoding::Json, json)?;
        Ok(Arc::new(ObservedPod { pod, json: Some(json.into()) }))
    };
    let observed = match &*view.event {
        "snapshot" => Observed::Pod(via, pod()?),
        "deleted" => Observed::Deleted(pod()?),
        "not_found" => Observed::NotFound(via),
        "api_error" => {
            let code = view.code.ok_or_else(|| missing("code"))?;
            Observed::Failed(ApiFailure {
                via,
                code,
                is_status: view.status.unwrap_or_else(|| is_usually_status(code)),
                retry_after: view.retry_after_s.map(Duration::from_secs),
                message: view.message.unwrap_or_default(),
            })
        }
        "tick" => Observed::Silence,
        "cancel" => Observed::Cancelled,
        unknown => return Err(EventError::Unknown(one_line(unknown, LONGEST_QUOTE).into_owned())),
    };
    Ok((view.at_ms, observed))
}

/// Whether an error with this code counts as a `Status` if its event does not have that field, as in older traces.
/// Without an answer, or with an answer that is no error, it does not.
pub(super) const fn is_usually_status(code: u16) -> bool {
    code >= 300
}
