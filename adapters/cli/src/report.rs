//! Results: a sentence, a line of JSON, and an exit status.

use crate::args::Output;
use crate::lines::Lines;
use crate::output::{self, Line};
use crate::status::Status;
use podwait::{Exit, Failure, JobExit, JobPod};
use serde::Serialize;

/// The result of a wait for a pod.
pub(crate) struct Report<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) outcome: Result<Exit, Failure>,
}

/// The result as JSON; `null` where a field does not apply.
#[derive(Serialize)]
struct ReportView<'a> {
    event: &'static str,
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
    may_have_finished: Option<bool>,
    safe_to_rerun: Option<bool>,
}

impl Report<'_> {
    /// Prints the result on standard output, unless the step's log is printed there, and the sentence on standard error.
    pub(crate) async fn print(&self, output: Output, lines: Option<&Lines>) {
        output::note(&self.sentence());
        match (output, lines) {
            (Output::Text, None) => output::result(self.short()),
            (Output::Text, Some(_)) => {}
            (Output::Json, None) => output::result(self.json()),
            (Output::Json, Some(lines)) => lines.add(self.json()).await,
        }
    }

    /// The exit status: the container's own code if there is one, podwait's otherwise.
    pub(crate) fn status(&self) -> u8 {
        match &self.outcome {
            Ok(exit) => u8::try_from(exit.code).unwrap_or(u8::MAX),
            Err(failure) => Status::of(failure) as u8,
        }
    }

    /// The result as a sentence.
    pub(crate) fn sentence(&self) -> String {
        format!("{}/{}: {}", self.namespace, self.pod, self.message())
    }

    /// The reason code, and the exit code if it is the step's own.
    pub(crate) fn short(&self) -> String {
        match &self.outcome {
            Ok(exit) => format!("{} {}", exit.reason, exit.code),
            Err(failure) => failure.reason.to_string(),
        }
    }

    /// The result as JSON.
    pub(crate) fn json(&self) -> Line {
        Line::json(&self.view())
    }

    fn message(&self) -> String {
        match &self.outcome {
            Ok(exit) => exit.to_string(),
            Err(failure) => failure.to_string(),
        }
    }

    fn view(&self) -> ReportView<'_> {
        let (exit, failure) = (self.outcome.as_ref().ok(), self.outcome.as_ref().err());
        ReportView {
            event: "result",
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
            message: self.message(),
            oom_killed: exit.map(|exit| exit.oom_killed),
            started_at: exit.and_then(|exit| rfc3339(exit.started_at)),
            finished_at: exit.and_then(|exit| rfc3339(exit.finished_at)),
            restart_count: exit.map(|exit| exit.restart_count),
            attempt: exit.map(Exit::attempt),
            container_id: exit.map(|exit| exit.container_id.as_str()).filter(|id| !id.is_empty()),
            phase: exit.map(|exit| exit.pod_phase.as_str()),
            may_have_finished: failure.map(|failure| failure.may_have_finished),
            safe_to_rerun: failure.map(Failure::is_safe_to_rerun),
        }
    }
}

/// The result of a wait for a job.
pub(crate) struct JobReport<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) outcome: Result<JobExit, Failure>,
    /// Its pods that were seen to end, the last ones.
    pub(crate) pods: Vec<JobPod>,
}

#[derive(Serialize)]
struct JobView<'a> {
    event: &'static str,
    namespace: &'a str,
    job: &'a str,
    outcome: &'static str,
    reason: &'static str,
    /// `reason` of the Job's condition.
    condition_reason: Option<&'a str>,
    /// The pod whose exit it is.
    decided_by: Option<&'a str>,
    rule: u8,
    class: Option<&'static str>,
    exit_code: Option<i32>,
    message: String,
    pods: Vec<PodView<'a>>,
}

#[derive(Serialize)]
struct PodView<'a> {
    pod: &'a str,
    uid: &'a str,
    container: &'a str,
    reason: &'static str,
    exit_code: Option<i32>,
}

impl JobReport<'_> {
    /// Prints the result on standard output, and the sentence on standard error.
    pub(crate) fn print(&self, output: Output) {
        output::note(&self.sentence());
        match output {
            Output::Text => output::result(self.short()),
            Output::Json => output::result(self.json()),
        }
    }

    /// The exit status: 0 if the job is complete, the code of the pod that decided if it failed, podwait's status otherwise.
    pub(crate) fn status(&self) -> u8 {
        match &self.outcome {
            Ok(exit) => u8::try_from(exit.code).unwrap_or(u8::MAX),
            Err(failure) => Status::of(failure) as u8,
        }
    }

    /// The result as a sentence.
    pub(crate) fn sentence(&self) -> String {
        format!("{}/job/{}: {}", self.namespace, self.name, self.message())
    }

    /// The outcome and the exit code, or the reason code.
    pub(crate) fn short(&self) -> String {
        match &self.outcome {
            Ok(exit) => format!("{} {}", word(exit), exit.code),
            Err(failure) => failure.reason.to_string(),
        }
    }

    fn message(&self) -> String {
        match &self.outcome {
            Ok(exit) => exit.to_string(),
            Err(failure) => failure.to_string(),
        }
    }

    /// The result as JSON.
    pub(crate) fn json(&self) -> Line {
        let (exit, failure) = (self.outcome.as_ref().ok(), self.outcome.as_ref().err());
        let pods = self
            .pods
            .iter()
            .flat_map(|pod| pod.ends.iter().map(move |(container, ended)| (pod, container, ended)));
        let pods = pods.map(|(pod, container, ended)| PodView {
            pod: &pod.name,
            uid: &pod.uid,
            container,
            reason: match ended {
                Ok(exit) => exit.reason.as_str(),
                Err(failure) => failure.reason.as_str(),
            },
            exit_code: match ended {
                Ok(exit) => Some(exit.code),
                Err(failure) => failure.exit_code,
            },
        });
        let view = JobView {
            event: "result",
            namespace: self.namespace,
            job: self.name,
            outcome: exit.map_or("fail", word),
            reason: match &self.outcome {
                Ok(exit) => exit.reason.as_str(),
                Err(failure) => failure.reason.as_str(),
            },
            condition_reason: exit
                .map(|exit| exit.condition_reason.as_str())
                .filter(|reason| !reason.is_empty()),
            decided_by: exit.and_then(|exit| exit.pod.as_deref()).map(|pod| pod.name.as_str()),
            rule: match &self.outcome {
                Ok(exit) => exit.rule,
                Err(failure) => failure.rule,
            },
            class: failure.map(|failure| failure.class().as_str()),
            exit_code: match &self.outcome {
                Ok(exit) => Some(exit.code),
                Err(failure) => failure.exit_code,
            },
            message: self.message(),
            pods: pods.collect(),
        };
        Line::json(&view)
    }
}

/// The outcome of a Job in one word.
const fn word(exit: &JobExit) -> &'static str {
    if exit.is_success() { "complete" } else { "failed" }
}

fn rfc3339(time: Option<podwait::core::Timestamp>) -> Option<String> {
    jiff::Timestamp::from_second(time?.0).ok().map(|time| time.to_string())
}
