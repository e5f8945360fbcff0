//! `podwait wait`.

mod many;
mod one;
mod record;
mod selected;
mod target;

use crate::args::{ConnectArgs, LimitArgs, Output, name};
use crate::connect::connect;
use crate::holds::Holds;
use crate::lines::{Lines, Of, Prefix};
use crate::output;
use crate::progress::{Board, ProgressArgs};
use crate::shutdown::Shutdown;
use crate::status::{Complaint, Status};
use podwait::{Exit, Failure, Fsync, Hold, Journal, Logs, Wait};
use std::future::IntoFuture;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use target::Target;

/// Arguments of `podwait wait`.
#[derive(clap::Args)]
pub(crate) struct WaitArgs {
    /// What to wait for: `NAME` or `pod/NAME`, `job/NAME`. It may appear up to ten seconds later.
    #[arg(required_unless_present_any = ["selector", "resume"], value_name = "TARGET")]
    targets: Vec<Target>,
    /// All pods that this label selector matches now.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// End with the first result. The other pods are not affected.
    #[arg(long, conflicts_with = "all")]
    any: bool,
    /// Wait until all have ended (the default).
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
    /// Keep the state of the waits in this file. After a crash the same command resumes them; without targets it resumes all waits
    /// in the file. Remove the file to begin anew.
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
    progress: ProgressArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: WaitArgs, shutdown: Shutdown, holds: Holds) -> Result<ExitCode, Complaint> {
    let policy = args.limits.policy()?;
    target::check(&args)?;
    shutdown.limit(args.limits.timeout);
    shutdown.doing("the configuration was read");
    let connection = connect(&args.connect).await?;
    shutdown.doing("the journal was opened");
    let journal = args.resume.as_deref().map(|file| Journal::open(file, Fsync::Never)).transpose();
    let journal = journal.map_err(|error| Complaint::new(Status::Config, error.to_string()))?;
    shutdown.doing("the targets were read");
    let targets = target::all(&args, &connection, journal.as_ref()).await?;
    let lines = args.logs.then(|| {
        Lines::new(args.output, Prefix { pod: targets.len() > 1, container: targets.len() > 1, time: false })
    });
    let policy = shutdown.within(&policy);
    shutdown.doing("the waits were prepared");
    let names = targets.iter().map(target::Awaited::names).collect();
    let board = Board::new(names, &args.progress, args.logs);
    let session = Session { args, connection, policy, journal, lines, shutdown, holds, board };
    let status = match &targets[..] {
        [one] => session.wait_for_one(one).await?,
        many => session.wait_for_many(many).await?,
    };
    session.shutdown.answered(status);
    if let Some(lines) = session.lines {
        lines.finish_soon().await;
    }
    if let Some(Err(error)) = session.journal.map(|journal| journal.check()) {
        output::note(&format!("the journal is not complete: {error}"));
    }
    Ok(status.into())
}

/// The common state of all waits of one command.
struct Session {
    args: WaitArgs,
    connection: crate::connect::Connection,
    policy: podwait::Policy,
    journal: Option<Journal>,
    lines: Option<Lines>,
    shutdown: Shutdown,
    holds: Holds,
    board: Board,
}

impl Session {
    /// Adds everything that the arguments ask for to a wait. Returns the wait and the number of its hold.
    fn equip(&self, wait: Wait, pod: &target::Pod) -> Result<(Wait, Option<usize>), Complaint> {
        let mut wait = wait.policy(self.policy.clone()).cancel(self.shutdown.token());
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
        Ok((wait, hold.map(|hold| self.holds.add(&pod.namespace, &pod.name, hold))))
    }

    /// Waits, and prints the log meanwhile if the arguments ask for it.
    async fn outcome(&self, wait: Wait, pod: &target::Pod) -> Result<Exit, Failure> {
        let of = Of { namespace: &pod.namespace, pod: &pod.name };
        let outcome = match &self.lines {
            None => wait.await,
            Some(lines) => {
                let (wait, stream) = wait.logs(Logs::of_target());
                // After a signal the command does not wait for more lines from a node.
                let cut = async {
                    self.shutdown.token().cancelled().await;
                    tokio::time::sleep(FLUSH).await;
                };
                lines.beside(wait.into_future(), of, stream, cut).await
            }
        };
        self.shutdown.worded(outcome)
    }

    /// Releases the hold once the answer was used.
    async fn release(&self, hold: Option<usize>) {
        if let Some(hold) = hold {
            self.holds.release(hold).await;
        }
    }
}

/// How long the lines that were read may take to be printed after a signal.
const FLUSH: Duration = Duration::from_secs(1);
