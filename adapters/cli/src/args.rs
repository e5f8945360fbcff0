//! The command line's arguments.

use crate::logs::LogsArgs;
use crate::release::ReleaseArgs;
use crate::replay::ReplayArgs;
use crate::run::RunArgs;
use crate::wait::WaitArgs;
use clap::{Parser, Subcommand, ValueEnum};
use podwait::{Policy, PolicyError};
use std::path::PathBuf;
use std::time::Duration;

use crate::status::{Complaint, Status};

/// Waits for Kubernetes pods and exits with their step's exit code, or reports why there is none.
#[derive(Parser)]
#[command(name = "podwait", version, after_help = EXIT_STATUS, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Wait for pods or jobs and exit with the exit code of their container.
    #[command(after_help = WAIT_EXIT_STATUS)]
    Wait(Box<WaitArgs>),
    /// Run a command in a new pod: create it, stream its log, exit with its code, clean up.
    #[command(after_help = EXIT_STATUS)]
    Run(Box<RunArgs>),
    /// Print what a pod's containers write, without losing a line.
    #[command(after_help = LOGS_EXIT_STATUS)]
    Logs(LogsArgs),
    /// Release the pods that `--hold` has left held.
    #[command(after_help = RELEASE_EXIT_STATUS)]
    Release(ReleaseArgs),
    /// Feed recorded waits to the machine again and compare its answers with the recorded ones.
    #[command(after_help = REPLAY_EXIT_STATUS)]
    Replay(ReplayArgs),
    /// Show what podwait does, on a simulated cluster: no cluster needed.
    Demo,
}

/// The cluster and the namespace.
#[derive(clap::Args)]
pub(crate) struct ConnectArgs {
    /// The namespace [default: the context's namespace].
    #[arg(short, long, value_parser = name)]
    pub(crate) namespace: Option<String>,
    /// The kubeconfig's context to use.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The kubeconfig to use [default: $KUBECONFIG, ~/.kube/config, or in-cluster].
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// The limits of a wait.
#[derive(clap::Args)]
pub(crate) struct LimitArgs {
    /// Give up after this time, for instance `90s` or `1h 30m`, from the start of the command [default: never].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Give up if the step has not started after this time, `0` for never.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "10m")]
    pub(crate) start_timeout: Duration,
    /// How long the pull of an image may fail. The kubelet tries again after 10 s, then 20 s, 40 s and so on. The
    /// registry's second refusal in a row for good, such as a missing tag, ends the wait before this.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "2m")]
    pub(crate) image_pull_grace: Duration,
}

impl LimitArgs {
    pub(crate) fn policy(&self) -> Result<Policy, Complaint> {
        let policy = Policy::builder()
            .deadline(self.timeout)
            .start_deadline(Some(self.start_timeout).filter(|timeout| !timeout.is_zero()))
            .image_pull_grace(self.image_pull_grace)
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
}

/// How to print the result.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

const EXIT_STATUS: &str = "\
Exit status:
  0-255  the container's own exit code (255 if it does not fit; the output has the true one)
  220    the cluster stopped the step: run it again
  221    the step or its pod cannot work as it is
  222    a limit of this wait ran out
  223    interrupted (SIGINT, SIGTERM, SIGHUP)
  224    the API server failed during the wait
  230    wrong arguments
  231    the configuration cannot be used
  232    the API server cannot be reached or trusted
  233    the API server denies access";

const WAIT_EXIT_STATUS: &str = "\
Exit status:
  0-255  the container's own exit code (255 if it does not fit; the output has the true one)
  220    the cluster stopped the step: run it again
  221    the step or its pod cannot work as it is, or the job failed and no pod's code is known
  222    a limit of this wait ran out
  223    interrupted (SIGINT, SIGTERM, SIGHUP)
  224    the API server failed during the wait
  230    wrong arguments
  231    the configuration, or the journal, cannot be used
  232    the API server cannot be reached or trusted
  233    the API server denies access
A complete job: 0. A failed job: that of the pod that decided.
Of several pods and jobs: 0 if all are 0, or else the status of the first that is not, in the
order in which they ended; with --any that of the first to end.";

const LOGS_EXIT_STATUS: &str = "\
Exit status:
  0    the log was printed to its end (without -f: its present end), or the reader has closed the output
  220  lines may be missing (the notes say which), or there is no such pod
  221  the pod has no such container
  222  a limit ran out
  223  interrupted (SIGINT, SIGTERM, SIGHUP)
  224  the API server failed
  230  wrong arguments
  231  the configuration cannot be used
  232  the API server cannot be reached or trusted
  233  the API server denies access";

const RELEASE_EXIT_STATUS: &str = "\
Exit status:
  0    all pods that were to be released are released
  220  a named pod has not ended or ended too recently, or a pod could not be released
  223  interrupted (SIGINT, SIGTERM, SIGHUP)
  230  wrong arguments
  231  the configuration cannot be used
  232  the API server cannot be reached or trusted
  233  the API server denies access";

const REPLAY_EXIT_STATUS: &str = "\
Exit status:
  0    every trace was read and every recorded decision was reproduced
  1    a decision differs
  2    a trace cannot be read (all others are replayed)
  223  interrupted (SIGINT, SIGTERM, SIGHUP)";

pub(crate) fn pod_name(text: &str) -> Result<String, String> {
    name(text.strip_prefix("pod/").or_else(|| text.strip_prefix("pods/")).unwrap_or(text))
}

pub(crate) fn name(text: &str) -> Result<String, String> {
    if podwait_hub::is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err(String::from(
        "a name has lowercase letters, digits, '-' and '.', and begins and ends with a letter or digit",
    ))
}
