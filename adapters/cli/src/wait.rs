//! `podwait wait`.

use crate::args::WaitArgs;
use crate::connect::connect;
use crate::record::Record;
use crate::report::Report;
use crate::status::{Complaint, Status};
use podwait::trace::Pods;
use podwait::{CancellationToken, Policy, PolicyError};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(args: WaitArgs) -> Result<ExitCode, Complaint> {
    let policy = policy(&args)?;
    let cancel = cancelled_by_signals()?;
    let connection = connect(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let namespace = args.namespace.unwrap_or_else(|| connection.namespace.clone());
    tokio::select! {
        checked = connection.check(&namespace, &args.pod) => checked?,
        // The wait below answers a cancelled token at once.
        () = cancel.cancelled() => {}
    }
    let mut wait = podwait::wait(connection.client, &namespace, &args.pod).policy(policy).cancel(cancel);
    if let Some(container) = args.container {
        wait = wait.container(container);
    }
    let record = match &args.record {
        Some(file) => {
            let pods = if args.record_full { Pods::Full } else { Pods::Reduced };
            Some(Record::new(file, &wait.header(), pods)?)
        }
        None => None,
    };
    if let Some(record) = &record {
        wait = record.attach(wait);
    }
    let report = Report { namespace: &namespace, pod: &args.pod, outcome: wait.await };
    if let Some(record) = record {
        record.finish();
    }
    report.print(args.output);
    Ok(report.exit_code())
}

fn policy(args: &WaitArgs) -> Result<Policy, Complaint> {
    let policy = Policy::builder()
        .deadline(args.timeout)
        .start_deadline(Some(args.start_timeout).filter(|timeout| !timeout.is_zero()))
        .image_pull_grace(args.image_pull_grace)
        .build();
    policy.map_err(|error| {
        let option = match error {
            PolicyError::TooShort { field } | PolicyError::TooLong { field } => field,
            PolicyError::InitialOverMax | _ => "deadline",
        };
        let option = match option {
            "start_deadline" => "--start-timeout",
            "image_pull_grace" => "--image-pull-grace",
            _ => "--timeout",
        };
        Complaint::new(Status::Usage, format!("{option} must be between 1 ms and 366 days"))
    })
}

/// A token that SIGINT and SIGTERM cancel.
fn cancelled_by_signals() -> Result<CancellationToken, Complaint> {
    let listen =
        |kind| signal(kind).map_err(|error| Complaint::new(Status::Config, format!("no signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}
