//! The command line of podwait. See `podwait help`.
#![forbid(unsafe_code)]

mod args;
mod call;
mod connect;
mod demo;
mod holds;
mod lines;
mod logs;
mod outlet;
mod output;
mod progress;
mod release;
mod replay;
mod report;
mod run;
mod shutdown;
mod status;
mod timeline;
mod wait;

use args::{Args, Command};
use clap::{CommandFactory, FromArgMatches};
use holds::Holds;
use shutdown::Shutdown;
use status::{Complaint, Status};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Runs the command line under the given name, and returns the exit status.
#[must_use]
pub fn main(name: &'static str) -> ExitCode {
    let (shutdown, supervisor) = match Shutdown::start() {
        Ok(started) => started,
        Err(error) => return cannot_start(&error),
    };
    let command = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| command(name, &shutdown)));
        shutdown.end(ended.unwrap_or_else(|_| ExitCode::from(PANICKED)));
    };
    match std::thread::Builder::new().name("podwait".into()).stack_size(STACK).spawn(command) {
        Ok(_) => supervisor.supervise(),
        Err(error) => cannot_start(&error),
    }
}

/// The exit status of Rust programs that panicked. The panic was printed already.
const PANICKED: u8 = 101;

/// The stack size of a main thread.
const STACK: usize = 8 << 20;

fn cannot_start(error: &io::Error) -> ExitCode {
    output::note(&format!("cannot start: {error}"));
    Status::Config.into()
}

fn command(name: &'static str, shutdown: &Shutdown) -> ExitCode {
    let matches = Args::command().bin_name(name).try_get_matches();
    let args = match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            output::note(&complaint(&error));
            return Status::Usage.into();
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    // The choice is the program's, so it is made here and not in the library.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(&error),
    };
    let ended = runtime.block_on(run(args, shutdown));
    // A drop would wait for blocked threads of the runtime.
    runtime.shutdown_background();
    ended.unwrap_or_else(|complaint| {
        output::note(&complaint.to_string());
        complaint.status.into()
    })
}

/// The error message without the usage and the tips.
fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let complaint = text.split("\n\n").next().unwrap_or_default();
    let complaint = complaint.trim_start_matches("error: ");
    complaint.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a command until it ends, or a signal or limit ends it, and releases the holds that are left.
async fn run(args: Args, shutdown: &Shutdown) -> Result<ExitCode, Complaint> {
    let holds = Holds::default();
    let ended = tokio::select! {
        ended = dispatch(args, shutdown, &holds) => Some(ended),
        () = shutdown.second() => None,
        () = shutdown.drained() => None,
    };
    holds.release_rest(shutdown).await;
    ended.unwrap_or_else(|| Ok(shutdown.status().into()))
}

async fn dispatch(args: Args, shutdown: &Shutdown, holds: &Holds) -> Result<ExitCode, Complaint> {
    match args.command {
        Command::Wait(args) => wait::run(*args, shutdown.clone(), holds.clone()).await,
        Command::Run(args) => run::run(*args, shutdown.clone(), holds.clone()).await,
        Command::Logs(args) => logs::run(args, shutdown).await,
        Command::Release(args) => release::run(args, shutdown).await,
        Command::Replay(args) => Ok(replay::run(&args)),
        Command::Demo => demo::run().await,
    }
}
