//! `podwait run`.

mod create;
mod file;
mod manifest;
mod objects;
mod session;

use crate::args::{ConnectArgs, LimitArgs, Output, name};
use crate::connect::connect;
use crate::holds::Holds;
use crate::lines::{Lines, Prefix};
use crate::progress::ProgressArgs;
use crate::shutdown::Shutdown;
use crate::status::Complaint;
use manifest::Template;
use session::Session;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `podwait run`.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The image to run the command in.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    image: Option<String>,
    /// A pod as YAML or JSON, at most 3 MiB; `-` for standard input. Its name becomes the beginning of the new pod's name.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The beginning of the pod's name, of which 46 characters are used [default: podwait-run, or the name in the file].
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
    /// Run the step again up to N times, if the cluster refused or stopped it and it cannot have finished.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retry_infra: u32,
    /// Keep the pod in every case. By default only a pod whose step failed is kept; a pod that succeeded or has not ended is
    /// deleted.
    #[arg(long, conflicts_with = "rm")]
    keep: bool,
    /// Delete the pod however it ends.
    #[arg(long)]
    rm: bool,
    /// Do not add the finalizer that keeps the pod until its end has been read.
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
    progress: ProgressArgs,
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

pub(crate) async fn run(args: RunArgs, shutdown: Shutdown, holds: Holds) -> Result<ExitCode, Complaint> {
    let policy = args.limits.policy()?;
    shutdown.limit(args.limits.timeout);
    shutdown.doing("the pod's description was read");
    let template = Template::read(&args).await?;
    shutdown.doing("the configuration was read");
    let mut connection = connect(&args.connect).await?;
    if let Some(namespace) = template.namespace() {
        connection.namespace = namespace.to_owned();
    }
    let lines = (!args.quiet).then(|| Lines::new(args.output, Prefix::default()));
    let session = Session { args, connection, policy, lines, shutdown, holds };
    let status = session.run(&template).await?;
    session.shutdown.answered(status);
    if let Some(lines) = session.lines {
        lines.finish_soon().await;
    }
    Ok(status.into())
}
