//! One call of the API server, with limits of time and size.
//!
//! kube's typed calls have neither: a server that never answers would hold the command up for ever, and one whose answer
//! has no end would fill the memory.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::Client;
use kube::client::Body;
use podwait::core::one_line;
use podwait::is_dns_subdomain;
use serde::Deserialize;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

/// How long a call may take, its whole answer included.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer other than 200 that is read, in bytes.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Longest message that is kept, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// Longest pause that a `Retry-After` can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// Path and query. The names in it must be names: nothing here escapes them.
    pub(crate) path: String,
    /// Media type and content.
    pub(crate) body: Option<(&'a str, Vec<u8>)>,
    pub(crate) accept: &'a str,
    pub(crate) limit: Duration,
    /// Longest answer that is read, in bytes.
    pub(crate) longest: usize,
}

/// Why there is no answer that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The HTTP status; 0 where no answer came, or none that can be read.
    pub(crate) code: u16,
    /// The `reason` of the API server's `Status`; `None` where something else has answered.
    pub(crate) reason: Option<String>,
    pub(crate) retry_after: Duration,
    /// One line for people.
    pub(crate) message: String,
}

/// `metav1.Status`, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    kind: String,
    reason: Option<String>,
    message: Option<String>,
}

impl Call<'_> {
    /// Sends it, and reads the answer if it is one of success.
    pub(crate) async fn send(self, client: &Client) -> Result<Bytes, Trouble> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        request = request.header(header::ACCEPT, self.accept);
        let mut content = Vec::new();
        if let Some((media_type, body)) = self.body {
            request = request.header(header::CONTENT_TYPE, media_type);
            content = body;
        }
        let request = request.body(Body::from(content)).map_err(|error| Trouble::lost(&error))?;
        let answer = async {
            let response = client.send(request).await.map_err(|error| Trouble::lost(&error))?;
            let (head, body) = response.into_parts();
            if !head.status.is_success() {
                let body = Limited::new(body, LONGEST_REFUSAL).collect();
                let body = timeout(Duration::from_secs(1), body).await.ok().and_then(Result::ok);
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                return Err(Trouble::refused(head.status, &head.headers, &body));
            }
            let body = Limited::new(body, self.longest).collect().await;
            body.map(|body| body.to_bytes()).map_err(|error| Trouble::lost(&*error))
        };
        let answer = timeout(self.limit, answer).await;
        answer.unwrap_or_else(|_| Err(Trouble::unreadable(&format!("no answer within {:?}", self.limit))))
    }
}

/// The path of a namespace's pods, or of one of them. What is no name would make it another path.
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
    /// An answer that cannot be used, for this reason.
    pub(crate) fn unreadable(message: &str) -> Self {
        let message = one_line(message, LONGEST_MESSAGE).into_owned();
        Self { code: 0, reason: None, retry_after: Duration::ZERO, message }
    }

    fn lost(error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Self::unreadable(&cause.to_string())
    }

    fn refused(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let status = serde_json::from_slice::<Status>(body).ok().filter(|status| status.kind == "Status");
        let message = status.as_ref().and_then(|status| status.message.as_deref());
        let message = message.map(|message| one_line(message, LONGEST_MESSAGE).into_owned());
        let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            code: code.as_u16(),
            reason: status.map(|status| status.reason.unwrap_or_default()),
            retry_after: Duration::from_secs(seconds.unwrap_or(0)).min(LONGEST_PAUSE),
            message: message
                .filter(|message| !message.is_empty())
                .unwrap_or_else(|| format!("HTTP status {code}")),
        }
    }

    /// Whether the API server itself refuses the request, now and later. A page of a proxy says nothing about it.
    pub(crate) fn is_refusal(&self) -> bool {
        self.reason.is_some() && (400..500).contains(&self.code) && !matches!(self.code, 408 | 409 | 429)
    }

    /// Whether it says that an object is not there.
    pub(crate) fn is_absence(&self) -> bool {
        self.code == 404 && self.reason.as_deref() == Some("NotFound")
    }
}
