//! The connection between a wait and the simulated cluster, with a ledger of its traffic.
//!
//! Bodies are read here without the readers of the waits, except that those split a LIST into its items.

use crate::protobuf::field;
use crate::storm::weather::ELSEWHERE;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use kube::client::Body;
use podwait_sim::Cluster;
use podwait_wire::{Encoding, ListItems};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The traffic, in the run's time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// When each request was sent.
    pub requests: Vec<Duration>,
    /// The pod objects that arrived completely, for any request.
    pub objects: Vec<Arrival>,
    /// When a response arrived that a pod does not exist, and the name of that pod, if the response has one.
    pub absences: Vec<(Duration, Option<String>)>,
}

/// A pod object that arrived completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Duration,
    /// The pod's resourceVersion.
    pub version: u64,
    /// Whether it was DELETED from a watch, which may mean only that the selector no longer matches.
    pub is_gone: bool,
    /// Whether it arrived in a probe for the final state of pods that are gone. It does not count for waits for other
    /// pods: those are read again, and a wait that has never observed a pod of the name may mean a later one.
    pub is_recalled: bool,
}

impl Ledger {
    /// When a read of the server last succeeded before `end`. An object with the time `end` may have arrived after it:
    /// a LIST for many waits may follow the read of one of them without a delay.
    #[must_use]
    pub fn last_good_read(&self, end: Duration) -> Option<Duration> {
        let objects = self.objects.iter().filter(|object| !object.is_gone).map(|object| object.at);
        let reads = objects.chain(self.absences.iter().map(|(at, _)| *at));
        reads.filter(|at| *at < end).max()
    }

    /// The most requests that were sent within any `window`.
    #[must_use]
    pub fn burst(&self, window: Duration) -> usize {
        let requests = &self.requests;
        let from = |n: usize| requests[n..].iter().take_while(|at| **at < requests[n] + window).count();
        (0..requests.len()).map(from).max().unwrap_or(0)
    }
}

/// The connection of one run, and its ledger.
#[derive(Clone, Debug)]
pub struct Wire {
    start: Instant,
    ledger: Arc<Mutex<Ledger>>,
}

impl Wire {
    /// The connection of a run that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), ledger: Arc::default() }
    }

    /// When the run began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The traffic so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many objects have arrived so far.
    #[must_use]
    pub fn arrivals(&self) -> usize {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).objects.len()
    }

    /// A client of this cluster over this connection. Must be called in a tokio runtime.
    #[must_use]
    pub fn client(&self, cluster: &Cluster) -> podwait::Client {
        let (wire, cluster) = (self.clone(), cluster.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (wire, cluster) = (wire.clone(), cluster.clone());
            async move {
                wire.note(|ledger, now| ledger.requests.push(now));
                let asked = Asked::of(request.uri());
                let response: Response<_> = cluster.handle(request).await?;
                let status = response.status();
                let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
                let encoding = media_type.and_then(Encoding::of_content_type).unwrap_or(Encoding::Json);
                Ok::<_, std::io::Error>(response.map(|body| {
                    body.map_frame(move |frame| {
                        if let Some(data) = frame.data_ref() {
                            wire.arrives(&asked, status, encoding, data);
                        }
                        frame
                    })
                }))
            }
        });
        podwait::Client::from_service(service, "ci")
    }

    /// Records a piece of a response that the client receives. The simulated cluster sends each object as one piece,
    /// and each page of a LIST too. Of a page that breaks off, the client receives the beginning.
    fn arrives(&self, asked: &Asked, status: StatusCode, encoding: Encoding, data: &[u8]) {
        let mut is_gone = false;
        let (versions, is_absence) = match (status, asked.what) {
            (StatusCode::OK, What::Pod) => (of_get(encoding, data).into_iter().collect(), false),
            (StatusCode::OK, What::List) => of_list(encoding, data),
            (StatusCode::OK, What::Watch) => {
                let event = of_event(encoding, data);
                is_gone = event.is_some_and(|(_, is_gone)| is_gone);
                (event.into_iter().map(|(version, _)| version).collect(), false)
            }
            (StatusCode::NOT_FOUND, What::Pod) => (Vec::new(), is_absence(encoding, data)),
            _ => return,
        };
        self.note(|ledger, at| {
            if is_absence && !asked.is_question {
                ledger.absences.push((at, asked.name.clone()));
            }
            let arrival = |version| Arrival { at, version, is_gone, is_recalled: asked.is_recalled };
            ledger.objects.extend(versions.into_iter().map(arrival));
        });
    }

    fn note(&self, note: impl FnOnce(&mut Ledger, Duration)) {
        let now = self.start.elapsed();
        note(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// The object of a request.
struct Asked {
    what: What,
    /// The pod's name, for a GET.
    name: Option<String>,
    /// A label selector in the request. The result is then no evidence that a pod does not exist.
    is_question: bool,
    is_recalled: bool,
}

#[derive(Clone, Copy)]
enum What {
    Pod,
    List,
    Watch,
}

impl Asked {
    fn of(uri: &Uri) -> Self {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let has = |wanted: &str| query.split('&').any(|parameter| parameter == wanted);
        let name = path.split_once("/pods/").map(|(_, name)| name.to_owned());
        let what = match name {
            Some(_) => What::Pod,
            None if has("watch=true") || has("watch=1") => What::Watch,
            None => What::List,
        };
        Self {
            what,
            name,
            is_question: query.contains("labelSelector="),
            is_recalled: has("timeoutSeconds=10"),
        }
    }
}

/// Whether the body of a 404 is complete and reports that there is no such pod.
fn is_absence(encoding: Encoding, body: &[u8]) -> bool {
    let (is_whole, details): (_, &[u8]) = match encoding {
        Encoding::Json => (body.ends_with(b"\n"), br#""kind":"pods""#),
        Encoding::Protobuf => (object(body).is_some(), b"\x1a\x04pods"),
    };
    is_whole && body.windows(details.len()).any(|part| part == details)
}

/// The object in a complete envelope.
fn object(bytes: &[u8]) -> Option<&[u8]> {
    field(bytes.strip_prefix(b"k8s\0")?, &[2])
}

/// The resourceVersion of a pod. A pod of another namespace does not count.
fn of_json(pod: &Value) -> Option<u64> {
    let text = |name: &str| pod["metadata"][name].as_str();
    text("resourceVersion")?.parse().ok().filter(|_| text("namespace") != Some(ELSEWHERE))
}

/// The same for a message without an envelope.
fn of_message(pod: &[u8]) -> Option<u64> {
    let text = |number| std::str::from_utf8(field(pod, &[1, number])?).ok();
    text(6)?.parse().ok().filter(|_| text(3) != Some(ELSEWHERE))
}

/// The resourceVersion of the pod in the complete response to a GET.
fn of_get(encoding: Encoding, data: &[u8]) -> Option<u64> {
    match encoding {
        Encoding::Json => of_json(&serde_json::from_slice(data).ok()?),
        Encoding::Protobuf => of_message(object(data)?),
    }
}

/// The resourceVersion of each complete item of a LIST, and whether the LIST is complete and empty.
fn of_list(encoding: Encoding, mut data: &[u8]) -> (Vec<u64>, bool) {
    let (mut items, mut count, mut versions) = (ListItems::new(encoding), 0, Vec::new());
    while let Ok(Some(item)) = items.next_item(&mut data) {
        count += 1;
        versions.extend(match encoding {
            Encoding::Json => serde_json::from_slice(item.bytes()).ok().as_ref().and_then(of_json),
            Encoding::Protobuf => of_message(item.bytes()),
        });
    }
    (versions, count == 0 && items.finish().is_ok())
}

/// The resourceVersion of the pod of a complete event, and whether the pod is gone.
fn of_event(encoding: Encoding, data: &[u8]) -> Option<(u64, bool)> {
    let (kind, version) = match encoding {
        Encoding::Json => {
            let event: Value = serde_json::from_slice(data.strip_suffix(b"\n")?).ok()?;
            (event["type"].as_str()?.to_owned(), of_json(&event["object"]))
        }
        Encoding::Protobuf => {
            let (length, event) = data.split_first_chunk()?;
            let is_whole = usize::try_from(u32::from_be_bytes(*length)) == Ok(event.len());
            let kind = field(event, &[1]).filter(|_| is_whole)?;
            (String::from_utf8(kind.to_vec()).ok()?, of_message(object(field(event, &[2, 1])?)?))
        }
    };
    let is_of_a_pod = matches!(&*kind, "ADDED" | "MODIFIED" | "DELETED");
    version.filter(|_| is_of_a_pod).map(|version| (version, kind == "DELETED"))
}
