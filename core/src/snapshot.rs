//! The facts about a pod that the rules read, with Kubernetes' own names.
//!
//! An adapter fills a [`PodSnapshot`] from a pod's object and decides nothing: lists keep their order and names, and
//! strings that the rules compare stay unchanged.

use alloc::string::String;
use alloc::vec::Vec;

/// Seconds since the Unix epoch, as Kubernetes writes them (`metav1.Time` has no fractions).
///
/// Cluster time: compared only with other cluster times of the same pod, never with [`crate::Instant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct Timestamp(pub i64);

/// One observation of one pod object, from a GET, a LIST or a watch event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct PodSnapshot {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// `metadata.generation`; 0 when absent.
    pub generation: i64,
    /// `metadata.deletionTimestamp`
    pub deletion_timestamp: Option<Timestamp>,
    /// `metadata.deletionGracePeriodSeconds`
    pub deletion_grace_period_seconds: Option<i64>,

    /// `spec.restartPolicy`
    pub restart_policy: RestartPolicy,
    /// `spec.terminationGracePeriodSeconds`; the API server sets 30 if the field is absent.
    pub termination_grace_period_seconds: Option<i64>,
    /// `spec.schedulingGates` is not empty: the scheduler leaves the pod alone until another controller removes them
    /// (KEP-3521).
    pub is_scheduling_gated: bool,
    /// `spec.containers`
    pub containers: Vec<Container>,
    /// `spec.initContainers`; those with `restartPolicy: Always` are native sidecars.
    pub init_containers: Vec<Container>,
    /// `spec.ephemeralContainers`
    pub ephemeral_containers: Vec<Container>,

    /// `status.observedGeneration` (Kubernetes 1.33 and later); 0 when absent.
    pub observed_generation: i64,
    /// `status.phase`
    pub phase: Phase,
    /// `status.reason`; empty when absent.
    pub reason: String,
    /// `status.message`; empty when absent.
    pub message: String,
    /// The condition `DisruptionTarget`, whatever its status.
    pub disruption_target: Option<Condition>,
    /// The condition `PodScheduled`, whatever its status; read only for the scheduler's message.
    pub pod_scheduled: Option<Condition>,
    /// `status.containerStatuses`, in the order received (the kubelet sorts them by name).
    pub container_statuses: Vec<ContainerStatus>,
    /// `status.initContainerStatuses`
    pub init_container_statuses: Vec<ContainerStatus>,
    /// `status.ephemeralContainerStatuses`
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Phase {
    /// Accepted, not every container has started. Also what an empty phase means.
    #[default]
    Pending,
    /// Bound to a node, every container has started, at least one runs or restarts.
    Running,
    /// Every regular container ended with 0 and none will restart.
    Succeeded,
    /// Every container has ended or will never run, and at least one failed.
    Failed,
    /// The node did not answer. Kubernetes has not set this since 2015, but it still occurs.
    Unknown,
    /// A phase that this version does not know; it decides nothing.
    Unrecognized,
}

impl Phase {
    /// The phase of that name; an empty name is `Pending`.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        match name {
            "" | "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Unknown" => Self::Unknown,
            _ => Self::Unrecognized,
        }
    }

    /// The name as Kubernetes writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
            Self::Unrecognized => "(unrecognized)",
        }
    }

    /// Whether the phase is `Succeeded` or `Failed`: no container of the pod will run again.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A restart policy, of a pod or of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RestartPolicy {
    /// Restart after every end. What an unset policy of a pod means.
    #[default]
    Always,
    /// Restart after a code other than 0.
    OnFailure,
    /// Never restart.
    Never,
}

impl RestartPolicy {
    /// The policy of that name, if there is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Always" => Some(Self::Always),
            "OnFailure" => Some(Self::OnFailure),
            "Never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// One entry of `spec.containers`, `spec.initContainers` or `spec.ephemeralContainers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Container {
    /// `name`
    pub name: String,
    /// `restartPolicy` of the container itself (native sidecars; KEP-5307).
    pub restart_policy: Option<RestartPolicy>,
    /// `restartPolicyRules` (KEP-5307, KEP-5532), in order.
    pub restart_policy_rules: Vec<RestartRule>,
}

/// One entry of `restartPolicyRules`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RestartRule {
    /// `action`
    pub action: RestartAction,
    /// `exitCodes.operator` is `NotIn` (otherwise `In`).
    pub negated: bool,
    /// `exitCodes.values`
    pub exit_codes: Vec<i32>,
}

impl RestartRule {
    /// Whether the rule matches this exit code.
    #[must_use]
    pub fn matches(&self, exit_code: i32) -> bool {
        self.exit_codes.contains(&exit_code) != self.negated
    }
}

/// What a [`RestartRule`] does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RestartAction {
    /// `Restart`: this container starts again in place.
    Restart,
    /// `RestartAllContainers`: every container of the pod starts again, including those that succeeded.
    RestartAllContainers,
    /// An action that this version does not know; as in the kubelet, the container's own policy decides then.
    Unrecognized,
}

/// One entry of a container status list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct ContainerStatus {
    /// `name`
    pub name: String,
    /// `restartCount`
    pub restart_count: i32,
    /// `containerID`; empty when absent.
    pub container_id: String,
    /// `state`; `None` when it is empty, which in Kubernetes means waiting.
    pub state: Option<ContainerState>,
    /// `lastState.terminated`
    pub last_terminated: Option<Terminated>,
}

/// `state` of a container. Where several are set, `terminated` counts before `running` before `waiting`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ContainerState {
    /// `waiting`
    Waiting {
        /// `reason`; empty when absent.
        reason: String,
        /// `message`; empty when absent.
        message: String,
    },
    /// `running`
    Running,
    /// `terminated`
    Terminated(Terminated),
}

/// `state.terminated` or `lastState.terminated`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Terminated {
    /// `exitCode`
    pub exit_code: i32,
    /// `reason`; empty when absent.
    pub reason: String,
    /// `message`; empty when absent. The step writes it to its termination message path, so it may be long.
    pub message: String,
    /// `startedAt`
    pub started_at: Option<Timestamp>,
    /// `finishedAt`
    pub finished_at: Option<Timestamp>,
    /// `containerID`; empty when absent.
    pub container_id: String,
}

/// One entry of `status.conditions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Condition {
    /// `status` is `True`.
    pub is_true: bool,
    /// `reason`; empty when absent.
    pub reason: String,
    /// `message`; empty when absent.
    pub message: String,
    /// `lastTransitionTime`
    pub last_transition_time: Option<Timestamp>,
}
