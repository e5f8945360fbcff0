//! Reason codes: one snake_case word each, the same in traces, metrics labels and on the command line.

use core::fmt;

/// Declares a reason enum together with its codes, so that a variant cannot miss one.
macro_rules! reasons {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
        pub enum $enum {
            $($(#[$doc])* #[doc = concat!("\n\nCode `", $code, "`.")] $variant,)+
        }

        impl $enum {
            /// All of them, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

reasons! {
    /// What a [`crate::Decision::Retry`] waits for.
    RetryReason {
        /// The pod was not seen yet; it may still be created.
        AwaitingPod = "awaiting_pod",
        /// The target has not started.
        Pending = "pending",
        /// The target runs, or has exited 0 and the exit waits for the phase.
        Running = "running",
        /// The target ended and will start again.
        Restarting = "restarting",
        /// The pod is terminal, the target's `terminated` record is not there yet.
        AwaitingTerminatedState = "awaiting_terminated_state",
        /// The pod is being deleted; its last state may still bring the exit.
        PodTerminating = "pod_terminating",
        /// The pod that was seen is not found any more; its final state may still come.
        ConfirmingDeletion = "confirming_deletion",
        /// A read shows that the record of the target's end is lost; what was there before it may still come.
        ConfirmingLostRecord = "confirming_lost_record",
        /// The API server answered 429.
        ApiThrottled = "api_throttled",
        /// The API server, or the way to it, failed.
        ApiError = "api_error",
        /// The watch's place in history is gone (410): read the pod again.
        Relist = "relist",
    }
}

reasons! {
    /// What a [`crate::Progress`] is about.
    #[non_exhaustive]
    Stage {
        /// The pod does not exist yet, as far as is known.
        Absent = "absent",
        /// No node has the pod: the scheduler has found none, or scheduling gates hold the pod back.
        Unscheduled = "unscheduled",
        /// The node prepares the pod, and nothing is known to be wrong.
        Starting = "starting",
        /// An image cannot be pulled.
        Image = "image",
        /// A container cannot be created from its configuration, such as a missing Secret.
        Config = "config",
        /// An init container runs or is prepared.
        Init = "init",
        /// The target runs.
        Running = "running",
        /// The target ended and will be started again.
        Restarting = "restarting",
        /// The pod is being deleted.
        Terminating = "terminating",
        /// The pod is over, and the record of the target's end is missing.
        Record = "record",
        /// The pod, or the record of its end, is gone; its final state may still come.
        Gone = "gone",
        /// The API server cannot be read.
        ApiFailure = "api_failure",
    }
}

reasons! {
    /// Why a [`crate::Decision::Done`] is the answer.
    DoneReason {
        /// The target exited with 0.
        Completed = "completed",
        /// The target exited with another code.
        NonzeroExit = "nonzero_exit",
        /// The target exited with another code than 0 and its record says `OOMKilled`.
        OomKilled = "oom_killed",
        /// The runtime could not start the command (`StartError`, `ContainerCannotRun`); the code is the runtime's.
        StartError = "start_error",
        /// The target's record was never published. The code 0 follows from phase `Succeeded`, or, under
        /// `on_gone: assume_success`, from a 404 alone.
        InferredFromPhase = "inferred_from_phase",
    }
}

reasons! {
    /// Why a [`crate::Decision::Fail`] is the answer.
    #[non_exhaustive]
    FailReason {
        /// The kubelet evicted the pod (node pressure, or a limit on local storage).
        Evicted = "evicted",
        /// Preemption, the eviction API, a taint, or pod garbage collection stopped the pod.
        Disrupted = "disrupted",
        /// The node was shut down.
        NodeShutdown = "node_shutdown",
        /// The node stopped answering; whether the step finished is not known.
        NodeLost = "node_lost",
        /// The kubelet refused to run the pod.
        RejectedByNode = "rejected_by_node",
        /// The pod was deleted before the target's own end was known.
        PodDeleted = "pod_deleted",
        /// Another pod of the same name took its place.
        PodReplaced = "pod_replaced",
        /// No pod of that name appeared.
        PodNeverSeen = "pod_never_seen",
        /// The kubelet or the runtime lost the container and wrote a made-up code.
        ContainerStatusUnknown = "container_status_unknown",
        /// The pod is terminal and the target's record was never published.
        TerminatedStateMissing = "terminated_state_missing",
        /// A process of the target was killed for memory, yet the target exited with 0.
        OomKilled = "oom_killed",
        /// The image could not be pulled.
        ImagePull = "image_pull",
        /// The image's name cannot be parsed.
        InvalidImageName = "invalid_image_name",
        /// The container could not be created from its configuration (missing Secret or ConfigMap, failing hook).
        ContainerConfigError = "container_config_error",
        /// An init container failed for good, so the target never started.
        InitContainerFailed = "init_container_failed",
        /// `activeDeadlineSeconds` ran out.
        DeadlineExceeded = "deadline_exceeded",
        /// The pod is `Failed`, the target exited with 0, and no other container explains it.
        PhaseContradictsExitCode = "phase_contradicts_exit_code",
        /// The pod has no container of that name.
        ContainerNotInSpec = "container_not_in_spec",
        /// No container was named and the pod does not have exactly one.
        ContainerAmbiguous = "container_ambiguous",
        /// The caller cancelled the wait.
        Cancelled = "cancelled",
        /// The wait's own deadline passed.
        Deadline = "deadline",
        /// The target did not start in time.
        StartTimeout = "start_timeout",
        /// The API server returned no usable response for too long.
        ApiUnavailable = "api_unavailable",
        /// The API server kept answering 401.
        Unauthorized = "unauthorized",
        /// The API server kept answering 403.
        Forbidden = "forbidden",
        /// The API server refuses the request itself (400, 405, 406, 415, 422).
        ApiRejected = "api_rejected",
    }
}

reasons! {
    /// Where a failure has to be fixed.
    Class {
        /// The cluster: run the step again, elsewhere if possible.
        Infrastructure = "infrastructure",
        /// The step or its pod: running it again will not help.
        Step = "step",
        /// The caller's own limits or its cancellation.
        Caller = "caller",
        /// The API server or the rights to use it.
        Api = "api",
    }
}

impl DoneReason {
    /// The rule that usually leads to it.
    pub(crate) const fn rule(self) -> u8 {
        match self {
            Self::Completed | Self::NonzeroExit => 3,
            Self::OomKilled | Self::StartError => 5,
            Self::InferredFromPhase => 7,
        }
    }
}

impl FailReason {
    /// The rule that usually leads to it.
    pub(crate) const fn rule(self) -> u8 {
        match self {
            Self::PodReplaced => 1,
            Self::ContainerNotInSpec | Self::ContainerAmbiguous => 2,
            Self::Evicted
            | Self::Disrupted
            | Self::NodeShutdown
            | Self::RejectedByNode
            | Self::DeadlineExceeded => 4,
            Self::ContainerStatusUnknown | Self::OomKilled => 5,
            Self::PhaseContradictsExitCode => 6,
            Self::TerminatedStateMissing | Self::InitContainerFailed => 7,
            Self::ImagePull | Self::InvalidImageName | Self::ContainerConfigError => 8,
            Self::PodDeleted | Self::PodNeverSeen => 9,
            Self::NodeLost => 10,
            Self::ApiUnavailable | Self::Unauthorized | Self::Forbidden | Self::ApiRejected => 11,
            Self::StartTimeout | Self::Deadline => 12,
            Self::Cancelled => 13,
        }
    }

    /// Whether the cluster stopped the pod, and not its creator.
    pub(crate) const fn is_by_the_cluster(self) -> bool {
        matches!(self, Self::Evicted | Self::Disrupted | Self::NodeShutdown | Self::RejectedByNode)
    }

    /// Where the failure has to be fixed.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Evicted
            | Self::Disrupted
            | Self::NodeShutdown
            | Self::NodeLost
            | Self::RejectedByNode
            | Self::PodDeleted
            | Self::PodReplaced
            | Self::PodNeverSeen
            | Self::ContainerStatusUnknown
            | Self::TerminatedStateMissing => Class::Infrastructure,
            Self::OomKilled
            | Self::ImagePull
            | Self::InvalidImageName
            | Self::ContainerConfigError
            | Self::InitContainerFailed
            | Self::DeadlineExceeded
            | Self::PhaseContradictsExitCode
            | Self::ContainerNotInSpec
            | Self::ContainerAmbiguous => Class::Step,
            Self::Cancelled | Self::Deadline | Self::StartTimeout => Class::Caller,
            Self::ApiUnavailable | Self::Unauthorized | Self::Forbidden | Self::ApiRejected => Class::Api,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn codes_are_snake_case_and_unique_within_their_kind() {
        fn check(codes: &[&str]) {
            assert!(
                codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
                "{codes:?}"
            );
            assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
        }
        check(&RetryReason::ALL.iter().map(|reason| reason.as_str()).collect::<alloc::vec::Vec<_>>());
        check(&DoneReason::ALL.iter().map(|reason| reason.as_str()).collect::<alloc::vec::Vec<_>>());
        check(&FailReason::ALL.iter().map(|reason| reason.as_str()).collect::<alloc::vec::Vec<_>>());
    }
}
