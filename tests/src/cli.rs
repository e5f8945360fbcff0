//! The built command, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

/// The binary `podwait`, built on first use: Cargo builds the binaries of the package under test only.
pub fn podwait() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        heed_signals();
        build(&["--package", "podwait-cli", "--bin", "podwait", "--features", "demo"])
    })
}

/// Makes signals that this process ignores reach the commands that it starts. A process that is started in the background by
/// a shell without job control, or by `nohup`, ignores some, and its children inherit that; podwait respects it. A signal
/// that is handled here is back at its default in a child, and one that was ignored so far does no other harm.
fn heed_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        if ignored >> (signal - 1) & 1 == 1 {
            signal_hook::flag::register(signal, Arc::default()).expect("a signal can be handled");
        }
    }
}

/// The same as users install it, for those who measure.
#[must_use]
pub fn podwait_for_release() -> PathBuf {
    build(&["--package", "podwait-cli", "--bin", "podwait", "--release"])
}

/// An example of a package, built.
#[must_use]
pub fn example(package: &str, name: &str) -> PathBuf {
    build(&["--package", package, "--example", name])
}

/// Cargo, as from a shell: without what the cargo around a test has put into its environment.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    // Cargo would build again what depends on such variables.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("CARGO_PKG") || name.starts_with("CARGO_MANIFEST")) {
        cargo.env_remove(name);
    }
    cargo
}

/// Builds one executable.
///
/// # Panics
/// It cannot be built.
fn build(arguments: &[&str]) -> PathBuf {
    let cargo = cargo()
        .args(["build", "--quiet", "--message-format", "json"])
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{arguments:?} must build");
    let messages = String::from_utf8(cargo.stdout).expect("cargo prints UTF-8");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}

/// A run of the command that is over.
#[derive(Debug)]
pub struct Run {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A run of the command that goes on; it is killed if nobody waits for its end.
#[derive(Debug)]
pub struct Started(tokio::process::Child);

impl Started {
    /// Sends it a signal, for instance `INT`. One that is over takes none.
    ///
    /// # Panics
    /// There is no `kill`.
    pub fn signal(&self, signal: &str) {
        if let Some(id) = self.0.id() {
            let kill = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status();
            kill.expect("kill runs");
        }
    }

    /// How it ended, and what it printed.
    ///
    /// # Panics
    /// Nobody can wait for it.
    pub async fn end(self) -> Run {
        self.0.wait_with_output().await.expect("it can be waited for").into()
    }
}

/// Starts the command with these arguments, and with no configuration but what they name.
///
/// # Panics
/// It cannot be started.
#[must_use]
pub fn start(arguments: &[&str]) -> Started {
    start_with(arguments, &[])
}

/// The same with these variables in its environment.
///
/// # Panics
/// It cannot be started.
#[must_use]
pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Started {
    let mut command = tokio::process::Command::new(podwait());
    for name in ["KUBECONFIG", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name).env_remove(name.to_ascii_lowercase());
    }
    command.args(arguments).env("HOME", "/nonexistent").envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Started(command.kill_on_drop(true).spawn().expect("the command starts"))
}

/// Runs the command to its end with these arguments, and with no configuration but what they name.
///
/// # Panics
/// It cannot be started.
pub async fn run(arguments: &[&str]) -> Run {
    start(arguments).end().await
}

/// A kubeconfig for a server without TLS and without credentials, in a file of its own.
///
/// # Panics
/// The file cannot be written.
#[must_use]
pub fn kubeconfig(url: &str) -> tempfile::NamedTempFile {
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "sim",
        "clusters": [{ "name": "sim", "cluster": { "server": url } }],
        "users": [{ "name": "sim", "user": {} }],
        "contexts": [{ "name": "sim", "context": { "cluster": "sim", "user": "sim", "namespace": "ci" } }],
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), config.to_string()).expect("the kubeconfig is written");
    file
}
