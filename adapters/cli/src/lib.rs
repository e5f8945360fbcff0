//! The command line of podwait. See `podwait help`.
#![forbid(unsafe_code)]

mod args;
mod call;
mod connect;
mod demo;
mod lines;
mod logs;
mod output;
mod release;
mod replay;
mod report;
mod run;
mod signals;
mod status;
mod timeline;
mod wait;

use args::{Args, Command};
use clap::{CommandFactory, FromArgMatches};
use status::{Complaint, Status};
use std::process::ExitCode;

/// Runs the command line under the given name, and says how to exit.
#[must_use]
pub fn main(name: &'static str) -> ExitCode {
    let matches = Args::command().bin_name(name).try_get_matches();
    let args = match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) if error.use_stderr() => {
            output::note(&one_line(&error));
            return Status::Usage.into();
        }
        Err(help) => {
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    // The process's choice, so it is made here and not in the library.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(Complaint::new(Status::Config, format!("cannot start: {error}"))),
    };
    done.unwrap_or_else(|complaint| {
        output::note(&complaint.to_string());
        complaint.status.into()
    })
}

/// The complaint without the usage and the tips around it.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let complaint = text.split("\n\n").next().unwrap_or_default();
    let complaint = complaint.trim_start_matches("error: ");
    complaint.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn run(args: Args) -> Result<ExitCode, Complaint> {
    match args.command {
        Command::Wait(wait) => wait::run(*wait).await,
        Command::Run(run) => run::run(*run).await,
        Command::Logs(logs) => logs::run(logs).await,
        Command::Release(release) => release::run(release).await,
        Command::Replay(replay) => Ok(replay::run(&replay)),
        Command::Demo => demo::run().await,
    }
}
