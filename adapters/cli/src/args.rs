//! The command line's arguments.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Waits for a Kubernetes pod and exits with its step's exit code, or says why there is none.
#[derive(Parser)]
#[command(name = "podwait", version, after_help = EXIT_STATUS, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Wait for a pod and exit with the exit code of its container.
    #[command(after_help = EXIT_STATUS)]
    Wait(WaitArgs),
    /// Feed recorded waits to the machine again and compare its answers with the recorded ones.
    #[command(after_help = REPLAY_EXIT_STATUS)]
    Replay(ReplayArgs),
    /// Show what podwait does, on a simulated cluster: no cluster needed.
    Demo,
}

#[derive(clap::Args)]
pub(crate) struct WaitArgs {
    /// The pod's name (`pod/NAME` is understood too). It need not exist yet: it has ten seconds to appear.
    #[arg(value_parser = pod_name)]
    pub(crate) pod: String,
    /// The pod's namespace [default: that of the context].
    #[arg(short, long, value_parser = name)]
    pub(crate) namespace: Option<String>,
    /// The container whose exit is wanted [default: the pod's only one].
    #[arg(short, long, value_parser = name)]
    pub(crate) container: Option<String>,
    /// Give up after this time, for instance `90s` or `1h 30m` [default: never].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Give up if the step has not started after this time, `0` for never.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "10m")]
    pub(crate) start_timeout: Duration,
    /// How long an image may fail to be pulled. The kubelet tries again after 10 s, then 20 s, 40 s and so on.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "1m")]
    pub(crate) image_pull_grace: Duration,
    /// How to print the result on standard output: the reason code and the exit code, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Record the wait in this file, for `podwait replay`. Pods are reduced to what the rules read: no commands,
    /// environment, annotations or messages.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Record whole pods as received. They may hold secrets.
    #[arg(long, requires = "record")]
    pub(crate) record_full: bool,
    /// The kubeconfig's context to use.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The kubeconfig to use [default: $KUBECONFIG, ~/.kube/config, or in-cluster].
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct ReplayArgs {
    /// The traces, as `podwait wait --record` writes them.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// How to print what happened: a timeline, or one JSON object for each trace.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// How to print the result.
#[derive(Clone, Copy, ValueEnum)]
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
  223    interrupted (SIGINT, SIGTERM)
  224    the API server failed during the wait
  230    wrong arguments
  231    the configuration cannot be used
  232    the API server cannot be reached or trusted
  233    the API server denies access";

const REPLAY_EXIT_STATUS: &str = "\
Exit status:
  0  every trace was read and every recorded decision was reproduced
  1  a decision differs
  2  a trace cannot be read (the others are still answered)";

fn pod_name(text: &str) -> Result<String, String> {
    name(text.strip_prefix("pod/").or_else(|| text.strip_prefix("pods/")).unwrap_or(text))
}

fn name(text: &str) -> Result<String, String> {
    if podwait::is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err(String::from(
        "a name has lowercase letters, digits, '-' and '.', and begins and ends with a letter or digit",
    ))
}
