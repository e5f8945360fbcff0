//! The truth about a life, by the step's own word.

use super::life::{INIT, Kind};
use crate::mixtures::Truth;
use podwait::{DoneReason, FailReason};
use podwait_tests::storm::truth::STEP;

impl Kind {
    /// The truth by the step's word so far. `None` if it is not its last.
    pub(super) fn truth(self, word: Option<&str>) -> Option<Truth> {
        use DoneReason::{Completed, NonzeroExit, OomKilled, StartError};
        use FailReason::{
            ContainerStatusUnknown, DeadlineExceeded, ImagePull, InitContainerFailed, PodDeleted,
        };
        let own_code = || word?.parse().ok();
        let by_itself = |code: i32| Truth::exit(code, if code == 0 { Completed } else { NonzeroExit });
        let right = match self {
            Self::Exit
            | Self::Sidecar
            | Self::OnFailure
            | Self::Terminated
            | Self::ImageLater
            | Self::Probe
            | Self::DeletedAfterwards => vec![by_itself(own_code()?)],
            Self::InitFails => vec![Truth::fail(InitContainerFailed, Some(own_code()?))],
            Self::Deadline => vec![Truth::fail(DeadlineExceeded, Some(own_code()?))],
            Self::Deleted => vec![Truth::fail(PodDeleted, Some(own_code()?))],
            Self::Killed if word? == "forever" => vec![Truth::exit(137, NonzeroExit)],
            // The code is that of containerd: it has no other.
            Self::ShimKilled if word? == "forever" => {
                vec![Truth::exit(255, NonzeroExit), Truth::fail(ContainerStatusUnknown, Some(255))]
            }
            // Whether the kernel's notification is read before the end of the container is a race in the shim.
            Self::Oom if word? == "greedy" => {
                vec![Truth::exit(137, OomKilled), Truth::exit(137, NonzeroExit)]
            }
            Self::OomOfChild => match own_code()? {
                0 => vec![Truth::fail(FailReason::OomKilled, Some(0)), by_itself(0)],
                code => vec![Truth::exit(code, OomKilled), by_itself(code)],
            },
            // It is not started either if containerd ends on the way.
            Self::StartError if word.is_none() => {
                vec![Truth::exit(128, StartError), Truth::fail(ContainerStatusUnknown, Some(1))]
            }
            Self::ImageRefused if word.is_none() => vec![Truth::fail(ImagePull, None)],
            Self::Killed | Self::ShimKilled | Self::Oom | Self::StartError | Self::ImageRefused => {
                return None;
            }
        };
        Some(Truth { right, container: self.container() })
    }

    /// The truth about a container that containerd did not start, since it ended on the way. The code is that of runc's
    /// process, or that of the kubelet for a container that it does not find.
    pub(super) fn truth_without_start(self) -> Truth {
        let mut right = vec![Truth::fail(FailReason::ContainerStatusUnknown, Some(1))];
        if self == Self::Deadline {
            right.push(Truth::fail(FailReason::DeadlineExceeded, Some(137)));
        }
        if self == Self::InitFails {
            right.push(Truth::fail(FailReason::InitContainerFailed, Some(1)));
        }
        Truth { right, container: self.container() }
    }

    /// The truth about a step that was stopped and ended by SIGKILL alone. `None` if nothing stops it.
    pub(super) fn truth_if_killed(self) -> Option<Truth> {
        let right = match self {
            Self::Probe => Truth::exit(137, DoneReason::NonzeroExit),
            Self::Deadline => Truth::fail(FailReason::DeadlineExceeded, Some(137)),
            Self::Deleted => Truth::fail(FailReason::PodDeleted, Some(137)),
            Self::Exit
            | Self::Sidecar
            | Self::InitFails
            | Self::OnFailure
            | Self::Terminated
            | Self::Killed
            | Self::ShimKilled
            | Self::Oom
            | Self::OomOfChild
            | Self::StartError
            | Self::ImageLater
            | Self::ImageRefused
            | Self::DeletedAfterwards => return None,
        };
        Some(Truth { right: vec![right], container: self.container() })
    }

    fn container(self) -> &'static str {
        if self == Self::InitFails { INIT } else { STEP }
    }
}
