//! The built command, run as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The binary `podwait`, built on first use: Cargo builds the binaries of the package under test only.
pub fn podwait() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build(&["--package", "podwait-cli", "--bin", "podwait"]))
}

/// An example of podwait-core, built.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    build(&["--package", "podwait-core", "--example", name])
}

/// Builds one executable.
///
/// # Panics
/// It cannot be built.
fn build(arguments: &[&str]) -> PathBuf {
    let cargo = Command::new(env!("CARGO"))
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

/// Runs the command to its end with these arguments, and with no configuration but what they name.
///
/// # Panics
/// It cannot be started.
pub async fn run(arguments: &[&str]) -> Run {
    let mut command = tokio::process::Command::new(podwait());
    let command = command.args(arguments).env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    command.kill_on_drop(true).output().await.expect("the command starts").into()
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
