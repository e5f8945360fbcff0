//! The number of the usual rule of a reason. Where another rule leads to the reason, the model has that rule.

use podwait_core::{DoneReason, FailReason};

pub(super) const fn of_exit(reason: DoneReason) -> u8 {
    match reason {
        DoneReason::Completed | DoneReason::NonzeroExit => 3,
        DoneReason::OomKilled | DoneReason::StartError => 5,
        DoneReason::InferredFromPhase => 7,
    }
}

pub(super) const fn of_failure(reason: FailReason) -> u8 {
    use FailReason as Why;
    match reason {
        Why::PodReplaced => 1,
        Why::ContainerNotInSpec | Why::ContainerAmbiguous => 2,
        Why::Evicted | Why::Disrupted | Why::NodeShutdown | Why::RejectedByNode | Why::DeadlineExceeded => 4,
        Why::ContainerStatusUnknown | Why::OomKilled => 5,
        Why::PhaseContradictsExitCode => 6,
        Why::TerminatedStateMissing | Why::InitContainerFailed => 7,
        Why::ImagePull | Why::InvalidImageName | Why::ContainerConfigError => 8,
        Why::PodDeleted | Why::PodNeverSeen => 9,
        Why::NodeLost => 10,
        Why::ApiUnavailable | Why::Unauthorized | Why::Forbidden | Why::ApiRejected => 11,
        Why::StartTimeout | Why::Deadline => 12,
        Why::Cancelled => 13,
        Why::JobFailed | _ => panic!("a reason that a pod does not have, or that the model does not know"),
    }
}
