//! `podwait wait`.

mod many;
mod one;
mod record;
mod selected;
mod table;
mod target;

use crate::args::{ConnectArgs, LimitArgs, Output, name};
use crate::connect::connect;
use crate::lines::{Lines, Prefix};
use crate::output;
use crate::signals::Signals;
use crate::status::{Complaint, Status};
use podwait::{Fsync, Hold, HoldState, Journal, Wait};
use std::path::PathBuf;
use std::process::ExitCode;
use target::Target;

/// Arguments of `podwait wait`.
#[derive(clap::Args)]
pub(crate) struct WaitArgs {
    /// What to wait for: `NAME` or `pod/NAME`, `job/NAME`. It need not exist yet: it has ten seconds to appear.
    #[arg(required_unless_present_any = ["selector", "resume"], value_name = "TARGET")]
    targets: Vec<Target>,
    /// All pods that this label selector matches now.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// The first to end is enough; the others go on without anybody waiting.
    #[arg(long, conflicts_with = "all")]
    any: bool,
    /// All have to end (this is the default).
    #[arg(long)]
    all: bool,
    /// The container whose exit is wanted [default: the pod's only one].
    #[arg(short, long, value_parser = name)]
    container: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// How to print results on standard output: the reason code and the exit code, or one JSON object for each.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// Print what the container writes, too: lines on standard output, the result on standard error.
    #[arg(long)]
    logs: bool,
    /// Keep the pod with a finalizer until its end has been read, so that no deletion loses it. Needs the right to patch pods.
    #[arg(long)]
    hold: bool,
    /// Write down in this file how far the waits are. After a crash the same command goes on with them and answers as if
    /// nothing had happened; without targets, all that are in the file. Remove it to wait anew.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Record the wait in this file, for `podwait replay`. Pods are reduced to what the rules read: no commands,
    /// environment, annotations or messages.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    record: Option<PathBuf>,
    /// Record whole pods as received. They may hold secrets.
    #[arg(long, requires = "record")]
    record_full: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: WaitArgs) -> Result<ExitCode, Complaint> {
    let policy = args.limits.policy()?;
    let signals = Signals::listen()?;
    let connection = connect(&args.connect).await?;
    let journal = args.resume.as_deref().map(|file| Journal::open(file, Fsync::Never)).transpose();
    let journal = journal.map_err(|error| Complaint::new(Status::Config, error.to_string()))?;
    let targets = tokio::select! {
        targets = target::all(&args, &connection, journal.as_ref()) => targets?,
        () = signals.first() => return Ok(Status::Cancelled.into()),
    };
    let lines = args.logs.then(|| {
        Lines::new(args.output, Prefix { pod: targets.len() > 1, container: targets.len() > 1, time: false })
    });
    let session = Session { args, connection, policy, journal, lines, signals };
    let status = match &targets[..] {
        [one] => session.wait_for_one(one).await?,
        many => session.wait_for_many(many).await?,
    };
    if let Some(lines) = session.lines {
        lines.finish().await;
    }
    if let Some(Err(error)) = session.journal.map(|journal| journal.check()) {
        output::note(&format!("the journal is not complete: {error}"));
    }
    Ok(status)
}

/// What all waits of one command have in common.
struct Session {
    args: WaitArgs,
    connection: crate::connect::Connection,
    policy: podwait::Policy,
    journal: Option<Journal>,
    lines: Option<Lines>,
    signals: Signals,
}

impl Session {
    /// A wait with all that was asked for, and its hold.
    fn equip(&self, wait: Wait, pod: &target::Pod) -> Result<(Wait, Option<Hold>), Complaint> {
        let mut wait = wait.policy(self.policy.clone()).cancel(self.signals.token());
        if let Some(container) = &pod.container {
            wait = wait.container(container);
        }
        if let Some(uid) = &pod.uid {
            wait = wait.uid(uid);
        }
        let client = || self.connection.client.clone();
        let hold = self.args.hold.then(|| match &pod.held_uid {
            Some(uid) => Hold::of_created(client(), &pod.namespace, &pod.name, uid),
            None => Hold::new(client(), &pod.namespace, &pod.name),
        });
        if let Some(hold) = &hold {
            wait = wait.hold(hold);
        }
        if let Some(journal) = &self.journal {
            let kept = journal.keep(wait);
            wait = kept.map_err(|error| Complaint::new(Status::Config, format!("the journal: {error}")))?;
        }
        Ok((wait, hold))
    }
}

/// Lets the pod go, once its answer was used.
async fn release(hold: Option<Hold>, pod: &target::Pod) {
    let Some(hold) = hold else { return };
    let name = format!("{}/{}", pod.namespace, pod.name);
    if let Err(failure) = hold.release().await {
        let message = failure.message;
        output::note(&format!("{name} is still held, see podwait release: {message}"));
    }
    match hold.state() {
        HoldState::Refused(failure) => {
            output::note(&format!("{name} was not held: {}", failure.message));
        }
        HoldState::TooLate => output::note(&format!("{name} was not held: it was being deleted already")),
        HoldState::NotYet | HoldState::Held { .. } | HoldState::Released | _ => {}
    }
}
