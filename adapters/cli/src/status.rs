//! podwait's own exit statuses.

use podwait::{Class, FailReason, Failure};
use std::process::ExitCode;

/// Exit statuses for all ends of the command other than a container's exit code.
///
/// They are between 193 and 254: above 128 + 64, the highest exit status after a signal, and below 255, which many programs
/// use for any error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// The cluster stopped the step: run it again.
    Infrastructure = 220,
    /// The step or its pod cannot work as it is.
    Step = 221,
    /// A limit of the wait ran out.
    Limit = 222,
    /// SIGINT, SIGTERM or SIGHUP.
    Cancelled = 223,
    /// The API server failed during the wait, or its responses cannot be read.
    Api = 224,
    /// The command line is wrong.
    Usage = 230,
    /// The kubeconfig or the in-cluster configuration cannot be used.
    Config = 231,
    /// The API server cannot be reached, or not be trusted.
    Unreachable = 232,
    /// The API server denies access to the pod.
    Denied = 233,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

impl Status {
    /// The status for a wait that ended without an exit.
    pub(crate) fn of(failure: &Failure) -> Self {
        match failure.class() {
            Class::Infrastructure => Self::Infrastructure,
            Class::Step => Self::Step,
            Class::Caller if failure.reason == FailReason::Cancelled => Self::Cancelled,
            Class::Caller => Self::Limit,
            Class::Api => Self::Api,
        }
    }
}

/// An error that the user can correct: one sentence, and the exit status.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Complaint {
    pub(crate) status: Status,
    sentence: String,
}

impl Complaint {
    pub(crate) fn new(status: Status, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }
}
