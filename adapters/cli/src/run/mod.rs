//! `podwait run`.

mod manifest;
mod objects;

use crate::args::{ConnectArgs, LimitArgs, Output, name};
use crate::connect::{Connection, connect};
use crate::lines::{Lines, Of, Prefix};
use crate::output;
use crate::report::Report;
use crate::signals::Signals;
use crate::status::{Complaint, Status};
use objects::{Created, Objects};
use podwait::core::{Decision, Input, Instant};
use podwait::{Exit, Failure, Hold, Logs, Policy, WaitMachine};
use serde_json::Value;
use std::future::IntoFuture;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::timeout;

/// How long a pod that was asked to stop may take beyond its grace period.
const BEYOND_GRACE: Duration = Duration::from_secs(30);

/// Arguments of `podwait run`.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The image to run the command in.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    image: Option<String>,
    /// A pod as YAML or JSON; `-` for standard input. Its name becomes the beginning of a new one.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The beginning of the pod's name [default: podwait-run, or that of the file].
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// An environment variable, NAME=VALUE.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair, conflicts_with = "file")]
    env: Vec<(String, String)>,
    /// A label of the pod, KEY=VALUE.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// The container whose exit is wanted [default: the pod's only one].
    #[arg(short, long, value_parser = name)]
    container: Option<String>,
    /// Run the step again, so often at most, if the cluster refused it or stopped it and it cannot have finished.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry_infra: u32,
    /// Leave the pod behind however it ends. By default it stays only if its step failed: one that succeeded is deleted, and
    /// so is one that has not ended, which would go on with nobody waiting.
    #[arg(long, conflicts_with = "rm")]
    keep: bool,
    /// Delete the pod however it ends.
    #[arg(long)]
    rm: bool,
    /// Do without the finalizer that keeps the pod until its end has been read.
    #[arg(long)]
    no_hold: bool,
    /// Do not print what the container writes.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    limits: LimitArgs,
    /// How to print: the container's lines as they are, or one JSON object for each and for the result.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    connect: ConnectArgs,
    /// The command to run, in place of the image's own.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "file")]
    command: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(String::from("NAME=VALUE is needed")),
    }
}

pub(crate) async fn run(args: RunArgs) -> Result<ExitCode, Complaint> {
    let policy = args.limits.policy()?;
    let run = format!("{:016x}", RandomState::new().build_hasher().finish());
    let pod = manifest::pod(&args, &run)?;
    let signals = Signals::listen()?;
    let mut connection = connect(&args.connect).await?;
    if let (None, Some(namespace)) = (&args.connect.namespace, pod["metadata"]["namespace"].as_str()) {
        connection.namespace = namespace.to_owned();
    }
    let lines = (!args.quiet).then(|| Lines::new(args.output, Prefix::default()));
    let session = Session { args, connection, policy, lines, signals };
    let status = session.run(&pod, &run).await?;
    if let Some(lines) = session.lines {
        lines.finish().await;
    }
    Ok(status.into())
}

struct Session {
    args: RunArgs,
    connection: Connection,
    policy: Policy,
    lines: Option<Lines>,
    signals: Signals,
}

/// How one try ended.
struct Ended {
    outcome: Result<Exit, Failure>,
    /// A signal came.
    is_cancelled: bool,
}

impl Session {
    async fn run(&self, pod: &Value, run: &str) -> Result<u8, Complaint> {
        let objects = Objects::new(&self.connection);
        let with_hold = !self.args.no_hold && objects.may_hold().await;
        if !with_hold && !self.args.no_hold {
            output::note(
                "the pod is not held: there is no right to patch pods, so its end can be lost with it",
            );
        }
        let mut tries_left = self.args.retry_infra;
        loop {
            // One more for each try: a pod of an earlier one is none of this.
            let run = format!("{run}-{tries_left}");
            let mut pod = pod.clone();
            pod["metadata"]["labels"][manifest::RUN_LABEL] = run.clone().into();
            let created = tokio::select! {
                created = objects.create(&pod, &run, with_hold) => created?,
                () = self.signals.second() => return Ok(Status::Cancelled as u8),
            };
            let namespace = &self.connection.namespace;
            output::note(&format!("{namespace}/{}: created", created.name));
            let ended = self.follow(&objects, &created).await;
            let hold = created.is_held.then(|| {
                Hold::of_created(self.connection.client.clone(), namespace, &created.name, &created.uid)
            });
            let again = !ended.is_cancelled && ended.outcome.as_ref().is_err_and(Failure::is_safe_to_rerun);
            if again && tries_left > 0 {
                tries_left -= 1;
                if let Err(failure) = &ended.outcome {
                    output::note(&format!("{namespace}/{}: {failure}; it is run again", created.name));
                }
                self.clean_up(&objects, &created, hold, true).await;
                continue;
            }
            return Ok(self.finish(&objects, &created, hold, ended).await);
        }
    }

    async fn finish(&self, objects: &Objects<'_>, created: &Created, hold: Option<Hold>, ended: Ended) -> u8 {
        let namespace = &self.connection.namespace;
        let Ended { outcome, is_cancelled: is_stopped } = ended;
        let outcome = if is_stopped { Err(cancelled(&outcome)) } else { outcome };
        let is_success = outcome.as_ref().is_ok_and(Exit::is_success);
        let report = Report { namespace, pod: &created.name, outcome };
        report.print(self.args.output, self.lines.as_ref()).await;
        let is_deleted = self.args.rm || (!self.args.keep && (is_success || !objects.is_over(created).await));
        self.clean_up(objects, created, hold, is_deleted).await;
        if !is_deleted && !is_stopped {
            output::note(&format!("{namespace}/{} is left behind", created.name));
        }
        report.status()
    }

    /// Its end has been read: it may go.
    async fn clean_up(&self, objects: &Objects<'_>, created: &Created, hold: Option<Hold>, is_deleted: bool) {
        if let Some(hold) = hold
            && let Err(failure) = hold.release().await
        {
            let (namespace, message) = (&self.connection.namespace, failure.message);
            output::note(&format!(
                "{namespace}/{} is still held, see podwait release: {message}",
                created.name
            ));
        }
        if is_deleted {
            objects.delete(created).await;
        }
    }

    /// Waits for the pod's end and prints what it writes. After the first signal it is asked to stop, after the second
    /// nobody waits for that.
    async fn follow(&self, objects: &Objects<'_>, created: &Created) -> Ended {
        let namespace = &self.connection.namespace;
        let mut wait = podwait::wait(self.connection.client.clone(), namespace, &created.name)
            .uid(&created.uid)
            .policy(self.policy.clone());
        if let Some(container) = &self.args.container {
            wait = wait.container(container);
        }
        let of = Of { namespace, pod: &created.name };
        let mut outcome = pin!(async {
            match &self.lines {
                None => wait.into_future().await,
                Some(lines) => {
                    let (wait, stream) = wait.logs(Logs::of_target());
                    tokio::join!(wait, lines.print_all(of, stream)).0
                }
            }
        });
        tokio::select! {
            outcome = &mut outcome => return Ended { outcome, is_cancelled: false },
            () = self.signals.first() => {}
        }
        output::note(&format!("{namespace}/{}: asked to stop", created.name));
        let stopped = async {
            objects.delete(created).await;
            // Its own grace period is not known here, and need not be: the kubelet keeps to it.
            timeout(GRACE + BEYOND_GRACE, &mut outcome).await.ok()
        };
        let outcome = tokio::select! {
            outcome = stopped => outcome,
            () = self.signals.second() => None,
        };
        Ended { outcome: outcome.unwrap_or_else(|| Err(cancelled_by_nobody())), is_cancelled: true }
    }
}

/// The longest grace period that a pod is given to stop in before nobody waits for it any more.
const GRACE: Duration = Duration::from_secs(300);

/// The failure of a wait that was cancelled, with the code of the step that was stopped for it.
fn cancelled(outcome: &Result<Exit, Failure>) -> Failure {
    let mut failure = cancelled_by_nobody();
    failure.exit_code = match outcome {
        Ok(exit) => Some(exit.code),
        Err(failure) => failure.exit_code,
    };
    failure
}

fn cancelled_by_nobody() -> Failure {
    let mut machine = WaitMachine::new(Policy::default().into());
    match machine.handle(Instant::ZERO, Input::Cancel) {
        Decision::Fail(failure) => failure,
        Decision::Retry { .. } | Decision::Done(_) => unreachable!("a wait that is cancelled has failed"),
    }
}
