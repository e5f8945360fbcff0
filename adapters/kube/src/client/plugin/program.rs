//! One run of a plugin: its input and its limits.

use crate::client::error::ConfigError;
use crate::client::plugin::credential::Held;
use kube::config::{ExecConfig, ExecInteractiveMode};
use podwait_core::one_line;
use serde_json::json;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The most that a plugin may print, in bytes.
const LONGEST: u64 = 1 << 20;

/// How long a child process of the plugin may keep standard output open after the plugin's end.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// The versions that client-go supports.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// A plugin's command with everything that is the same in each run.
pub(super) struct Program {
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    drop_env: Vec<String>,
    version: &'static str,
    /// Value of KUBERNETES_EXEC_INFO.
    info: String,
    install_hint: Option<String>,
}

/// Only the program's name may be shown.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.command)
    }
}

impl Program {
    pub(super) fn new(exec: ExecConfig) -> Result<Self, ConfigError> {
        let wrong = |what: &str| ConfigError::new(format!("the user's exec plugin {what}"));
        let command =
            exec.command.filter(|command| !command.is_empty()).ok_or_else(|| wrong("has no command"))?;
        let version = exec.api_version.as_deref().unwrap_or_default();
        let version = VERSIONS.into_iter().find(|known| *known == version).ok_or_else(|| {
            wrong(&format!("must have one of these as its apiVersion: {} or {}", VERSIONS[0], VERSIONS[1]))
        })?;
        match exec.interactive_mode {
            None | Some(ExecInteractiveMode::Never | ExecInteractiveMode::IfAvailable) => {}
            Some(ExecInteractiveMode::Always) => {
                return Err(wrong(
                    "requires a terminal (interactiveMode: Always), which podwait does not provide",
                ));
            }
        }
        let mut spec = json!({ "interactive": false });
        if exec.provide_cluster_info {
            let cluster = exec.cluster.ok_or_else(|| {
                wrong("requires the cluster's configuration (provideClusterInfo), which is missing")
            })?;
            spec["cluster"] = serde_json::to_value(cluster)
                .map_err(|_| wrong("cannot receive the cluster's configuration"))?;
        }
        let info = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec }).to_string();
        let pair = |mut pair: std::collections::HashMap<String, String>| {
            Some((
                pair.remove("name").filter(|name| !name.is_empty())?,
                pair.remove("value").unwrap_or_default(),
            ))
        };
        Ok(Self {
            command,
            args: exec.args.unwrap_or_default(),
            env: exec.env.unwrap_or_default().into_iter().filter_map(pair).collect(),
            drop_env: exec.drop_env.unwrap_or_default(),
            version,
            info,
            install_hint: exec.install_hint.filter(|hint| !hint.trim().is_empty()),
        })
    }

    /// Runs the program. It is killed if this future is dropped.
    pub(super) async fn run(&self) -> Result<Held, ConfigError> {
        let mut command = Command::new(&self.command);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        for name in &self.drop_env {
            command.env_remove(name);
        }
        command.env("KUBERNETES_EXEC_INFO", &self.info);
        // Standard error may contain a secret, and the caller could not choose where it goes.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().map_err(|error| {
            let is_absent = error.kind() == ErrorKind::NotFound;
            let what =
                if is_absent { "was not found" } else { &*format!("cannot be started: {}", error.kind()) };
            self.error(what).with_source(error)
        })?;
        let printed = timeout(LIMIT, self.printed(child)).await;
        let printed =
            printed.unwrap_or_else(|_| Err(self.error(&format!("has not ended within {LIMIT:?}"))))?;
        Held::read(&printed, self.version).map_err(|what| self.error(&what))
    }

    async fn printed(&self, mut child: Child) -> Result<Vec<u8>, ConfigError> {
        let broken = |error: io::Error| self.error("cannot be read from").with_source(error);
        let mut printed = Vec::new();
        let output = child.stdout.take().ok_or_else(|| self.error("has no standard output"))?;
        let mut output = output.take(LONGEST + 1);
        let status = {
            let mut reading = pin!(output.read_to_end(&mut printed));
            tokio::select! {
                read = &mut reading => {
                    if read.map_err(broken)? as u64 > LONGEST {
                        return Err(self.error("prints more than 1 MiB"));
                    }
                    child.wait().await
                }
                status = child.wait() => {
                    // Nothing is lost if that takes longer: the plugin itself has printed everything.
                    let _ = timeout(LEFTOVERS, reading).await;
                    status
                }
            }
        };
        if printed.len() as u64 > LONGEST {
            return Err(self.error("prints more than 1 MiB"));
        }
        match status.map_err(broken)? {
            status if status.success() => Ok(printed),
            status => Err(self.error(&format!("failed ({status})"))),
        }
    }

    /// An error about the program: its name and how to install it, without its input and output.
    pub(super) fn error(&self, what: &str) -> ConfigError {
        let name = one_line(&self.command, 100);
        let hint = self.install_hint.as_deref().map(|hint| format!("; {}", one_line(hint, 200)));
        ConfigError::new(format!("the credential plugin {name} {what}{}", hint.unwrap_or_default()))
    }
}
