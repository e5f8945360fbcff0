//! The nodes of our own cluster on which the scenarios are played: one text of a scenario is for every container runtime.

use futures_util::future::join_all;
use podwait_tests::cluster::Scratch;
use serde_json::{Value, json};

/// What runs the containers of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runtime {
    /// Our own, which runs each command as a plain process.
    Processes,
    /// Debian's containerd, with runc.
    Containerd,
}

/// The runtimes on which the scenarios are played.
pub(super) const RUNTIMES: &[Runtime] =
    if cfg!(both_runtimes) { &[Runtime::Processes, Runtime::Containerd] } else { &[Runtime::Processes] };

/// The key of the taint of the nodes over containerd.
const TAINT: &str = "podwait.test/runtime";

/// A node of the cluster.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) runtime: Runtime,
    pub(super) name: &'static str,
}

impl Runtime {
    /// The node that is not disturbed. It rotates a log of more than a megabyte.
    pub(super) const fn steady(self) -> Node {
        self.node("node-1", "node-5")
    }

    /// The node whose kubelet, runtime and object are disturbed, by the owner of
    /// [`NODE_IN_USE`](super::disruptions::NODE_IN_USE).
    pub(super) const fn disturbed(self) -> Node {
        self.node("node-2", "node-6")
    }

    /// The node that rotates no log. Its kubelet may be restarted at any time.
    pub(super) const fn unrotated(self) -> Node {
        self.node("node-3", "node-7")
    }

    const fn node(self, of_processes: &'static str, of_containerd: &'static str) -> Node {
        match self {
            Self::Processes => Node { runtime: self, name: of_processes },
            Self::Containerd => Node { runtime: self, name: of_containerd },
        }
    }
}

impl Node {
    /// The taints with which its kubelet registers it. Pods of these scenarios tolerate them.
    pub(super) fn taints(self) -> Vec<Value> {
        match self.runtime {
            Runtime::Processes => Vec::new(),
            Runtime::Containerd => {
                vec![json!({ "key": TAINT, "value": "containerd", "effect": "NoSchedule" })]
            }
        }
    }

    /// The name of a scenario on this node, of its namespace and of its recording. Those of `tests/it/containerd` begin with
    /// `containerd-`.
    pub(super) fn named(self, scenario: &str) -> String {
        match self.runtime {
            Runtime::Processes => scenario.to_owned(),
            Runtime::Containerd => format!("on-containerd-{scenario}"),
        }
    }

    /// This component of the node, such as `kubelet`, in an order to the cluster.
    pub(super) fn component(self, kind: &str) -> String {
        format!("{kind}-{}", self.name.trim_start_matches("node-"))
    }

    /// This pod, for this node. A pod that is already bound to a node stays there.
    pub(super) fn place(self, mut pod: Value) -> Value {
        let spec = &mut pod["spec"];
        if spec["nodeName"].is_null() {
            spec["nodeSelector"] = json!({ "kubernetes.io/hostname": self.name });
            // Without it the scheduler keeps pods off the nodes over containerd.
            spec["tolerations"] = json!([{ "key": TAINT, "operator": "Exists" }]);
        }
        pod
    }

    /// Creates this pod on this node.
    pub(super) async fn create(self, scratch: &Scratch, pod: Value) -> k8s_openapi::api::core::v1::Pod {
        scratch.create_pod(&self.place(pod)).await
    }
}

/// Plays this on one node of every runtime, side by side.
pub(super) async fn on_each(node: fn(Runtime) -> Node, play: impl AsyncFn(Node)) {
    join_all(RUNTIMES.iter().map(|runtime| play(node(*runtime)))).await;
}
