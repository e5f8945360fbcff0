//! The HTTP side of the API server: from a request to its response.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::deletion::DeleteOptions;
use crate::encoding::Encoding;
use crate::fault::Fault;
use crate::logs::LogRequest;
use crate::refusal::Refusal;
use crate::reply::{Reply, SimBody};
use crate::selector::Selector;
use crate::store::{Cluster, text};
use crate::traffic::{RequestInfo, Verb};
use crate::watch::WatchRequest;

/// How long a watch without `timeoutSeconds` lasts. A real API server chooses a time between this and twice this.
const WATCH_TIMEOUT: Duration = Duration::from_secs(1800);

/// The metadata of a LIST and its pods.
type Page = (Value, VecDeque<Arc<Value>>);

/// The path for questions about the client's own rights.
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// One year, in seconds: a longer timeout could overflow the clock.
const LONGEST_WATCH: u64 = 31_536_000;

impl Cluster {
    /// Answers one HTTP request. An error is a broken connection, which only a [`Fault`](crate::Fault) causes.
    pub async fn handle<B>(&self, request: Request<B>) -> io::Result<Response<SimBody>>
    where
        B: Body + Send,
        B::Data: Send,
    {
        let (head, body) = request.into_parts();
        self.faults().hear(&head.method, &head.uri);
        let known = self.faults().encodings();
        let accepted = Encoding::negotiate(&head.headers, known);
        // The refusal of a request that accepts no known encoding is JSON (`WriteObjectNegotiated` of
        // k8s.io/apiserver).
        let encoding = accepted.unwrap_or(Encoding::Json);
        let refused = |refusal| Reply::refusal(encoding, &refusal);
        if head.method == Method::POST && head.uri.path() == ACCESS_REVIEWS {
            let reply = self.review_access(body).await.unwrap_or_else(refused);
            return Ok(reply.into_response());
        }
        let call = match Call::parse(&head.method, &head.uri, encoding) {
            Ok(call) => call,
            Err(reply) => return Ok(reply.into_response()),
        };
        let fault = self.faults().admit(&call.info(&head.uri));
        if let Some(fault) = &fault
            && let Some(reply) = fault.before(encoding).await?
        {
            return Ok(reply.into_response());
        }
        let behind = match fault {
            Some(Fault::Stale { writes }) => writes,
            _ => 0,
        };
        let verb = call.verb;
        let reply = match accepted {
            None if verb != Verb::Log => Err(not_acceptable(known)),
            Some(_) | None => self.answer(call, encoding, body, behind).await,
        };
        let mut reply = reply.unwrap_or_else(refused);
        if let Some(fault) = &fault {
            reply = reply.damaged_by(fault);
        }
        if verb == Verb::Log {
            reply = reply.begun().await;
        }
        Ok(reply.into_response())
    }

    /// Handles the request. A GET returns the pod as it was `behind` writes ago.
    async fn answer<B: Body>(
        &self,
        call: Call,
        encoding: Encoding,
        body: B,
        behind: usize,
    ) -> Result<Reply, Refusal> {
        let Call { verb, namespace, name, query } = call;
        let ns = namespace.as_deref();
        let pod = |code, pod: &Value| Reply::object(code, encoding, pod);
        match (verb, ns, name) {
            (Verb::Get, Some(ns), Some(name)) => {
                Ok(pod(200, &*self.with(|store| store.get_as_of(ns, &name, behind))?))
            }
            (Verb::List, ns, _) => {
                let (metadata, pods) =
                    self.page(&query.selector(ns)?, query.number("limit")?, query.number("continue")?)?;
                Ok(Reply::list(encoding, &metadata, pods.iter().map(|pod| &**pod)))
            }
            (Verb::Watch, ns, _) => {
                let watch = query.watch_request(encoding, ns, self.faults().knows_watch_list())?;
                let watch = self.watch(watch);
                Ok(Reply::stream(encoding.stream_type(), watch))
            }
            (Verb::Create, Some(ns), _) => {
                let new = in_namespace(read_json(body).await?, ns)?;
                Ok(pod(201, &*self.create(new)?))
            }
            (Verb::Delete, Some(ns), Some(name)) => {
                let options = query.delete_options(&read_json(body).await?)?;
                Ok(pod(200, &*self.delete(ns, &name, &options)?))
            }
            (Verb::Patch, Some(ns), Some(name)) => {
                Ok(pod(200, &*self.patch(ns, &name, &read_json(body).await?)?))
            }
            (Verb::Log, Some(ns), Some(name)) => Ok(match self.log(ns, &name, query.log_request()?)? {
                Some(frames) => Reply::stream("text/plain", frames),
                None => Reply::text(204, ""),
            }),
            (Verb::Get | Verb::Create | Verb::Delete | Verb::Patch | Verb::Log, _, _) => {
                Err(Refusal::MethodNotAllowed)
            }
        }
    }

    /// Answers whether the client has the right that the review names.
    async fn review_access<B: Body>(&self, body: B) -> Result<Reply, Refusal> {
        let mut review = read_json(body).await?;
        let allowed = self.faults().allows(text(&review, "/spec/resourceAttributes/verb"));
        review["status"] = json!({ "allowed": allowed });
        Ok(Reply::json(201, &review))
    }

    /// The metadata and the pods of one page of a LIST. All pages show the pods as they were at the first page.
    fn page(&self, selector: &Selector, limit: Option<u64>, token: Option<u64>) -> Result<Page, Refusal> {
        let (revision, pods, next) = self.with(|store| {
            let (revision, mut pods) = match token {
                Some(token) => store.take_page(token)?,
                None => {
                    let pods = store.pods.values().filter(|pod| selector.matches(pod));
                    (store.revision, pods.cloned().collect::<VecDeque<_>>())
                }
            };
            let limit = limit.filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok());
            let rest = pods.split_off(limit.unwrap_or(usize::MAX).min(pods.len()));
            let next = (!rest.is_empty()).then(|| store.keep_page(revision, rest));
            Ok((revision, pods, next))
        })?;
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if let Some(next) = next {
            metadata["continue"] = json!(next.to_string());
        }
        Ok((metadata, pods))
    }
}

/// A request that concerns pods.
struct Call {
    verb: Verb,
    namespace: Option<String>,
    name: Option<String>,
    query: Query,
}

impl Call {
    /// Reads method and path. `Err` is the response to a request that does not concern pods.
    fn parse(method: &Method, uri: &Uri, encoding: Encoding) -> Result<Self, Reply> {
        let not_allowed = || Reply::refusal(encoding, &Refusal::MethodNotAllowed);
        let path: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let (namespace, name) = match path.as_slice() {
            ["api", "v1", "pods"] => (None, None),
            ["api", "v1", "namespaces", ns, "pods"] => (Some(*ns), None),
            ["api", "v1", "namespaces", ns, "pods", name] => (Some(*ns), Some(*name)),
            ["api", "v1", "namespaces", ns, "pods", name, "log"] => {
                let call = Self {
                    verb: Verb::Log,
                    namespace: Some((*ns).to_owned()),
                    name: Some((*name).to_owned()),
                    query: Query::parse(uri),
                };
                return if method == Method::GET { Ok(call) } else { Err(not_allowed()) };
            }
            ["version"] => return Err(version()),
            ["readyz" | "livez" | "healthz"] => return Err(Reply::text(200, "ok")),
            _ => return Err(Reply::text(404, "404 page not found\n")),
        };
        let query = Query::parse(uri);
        let verb = match (method.as_str(), name) {
            ("GET", Some(_)) => Verb::Get,
            ("GET", None) if query.flag("watch") => Verb::Watch,
            ("GET", None) => Verb::List,
            ("POST", None) if namespace.is_some() => Verb::Create,
            ("DELETE", Some(_)) => Verb::Delete,
            ("PATCH", Some(_)) => Verb::Patch,
            _ => return Err(not_allowed()),
        };
        Ok(Self { verb, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned), query })
    }

    fn info(&self, uri: &Uri) -> RequestInfo {
        let selected = || self.query.selector(None).ok()?.name().map(str::to_owned);
        RequestInfo {
            verb: self.verb,
            namespace: self.namespace.clone(),
            name: self.name.clone().or_else(selected),
            uri: uri.to_string(),
        }
    }
}

struct Query(BTreeMap<String, String>);

impl Query {
    fn parse(uri: &Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map(String::as_str).unwrap_or_default()
    }

    /// Whether the flag is set, as the API server reads it: present, and not false.
    fn flag(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
    }

    fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        match self.get(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| bad_request(format!("invalid {key}: {text:?}"))),
        }
    }

    fn selector(&self, namespace: Option<&str>) -> Result<Selector, Refusal> {
        Selector::parse(namespace, self.get("fieldSelector"), self.get("labelSelector"))
    }

    fn log_request(&self) -> Result<LogRequest, Refusal> {
        let since = match self.get("sinceTime") {
            "" => None,
            text => Some(text.parse().map_err(|_| bad_request(format!("invalid sinceTime: {text:?}")))?),
        };
        Ok(LogRequest {
            container: self.get("container").to_owned(),
            previous: self.flag("previous"),
            follow: self.flag("follow"),
            timestamps: self.flag("timestamps"),
            // The API server sends no fraction of a second to the kubelet.
            since: since.map(|since: Timestamp| Timestamp::from_second(since.as_second()).unwrap_or(since)),
            limit: self.number("limitBytes")?,
        })
    }

    /// Whether a LIST comes first.
    fn lists_first(&self, is_known: bool) -> Result<bool, Refusal> {
        let forbidden = |field, message| Err(Refusal::InvalidOptions { field, message });
        let lists_first = self.flag("sendInitialEvents");
        match (lists_first, self.get("resourceVersionMatch")) {
            (true, _) if !is_known => forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            ),
            (true, "NotOlderThan") | (false, "") => Ok(lists_first),
            (true, _) => forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
            (false, _) => forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
        }
    }

    fn watch_request(
        &self,
        encoding: Encoding,
        namespace: Option<&str>,
        knows_watch_list: bool,
    ) -> Result<WatchRequest, Refusal> {
        Ok(WatchRequest {
            encoding,
            selector: self.selector(namespace)?,
            lists_first: self.lists_first(knows_watch_list)?,
            after: self.number("resourceVersion")?.filter(|revision| *revision != 0),
            timeout: match self.number("timeoutSeconds")? {
                None | Some(0) => WATCH_TIMEOUT,
                Some(seconds) => Duration::from_secs(seconds.min(LONGEST_WATCH)),
            },
            bookmarks: self.flag("allowWatchBookmarks"),
        })
    }

    /// The query takes precedence over the body.
    fn delete_options(&self, body: &Value) -> Result<DeleteOptions, Refusal> {
        let asked = self.number("gracePeriodSeconds")?.and_then(|seconds| i64::try_from(seconds).ok());
        let uid = text(body, "/preconditions/uid");
        Ok(DeleteOptions {
            grace_period_seconds: asked.or_else(|| body["gracePeriodSeconds"].as_i64()),
            uid: (!uid.is_empty()).then(|| uid.to_owned()),
        })
    }
}

/// The body as JSON; `null` if it is empty.
async fn read_json<B: Body>(body: B) -> Result<Value, Refusal> {
    let body = body.collect().await.map_err(|_| bad_request("the body broke off".to_owned()))?.to_bytes();
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| bad_request(format!("the body is not JSON: {error}")))
}

/// A pod without a namespace belongs to the namespace of the path.
fn in_namespace(mut pod: Value, path: &str) -> Result<Value, Refusal> {
    match text(&pod, "/metadata/namespace") {
        own if own == path => Ok(pod),
        "" if pod["metadata"].is_object() => {
            pod["metadata"]["namespace"] = json!(path);
            Ok(pod)
        }
        _ => Err(bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
                .to_owned(),
        )),
    }
}

fn version() -> Reply {
    Reply::json(200, &json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.0-podwait-sim" }))
}

fn not_acceptable(known: &[Encoding]) -> Refusal {
    let known: Vec<&str> = known.iter().map(|one| one.media_type()).collect();
    Refusal::NotAcceptable { known: known.join(", ") }
}

fn bad_request(message: String) -> Refusal {
    Refusal::BadRequest { message }
}
