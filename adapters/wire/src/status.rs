//! `metav1.Status`: how the API server reports a failure.

use crate::failure::{ApiFailure, Via};
use crate::json::{Object, Text};
use crate::retry_after::LONGEST;
use alloc::vec::Vec;
use core::time::Duration;
use serde::Deserialize;

/// The parts of a `Status` that are read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Status<'a> {
    #[serde(borrow)]
    pub(crate) kind: Text<'a>,
    pub(crate) api_version: Text<'a>,
    /// Absent or 0 if the code is not given.
    pub(crate) code: Option<u16>,
    pub(crate) reason: Text<'a>,
    pub(crate) message: Text<'a>,
    pub(crate) details: Option<Object<Details<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Details<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    pub(crate) kind: Text<'a>,
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) causes: Option<Vec<Object<Cause<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cause<'a> {
    #[serde(borrow)]
    pub(crate) field: Text<'a>,
}

impl<'a> Status<'a> {
    pub(crate) fn details(&self) -> Option<&Details<'a>> {
        self.details.as_ref().map(|Object(details)| details)
    }

    /// Whether the object is a `Status`; other JSON may have some of the same fields.
    pub(crate) fn is_status(&self) -> bool {
        self.kind.0 == "Status" && matches!(&*self.api_version.0, "" | "v1")
    }

    /// The object of an `ERROR` event as a failure.
    pub(crate) fn into_watch_failure(self) -> ApiFailure {
        // client-go treats Expired and Gone as the same; some servers send the reason without a code.
        let is_expired = matches!(&*self.reason.0, "Expired" | "Gone");
        let code = if is_expired { 410 } else { self.code.unwrap_or(0) };
        let message = self.says().unwrap_or("the watch failed");
        ApiFailure {
            is_status: self.kind.0 == "Status",
            retry_after: self.retry_after(),
            ..ApiFailure::new(Via::Watch, code, message)
        }
    }

    /// The message, or else the reason, if there is one.
    pub(crate) fn says(&self) -> Option<&str> {
        [&*self.message.0, &*self.reason.0].into_iter().find(|text| !text.trim().is_empty())
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.details()?.retry_after_seconds?;
        Some(Duration::from_secs(seconds).min(LONGEST))
    }
}
