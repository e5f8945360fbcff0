//! Requests to the API server, and their purposes.

use crate::failure::{ApiFailure, Via};
use crate::lane::Lane;
use crate::link::From;
use crate::name::{PodName, Selection};
use crate::registry::PodId;
use crate::table::{Table, keys, pop};
use alloc::collections::BTreeSet;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use form_urlencoded::Serializer;
use podwait_core::Instant;

keys! {
    /// One request, from its command to its end.
    pub struct RequestId;
}

/// How long a call may take, its whole answer included; for a watch, until it is open.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a page of a LIST may take while bytes arrive: a slow connection is allowed, one that never finishes is not.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A command for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send this request, and hand over its answer under this id.
    Send(RequestId, Request),
    /// Drop this request: its answer is not needed any more.
    Close(RequestId),
}

/// A request: all are GETs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read one pod from etcd: no resourceVersion, because a cache may still have a pod that is gone.
    Get(PodName),
    /// One page of a LIST, the first or that of a continue token, with at most `limit` items.
    List {
        /// Of which pods.
        selection: Selection,
        /// `continue`
        token: Option<String>,
        /// `limit`
        limit: u32,
    },
    /// A watch.
    Watch {
        /// Of which pods.
        selection: Selection,
        /// Where it begins.
        from: From,
        /// `timeoutSeconds`
        seconds: u32,
    },
    /// A LIST and a watch in one ([WatchList, KEP-3157](https://kep.k8s.io/3157)): first each object as a consistent
    /// read finds it, then a bookmark with an annotation, then events as of a watch.
    WatchList {
        /// Of which pods.
        selection: Selection,
        /// `timeoutSeconds`
        seconds: u32,
    },
}

/// A resource of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `pods`
    Pods,
    /// `jobs` in the group `batch`
    Jobs,
}

impl Resource {
    /// The kind of its objects, in lower case for sentences.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Pods => "pod",
            Self::Jobs => "job",
        }
    }

    /// The path of the collection.
    fn path(self, namespace: Option<&str>) -> String {
        let (version, plural) = match self {
            Self::Pods => ("/api/v1", "pods"),
            Self::Jobs => ("/apis/batch/v1", "jobs"),
        };
        match namespace {
            Some(namespace) => format!("{version}/namespaces/{namespace}/{plural}"),
            None => format!("{version}/{plural}"),
        }
    }
}

impl Request {
    /// Path and query of the request for objects of this resource.
    #[must_use]
    pub fn target(&self, resource: Resource) -> String {
        match self {
            Self::Get(pod) => format!("{}/{}", resource.path(Some(pod.namespace())), pod.name()),
            Self::List { selection, token, limit } => {
                let mut query = selection.query(resource);
                query.append_pair("limit", &format!("{limit}"));
                if let Some(token) = token {
                    query.append_pair("continue", token);
                }
                selection.select(&mut query);
                query.finish()
            }
            Self::Watch { selection, from, seconds } => {
                let from = [("resourceVersion", from.resource_version())];
                selection.watch(resource, &from, *seconds)
            }
            Self::WatchList { selection, seconds } => {
                let from = [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")];
                selection.watch(resource, &from, *seconds)
            }
        }
    }

    /// An invalid name in the request, which cannot be part of a path, and the kind of the name.
    #[must_use]
    pub fn invalid_name(&self, resource: Resource) -> Option<(&'static str, &str)> {
        let (namespace, pod) = match self {
            Self::Get(pod) => (None, Some(pod)),
            Self::List { selection, .. }
            | Self::Watch { selection, .. }
            | Self::WatchList { selection, .. } => (selection.namespace.as_deref(), selection.pod.as_ref()),
        };
        let of_pod =
            pod.into_iter().flat_map(|pod| [(resource.kind(), pod.name()), ("namespace", pod.namespace())]);
        let names = of_pod.chain(namespace.map(|namespace| ("namespace", namespace)));
        names.into_iter().find(|(_, name)| !is_dns_subdomain(name))
    }
}

impl Selection {
    /// The path of the collection, and the beginning of a query.
    fn query(&self, resource: Resource) -> Serializer<'static, String> {
        let path = resource.path(self.namespace.as_deref()) + "?";
        let start = path.len();
        Serializer::for_suffix(path, start)
    }

    /// Path and query of a watch that begins there.
    fn watch(&self, resource: Resource, from: &[(&str, &str)], seconds: u32) -> String {
        let mut query = self.query(resource);
        query.append_pair("watch", "true");
        query.extend_pairs(from);
        query.append_pair("timeoutSeconds", &format!("{seconds}"));
        query.append_pair("allowWatchBookmarks", "true");
        self.select(&mut query);
        query.finish()
    }

    fn select(&self, query: &mut Serializer<'_, String>) {
        if let Some(pod) = &self.pod {
            query.append_pair("fieldSelector", &format!("metadata.name={}", pod.name()));
        }
        if let Some(labels) = &self.labels {
            query.append_pair("labelSelector", labels);
        }
    }
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

/// The purpose of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The watch of the scope.
    SharedWatch,
    /// The probe for final states of pods in the scope.
    SharedProbe,
    /// A page of the scope's LIST.
    Page,
    /// The scope's LIST at the beginning of a watch. After the last object, the purpose is `SharedWatch`.
    WatchList,
    /// The watch of one pod by its name.
    OwnWatch(PodId),
    /// The probe for the final state of one pod, by its name.
    OwnProbe(PodId),
    /// A read of one pod in this lane, sent when the pod was in this generation.
    Read {
        pod: PodId,
        generation: u64,
        lane: Lane,
        /// It is a LIST by name, which shows whether the selector of the watch matches the pod.
        is_question: bool,
    },
}

impl Purpose {
    pub(crate) const fn via(&self) -> Via {
        match self {
            Self::SharedWatch
            | Self::SharedProbe
            | Self::WatchList
            | Self::OwnWatch(_)
            | Self::OwnProbe(_) => Via::Watch,
            Self::Page | Self::Read { is_question: true, .. } => Via::List,
            Self::Read { is_question: false, .. } => Via::Get,
        }
    }
}

#[derive(Clone, Debug)]
struct InFlight {
    purpose: Purpose,
    sent: Instant,
    /// The time by which an answer must come.
    deadline: Option<Instant>,
}

/// The requests that are under way, and the commands for the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    in_flight: Table<RequestId, InFlight>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    commands: VecDeque<Command>,
}

impl Calls {
    /// Sends a request.
    pub(crate) fn send(&mut self, now: Instant, purpose: Purpose, request: Request) -> RequestId {
        let deadline = now.after(CALL_TIMEOUT);
        let id = self.in_flight.insert(InFlight { purpose, sent: now, deadline: Some(deadline) });
        self.deadlines.insert((deadline, id));
        self.commands.push_back(Command::Send(id, request));
        id
    }

    /// The purpose of a request that is under way.
    pub(crate) fn purpose(&self, id: RequestId) -> Option<&Purpose> {
        self.in_flight.get(id).map(|call| &call.purpose)
    }

    /// Removes a request that has ended. Returns its purpose.
    pub(crate) fn end(&mut self, id: RequestId) -> Option<Purpose> {
        let call = self.in_flight.remove(id)?;
        if let Some(deadline) = call.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(call.purpose)
    }

    /// Drops a request if it is under way. Returns its purpose.
    pub(crate) fn close(&mut self, id: RequestId) -> Option<Purpose> {
        let purpose = self.end(id)?;
        self.commands.push_back(Command::Close(id));
        Some(purpose)
    }

    /// A watch is open: from now on it has no deadline.
    pub(crate) fn opened(&mut self, id: RequestId) {
        if self.purpose(id) != Some(&Purpose::WatchList) {
            self.set_deadline(id, None);
        }
    }

    /// The LIST of a [`Purpose::WatchList`] is complete: from now on it is the watch of the scope.
    pub(crate) fn listed(&mut self, id: RequestId) {
        if let Some(call) = self.in_flight.get_mut(id) {
            call.purpose = Purpose::SharedWatch;
        }
        self.opened(id);
    }

    /// Bytes of a LIST arrived.
    pub(crate) fn progress(&mut self, now: Instant, id: RequestId) {
        let Some(call) = self.in_flight.get(id) else { return };
        if matches!(call.purpose, Purpose::Page | Purpose::WatchList) {
            let deadline = now.after(CALL_TIMEOUT).min(call.sent.after(PAGE_TIMEOUT));
            self.set_deadline(id, Some(deadline));
        }
    }

    fn set_deadline(&mut self, id: RequestId, deadline: Option<Instant>) {
        let Some(call) = self.in_flight.get_mut(id) else { return };
        if let Some(before) = core::mem::replace(&mut call.deadline, deadline) {
            self.deadlines.remove(&(before, id));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
    }

    /// Removes a request whose deadline has passed.
    pub(crate) fn next_late(&mut self, now: Instant) -> Option<(Purpose, ApiFailure)> {
        let (deadline, id) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let purpose = self.end(id)?;
        self.commands.push_back(Command::Close(id));
        let failure = ApiFailure::new(purpose.via(), 0, &format!("no response within {CALL_TIMEOUT:?}"));
        Some((purpose, failure))
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn next_command(&mut self) -> Option<Command> {
        pop(&mut self.commands)
    }

    pub(crate) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn selection(namespace: Option<&str>, labels: Option<&str>, pod: Option<&str>) -> Selection {
        Selection {
            namespace: namespace.map(Into::into),
            labels: labels.map(Into::into),
            pod: pod.map(|pod| PodName::new("ci", pod)),
        }
    }

    fn list(selection: Selection) -> Request {
        Request::List { selection, token: None, limit: 500 }
    }

    #[test]
    fn requests_have_the_paths_and_queries_of_the_api() {
        let watch =
            |from| Request::Watch { selection: selection(Some("ci"), None, Some("p")), from, seconds: 290 };
        let of_pod = "&timeoutSeconds=290&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dp";
        let token = Some("a=&b".into());
        let next =
            Request::List { selection: selection(Some("ci"), Some("a=1,b in (x)"), None), token, limit: 7 };
        let cases = [
            (Request::Get(PodName::new("ci", "p")), "/api/v1/namespaces/ci/pods/p".into()),
            (list(selection(None, None, None)), "/api/v1/pods?limit=500".into()),
            (
                next,
                "/api/v1/namespaces/ci/pods?limit=7&continue=a%3D%26b&labelSelector=a%3D1%2Cb+in+%28x%29"
                    .into(),
            ),
            (
                watch(From::After("42".into())),
                format!("/api/v1/namespaces/ci/pods?watch=true&resourceVersion=42{of_pod}"),
            ),
            (
                watch(From::Any("42".into())),
                format!("/api/v1/namespaces/ci/pods?watch=true&resourceVersion=0{of_pod}"),
            ),
            (
                Request::WatchList { selection: selection(None, Some("a=1"), None), seconds: 290 },
                "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                &timeoutSeconds=290&allowWatchBookmarks=true&labelSelector=a%3D1"
                    .into(),
            ),
        ];
        for (request, target) in cases {
            assert_eq!(request.target(Resource::Pods), target);
            assert_eq!(request.invalid_name(Resource::Pods), None);
            let job = target.replace("/api/", "/apis/batch/").replace("pods", "jobs");
            assert_eq!(request.target(Resource::Jobs), job);
        }
    }

    #[test]
    fn a_name_that_cannot_stand_in_a_path_is_found() {
        let get = |namespace, pod| Request::Get(PodName::new(namespace, pod));
        let cases = [
            (get("ci", "../nodes"), ("pod", "../nodes")),
            (get("a/b", "p"), ("namespace", "a/b")),
            (list(selection(Some("c?i"), None, None)), ("namespace", "c?i")),
            (list(selection(None, None, Some("P"))), ("pod", "P")),
            (
                Request::WatchList { selection: selection(Some("c/i"), None, None), seconds: 1 },
                ("namespace", "c/i"),
            ),
        ];
        for (request, invalid) in &cases {
            assert_eq!(request.invalid_name(Resource::Pods), Some(*invalid));
        }
        for (request, (what, name)) in &cases {
            let what = if *what == "pod" { "job" } else { what };
            assert_eq!(request.invalid_name(Resource::Jobs), Some((what, *name)));
        }
    }

    #[test]
    fn names_are_dns_subdomains() {
        let (longest, too_long) = ("a".repeat(253), "a".repeat(254));
        for name in ["a", "0", "a-b", "a.b-c.0", &longest] {
            assert!(is_dns_subdomain(name), "{name}");
        }
        for name in
            ["", "-a", "a-", "a..b", ".a", "a.", "a.-b", "a-.b", "A", "a_b", "a/b", "a b", "ä", &too_long]
        {
            assert!(!is_dns_subdomain(name), "{name}");
        }
    }

    #[test]
    fn each_request_has_its_time() {
        let at = Instant::from_millis;
        let mut calls = Calls::default();
        let request = || list(selection(None, None, None));
        let page = calls.send(at(0), Purpose::Page, request());
        let watch = calls.send(at(100), Purpose::SharedWatch, request());
        let probe = calls.send(at(200), Purpose::SharedProbe, request());
        assert_eq!(calls.next_deadline(), Some(at(10_000)));
        // Bytes of a page give it more time, up to a minute; those of another request do not.
        calls.progress(at(9_000), page);
        calls.progress(at(9_000), watch);
        assert_eq!(calls.next_deadline(), Some(at(10_100)));
        calls.opened(watch);
        assert_eq!(calls.next_deadline(), Some(at(10_200)));
        assert!(calls.next_late(at(10_199)).is_none());
        let late =
            calls.next_late(at(10_200)).map(|(purpose, failure)| (purpose, failure.via, failure.message));
        assert_eq!(late, Some((Purpose::SharedProbe, Via::Watch, "no response within 10s".into())));
        assert!(calls.next_late(at(10_200)).is_none() && calls.purpose(probe).is_none());
        calls.progress(at(55_000), page);
        assert_eq!(calls.next_deadline(), Some(at(60_000)));
        assert_eq!(calls.close(page), Some(Purpose::Page));
        assert_eq!(calls.close(page), None, "it is over");
        assert_eq!(calls.next_deadline(), None);
        let closed = core::iter::from_fn(|| calls.next_command()).filter_map(|command| match command {
            Command::Close(id) => Some(id),
            Command::Send(..) => None,
        });
        assert_eq!(closed.collect::<Vec<_>>(), [probe, page]);
    }

    #[test]
    fn a_watch_list_has_the_time_of_a_list_until_it_is_listed() {
        let at = Instant::from_millis;
        let mut calls = Calls::default();
        let request = Request::WatchList { selection: selection(None, None, None), seconds: 290 };
        let id = calls.send(at(0), Purpose::WatchList, request);
        calls.opened(id);
        assert_eq!(calls.next_deadline(), Some(at(10_000)));
        calls.progress(at(9_000), id);
        assert_eq!(calls.next_deadline(), Some(at(19_000)));
        calls.listed(id);
        assert_eq!((calls.next_deadline(), calls.purpose(id)), (None, Some(&Purpose::SharedWatch)));
        calls.progress(at(20_000), id);
        assert_eq!(calls.next_deadline(), None);
    }
}
