//! Answers other than success: their meaning, their object, and when to retry.

#[cfg(test)]
mod tests;

use crate::failure::{ApiFailure, Via};
use crate::json;
use crate::json::Object;
use crate::protobuf::{envelope, status_of};
use crate::retry_after::retry_after;
use crate::status::Status;
use alloc::borrow::{Cow, ToOwned};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The object of a request: an answer that names another object belongs to another request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The request changes nothing. An admission plugin that refuses a change may name any object.
    is_read: bool,
    resource: String,
    name: Option<String>,
}

/// An answer other than success: the parts that are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub code: u16,
    /// The header `Retry-After`, if there is one.
    pub retry_after: Option<&'a str>,
    /// The header `Date`, if there is one.
    pub date: Option<&'a str>,
    /// The body, in either encoding, or empty if it did not arrive. A body longer than [`Refusal::LONGEST_BODY`] is not read.
    pub body: &'a [u8],
}

/// The meaning of an answer other than success.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The failure of the call.
    pub failure: ApiFailure,
    status: Option<Box<Details>>,
}

/// The parts of a `Status` other than its message.
#[derive(Clone, Debug)]
struct Details {
    reason: String,
    /// `details.kind` and `details.name`, if there are details.
    object: Option<(String, String)>,
    /// The fields of its causes.
    fields: Vec<String>,
}

impl Subject {
    /// The subject of a request with that method, path and query, as they are sent.
    ///
    /// The path is `/api/v1/namespaces/NAMESPACE/RESOURCE/NAME` or a shorter one, or one of an API group. A field
    /// selector for `metadata.name` counts as the name.
    #[must_use]
    pub fn of(method: &str, path: &str, query: Option<&str>) -> Self {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let path = match segments.as_slice() {
            ["api", _, path @ ..] | ["apis", _, _, path @ ..] => path,
            path => path,
        };
        let path = match path {
            ["namespaces", _, path @ ..] if !path.is_empty() => path,
            path => path,
        };
        let selected = || query?.split_once("metadata.name%3D")?.1.split('&').next();
        Self {
            is_read: method == "GET",
            resource: path.first().copied().unwrap_or_default().to_owned(),
            name: path.get(1).copied().or_else(selected).map(str::to_owned),
        }
    }

    /// Whether a `Status` answers this request. It may name no object, but not another one.
    fn is_of(&self, code: u16, status: &Status<'_>) -> bool {
        // The server writes the same code into the header and the body (`ErrorNegotiated` of k8s.io/apiserver).
        let is_consistent = status.code.is_none_or(|own| own == 0 || own == code);
        let (kind, name) = match status.details() {
            Some(details) => (&*details.kind.0, &*details.name.0),
            None => ("", ""),
        };
        let is_same = (name.is_empty() || self.name.as_deref() == Some(name))
            && (kind.is_empty() || self.is_kind(kind));
        is_consistent && (is_same || !self.is_read)
    }

    /// Whether `details.kind` names this subject: the resource (`NewNotFound`), with its subresource
    /// (`NewGenericServerResponse` for `pods/log`), the kind (`NewInvalid`), or the kind of the request's parameters
    /// (`ListOptions`, `PodLogOptions`).
    fn is_kind(&self, kind: &str) -> bool {
        let resource = kind.split('/').next().unwrap_or_default();
        let singular = self.resource.strip_suffix('s').unwrap_or(&self.resource);
        resource.eq_ignore_ascii_case(&self.resource)
            || resource.eq_ignore_ascii_case(singular)
            || resource.ends_with("Options")
    }
}

impl Refusal {
    /// Longest body that is read, in bytes.
    pub const LONGEST_BODY: usize = 64 << 10;

    /// Reads an answer other than success. If the body has no information, the code remains.
    #[must_use]
    pub fn read(via: Via, subject: &Subject, answer: &Answer<'_>) -> Self {
        let status = read_status(answer.body).filter(Status::is_status);
        let message = match status.as_ref().and_then(Status::says) {
            Some(message) => Cow::Borrowed(message),
            None => Cow::Owned(format!("HTTP status {}{}", answer.code, reason_phrase(answer.code))),
        };
        let asked = answer.retry_after.and_then(|value| retry_after(value, answer.date));
        let failure = ApiFailure {
            is_status: status.as_ref().is_some_and(|status| subject.is_of(answer.code, status)),
            retry_after: asked.or_else(|| status.as_ref()?.retry_after()),
            ..ApiFailure::new(via, answer.code, &message)
        };
        Self { failure, status: status.map(|status| Box::new(Details::of(&status))) }
    }

    /// The `reason` of the `Status`; `None` if the answer has no `Status`.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.status.as_deref().map(|status| &*status.reason)
    }

    /// Whether this says that the value of this field is not allowed.
    #[must_use]
    pub fn is_about(&self, field: &str) -> bool {
        self.status.iter().flat_map(|status| &status.fields).any(|own| own == field)
    }

    /// Whether this says that the pod does not exist. A 404 of a proxy, or about another kind or another name, does not
    /// say so.
    #[must_use]
    pub fn is_absence_of(&self, name: &str) -> bool {
        self.is_absence_of_kind("pods", name)
    }

    /// The same for an object of another resource, such as `jobs`.
    #[must_use]
    pub fn is_absence_of_kind(&self, resource: &str, name: &str) -> bool {
        let is_named = |status: &Details| {
            let object = status.object.as_ref().map(|(kind, name)| (&**kind, &**name));
            status.reason == "NotFound" && object == Some((resource, name))
        };
        self.failure.code == 404 && self.failure.is_status && self.status.as_deref().is_some_and(is_named)
    }
}

/// The refusal for a request without an answer.
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

impl Details {
    fn of(status: &Status<'_>) -> Self {
        let details = status.details();
        let causes = details.and_then(|details| details.causes.as_ref());
        Self {
            reason: status.reason.0.as_ref().to_owned(),
            object: details
                .map(|details| (details.kind.0.as_ref().to_owned(), details.name.0.as_ref().to_owned())),
            fields: causes
                .into_iter()
                .flatten()
                .map(|Object(cause)| cause.field.0.as_ref().to_owned())
                .collect(),
        }
    }
}

/// Reads a `Status` in the encoding that its first bytes show: JSON never begins with protobuf's prefix.
fn read_status(body: &[u8]) -> Option<Status<'_>> {
    if body.len() > Refusal::LONGEST_BODY {
        return None;
    }
    if body.starts_with(envelope::MAGIC) {
        return status_of(body);
    }
    json::read::<Object<Status<'_>>>(body).ok().map(|Object(status)| status)
}

/// HTTP's reason phrase for a code, after a space; empty for codes that no server or proxy of a cluster sends.
fn reason_phrase(code: u16) -> &'static str {
    match code {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        405 => " Method Not Allowed",
        406 => " Not Acceptable",
        407 => " Proxy Authentication Required",
        408 => " Request Timeout",
        409 => " Conflict",
        410 => " Gone",
        413 => " Payload Too Large",
        415 => " Unsupported Media Type",
        422 => " Unprocessable Entity",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    }
}
