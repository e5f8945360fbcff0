//! A reflector with its clock, driven by hand.

use podwait_core::Instant;
use podwait_hub::{
    ApiFailure, Command, Confirms, Event, Head, Object, Observed, PodName, Reflector, Request, RequestId,
    Scope, Via, WaitId,
};
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
    /// The requests that were sent with the last watch.
    pub beside: Vec<(RequestId, Request)>,
}

impl Host {
    /// A hub of the namespace `ci` with or without a label selector, and 10 requests per second.
    pub fn hub(labels: Option<&str>) -> Self {
        let scope = Scope { namespace: Some("ci".into()), labels: labels.map(Into::into) };
        Self { reflector: Reflector::of_scope(scope, 10), now: 1_000, beside: Vec::new() }
    }

    /// Waits on single pods.
    pub fn single() -> Self {
        Self { reflector: Reflector::single(), now: 1_000, beside: Vec::new() }
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

    /// Lists these pods at version 100 and opens the watch.
    #[track_caller]
    pub fn watch(&mut self, pods: &[(&str, Pod)]) -> RequestId {
        let (id, request) = self.request(200);
        assert!(matches!(request, Request::List { token: None, .. }), "{request:?}");
        let now = self.at();
        for (name, pod) in pods {
            self.reflector.item(id, head(name, pod), || Ok(pod.clone()));
        }
        self.reflector.page(now, id, "100", None);
        let requests = self.requests(0);
        let is_watch = |request: &Request| matches!(request, Request::Watch { seconds: 290, .. });
        let watch = requests.iter().find(|(_, request)| is_watch(request)).expect("a watch").0;
        self.reflector.opened(self.at(), watch);
        self.beside = requests;
        watch
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
