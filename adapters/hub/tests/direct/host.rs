//! A reflector with its clock, driven by hand.

use podwait_core::Instant;
use podwait_hub::{
    ApiFailure, Command, Confirms, Event, Head, Object, Observed, PodName, Reflector, Request, RequestId,
    Scope, Via, WaitId,
};
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub uid: &'static str,
    pub version: String,
}

impl Object for Pod {
    fn uid(&self) -> &str {
        self.uid
    }

    fn resource_version(&self) -> &str {
        &self.version
    }
}

pub const STEADY: Duration = Duration::from_secs(30);

/// A reflector with its clock.
pub struct Host {
    pub reflector: Reflector<Pod>,
    pub now: u64,
    /// The requests that were sent, and those that were closed, at the end of the last LIST.
    pub beside: Vec<(RequestId, Request)>,
    pub closed: Vec<RequestId>,
    /// The LISTs at the beginning of a watch.
    watch_lists: BTreeSet<RequestId>,
}

impl Host {
    /// A hub of the namespace `ci` with or without a label selector, and 10 requests per second.
    pub fn hub(labels: Option<&str>) -> Self {
        let scope = Scope { namespace: Some("ci".into()), labels: labels.map(Into::into) };
        Self {
            reflector: Reflector::of_scope(scope, 10),
            now: 1_000,
            beside: Vec::new(),
            closed: Vec::new(),
            watch_lists: BTreeSet::new(),
        }
    }

    /// Waits on single pods.
    pub fn single() -> Self {
        Self {
            reflector: Reflector::single(),
            now: 1_000,
            beside: Vec::new(),
            closed: Vec::new(),
            watch_lists: BTreeSet::new(),
        }
    }

    pub fn at(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    pub fn join(&mut self, name: &str) -> WaitId {
        self.join_for(name, None)
    }

    pub fn join_for(&mut self, name: &str, uid: Option<&str>) -> WaitId {
        let wait = self.reflector.join(self.at(), PodName::new("ci", name), true, uid);
        self.want(wait, STEADY, false);
        wait
    }

    pub fn want(&mut self, wait: WaitId, after: Duration, is_confirming: bool) {
        let confirms = if is_confirming { Confirms::Deletion } else { Confirms::Nothing };
        self.reflector.want(self.at(), wait, after, confirms);
    }

    /// The commands after so many milliseconds.
    pub fn commands(&mut self, millis: u64) -> Vec<Command> {
        self.now += millis;
        let mut all = Vec::new();
        for _ in 0..100 {
            let _ = self.reflector.poll(self.at());
            let before = all.len();
            all.extend(std::iter::from_fn(|| self.reflector.next_command()));
            if all.len() == before {
                break;
            }
        }
        let is_watch_list = |command: &Command| match command {
            Command::Send(id, Request::WatchList { .. }) => Some(*id),
            Command::Send(..) | Command::Close(_) => None,
        };
        self.watch_lists.extend(all.iter().filter_map(is_watch_list));
        all
    }

    /// The requests among those commands.
    pub fn requests(&mut self, millis: u64) -> Vec<(RequestId, Request)> {
        let sent = |command| match command {
            Command::Send(id, request) => Some((id, request)),
            Command::Close(_) => None,
        };
        self.commands(millis).into_iter().filter_map(sent).collect()
    }

    /// The only request among those commands.
    #[track_caller]
    pub fn request(&mut self, millis: u64) -> (RequestId, Request) {
        let mut requests = self.requests(millis);
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    pub fn deliveries(&mut self) -> Vec<(WaitId, Observed<Pod>)> {
        std::iter::from_fn(|| self.reflector.next_delivery()).collect()
    }

    /// Returns whether the object was read.
    pub fn event(&mut self, id: RequestId, event: Event, name: &str, pod: &Pod) -> bool {
        let (now, mut is_read) = (self.at(), false);
        self.reflector.event(now, id, event, head(name, pod), || {
            is_read = true;
            Ok(pod.clone())
        });
        is_read
    }

    /// A hub with a label selector and an open watch, and a wait for the pod `a`, which only a GET has shown, at version 90.
    #[track_caller]
    pub fn with_pod_outside() -> (Self, WaitId, RequestId) {
        let mut host = Self::hub(Some("app=x"));
        let wait = host.join("a");
        let watch = host.watch(&[]);
        let is_get = |request: &Request| *request == Request::Get(PodName::new("ci", "a"));
        let read = host.beside.iter().find(|(_, request)| is_get(request)).expect("a read").0;
        host.reflector.answer(host.at(), read, Some(pod("u", 90)));
        host.deliveries();
        (host, wait, watch)
    }

    /// Joins a wait, for which the hub asks whether its label selector matches the pod. Returns the wait and that request.
    #[track_caller]
    pub fn join_with_question(&mut self, name: &str) -> (WaitId, RequestId) {
        let wait = self.join(name);
        let (question, request) = self.request(0);
        assert!(matches!(request, Request::List { limit: 1, .. }), "{request:?}");
        (wait, question)
    }

    /// The pod of a wait is read and found, and its own watch opens.
    #[track_caller]
    pub fn watch_by_name(&mut self, wait: WaitId, found: Pod) -> RequestId {
        let (read, _) = self.request(0);
        self.reflector.answer(self.at(), read, Some(found));
        self.deliveries();
        self.want(wait, Duration::from_secs(300), false);
        let (own, _) = self.request(0);
        self.reflector.opened(self.at(), own);
        own
    }

    /// Lists these pods at version 100 and opens the watch.
    #[track_caller]
    pub fn watch(&mut self, pods: &[(&str, Pod)]) -> RequestId {
        let (watch, request) = self.request(200);
        assert!(matches!(request, Request::WatchList { seconds: 290, .. }), "{request:?}");
        self.reflector.opened(self.at(), watch);
        for (name, pod) in pods {
            self.event(watch, Event::State, name, pod);
        }
        self.listed(watch, "100");
        (self.beside, self.closed) = (Vec::new(), Vec::new());
        for command in self.commands(0) {
            match command {
                Command::Send(id, request) => self.beside.push((id, request)),
                Command::Close(id) => self.closed.push(id),
            }
        }
        watch
    }

    /// An object of a LIST of either form.
    pub fn item(&mut self, list: RequestId, name: &str, pod: &Pod) {
        if self.watch_lists.contains(&list) {
            self.event(list, Event::State, name, pod);
        } else {
            self.reflector.item(list, head(name, pod), || Ok(pod.clone()));
        }
    }

    /// The end of a LIST of either form.
    pub fn page(&mut self, list: RequestId, resource_version: &str) {
        if self.watch_lists.contains(&list) {
            self.listed(list, resource_version);
        } else {
            self.reflector.page(self.at(), list, resource_version, None);
        }
    }

    /// The bookmark after the last object of a LIST at the beginning of a watch.
    pub fn listed(&mut self, id: RequestId, resource_version: &str) {
        let head = Head { namespace: "", name: "", resource_version };
        self.reflector.event(self.at(), id, Event::Listed, head, || unreachable!("it has no object"));
    }

    /// The request for a first page, from a server that refuses a LIST at the beginning of a watch.
    #[track_caller]
    pub fn first_page(&mut self) -> RequestId {
        let (list, request) = self.request(200);
        assert!(matches!(request, Request::WatchList { .. }), "{request:?}");
        self.reflector.failed(self.at(), list, failure(422, None));
        let (list, request) = self.request(0);
        assert!(matches!(request, Request::List { token: None, .. }), "{request:?}");
        list
    }
}

pub fn head<'a>(name: &'a str, pod: &'a Pod) -> Head<'a> {
    Head { namespace: "ci", name, resource_version: &pod.version }
}

pub fn pod(uid: &'static str, version: u64) -> Pod {
    Pod { uid, version: version.to_string() }
}

pub fn failure(code: u16, retry_after: Option<u64>) -> ApiFailure {
    let retry_after = retry_after.map(Duration::from_secs);
    ApiFailure { via: Via::Get, code, is_status: true, retry_after, message: "so it is".into() }
}

pub fn is_watch(request: &Request, of_seconds: u32) -> bool {
    matches!(request, Request::Watch { seconds, .. } if *seconds == of_seconds)
}
