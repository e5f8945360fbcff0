//! Answers other than 200: what they say, and when to come back.

use crate::client::failure;
use crate::source::{ApiFailure, Via};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use std::time::Duration;

/// Longest error answer that is read, in bytes.
const LONGEST_ERROR: usize = 64 << 10;

/// How long to wait for an error's body once its status is there.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// An answer other than 200.
pub(crate) struct Refusal {
    pub(crate) failure: ApiFailure,
    status: Option<StatusView>,
}

/// `metav1.Status`, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusView {
    kind: String,
    code: Option<u16>,
    reason: Option<String>,
    message: Option<String>,
    details: Option<DetailsView>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DetailsView {
    name: Option<String>,
    kind: Option<String>,
    retry_after_seconds: Option<u64>,
    causes: Vec<CauseView>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CauseView {
    field: String,
}

impl StatusView {
    /// The error object of a watch stream as a failure.
    pub(crate) fn into_failure(self) -> ApiFailure {
        // client-go takes Expired and Gone for the same; some servers send the reason without a code.
        let expired = matches!(self.reason.as_deref(), Some("Expired" | "Gone"));
        let code = if expired { 410 } else { self.code.unwrap_or(0) };
        let retry_after = self.retry_after();
        let message = self.message.or(self.reason).unwrap_or_else(|| String::from("the watch failed"));
        ApiFailure { retry_after, ..failure(Via::Watch, code, message) }
    }

    fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref().and_then(|details| details.retry_after_seconds).map(Duration::from_secs)
    }
}

impl Refusal {
    pub(crate) async fn read(via: Via, response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let code = head.status.as_u16();
        // A body that breaks, is too long or does not come still leaves the code.
        let body = Limited::new(body, LONGEST_ERROR).collect();
        let body = match tokio::time::timeout(ERROR_BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let status =
            serde_json::from_slice::<StatusView>(&body).ok().filter(|status| status.kind == "Status");
        let message = status.as_ref().and_then(|status| status.message.clone());
        let failure = ApiFailure {
            retry_after: retry_after(&head.headers).or_else(|| status.as_ref()?.retry_after()),
            ..failure(via, code, message.unwrap_or_else(|| format!("HTTP status {}", head.status)))
        };
        Self { failure, status }
    }

    /// Whether this says that the object may not have that value in this field.
    pub(crate) fn is_about(&self, field: &str) -> bool {
        let details = self.status.as_ref().and_then(|status| status.details.as_ref());
        details.is_some_and(|details| details.causes.iter().any(|cause| cause.field == field))
    }

    /// Whether this says that the pod does not exist. A 404 of a proxy, of another kind or of another name
    /// says nothing about it.
    pub(crate) fn is_absence_of(&self, name: &str) -> bool {
        self.is_absence_of_kind("pods", name)
    }

    /// The same for an object of another kind.
    pub(crate) fn is_absence_of_kind(&self, kind: &str, name: &str) -> bool {
        let Some(status) = &self.status else { return false };
        let Some(details) = &status.details else { return false };
        self.failure.code == 404
            && status.reason.as_deref() == Some("NotFound")
            && details.kind.as_deref() == Some(kind)
            && details.name.as_deref() == Some(name)
    }
}

/// `Retry-After` in either form; a date counts from the answer's own `Date`, so that clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value: &str = text(http::header::RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let parse = |date: &str| jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp().as_second());
    let seconds = parse(value)?.checked_sub(parse(text(http::header::DATE)?)?)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_comes_as_seconds_or_as_a_date() {
        let headers = |retry_after: &'static str, date: &'static str| {
            HeaderMap::from_iter([
                (http::header::RETRY_AFTER, http::HeaderValue::from_static(retry_after)),
                (http::header::DATE, http::HeaderValue::from_static(date)),
            ])
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(&headers("3", date)), Some(Duration::from_secs(3)));
        assert_eq!(
            retry_after(&headers("Sun, 06 Nov 1994 08:50:07 GMT", date)),
            Some(Duration::from_secs(30))
        );
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:00:00 GMT", date)), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("soon", date)), None);
        assert_eq!(retry_after(&headers("-1", date)), None);
    }
}
