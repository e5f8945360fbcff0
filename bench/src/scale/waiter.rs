//! The ways of waiting.

use super::{Settings, pod_name};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A way of waiting for many pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A `podwait::Hub` for all of them.
    Hub,
    /// `podwait::wait` for each pod.
    PerPod,
    /// `kube::runtime::wait::await_condition` for each pod, on its phase.
    AwaitCondition,
    /// One watch whose lines are only searched for `"terminated"`: the lower bound for every waiter that watches.
    Limit,
    /// One protobuf watch whose pods are decoded: the lower bound for a waiter with exit codes, without any rules.
    LimitProto,
    /// One informer of the namespace for all of them, with protobuf and without managedFields, as in a carefully
    /// written Go program.
    Shared,
    /// A GET of each pod every second.
    Poll,
    /// An informer of the namespace for each pod, with client-go's defaults, also for its limit of requests.
    Informers,
    /// The same without client-go's limit of requests.
    InformersUnthrottled,
    /// `kubectl wait` for all pods: it waits for one pod after the other, and only for success.
    Kubectl,
}

impl Waiter {
    /// All waiters, in the order of tables.
    pub const ALL: [Self; 10] = [
        Self::Limit,
        Self::LimitProto,
        Self::Hub,
        Self::Shared,
        Self::PerPod,
        Self::AwaitCondition,
        Self::Poll,
        Self::Informers,
        Self::InformersUnthrottled,
        Self::Kubectl,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::PerPod => "per-pod",
            Self::AwaitCondition => "await-condition",
            Self::Limit => "limit",
            Self::LimitProto => "limit-proto",
            Self::Shared => "shared",
            Self::Poll => "poll",
            Self::Informers => "informers",
            Self::InformersUnthrottled => "informers-unthrottled",
            Self::Kubectl => "kubectl",
        }
    }

    /// Whether the waiter is a Go program.
    #[must_use]
    pub fn is_peer(self) -> bool {
        matches!(self, Self::Shared | Self::Informers | Self::InformersUnthrottled | Self::Kubectl)
    }

    /// Whether the waiter cannot wait for a pod that fails.
    #[must_use]
    pub fn sees_success_only(self) -> bool {
        self == Self::Kubectl
    }

    /// Whether the waiter answers with the exit code.
    #[must_use]
    pub fn knows_codes(self) -> bool {
        !matches!(self, Self::Limit | Self::Kubectl)
    }

    /// The command of the waiter.
    pub(super) fn command(
        self,
        settings: &Settings,
        kubeconfig: &Path,
        namespace: &str,
        count: usize,
    ) -> std::process::Command {
        use std::process::Command;
        let peers = || settings.peers.as_ref().expect("the peers are built");
        let count_word = count.to_string();
        let mut command = match self {
            Self::Hub | Self::PerPod | Self::AwaitCondition | Self::Limit | Self::LimitProto | Self::Poll => {
                let mut command = Command::new(&settings.program);
                command.args(["wait", self.name()]);
                command
            }
            Self::Shared | Self::Informers | Self::InformersUnthrottled => {
                let mut command = Command::new(&peers().peers);
                command.arg(self.name());
                command
            }
            Self::Kubectl => {
                let mut command = Command::new(&peers().kubectl);
                command.arg("wait").arg("--kubeconfig").arg(kubeconfig).args(["-n", namespace]);
                command.args(["--for=jsonpath={.status.phase}=Succeeded", "--timeout=1h"]);
                command.args((0..count).map(|number| format!("pod/{}", pod_name(number))));
                return command;
            }
        };
        command.arg(kubeconfig).args([namespace, &count_word]);
        command
    }
}

impl fmt::Display for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Waiter {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|waiter| waiter.name() == name)
            .ok_or_else(|| format!("{name} is none of {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for waiter in Waiter::ALL {
            assert_eq!(waiter.name().parse(), Ok(waiter));
        }
        assert!("woodpecker".parse::<Waiter>().is_err());
    }
}
