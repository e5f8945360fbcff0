//! `podwait replay`.

use crate::args::Output;
use crate::output::{self, Line};
use crate::timeline;
use podwait::Decision;
use podwait::core::one_line;
use podwait::trace::{Replay, TraceError, TraceReader, replay};
use serde::Serialize;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `podwait replay`.
#[derive(clap::Args)]
pub(crate) struct ReplayArgs {
    /// The traces, as `podwait wait --record` writes them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print what happened: a timeline, or one JSON object for each trace.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Longest name or title that is printed, in bytes.
const LONGEST: usize = 500;

/// A decision differs.
const DIFFERENT: u8 = 1;

/// A trace cannot be read.
const UNREADABLE: u8 = 2;

/// The result of a trace as JSON; `null` where a field does not apply.
#[derive(Default, Serialize)]
struct ReplayView<'a> {
    id: Option<Cow<'a, str>>,
    outcome: &'static str,
    exit_code: Option<i32>,
    reason: Option<&'static str>,
    class: Option<&'static str>,
    evidence: Option<&'static str>,
    decided_at_ms: Option<u64>,
    retry_after_ms: Option<u64>,
}

pub(crate) fn run(args: &ReplayArgs) -> ExitCode {
    let status = args.files.iter().map(|file| {
        let name = file.to_string_lossy();
        let name = one_line(&name, LONGEST);
        match one(file, &name, args.output) {
            Ok(Replay { difference: None, .. }) => 0,
            Ok(Replay { difference: Some(difference), .. }) => {
                output::note(&format!("{name}: {difference}"));
                DIFFERENT
            }
            Err(error) => {
                output::note(&format!("{name}: {error}"));
                UNREADABLE
            }
        }
    });
    ExitCode::from(status.max().unwrap_or(0))
}

fn one(file: &Path, name: &str, output: Output) -> Result<Replay, Unreadable> {
    let trace = TraceReader::new(BufReader::new(File::open(file)?))?;
    let header = trace.header().clone();
    // A trace may come from anywhere, and its id and title are printed on a terminal.
    let id = header.id.as_deref().map(|id| one_line(id, LONGEST));
    let replayed = match output {
        Output::Text => {
            let of_target = || format!("{}/{}", header.target.namespace, header.target.pod);
            let title = header.title.clone().unwrap_or_else(of_target);
            output::result(format!("{}: {title}", id.as_deref().unwrap_or(name)));
            let replayed = replay(trace, |step| output::result(timeline::line(step)))?;
            output::result("");
            replayed
        }
        Output::Json => {
            let replayed = replay(trace, |_| {})?;
            output::result(Line::json(&view(id, &replayed)));
            replayed
        }
    };
    if let Some(at) = replayed.stopped_at {
        let seconds = at.as_millis() as f64 / 1000.0;
        output::note(&format!("{name}: the recording stopped at {seconds:.3} s, at its limit of size"));
    }
    Ok(replayed)
}

fn view<'a>(id: Option<Cow<'a, str>>, replay: &Replay) -> ReplayView<'a> {
    let decided_at_ms = replay.decided_at.map(|at| at.as_millis());
    let view = ReplayView {
        id,
        reason: replay.decision.as_ref().map(Decision::code),
        decided_at_ms,
        ..Default::default()
    };
    match &replay.decision {
        None => ReplayView { outcome: "retry", ..view },
        Some(Decision::Retry { after, .. }) => {
            ReplayView { outcome: "retry", retry_after_ms: u64::try_from(after.as_millis()).ok(), ..view }
        }
        Some(Decision::Done(exit)) => ReplayView {
            outcome: "done",
            exit_code: Some(exit.code),
            evidence: Some(exit.evidence.as_str()),
            ..view
        },
        Some(Decision::Fail(failure)) => ReplayView {
            outcome: "fail",
            exit_code: failure.exit_code,
            class: Some(failure.class().as_str()),
            ..view
        },
    }
}

/// Why a trace cannot be read; the caller names the file.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Trace(#[from] TraceError),
}
