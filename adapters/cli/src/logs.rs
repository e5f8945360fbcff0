//! `podwait logs`.

use crate::args::{ConnectArgs, Output, name, pod_name};
use crate::connect::connect;
use crate::lines::{Lines, Of, Prefix, Printed};
use crate::outlet::Written;
use crate::output;
use crate::shutdown::{Shutdown, TimeToEnd};
use crate::status::{Complaint, Status};
use podwait::{Class, Logs};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Arguments of `podwait logs`.
#[derive(clap::Args)]
pub(crate) struct LogsArgs {
    /// The pod's name (`pod/NAME` is accepted too).
    #[arg(value_parser = pod_name)]
    pod: String,
    /// The container [default: the pod's only one].
    #[arg(short, long, value_parser = name)]
    container: Option<String>,
    /// The logs of all containers. With -f, the command ends with the container of -c.
    #[arg(long)]
    all_containers: bool,
    /// Continue until the container has ended for good, across restarts, broken connections and outages of the API server.
    #[arg(short, long)]
    follow: bool,
    /// Only lines of the last period of this length, for instance `10m`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// Begin each line with the time at which the node's runtime received it.
    #[arg(long)]
    timestamps: bool,
    /// Begin each line with its container, and with the number of its attempt after a restart.
    #[arg(long)]
    prefix: bool,
    /// How to print lines: as they are, or one JSON object for each.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: LogsArgs, shutdown: &Shutdown) -> Result<ExitCode, Complaint> {
    shutdown.doing("the configuration was read");
    let connection = connect(&args.connect).await?;
    let namespace = connection.namespace.clone();
    let mut logs = if args.all_containers { Logs::of_all() } else { Logs::of_target() };
    if let Some(since) = args.since.and_then(|since| SystemTime::now().checked_sub(since)) {
        logs = logs.since(since);
    }
    shutdown.doing("the pod was read");
    connection.check(&namespace, &args.pod).await?;
    let mut wait = podwait::wait(connection.client.clone(), &namespace, &args.pod);
    if let Some(container) = args.container {
        wait = wait.container(container);
    }
    let lines = Lines::new(args.output, Prefix { pod: false, container: args.prefix, time: args.timestamps });
    lines.watch_reader();
    let of = Of { namespace: &namespace, pod: &args.pod };
    shutdown.work(TimeToEnd { signal: FLUSH, limit: FLUSH });
    let read = async {
        if args.follow {
            let (wait, stream) = wait.logs(logs);
            let (exit, printed) = tokio::join!(wait, lines.print_all(of, stream));
            return (printed, exit.err());
        }
        match wait.logs_so_far(logs).await {
            Ok(stream) => (lines.print_all(of, stream).await, None),
            Err(failure) => (Printed::InPart, Some(failure)),
        }
    };
    let (printed, failure) = tokio::select! {
        read = read => read,
        _ = lines.closed() => (Printed::InPart, None),
        () = shutdown.stopping() => {
            output::note(&format!("{namespace}/{}: interrupted", args.pod));
            shutdown.answered(Status::Cancelled as u8);
            lines.finish().await;
            return Ok(Status::Cancelled.into());
        }
    };
    let written = tokio::select! {
        written = lines.finish() => written,
        () = shutdown.stopping() => return Ok(Status::Cancelled.into()),
    };
    if let Some(failure) = &failure {
        output::note(&format!("{namespace}/{}: {failure}", args.pod));
    }
    Ok(match (written, failure) {
        // The reader has closed the output, as `head` does: no error.
        (Written::Closed, None) => ExitCode::SUCCESS,
        (Written::Failed | Written::Stalled, _) => Status::Infrastructure.into(),
        // How the container ended is not the question of `podwait logs`.
        (_, Some(failure)) if failure.class() != Class::Infrastructure => Status::of(&failure).into(),
        (Written::All | Written::Open | Written::Closed, _) => match printed {
            Printed::Whole => ExitCode::SUCCESS,
            Printed::InPart => Status::Infrastructure.into(),
            Printed::Denied => Status::Denied.into(),
        },
    })
}

/// How long the lines that were read may take to be printed after a signal.
const FLUSH: Duration = Duration::from_secs(1);
