//! Rule 8: the waiting reasons of the target and of the init containers before it.
//!
//! The reasons are those of `pkg/kubelet/images/types.go` and `pkg/kubelet/kuberuntime/kuberuntime_container.go`.

use crate::decision::Failure;
use crate::reason::FailReason;
use crate::rules::exit::is_fabricated;
use crate::rules::pull::{self, Said};
use crate::rules::restart::{is_restarting_all, is_sidecar};
use crate::rules::target::Target;
use crate::rules::words::of_record;
use crate::snapshot::{Container, ContainerState, ContainerStatus, PodSnapshot, Terminated};
use crate::text::{in_parentheses, name, quote};
use alloc::format;

/// Reasons that share one grace timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// The image cannot be pulled at the moment.
    ImagePull,
    /// The container cannot be created from its configuration at the moment.
    ConfigError,
    /// The image's name will never be valid.
    InvalidImageName,
}

/// The group of a waiting reason. `None` means progress: an unknown reason never fails a wait.
pub(crate) fn group(reason: &str) -> Option<Group> {
    match reason {
        "InvalidImageName" => Some(Group::InvalidImageName),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "RegistryUnavailable"
        | "ImageInspectError"
        | "SignatureValidationFailed" => Some(Group::ImagePull),
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreStartHookError"
        | "PostStartHookError"
        | "PreCreateHookError" => Some(Group::ConfigError),
        _ => None,
    }
}

/// What keeps the target from starting: for each group the first container, in starting order, of the target and of
/// the init containers before it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stuck<'a> {
    pub(crate) image_pull: Option<WaitingContainer<'a>>,
    pub(crate) config_error: Option<WaitingContainer<'a>>,
    pub(crate) invalid_image_name: Option<WaitingContainer<'a>>,
}

impl<'a> Stuck<'a> {
    pub(crate) fn in_pod(pod: &'a PodSnapshot, target: &Target<'a>) -> Self {
        let mut stuck = Self::default();
        if target.is_running() {
            // The step has started, so a sidecar that is restarted cannot keep it from starting.
            return stuck;
        }
        for (_, status) in target.init_before(pod) {
            stuck.add(status);
        }
        if let Some(status) = target.status {
            stuck.add(status);
        }
        stuck
    }

    fn add(&mut self, status: &'a ContainerStatus) {
        let Some(ContainerState::Waiting { reason, message }) = &status.state else { return };
        let Some(group) = group(reason) else { return };
        let of_group = match group {
            Group::ImagePull => &mut self.image_pull,
            Group::ConfigError => &mut self.config_error,
            Group::InvalidImageName => &mut self.invalid_image_name,
        };
        of_group.get_or_insert(WaitingContainer { group, container: &status.name, reason, message });
    }
}

/// A container that waits for a reason of some [`Group`].
#[derive(Clone, Copy)]
pub(crate) struct WaitingContainer<'a> {
    group: Group,
    pub(crate) container: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl WaitingContainer<'_> {
    /// The result of the last attempt to pull, as far as the reason and the message show it.
    pub(crate) fn said(&self) -> Said {
        pull::said(self.reason, self.message)
    }

    /// Whether this is the result of an attempt to pull the image, and not the time until the next one.
    pub(crate) fn is_attempt(&self) -> bool {
        self.reason != "ImagePullBackOff"
    }

    /// The failure when the grace is over; for an invalid image name, at once.
    pub(crate) fn failure(&self) -> Failure {
        let (reason, text) = match self.group {
            Group::ImagePull => (FailReason::ImagePull, "could not pull its image"),
            Group::ConfigError => (FailReason::ContainerConfigError, "could not be created"),
            Group::InvalidImageName => {
                (FailReason::InvalidImageName, "has an image name that cannot be parsed")
            }
        };
        let said = in_parentheses(&quote(self.reason, self.message));
        Failure::new(reason, format!("container {} {text}{said}", name(self.container)), None)
    }
}

/// Whether an init container before the target runs, so that the pod makes progress. A native sidecar does not count,
/// because it runs as long as the pod.
pub(crate) fn is_init_running(pod: &PodSnapshot, target: &Target<'_>) -> bool {
    target
        .init_before(pod)
        .any(|(container, status)| !is_sidecar(container) && status.state == Some(ContainerState::Running))
}

/// The first init container before the target whose last run failed, with its record. In a terminal pod that failure is
/// why the target never started and stays `waiting: PodInitializing` (`hasPodInitialized`, kubernetes#108366).
pub(crate) fn failed_init_container<'a>(
    pod: &'a PodSnapshot,
    target: &Target<'a>,
) -> Option<(&'a Container, &'a ContainerStatus, &'a Terminated)> {
    target.init_before(pod).filter(|(container, _)| !is_sidecar(container)).find_map(|(container, status)| {
        let record = match &status.state {
            Some(ContainerState::Terminated(record)) => record,
            Some(ContainerState::Waiting { .. }) | None => status.last_terminated.as_ref()?,
            Some(ContainerState::Running) => return None,
        };
        (record.exit_code != 0 && !is_restarting_all(record)).then_some((container, status, record))
    })
}

/// The failure for an init container that failed for good.
pub(crate) fn init_failure(init: &str, record: &Terminated, target: &str) -> Failure {
    let (init, target, code, said) = (name(init), name(target), record.exit_code, of_record(record));
    if is_fabricated(record) {
        let message = format!("init container {init} was lost by its node{said}; run the step again");
        return Failure::new(FailReason::ContainerStatusUnknown, message, Some(code));
    }
    let message =
        format!("init container {init} failed with code {code}{said}, so container {target} never started");
    Failure::new(FailReason::InitContainerFailed, message, Some(code))
}

#[cfg(test)]
mod tests {
    use super::{Group, group};

    #[test]
    fn unknown_reasons_are_progress() {
        for reason in
            ["", "ContainerCreating", "PodInitializing", "CrashLoopBackOff", "SomethingNew", "errimagepull"]
        {
            assert_eq!(group(reason), None, "{reason}");
        }
        assert_eq!(group("ImagePullBackOff"), Some(Group::ImagePull));
    }
}
