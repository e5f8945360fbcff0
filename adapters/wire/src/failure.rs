//! A call that failed.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::time::Duration;
use podwait_core::one_line;

/// Longest message that is kept, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// The call that made an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// A GET of the pod.
    Get,
    /// A LIST.
    List,
    /// A watch.
    Watch,
}

impl Via {
    /// The name used in traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// A failed call, owned. See [`podwait_core::ApiError`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiFailure {
    /// The call that failed.
    pub via: Via,
    /// The HTTP status or the code of the `Status` object; 0 when there was no answer, 200 when the answer could not be
    /// decoded.
    pub code: u16,
    /// Whether the answer was a `Status` of the API server about this request, and not for instance a proxy's page.
    pub is_status: bool,
    /// How long the server asks to wait; a day at most.
    pub retry_after: Option<Duration>,
    /// One line, cleaned and cut, without secrets.
    pub message: String,
}

impl ApiFailure {
    /// A failure without a `Status` of the API server.
    #[must_use]
    pub fn new(via: Via, code: u16, message: &str) -> Self {
        let message = match &*one_line(message, LONGEST_MESSAGE) {
            "" => "no reason was given".to_owned(),
            message => message.to_owned(),
        };
        Self { via, code, is_status: false, retry_after: None, message }
    }

    /// Whether the API server says that the requested resourceVersion is too old (410).
    #[must_use]
    pub const fn is_expired(&self) -> bool {
        self.is_status && self.code == 410
    }
}
