//! Raw calls for pods: every call has a timeout, every answer is an observation.
//!
//! `kube` gives the configuration and TLS. Its typed calls are not used, because they lose what the
//! rules need: the HTTP status of a proxy's answer, `Retry-After`, whose 404 it is, and the last object of a
//! deletion.

pub(crate) mod connect;
mod connector;
mod credentials;
mod endpoint;
pub(crate) mod error;
mod plugin;
mod proxy;
pub(crate) mod refusal;
mod token;
mod transport;
mod userinfo;

use crate::feed::listing::Listing;
use crate::selection::{PodName, Selection};
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use crate::wire::decode::decode;
use crate::wire::lines::Lines;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use kube::core::params::{GetParams, ListParams, WatchParams};
use podwait_core::one_line;
use refusal::{Refusal, Subject};
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a call may take, its whole body included; for a watch, until its stream begins.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server is asked to keep a watch open: under the 5 minutes after which many proxies cut
/// idle connections.
pub(crate) const WATCH_SECONDS: u32 = 290;

/// How many pods one page of a LIST holds: some megabytes, which an API server has ready within a second.
const PAGE: u32 = 500;

/// Longest time that is counted: a hundred years, so that no sum of times is too much for a clock.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Longest answer that is read as a whole, in bytes. Objects in etcd are at most 1.5 MiB by default, and JSON is somewhat
/// larger.
const LONGEST_ANSWER: usize = 8 << 20;

/// Longest message that is kept of an error, in bytes.
const LONGEST_MESSAGE: usize = 300;

/// Reads the pod once, to find out whether the API server can be reached and lets us. The pod need not exist.
///
/// For programs that talk to a person: a wait itself gives a failing server the time that its policy allows.
///
/// # Errors
/// The failure of the call, with code 0 when no answer came.
pub async fn check_access(client: &kube::Client, namespace: &str, pod: &str) -> Result<(), ApiFailure> {
    match Calls::new(client.clone()).get(PodName::new(namespace, pod)).await {
        Observed::ApiError(failure) => Err(failure),
        Observed::Pod(_)
        | Observed::Deleted(_)
        | Observed::NotFound(_)
        | Observed::Silence
        | Observed::Cancelled => Ok(()),
    }
}

/// Calls for pods.
#[derive(Clone)]
pub(crate) struct Calls {
    client: kube::Client,
}

impl Calls {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Reads the pod from etcd (no resourceVersion: a cache may show a pod that is long gone).
    pub(crate) async fn get(self, pod: PodName) -> Observed {
        let answer = async {
            let request = pods(Some(pod.namespace()), Some(pod.name()))?;
            let request = request.get(pod.name(), &GetParams::default()).map_err(unsendable)?;
            match self.call(Via::Get, request).await {
                Ok(json) => observed(&pod, Via::Get, json),
                Err(refusal) if refusal.is_absence_of(pod.name()) => Ok(Observed::NotFound(Via::Get)),
                Err(refusal) => Err(refusal.failure),
            }
        };
        answer.await.unwrap_or_else(Observed::ApiError)
    }

    /// Reads the one pod of a selection that names it; `None` if it is not in that, or not there.
    pub(crate) async fn find(self, selection: Selection, pod: PodName) -> Option<Observed> {
        let answer = async {
            let json = Listing::new(&self, selection).only().await?;
            json.map(|json| observed(&pod, Via::List, json)).transpose()
        };
        match timeout(CALL_TIMEOUT, answer).await {
            Ok(answer) => answer.unwrap_or_else(|failure| Some(Observed::ApiError(failure))),
            Err(_) => Some(Observed::ApiError(timed_out(Via::List))),
        }
    }

    /// Begins one page of a LIST: the first, or that of a continue token. Read from etcd, or from a cache that has caught
    /// up with it.
    pub(crate) async fn list(self, selection: Selection, page: Option<String>) -> Result<Body, ApiFailure> {
        let mut params = ListParams::default().limit(PAGE);
        params.continue_token = page;
        params.label_selector = selection.labels().map(str::to_owned);
        params.field_selector = selection.fields();
        let request = pods(selection.namespace(), selection.name())?.list(&params).map_err(unsendable)?;
        Ok(self.open(Via::List, request, CALL_TIMEOUT).await?)
    }

    /// Opens a watch from a resourceVersion, which the server is to close after so many seconds.
    pub(crate) async fn watch(
        self,
        selection: Selection,
        resource_version: String,
        seconds: u32,
    ) -> Result<Lines, ApiFailure> {
        let mut params = WatchParams::default().timeout(seconds);
        params.label_selector = selection.labels().map(str::to_owned);
        params.field_selector = selection.fields();
        let request = pods(selection.namespace(), selection.name())?.watch(&params, &resource_version);
        // The resourceVersion is the server's, so that this is no fault of the request.
        let request = request.map_err(|error| failure(Via::Watch, 0, error.to_string()))?;
        Ok(Lines::new(self.open(Via::Watch, request, CALL_TIMEOUT).await?))
    }

    /// Sends a request and reads its whole answer, which may be as long as an object.
    pub(crate) async fn call(&self, via: Via, request: Request<Vec<u8>>) -> Result<Bytes, Refusal> {
        self.call_for(via, request, CALL_TIMEOUT, LONGEST_ANSWER).await
    }

    /// The same, within that time and of so many bytes at most.
    async fn call_for(
        &self,
        via: Via,
        request: Request<Vec<u8>>,
        within: Duration,
        longest: usize,
    ) -> Result<Bytes, Refusal> {
        let answer = async {
            let body = self.open(via, request, within).await?;
            match Limited::new(body, longest).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    Err(unreadable(via, format!("the answer is longer than {longest} bytes")).into())
                }
                Err(error) => Err(failure(via, 0, root_cause(&*error)).into()),
            }
        };
        timeout(within, answer).await.unwrap_or_else(|_| Err(no_answer(via, within).into()))
    }

    /// Sends a request whose answer is read as it comes, by a reader that bounds it. It has to begin within that time.
    pub(crate) async fn open(
        &self,
        via: Via,
        request: Request<Vec<u8>>,
        within: Duration,
    ) -> Result<Body, Refusal> {
        let subject = Subject::of(&request);
        let answer = async {
            let sent = self.client.send(request.map(Body::from)).await;
            let response = sent.map_err(|error| failure(via, 0, root_cause(&error)))?;
            match response.status() {
                StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Ok(response.into_body()),
                _ => Err(Refusal::read(via, &subject, response).await),
            }
        };
        timeout(within, answer).await.unwrap_or_else(|_| Err(no_answer(via, within).into()))
    }
}

/// Sends one request that is none of a wait's, and reads its whole answer: the same limits, the same reading of what is no
/// success.
pub async fn call(
    client: &kube::Client,
    request: Request<Vec<u8>>,
    within: Duration,
    longest: usize,
) -> Result<Bytes, ApiFailure> {
    Ok(Calls::new(client.clone()).call_for(Via::Get, request, within, longest).await?)
}

/// The collection's request builder, if the names can stand in a path.
fn pods(namespace: Option<&str>, name: Option<&str>) -> Result<kube::core::Request, ApiFailure> {
    Ok(kube::core::Request::new(pods_path(namespace, name)?))
}

/// The collection's path, if the names can stand in a path.
pub(crate) fn pods_path(namespace: Option<&str>, name: Option<&str>) -> Result<String, ApiFailure> {
    for (what, name) in [("pod", name), ("namespace", namespace)] {
        if let Some(name) = name
            && !is_dns_subdomain(name)
        {
            // What the API server would answer.
            return Err(rejected(Via::Get, format!("{name:?} is not a valid {what} name")));
        }
    }
    Ok(match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
        None => String::from("/api/v1/pods"),
    })
}

/// An answer about one pod, which must be the one that was asked for: a cache on the way may mix up its answers.
fn observed(asked: &PodName, via: Via, json: Bytes) -> Result<Observed, ApiFailure> {
    let pod = decode(&json).map_err(|error| unreadable(via, error.to_string()))?;
    // An object that does not name its namespace contradicts nothing.
    let is_here = pod.namespace.is_empty() || pod.namespace == asked.namespace();
    if pod.name != asked.name() || !is_here {
        let (namespace, name) = (asked.namespace(), asked.name());
        let sentence = format!("asked for pod {namespace}/{name} and got {}/{}", pod.namespace, pod.name);
        return Err(unreadable(via, sentence));
    }
    Ok(Observed::Pod(ObservedPod { via, pod: Box::new(pod), json }))
}

/// Whether a name is a DNS subdomain (RFC 1123), as pod and namespace names must be.
#[must_use]
pub fn is_dns_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// A failure without a `Status`: the API server has said nothing about the request, or podwait could not read what it said.
pub(crate) fn failure(via: Via, code: u16, message: impl AsRef<str>) -> ApiFailure {
    let message = match &*one_line(message.as_ref(), LONGEST_MESSAGE) {
        "" => String::from("no reason was given"),
        message => message.to_owned(),
    };
    ApiFailure { via, code, is_status: false, retry_after: None, message }
}

/// A request that cannot be sent as it is. It fails as the API server would have it fail: for good.
pub(crate) fn rejected(via: Via, message: impl AsRef<str>) -> ApiFailure {
    ApiFailure { is_status: true, ..failure(via, 400, message) }
}

/// An answer that came and cannot be read, or is not what was asked for. It may be this one object's trouble.
pub(crate) fn unreadable(via: Via, message: impl AsRef<str>) -> ApiFailure {
    failure(via, StatusCode::OK.as_u16(), message)
}

pub(crate) fn timed_out(via: Via) -> ApiFailure {
    no_answer(via, CALL_TIMEOUT)
}

fn no_answer(via: Via, within: Duration) -> ApiFailure {
    failure(via, 0, format!("no answer within {within:?}"))
}

fn unsendable(error: impl Error) -> ApiFailure {
    rejected(Via::Get, error.to_string())
}

/// So long from now, whatever a caller or a server asks for.
pub(crate) fn later(time: Duration) -> Instant {
    Instant::now() + time.min(LONGEST_TIME)
}

/// What an error says at the bottom of its chain, where the cause is.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_subdomains() {
        for name in ["a", "step-1", "wp-01h.step.x", &"a".repeat(253)] {
            assert!(is_dns_subdomain(name), "{name}");
        }
        for name in ["", "A", "a/b", "../x", "a..b", "-a", "a-", "a_b", "a b", "ä", &"a".repeat(254)] {
            assert!(!is_dns_subdomain(name), "{name}");
        }
    }
}
