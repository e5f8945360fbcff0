//! Rule 11: what a failed call means for the wait.

use crate::reason::{FailReason, RetryReason};

/// The kinds of failure that the rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiFailure {
    /// The place in history is gone: read again, nothing is wrong.
    Expired,
    /// The request itself is refused and will be refused again.
    Rejected,
    /// 401: a token may just be rotating.
    Unauthorized,
    /// 403: a role binding may just be spreading.
    Forbidden,
    /// 429.
    Throttled,
    /// Everything else, a 404 that is not about this pod among it: may pass.
    Transient,
}

impl ApiFailure {
    pub(crate) const fn of(code: u16) -> Self {
        match code {
            410 => Self::Expired,
            400 | 405 | 406 | 415 | 422 => Self::Rejected,
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

    /// The same as the end of a sentence about the API server.
    pub(crate) const fn complaint(self) -> &'static str {
        match self {
            Self::Rejected => "rejects the request",
            Self::Unauthorized => "does not accept the credentials",
            Self::Forbidden => "denies access to the pod",
            Self::Expired | Self::Throttled | Self::Transient => "did not answer usefully for too long",
        }
    }
}
