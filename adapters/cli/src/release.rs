//! `podwait release`.

use crate::args::{ConnectArgs, Output, pod_name};
use crate::connect::connect;
use crate::output::{self, Line, with_cause};
use crate::shutdown::Shutdown;
use crate::status::{Complaint, Status};
use podwait::{HeldPod, Scope, held_pods};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Arguments of `podwait release`.
#[derive(clap::Args)]
pub(crate) struct ReleaseArgs {
    /// The pods to release [default: all held pods].
    #[arg(value_name = "POD", value_parser = pod_name)]
    pods: Vec<String>,
    /// Pods of all namespaces.
    #[arg(short = 'A', long, conflicts_with_all = ["pods", "namespace"])]
    all_namespaces: bool,
    /// Only pods that this label selector matches.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// Only pods that ended at least this long ago, so that their waits had time to read them.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "10m")]
    older_than: Duration,
    /// Release the named pods even if they have not ended, or ended more recently. Their exit may be lost.
    #[arg(long, requires = "pods")]
    force: bool,
    /// Only report which pods would be released.
    #[arg(long)]
    dry_run: bool,
    /// How to print the released pods and their ends.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Serialize)]
struct ReleasedView<'a> {
    namespace: &'a str,
    pod: &'a str,
    uid: &'a str,
    released: bool,
    is_over: bool,
    ends: Vec<EndView<'a>>,
}

#[derive(Serialize)]
struct EndView<'a> {
    container: &'a str,
    reason: &'static str,
    exit_code: Option<i32>,
}

pub(crate) async fn run(args: ReleaseArgs, shutdown: &Shutdown) -> Result<ExitCode, Complaint> {
    shutdown.doing("the configuration was read");
    let connection = connect(&args.connect).await?;
    let mut scope =
        if args.all_namespaces { Scope::all() } else { Scope::namespace(connection.namespace.as_str()) };
    if let Some(selector) = &args.selector {
        scope = scope.labels(selector.as_str());
    }
    shutdown.doing("the pods were listed");
    let held = held_pods(connection.client.clone(), scope).await;
    let held = held.map_err(|failure| {
        connection.complaint(&failure).unwrap_or_else(|| {
            Complaint::new(Status::Unreachable, with_cause("the pods cannot be listed", &failure.message))
        })
    })?;
    let mut is_done = true;
    for name in &args.pods {
        if !held.iter().any(|pod| pod.name == *name) {
            output::note(&format!("{}/{name} is not held", connection.namespace));
        }
    }
    shutdown.doing("pods were released");
    let now = SystemTime::now();
    for pod in held.iter().filter(|pod| args.pods.is_empty() || args.pods.contains(&pod.name)) {
        if !args.force && !pod.is_safe(now, args.older_than) {
            let why = if pod.is_over { "ended too recently" } else { "has not ended" };
            output::note(&format!("{}/{} {why}, and was not released", pod.namespace, pod.name));
            is_done &= args.pods.is_empty();
            continue;
        }
        // Its end was read before: once it is released, the pod may be gone.
        let released = match args.dry_run {
            true => false,
            false => match pod.release().await {
                Ok(()) => true,
                Err(failure) => {
                    let sentence = format!("{}/{} could not be released", pod.namespace, pod.name);
                    output::note(&with_cause(&sentence, &failure.message));
                    is_done = false;
                    false
                }
            },
        };
        print(pod, released, args.output);
    }
    Ok(if is_done { ExitCode::SUCCESS } else { Status::Infrastructure.into() })
}

fn print(pod: &HeldPod, released: bool, output: Output) {
    let ends = pod.ends.iter().map(|(container, end)| match end {
        Ok(exit) => EndView { container, reason: exit.reason.as_str(), exit_code: Some(exit.code) },
        Err(failure) => EndView { container, reason: failure.reason.as_str(), exit_code: failure.exit_code },
    });
    let ends: Vec<EndView<'_>> = ends.collect();
    output::result(match output {
        Output::Json => Line::json(&ReleasedView {
            namespace: &pod.namespace,
            pod: &pod.name,
            uid: &pod.uid,
            released,
            is_over: pod.is_over,
            ends,
        }),
        Output::Text => {
            let what = if released { "released" } else { "held" };
            let ends = ends.iter().map(|end| match end.exit_code {
                Some(code) => format!(" {} {} {code}", end.container, end.reason),
                None => format!(" {} {}", end.container, end.reason),
            });
            Line::from(format!(
                "{}/{} {what}:{}",
                pod.namespace,
                pod.name,
                ends.collect::<Vec<_>>().join(",")
            ))
        }
    });
}
