//! The ways in which a kubelet ends a pod.

use kube::api::DeleteParams;
use podwait_tests::cluster::{Cluster, Scratch, pause};
use serde_json::{Value, json};

/// A way in which a kubelet ends a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// activeDeadlineSeconds.
    Deadline,
    /// Too little memory on the node: a grace period of one second, one pod after the other.
    Pressure,
    /// Too few inodes on the node, below a soft limit: the pod's own grace period, one pod after the other.
    SoftPressure,
    /// A critical pod needs the CPUs.
    Preemption,
    /// The node is shut down.
    Shutdown,
    /// A volume over its limit.
    Volume,
}

/// The step, which exits 0 on SIGTERM.
const TRAP: &str = "trap 'exit 0' TERM; sleep 3600 & wait";

impl Way {
    /// All ways.
    pub const ALL: [Self; 6] =
        [Self::Deadline, Self::Pressure, Self::SoftPressure, Self::Preemption, Self::Shutdown, Self::Volume];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Pressure => "pressure",
            Self::SoftPressure => "soft-pressure",
            Self::Preemption => "preemption",
            Self::Shutdown => "shutdown",
            Self::Volume => "volume",
        }
    }

    /// Its name in the table.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Deadline => "activeDeadlineSeconds",
            Self::Pressure => "node pressure, hard (memory)",
            Self::SoftPressure => "node pressure, soft (inodes)",
            Self::Preemption => "preemption by a critical pod",
            Self::Shutdown => "node shutdown",
            Self::Volume => "volume over its limit",
        }
    }

    /// The way with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// A pod on this node, which is to end in this way.
    #[must_use]
    pub fn pod(self, name: &str, node: &str) -> Value {
        let script = match self {
            Self::Volume => format!("head -c 3000000 /dev/zero >$PODWAIT_ROOT/data/x; {TRAP}"),
            Self::Deadline | Self::Pressure | Self::SoftPressure | Self::Preemption | Self::Shutdown => {
                String::from(TRAP)
            }
        };
        // The node has 8 CPUs, and the critical pod requests them all.
        let cpu = if self == Self::Preemption { "50m" } else { "1m" };
        json!({
            "metadata": { "name": name },
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 3,
                "activeDeadlineSeconds": (self == Self::Deadline).then_some(20),
                "volumes": [{ "name": "data", "emptyDir": { "sizeLimit": "1Mi" } }],
                "containers": [{
                    "name": "step", "image": "busybox:1", "command": ["sh", "-c", script],
                    "resources": { "requests": { "cpu": cpu } },
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                }],
            },
        })
    }

    /// Makes the kubelets of these nodes end their pods.
    pub(super) async fn end(self, own: &Cluster, scratch: &Scratch, nodes: &[String]) {
        for node in nodes {
            match self {
                Self::Deadline | Self::Volume => {}
                Self::Pressure => {
                    own.order(&format!("pressure {node} memory")).await;
                }
                Self::SoftPressure => {
                    own.order(&format!("pressure {node} disk-soft")).await;
                }
                Self::Shutdown => {
                    own.order(&format!("shutdown {node}")).await;
                }
                Self::Preemption => {
                    scratch.create_pod(&critical(node)).await;
                }
            }
        }
    }

    /// Makes these nodes accept pods again.
    pub(super) async fn undo(self, own: &Cluster, scratch: &Scratch, nodes: &[String]) {
        for node in nodes {
            match self {
                Self::Deadline | Self::Volume => return,
                Self::Pressure | Self::SoftPressure => {
                    own.order(&format!("pressure {node} none")).await;
                }
                Self::Shutdown => {
                    own.order(&format!("shutdown-cancel {node}")).await;
                }
                Self::Preemption => {
                    let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                    let deleted = scratch.pods().delete(&critical_name(node), &now).await;
                    deleted.expect("the critical pod is deleted");
                }
            }
        }
        // The eviction manager checks every ten seconds, and the pressure is over five seconds later.
        pause(17_000).await;
    }
}

fn critical_name(node: &str) -> String {
    format!("critical-{node}")
}

/// A pod for which the node has to end its other pods.
fn critical(node: &str) -> Value {
    json!({
        "metadata": { "name": critical_name(node) },
        "spec": {
            "nodeName": node,
            "priorityClassName": "system-node-critical",
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "critical", "image": "busybox:1", "resources": { "requests": { "cpu": "8" } },
            }],
        },
    })
}
