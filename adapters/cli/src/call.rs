//! One call of the API server, with limits of time and size.
//!
//! kube's typed calls have neither: without a limit of time a silent server would block the command for ever, and without a
//! limit of size an endless response would fill the memory.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use podwait::core::one_line;
use podwait::wire::{Answer, Refusal, Subject};
use podwait::{ApiFailure, Client, ConfigError, Via};
use podwait_hub::is_dns_subdomain;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How long a call may take, including its complete response.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest message that an error keeps, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// Longest pause after a `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query. The names in it must be valid: nothing here escapes them.
    pub(crate) path: String,
    /// Media type and content.
    pub(crate) body: Option<(&'a str, Vec<u8>)>,
    pub(crate) accept: &'a str,
    pub(crate) limit: Duration,
    /// Longest body of a response with success that is read, in bytes.
    pub(crate) longest: usize,
}

/// Why there is no usable response.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The HTTP status; 0 if no response came, or none that can be read.
    pub(crate) code: u16,
    /// The `reason` of the API server's `Status`; `None` if the response has no `Status`.
    pub(crate) reason: Option<String>,
    pub(crate) retry_after: Duration,
    /// One line for people.
    pub(crate) message: String,
}

impl Call<'_> {
    /// Sends the request, and returns the body of a response with success.
    pub(crate) async fn send(self, client: &Client) -> Result<Bytes, Trouble> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        request = request.header(header::ACCEPT, self.accept);
        let mut content = Vec::new();
        if let Some((media_type, body)) = self.body {
            request = request.header(header::CONTENT_TYPE, media_type);
            content = body;
        }
        let request = request.body(Body::from(content)).map_err(|error| Trouble::lost(&error))?;
        let subject = Subject::of(request.method().as_str(), request.uri().path(), request.uri().query());
        let answer = async {
            let response = client.as_kube().send(request).await.map_err(|error| Trouble::lost(&error))?;
            let (head, body) = response.into_parts();
            if !head.status.is_success() {
                let body = Limited::new(body, Refusal::LONGEST_BODY).collect();
                let body = timeout(Duration::from_secs(1), body).await.ok().and_then(Result::ok);
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
                let (retry_after, date) = (text(header::RETRY_AFTER), text(header::DATE));
                let answer = Answer { code: head.status.as_u16(), retry_after, date, body: &body };
                return Err(Trouble::refused(&Refusal::read(Via::Get, &subject, &answer)));
            }
            let body = Limited::new(body, self.longest).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| Trouble::lost(&*error))
        };
        let answer = timeout(self.limit, answer).await;
        answer.unwrap_or_else(|_| Err(Trouble::unreadable(&format!("no response within {:?}", self.limit))))
    }
}

/// The path of a namespace's pods, or of one of them. An invalid name is an error, since it could lead to another path.
pub(crate) fn pods_path(namespace: &str, name: Option<&str>) -> Result<String, Trouble> {
    for text in [Some(namespace), name].into_iter().flatten() {
        if !is_dns_subdomain(text) {
            let message = format!("{text:?} is not the name of a pod or namespace");
            return Err(Trouble {
                code: 400,
                reason: Some(String::from("BadRequest")),
                ..Trouble::unreadable(&message)
            });
        }
    }
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    Ok(format!("/api/v1/namespaces/{namespace}/pods{name}"))
}

impl Trouble {
    /// A response that cannot be used, with the reason.
    pub(crate) fn unreadable(message: &str) -> Self {
        let message = one_line(message, LONGEST_MESSAGE).into_owned();
        Self { code: 0, reason: None, retry_after: Duration::ZERO, message }
    }

    fn lost(error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        // That one quotes what is behind it, and says where that happened.
        while !cause.is::<ConfigError>()
            && let Some(deeper) = cause.source()
        {
            cause = deeper;
        }
        Self::unreadable(&cause.to_string())
    }

    fn refused(refusal: &Refusal) -> Self {
        let ApiFailure { code, is_status, retry_after, message, .. } = &refusal.failure;
        let reason = refusal.reason().filter(|_| *is_status).map(String::from);
        let retry_after = retry_after.unwrap_or_default().min(LONGEST_PAUSE);
        Self { code: *code, reason, retry_after, message: message.clone() }
    }

    /// Whether the API server refuses the request for good. A page of a proxy is no such refusal.
    pub(crate) fn is_refusal(&self) -> bool {
        self.reason.is_some() && (400..500).contains(&self.code) && !matches!(self.code, 408 | 409 | 429)
    }

    /// Whether the API server reports that an object does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        self.code == 404 && self.reason.as_deref() == Some("NotFound")
    }
}
