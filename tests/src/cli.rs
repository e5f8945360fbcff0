//! The built command, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};

/// The binary `podwait`, built on first use: for a test Cargo builds only the binaries of the test's own package.
pub fn podwait() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        heed_signals();
        build(&["--package", "podwait-cli", "--bin", "podwait", "--features", "demo"])
    })
}

/// Makes sure that the started commands do not ignore signals. A process that `nohup` or a shell without job control
/// has started in the background ignores some signals. Its children inherit that, and podwait respects it. A signal
/// that this process handles has its default action in a child.
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

/// The same with the release profile, for measurements.
#[must_use]
pub fn podwait_for_release() -> PathBuf {
    build(&["--package", "podwait-cli", "--bin", "podwait", "--release"])
}

/// The executable of an example of a package.
#[must_use]
pub fn example(package: &str, name: &str) -> PathBuf {
    build(&["--package", package, "--example", name])
}

/// Cargo as in a shell: without the environment variables that cargo sets for a test.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    // With such variables Cargo would rebuild everything that depends on them.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("CARGO_PKG") || name.starts_with("CARGO_MANIFEST")) {
        cargo.env_remove(name);
    }
    cargo
}

/// Builds one executable.
///
/// # Panics
/// The executable cannot be built.
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

/// A finished run of the command.
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

/// A run of the command that continues. The process is killed when this is dropped.
#[derive(Debug)]
pub struct Started(tokio::process::Child);

impl Started {
    /// Sends the process a signal, for instance `INT`. After its end this does nothing.
    ///
    /// # Panics
    /// There is no `kill`.
    pub fn signal(&self, signal: &str) {
        if let Some(id) = self.0.id() {
            let kill = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status();
            kill.expect("kill runs");
        }
    }

    /// Waits for the end, and returns the exit status and the output.
    ///
    /// # Panics
    /// The process cannot be waited for.
    pub async fn end(self) -> Run {
        self.0.wait_with_output().await.expect("it can be waited for").into()
    }
}

/// Starts the command with these arguments. It has no configuration but that in the arguments.
///
/// # Panics
/// The command cannot be started.
#[must_use]
pub fn start(arguments: &[&str]) -> Started {
    start_with(arguments, &[])
}

/// The same with these environment variables.
///
/// # Panics
/// The command cannot be started.
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

/// Runs the command with these arguments to its end. It has no configuration but that in the arguments.
///
/// # Panics
/// The command cannot be started.
pub async fn run(arguments: &[&str]) -> Run {
    start(arguments).end().await
}

/// A temporary kubeconfig for a server without TLS and without credentials.
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
