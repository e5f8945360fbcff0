//! Why the API server refuses a request, and the `Status` object for it.

use http::StatusCode;
use serde_json::{Value, json};
use thiserror::Error;

/// A refused request. Its `Display` is the message of its Kubernetes `Status`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 404: no pod of that name.
    #[error("pods {name:?} not found")]
    NotFound {
        /// The requested pod.
        name: String,
    },
    /// 409: a pod to be created has the name of an existing pod.
    #[error("pods {name:?} already exists")]
    AlreadyExists {
        /// The existing pod.
        name: String,
    },
    /// 409: a precondition of the request does not hold.
    #[error("Operation cannot be fulfilled on pods {name:?}: {message}")]
    Conflict {
        /// The requested pod.
        name: String,
        /// The precondition, and the value that was found.
        message: String,
    },
    /// 422: the object is invalid.
    #[error("Pod {name:?} is invalid: {message}")]
    Invalid {
        /// The pod's name, possibly empty.
        name: String,
        /// The field, and its defect.
        message: String,
    },
    /// 422: the query has a parameter that this server does not support, or parameters that exclude each other.
    #[error("ListOptions.meta.k8s.io \"\" is invalid: {field}: Forbidden: {message}")]
    InvalidOptions {
        /// The parameter.
        field: &'static str,
        /// Why it is forbidden.
        message: &'static str,
    },
    /// 400: the request is invalid.
    #[error("{message}")]
    BadRequest {
        /// The part that could not be read.
        message: String,
    },
    /// 405: a known path, but not with this method.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// 406: the request accepts no encoding that the server knows.
    #[error("only the following media types are accepted: {known}")]
    NotAcceptable {
        /// The media types that the server knows, with commas.
        known: String,
    },
    /// 410: the changes since that resourceVersion have been compacted away.
    #[error("too old resource version: {asked} ({oldest})")]
    Expired {
        /// The resourceVersion of the request.
        asked: u64,
        /// The oldest resourceVersion that is still served.
        oldest: u64,
    },
}

impl Refusal {
    /// The HTTP status code.
    pub fn code(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::AlreadyExists { .. } | Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Invalid { .. } | Self::InvalidOptions { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable { .. } => StatusCode::NOT_ACCEPTABLE,
            Self::Expired { .. } => StatusCode::GONE,
        }
    }

    /// The Kubernetes `Status` object that a client receives.
    pub fn status(&self) -> Value {
        let mut status = status(self.code().as_u16(), self.reason(), &self.to_string());
        if let Some(name) = self.pod() {
            status["details"] = json!({ "name": name, "kind": "pods" });
        }
        if let Self::Invalid { message, .. } = self
            && let Some((field, message)) = message.split_once(": ")
        {
            status["details"]["causes"] = json!([{ "field": field, "message": message }]);
        }
        status
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::Conflict { .. } => "Conflict",
            Self::Invalid { .. } | Self::InvalidOptions { .. } => "Invalid",
            Self::BadRequest { .. } => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable { .. } => "NotAcceptable",
            Self::Expired { .. } => "Expired",
        }
    }

    fn pod(&self) -> Option<&str> {
        match self {
            Self::NotFound { name }
            | Self::AlreadyExists { name }
            | Self::Conflict { name, .. }
            | Self::Invalid { name, .. } => Some(name),
            Self::InvalidOptions { .. }
            | Self::BadRequest { .. }
            | Self::MethodNotAllowed
            | Self::NotAcceptable { .. }
            | Self::Expired { .. } => None,
        }
    }
}

/// A failure `Status` without details.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}
