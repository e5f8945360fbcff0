//! The received requests: each is counted, and gets its fault before it is handled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Method, Uri};

use crate::encoding::{self, Encoding};
use crate::fault::Fault;

/// The verb of a request, as in authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verb {
    /// GET of one pod.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection with `watch=true`.
    Watch,
    /// POST of a pod.
    Create,
    /// DELETE of a pod.
    Delete,
    /// GET of a container's log.
    Log,
    /// PATCH of a pod's metadata.
    Patch,
}

impl Verb {
    /// The name in authorization.
    fn as_str(self) -> &'static str {
        match self {
            Self::Get | Self::Log => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Patch => "patch",
        }
    }
}

/// A received request, for a [`Faults::rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestInfo {
    /// Its verb.
    pub verb: Verb,
    /// Its namespace; `None` is all namespaces.
    pub namespace: Option<String>,
    /// The pod, from the path or from `fieldSelector=metadata.name=`.
    pub name: Option<String>,
    /// The path and query as received.
    pub uri: String,
}

/// How many requests of each verb were received, including requests with a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// [`Verb::Get`]
    pub get: u64,
    /// [`Verb::List`]
    pub list: u64,
    /// [`Verb::Watch`]
    pub watch: u64,
    /// [`Verb::Create`]
    pub create: u64,
    /// [`Verb::Delete`]
    pub delete: u64,
    /// [`Verb::Log`]
    pub log: u64,
    /// [`Verb::Patch`]
    pub patch: u64,
}

/// The faults for future requests, and the counts of requests.
#[derive(Debug, Default)]
pub struct Faults {
    inner: Mutex<Inner>,
}

type Listener = Box<dyn FnMut(&Method, &Uri) + Send>;
type Rule = Box<dyn FnMut(&RequestInfo) -> Option<Fault> + Send>;

#[derive(Default)]
struct Inner {
    counts: RequestCounts,
    queues: BTreeMap<Verb, VecDeque<Fault>>,
    rule: Option<Rule>,
    forbidden: BTreeSet<Verb>,
    has_json_only: bool,
    refuses_watch_list: bool,
    listener: Option<Listener>,
}

impl Faults {
    /// Calls `listener` for every received request, also for one that is not for pods, before it is handled.
    pub fn listen(&self, listener: impl FnMut(&Method, &Uri) + Send + 'static) {
        self.lock().listener = Some(Box::new(listener));
    }

    /// Reports a received request to the listener.
    pub(crate) fn hear(&self, method: &Method, uri: &Uri) {
        if let Some(listener) = &mut self.lock().listener {
            listener(method, uri);
        }
    }

    /// Removes the right to this verb from all clients: from now on such a request gets 403, and a
    /// `SelfSubjectAccessReview` reports that it is not allowed.
    pub fn forbid(&self, verb: Verb) {
        self.lock().forbidden.insert(verb);
    }

    /// Whether clients have the right to this verb of authorization.
    pub(crate) fn allows(&self, verb: &str) -> bool {
        !self.lock().forbidden.iter().any(|forbidden| forbidden.as_str() == verb)
    }

    /// Makes a server that knows JSON only: a request that also accepts JSON gets JSON, and a request that accepts only
    /// protobuf gets 406.
    pub fn refuse_protobuf(&self) {
        self.lock().has_json_only = true;
    }

    /// Lets the server refuse watches with `sendInitialEvents`, as an API server does before Kubernetes 1.27 and without the
    /// feature gate WatchList.
    pub fn refuse_watch_list(&self) {
        self.lock().refuses_watch_list = true;
    }

    /// Whether the server sends a LIST at the beginning of a watch.
    pub(crate) fn knows_watch_list(&self) -> bool {
        !self.lock().refuses_watch_list
    }

    /// The encodings that the server knows.
    pub(crate) fn encodings(&self) -> &'static [Encoding] {
        if self.lock().has_json_only { &[Encoding::Json] } else { encoding::ALL }
    }

    /// Adds a fault for a later request with this verb. Each fault applies to one request, in the order in which the
    /// faults were added.
    pub fn push(&self, verb: Verb, fault: Fault) {
        self.lock().queues.entry(verb).or_default().push_back(fault);
    }

    /// Sets a rule for all requests without a pushed fault, in place of the last rule. `rule` must not call
    /// [`Cluster::faults`](crate::Cluster::faults).
    pub fn rule(&self, rule: impl FnMut(&RequestInfo) -> Option<Fault> + Send + 'static) {
        self.lock().rule = Some(Box::new(rule));
    }

    /// Removes the pushed faults and the rule, restores all rights, and enables protobuf and WatchList again.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.queues.clear();
        inner.rule = None;
        inner.forbidden.clear();
        inner.has_json_only = false;
        inner.refuses_watch_list = false;
    }

    /// Counts a request, and returns its fault.
    pub(crate) fn admit(&self, request: &RequestInfo) -> Option<Fault> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        *inner.counts.of(request.verb) += 1;
        if inner.forbidden.contains(&request.verb) {
            return Some(Fault::status(403));
        }
        let pushed = inner.queues.get_mut(&request.verb).and_then(VecDeque::pop_front);
        pushed.or_else(|| inner.rule.as_mut().and_then(|rule| rule(request)))
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestCounts {
    fn of(&mut self, verb: Verb) -> &mut u64 {
        match verb {
            Verb::Get => &mut self.get,
            Verb::List => &mut self.list,
            Verb::Watch => &mut self.watch,
            Verb::Create => &mut self.create,
            Verb::Delete => &mut self.delete,
            Verb::Log => &mut self.log,
            Verb::Patch => &mut self.patch,
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule.as_ref().map(|_| "..");
        f.debug_struct("Inner")
            .field("counts", &self.counts)
            .field("queues", &self.queues)
            .field("rule", &rule)
            .field("forbidden", &self.forbidden)
            .field("has_json_only", &self.has_json_only)
            .field("refuses_watch_list", &self.refuses_watch_list)
            .finish()
    }
}
