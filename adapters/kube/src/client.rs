//! Raw calls for pods: every call has a timeout and a size limit, and every answer is an observation.
//!
//! `kube` provides the configuration and TLS. Its typed calls are not used, because they drop facts that the rules
//! need: the HTTP status of a proxy's answer, `Retry-After`, the source of a 404, and the last object of a deletion.

pub(crate) mod answers;
mod connect;
mod connector;
mod credentials;
mod endpoint;
pub(crate) mod error;
pub(crate) mod list;
mod plugin;
mod proxy;
mod token;
mod transport;
mod userinfo;

pub use connect::Client;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body;
use podwait_hub::{ObservedPod, PodName, Resource, is_dns_subdomain};
use podwait_wire::{Answer, ApiFailure, Encoding, LONGEST_OBJECT, Refusal, Subject, Via};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a call may take, its whole body included.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for the body of a refusal once its status is there.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest time that is used: a hundred years, so that no sum of times overflows a clock.
pub(crate) const LONGEST_TIME: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Reads the pod once, to check that the API server can be reached and allows the read. The pod need not exist.
///
/// For interactive programs: a wait itself gives a failing server the time that its policy allows.
///
/// # Errors
/// The failure of the call, with code 0 when no answer came.
pub async fn check_access(client: &Client, namespace: &str, pod: &str) -> Result<(), ApiFailure> {
    Calls::new(client.clone()).get(&PodName::new(namespace, pod)).await.map(drop)
}

/// Calls for pods.
#[derive(Clone)]
pub(crate) struct Calls {
    client: Client,
}

impl Calls {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Reads the pod from etcd (no resourceVersion: a cache may still have a pod that is gone); `None` if it does not
    /// exist.
    pub(crate) async fn get(&self, pod: &PodName) -> Result<Option<Arc<ObservedPod>>, ApiFailure> {
        let json = Encoding::Json.media_type();
        let request = get_request(Via::Get, &podwait_hub::Request::Get(pod.clone()), json)?;
        match self.call(Via::Get, request).await {
            Ok(json) => Ok(Some(ObservedPod::of_answer(pod, Encoding::Json, json.into())?)),
            Err(refusal) if refusal.is_absence_of(pod.name()) => Ok(None),
            Err(refusal) => Err(refusal.failure),
        }
    }

    /// Sends a request and reads its whole answer, of at most the size of an object.
    pub(crate) async fn call(&self, via: Via, request: Request<Vec<u8>>) -> Result<Bytes, Refusal> {
        let answer = async {
            let body = self.open(via, request, CALL_TIMEOUT).await?.into_body();
            match Limited::new(body, LONGEST_OBJECT).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => {
                    Err(unreadable(via, format!("the answer is longer than {LONGEST_OBJECT} bytes")).into())
                }
                Err(error) => Err(failure(via, 0, root_cause(&*error)).into()),
            }
        };
        timeout(CALL_TIMEOUT, answer).await.unwrap_or_else(|_| Err(timed_out(via).into()))
    }

    /// Sends a request whose answer is read while it arrives; the reader limits its size. The answer has to begin
    /// within that time.
    pub(crate) async fn open(
        &self,
        via: Via,
        request: Request<Vec<u8>>,
        within: Duration,
    ) -> Result<Response<Body>, Refusal> {
        let subject = Subject::of(request.method().as_str(), request.uri().path(), request.uri().query());
        let answer = async {
            let sent = self.client.as_kube().send(request.map(Body::from)).await;
            let response = sent.map_err(|error| failure(via, 0, root_cause(&error)))?;
            match response.status() {
                StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Ok(response),
                _ => Err(refusal(via, &subject, response).await),
            }
        };
        timeout(within, answer).await.unwrap_or_else(|_| Err(no_answer(via, within).into()))
    }
}

/// A request for pods in that form, if the names in it are valid.
fn get_request(
    via: Via,
    asked: &podwait_hub::Request,
    accept: &'static str,
) -> Result<Request<Vec<u8>>, ApiFailure> {
    if let Some((what, name)) = asked.invalid_name(Resource::Pods) {
        // What the API server would answer.
        return Err(rejected(via, format!("{name:?} is not a valid {what} name")));
    }
    let get = Request::get(asked.target(Resource::Pods)).header(header::ACCEPT, accept);
    get.body(Vec::new()).map_err(|error| rejected(via, error.to_string()))
}

/// Reads an answer other than success.
async fn refusal(via: Via, subject: &Subject, response: Response<Body>) -> Refusal {
    let (head, body) = response.into_parts();
    // If the body breaks, is too long or does not arrive, the refusal still has its code.
    let body = Limited::new(body, Refusal::LONGEST_BODY).collect();
    let body = timeout(REFUSAL_TIMEOUT, body).await.ok().and_then(Result::ok);
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let head = answers::response_head(head.status.as_u16(), &head.headers);
    let answer = Answer { code: head.status, retry_after: head.retry_after, date: head.date, body: &body };
    Refusal::read(via, subject, &answer)
}

/// The collection's path, if the names are valid.
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

/// A failure without a `Status`: the API server sent none, or podwait could not read it.
pub(crate) fn failure(via: Via, code: u16, message: impl AsRef<str>) -> ApiFailure {
    ApiFailure::new(via, code, message.as_ref())
}

/// A request that cannot be sent. It fails as the API server would fail it: permanently.
pub(crate) fn rejected(via: Via, message: impl AsRef<str>) -> ApiFailure {
    ApiFailure { is_status: true, ..failure(via, 400, message) }
}

/// An answer that arrived but cannot be read, or is not the requested object. The defect may concern only this object.
pub(crate) fn unreadable(via: Via, message: impl AsRef<str>) -> ApiFailure {
    failure(via, StatusCode::OK.as_u16(), message)
}

pub(crate) fn timed_out(via: Via) -> ApiFailure {
    no_answer(via, CALL_TIMEOUT)
}

fn no_answer(via: Via, within: Duration) -> ApiFailure {
    failure(via, 0, format!("no response within {within:?}"))
}

/// This long from now, limited to [`LONGEST_TIME`].
pub(crate) fn later(time: Duration) -> Instant {
    Instant::now() + time.min(LONGEST_TIME)
}

/// The message at the end of an error's chain, which is the root cause. A [`ConfigError`](error::ConfigError) quotes what is
/// behind it, and says where that happened.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while !cause.is::<error::ConfigError>()
        && let Some(deeper) = cause.source()
    {
        cause = deeper;
    }
    cause.to_string()
}
