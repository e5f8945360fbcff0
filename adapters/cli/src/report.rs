//! The result of a wait: one line for people, one for programs, one exit status.

use crate::args::Output;
use crate::output;
use crate::status::Status;
use podwait::{Exit, Failure};
use serde::Serialize;
use std::process::ExitCode;

pub(crate) struct Report<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) outcome: Result<Exit, Failure>,
}

/// The result as JSON; `null` where it does not apply.
#[derive(Serialize)]
struct ReportView<'a> {
    namespace: &'a str,
    pod: &'a str,
    container: Option<&'a str>,
    outcome: &'static str,
    reason: &'static str,
    rule: u8,
    class: Option<&'static str>,
    exit_code: Option<i32>,
    evidence: Option<&'static str>,
    message: String,
    oom_killed: Option<bool>,
    started_at: Option<String>,
    finished_at: Option<String>,
    restart_count: Option<i32>,
    attempt: Option<u32>,
    container_id: Option<&'a str>,
    phase: Option<&'static str>,
}

impl Report<'_> {
    /// The result on standard output, what happened on standard error.
    pub(crate) fn print(&self, output: Output) {
        output::note(&format!("{}/{}: {}", self.namespace, self.pod, self.sentence()));
        output::result(&match (output, &self.outcome) {
            (Output::Text, Ok(exit)) => format!("{} {}", exit.reason, exit.code),
            (Output::Text, Err(failure)) => failure.reason.to_string(),
            (Output::Json, _) => serde_json::json!(self.view()).to_string(),
        });
    }

    /// The container's own code if it is one, podwait's otherwise.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match &self.outcome {
            Ok(exit) => u8::try_from(exit.code).unwrap_or(u8::MAX).into(),
            Err(failure) => Status::of(failure).into(),
        }
    }

    fn sentence(&self) -> String {
        match &self.outcome {
            Ok(exit) => exit.to_string(),
            Err(failure) => failure.to_string(),
        }
    }

    fn view(&self) -> ReportView<'_> {
        let (exit, failure) = (self.outcome.as_ref().ok(), self.outcome.as_ref().err());
        ReportView {
            namespace: self.namespace,
            pod: self.pod,
            container: exit.map(|exit| exit.container.as_str()),
            outcome: if exit.is_some() { "done" } else { "fail" },
            reason: match &self.outcome {
                Ok(exit) => exit.reason.as_str(),
                Err(failure) => failure.reason.as_str(),
            },
            rule: match &self.outcome {
                Ok(exit) => exit.rule,
                Err(failure) => failure.rule,
            },
            class: failure.map(|failure| failure.class().as_str()),
            exit_code: match &self.outcome {
                Ok(exit) => Some(exit.code),
                Err(failure) => failure.exit_code,
            },
            evidence: exit.map(|exit| exit.evidence.as_str()),
            message: self.sentence(),
            oom_killed: exit.map(|exit| exit.oom_killed),
            started_at: exit.and_then(|exit| rfc3339(exit.started_at)),
            finished_at: exit.and_then(|exit| rfc3339(exit.finished_at)),
            restart_count: exit.map(|exit| exit.restart_count),
            attempt: exit.map(Exit::attempt),
            container_id: exit.map(|exit| exit.container_id.as_str()).filter(|id| !id.is_empty()),
            phase: exit.map(|exit| exit.pod_phase.as_str()),
        }
    }
}

fn rfc3339(time: Option<podwait::core::Timestamp>) -> Option<String> {
    jiff::Timestamp::from_second(time?.0).ok().map(|time| time.to_string())
}
