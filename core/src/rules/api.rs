//! Rule 11: what a failed call means for the wait.

use crate::input::ApiError;
use crate::reason::{FailReason, RetryReason};

/// The kinds of failure that the rules distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiFailure {
    /// The watch's resourceVersion is too old: read again, nothing is wrong.
    Expired,
    /// The request itself is refused and will be refused again.
    Rejected,
    /// 401: a token may just be rotating.
    Unauthorized,
    /// 403: a role binding may just be spreading.
    Forbidden,
    /// 429.
    Throttled,
    /// Everything else, including a 404 that is not about this pod and a rejection that is no `Status`: may pass.
    Transient,
}

impl ApiFailure {
    /// A rejection ends the wait, and a 410 has a budget of its own, so both need a `Status` of the API server. The
    /// same codes from a proxy may be gone with the next request (`NewGenericServerResponse` of k8s.io/apimachinery
    /// turns a proxy's page into the same kind of error).
    pub(crate) const fn of(error: &ApiError<'_>) -> Self {
        match error.code {
            410 if error.is_status => Self::Expired,
            400 | 405 | 406 | 415 | 422 if error.is_status => Self::Rejected,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            429 => Self::Throttled,
            _ => Self::Transient,
        }
    }

    /// What the wait is for while this lasts.
    pub(crate) const fn retry_reason(self) -> RetryReason {
        match self {
            Self::Expired => RetryReason::Relist,
            Self::Throttled => RetryReason::ApiThrottled,
            Self::Rejected | Self::Unauthorized | Self::Forbidden | Self::Transient => RetryReason::ApiError,
        }
    }

    /// The failure it becomes when it does not pass.
    pub(crate) const fn fail_reason(self) -> FailReason {
        match self {
            Self::Rejected => FailReason::ApiRejected,
            Self::Unauthorized => FailReason::Unauthorized,
            Self::Forbidden => FailReason::Forbidden,
            Self::Expired | Self::Throttled | Self::Transient => FailReason::ApiUnavailable,
        }
    }

    /// The end of a sentence that begins with "the API server".
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::Rejected => "rejects the request",
            Self::Unauthorized => "does not accept the credentials",
            Self::Forbidden => "denies access to the pod",
            Self::Expired | Self::Throttled | Self::Transient => "returned no usable response for too long",
        }
    }
}
