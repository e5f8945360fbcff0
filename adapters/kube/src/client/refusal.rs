//! Answers other than 200: what they say, and when to come back.

use crate::client::failure;
use crate::source::{ApiFailure, Via};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use serde::Deserialize;
use std::time::Duration;

/// Longest error answer that is read, in bytes.
const LONGEST_ERROR: usize = 64 << 10;

/// How long to wait for an error's body once its status is there.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest time that a server is believed to ask for. No wait is as long, and arithmetic with it cannot overflow.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What a request is about: an answer that names something else answers another request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    /// It changes nothing. An admission plugin that refuses a change may name what it likes.
    is_read: bool,
    resource: String,
    name: Option<String>,
}

/// An answer other than 200.
pub(crate) struct Refusal {
    pub(crate) failure: ApiFailure,
    status: Option<Box<StatusView>>,
}

/// `metav1.Status`, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusView {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: Option<String>,
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
        let message = self.says().unwrap_or("the watch failed").to_owned();
        ApiFailure { is_status: self.kind == "Status", retry_after, ..failure(Via::Watch, code, message) }
    }

    /// The message, or else the reason, if there is one.
    fn says(&self) -> Option<&str> {
        let texts = [self.message.as_deref(), self.reason.as_deref()];
        texts.into_iter().flatten().find(|text| !text.trim().is_empty())
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.details.as_ref()?.retry_after_seconds?;
        Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
    }

    /// Whether this answers a request about that. A `Status` need not say what it is about, but may not name another thing.
    fn is_about(&self, code: u16, subject: &Subject) -> bool {
        let details = self.details.as_ref();
        let name = details.and_then(|details| details.name.as_deref()).filter(|name| !name.is_empty());
        let kind = details.and_then(|details| details.kind.as_deref()).unwrap_or_default();
        // The server writes the one code into both (`ErrorNegotiated` of k8s.io/apiserver).
        let is_consistent = self.code.is_none_or(|own| own == 0 || own == code);
        let is_same = name.is_none_or(|name| subject.name.as_deref() == Some(name))
            && (kind.is_empty() || subject.is_kind(kind));
        is_consistent && (is_same || !subject.is_read)
    }
}

impl Subject {
    /// By the path `/api/v1/namespaces/NAMESPACE/RESOURCE/NAME` or a shorter one, or a field selector for the name.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let segments: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        let path = match segments.as_slice() {
            ["api", _, path @ ..] | ["apis", _, _, path @ ..] => path,
            path => path,
        };
        let path = match path {
            ["namespaces", _, path @ ..] if !path.is_empty() => path,
            path => path,
        };
        let selected = || {
            let (_, selected) = request.uri().query()?.split_once("metadata.name%3D")?;
            selected.split('&').next()
        };
        let name = path.get(1).copied().or_else(selected);
        Self {
            is_read: request.method() == Method::GET,
            resource: path.first().copied().unwrap_or_default().to_owned(),
            name: name.map(str::to_owned),
        }
    }

    /// Whether `details.kind` says so: the resource (`NewNotFound`), with its subresource (`NewGenericServerResponse` for
    /// `pods/log`), the kind (`NewInvalid`), or the kind of the request's parameters (`ListOptions`, `PodLogOptions`).
    fn is_kind(&self, kind: &str) -> bool {
        let resource = kind.split('/').next().unwrap_or_default();
        let singular = self.resource.strip_suffix('s').unwrap_or(&self.resource);
        resource.eq_ignore_ascii_case(&self.resource)
            || resource.eq_ignore_ascii_case(singular)
            || resource.ends_with("Options")
    }
}

/// Of a request that got no answer.
impl From<ApiFailure> for Refusal {
    fn from(failure: ApiFailure) -> Self {
        Self { failure, status: None }
    }
}

impl From<Refusal> for ApiFailure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

impl Refusal {
    pub(crate) async fn read(via: Via, subject: &Subject, response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let code = head.status.as_u16();
        // A body that breaks, is too long or does not come still leaves the code.
        let body = Limited::new(body, LONGEST_ERROR).collect();
        let body = match tokio::time::timeout(ERROR_BODY_TIMEOUT, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let status = serde_json::from_slice::<Box<StatusView>>(&body).ok().filter(|status| {
            status.kind == "Status" && matches!(status.api_version.as_deref(), None | Some("v1" | ""))
        });
        let message = match status.as_deref().and_then(StatusView::says) {
            Some(message) => message.to_owned(),
            None => format!("HTTP status {}", head.status),
        };
        let failure = ApiFailure {
            is_status: status.as_ref().is_some_and(|status| status.is_about(code, subject)),
            retry_after: retry_after(&head.headers).or_else(|| status.as_ref()?.retry_after()),
            ..failure(via, code, message)
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
            && self.failure.is_status
            && status.reason.as_deref() == Some("NotFound")
            && details.kind.as_deref() == Some(kind)
            && details.name.as_deref() == Some(name)
    }
}

/// `Retry-After` in either form; a date counts from the answer's own `Date`, so that clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value: &str = text(http::header::RETRY_AFTER)?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // What no number holds is nonsense, as a word is, and not a reason to be silent for a day.
        let seconds = value.parse().ok()?;
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
    let parse = |date: &str| jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp().as_second());
    let seconds = parse(value)?.checked_sub(parse(text(http::header::DATE)?)?)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_RETRY_AFTER))
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
        assert_eq!(retry_after(&headers("99999999999999999999", date)), None);
        assert_eq!(retry_after(&headers("", date)), None);
    }

    #[test]
    fn no_server_asks_for_more_than_a_day() {
        let headers = |retry_after: &'static str| {
            HeaderMap::from_iter([
                (http::header::RETRY_AFTER, http::HeaderValue::from_static(retry_after)),
                (http::header::DATE, http::HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT")),
            ])
        };
        for value in ["86401", "18446744073709551615", "Fri, 01 Jan 2100 00:00:00 GMT"] {
            assert_eq!(retry_after(&headers(value)), Some(LONGEST_RETRY_AFTER), "{value}");
        }
        let status = r#"{"kind":"Status","code":429,"details":{"retryAfterSeconds":18446744073709551615}}"#;
        let status: StatusView = serde_json::from_str(status).expect("a Status");
        assert_eq!(status.into_failure().retry_after, Some(LONGEST_RETRY_AFTER));
    }
}
