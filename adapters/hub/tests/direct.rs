//! Cases that walks of a few pods do not reach, driven by hand.
#![allow(missing_docs, reason = "a test")]

use podwait_core::Instant;
use podwait_hub::{
    ApiFailure, Command, Confirms, Event, From, Head, Object, Observed, PodName, Reflector, Request,
    RequestId, Scope, Selection, Via, WaitId,
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pod {
    uid: &'static str,
    version: String,
}

impl Object for Pod {
    fn uid(&self) -> &str {
        self.uid
    }

    fn resource_version(&self) -> &str {
        &self.version
    }
}

const STEADY: Duration = Duration::from_secs(30);

/// A reflector with its clock.
struct Host {
    reflector: Reflector<Pod>,
    now: u64,
    /// The requests that were sent with the last watch.
    beside: Vec<(RequestId, Request)>,
}

impl Host {
    /// A hub of the namespace `ci` with or without a label selector, and 10 requests per second.
    fn hub(labels: Option<&str>) -> Self {
        let scope = Scope { namespace: Some("ci".into()), labels: labels.map(Into::into) };
        Self { reflector: Reflector::of_scope(scope, 10), now: 1_000, beside: Vec::new() }
    }

    fn at(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn join(&mut self, name: &str) -> WaitId {
        self.join_for(name, None)
    }

    fn join_for(&mut self, name: &str, uid: Option<&str>) -> WaitId {
        let wait = self.reflector.join(self.at(), PodName::new("ci", name), true, uid);
        self.want(wait, STEADY, false);
        wait
    }

    fn want(&mut self, wait: WaitId, after: Duration, is_confirming: bool) {
        let confirms = if is_confirming { Confirms::Deletion } else { Confirms::Nothing };
        self.reflector.want(self.at(), wait, after, confirms);
    }

    /// The commands after so many milliseconds.
    fn commands(&mut self, millis: u64) -> Vec<Command> {
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
    fn requests(&mut self, millis: u64) -> Vec<(RequestId, Request)> {
        let sent = |command| match command {
            Command::Send(id, request) => Some((id, request)),
            Command::Close(_) => None,
        };
        self.commands(millis).into_iter().filter_map(sent).collect()
    }

    /// The only request among those commands.
    #[track_caller]
    fn request(&mut self, millis: u64) -> (RequestId, Request) {
        let mut requests = self.requests(millis);
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    fn deliveries(&mut self) -> Vec<(WaitId, Observed<Pod>)> {
        std::iter::from_fn(|| self.reflector.next_delivery()).collect()
    }

    fn event(&mut self, id: RequestId, event: Event, name: &str, pod: &Pod) {
        let now = self.at();
        self.reflector.event(now, id, event, head(name, pod), || Ok(pod.clone()));
    }

    /// Lists these pods at version 100 and opens the watch.
    #[track_caller]
    fn watch(&mut self, pods: &[(&str, Pod)]) -> RequestId {
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

fn head<'a>(name: &'a str, pod: &'a Pod) -> Head<'a> {
    Head { namespace: "ci", name, resource_version: &pod.version }
}

fn pod(uid: &'static str, version: u64) -> Pod {
    Pod { uid, version: version.to_string() }
}

fn failure(code: u16, retry_after: Option<u64>) -> ApiFailure {
    let retry_after = retry_after.map(Duration::from_secs);
    ApiFailure { via: Via::Get, code, is_status: true, retry_after, message: "so it is".into() }
}

#[test]
fn a_watch_that_is_behind_does_not_bring_old_states_back() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u2", 98))]);
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::List, pod("u2", 98)))]);
    host.want(wait, STEADY, false);
    // These events are from before the LIST: the end of another pod, and the beginning of this one.
    host.event(watch, Event::Deleted, "a", &pod("u1", 95));
    host.event(watch, Event::State, "a", &pod("u2", 96));
    assert_eq!(host.deliveries(), []);
    host.event(watch, Event::Deleted, "a", &pod("u2", 101));
    assert_eq!(host.deliveries(), [(wait, Observed::Deleted(pod("u2", 101)))]);
}

#[test]
fn what_a_probe_by_name_shows_need_not_have_the_label() {
    let mut host = Host::hub(Some("podwait"));
    let (first, second) = (host.join("a"), host.join("a"));
    let _ = host.watch(&[]);
    let read = host.beside.iter().find(|(_, request)| matches!(request, Request::Get(_))).expect("a read").0;
    // The pod exists without the label, and then another pod has the name.
    host.reflector.answer(host.at(), read, Some(pod("u1", 90)));
    host.deliveries();
    host.want(first, STEADY, false);
    host.want(second, STEADY, false);
    let (read, request) = host.request(500);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")));
    host.reflector.answer(host.at(), read, Some(pod("u2", 103)));
    host.deliveries();
    host.want(first, Duration::from_secs(3), true);
    host.want(second, STEADY, false);
    let (probe, request) = host.request(0);
    let selection =
        Selection { namespace: Some("ci".into()), pod: Some(PodName::new("ci", "a")), labels: None };
    assert_eq!(request, Request::Watch { selection, from: From::After("90".into()), seconds: 10 });
    host.reflector.opened(host.at(), probe);
    host.event(probe, Event::State, "a", &pod("u2", 104));
    assert_eq!(host.deliveries().len(), 2, "it is news to both");
    host.want(first, Duration::from_secs(3), true);
    host.want(second, STEADY, false);
    let (_, request) = host.request(500);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")), "it is read as often as before");
}

#[test]
fn an_earlier_state_is_delivered_only_to_the_wait_that_confirms() {
    let mut host = Host::hub(None);
    let first = host.join("a");
    let _ = host.watch(&[("a", pod("u1", 90))]);
    host.deliveries();
    host.want(first, STEADY, false);
    let second = host.join("a");
    let (read, _) = host.request(200);
    host.reflector.answer(host.at(), read, Some(pod("u2", 105)));
    assert_eq!(host.deliveries().len(), 2);
    host.want(first, Duration::from_secs(3), true);
    host.want(second, STEADY, false);
    let (probe, _) = host.request(1_000);
    host.reflector.opened(host.at(), probe);
    host.event(probe, Event::State, "a", &pod("u1", 102));
    host.event(probe, Event::Deleted, "a", &pod("u1", 103));
    let expected = [Observed::Pod(Via::Watch, pod("u1", 102)), Observed::Deleted(pod("u1", 103))];
    assert_eq!(host.deliveries(), expected.map(|observed| (first, observed)));
}

#[test]
fn what_came_before_a_lost_record_is_looked_for_and_the_pod_is_still_there() {
    for labels in [None, Some("app=x")] {
        let mut host = Host::hub(labels);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u1", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_millis(200), false);
        let (read, _) = host.request(200);
        host.reflector.answer(host.at(), read, Some(pod("u1", 105)));
        assert_eq!(host.deliveries().len(), 1);
        host.reflector.want(host.at(), wait, Duration::from_secs(3), Confirms::LostRecord);
        let (probe, _) = host.request(1_000);
        host.reflector.opened(host.at(), probe);
        host.event(probe, Event::State, "a", &pod("u1", 102));
        assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u1", 102)))]);
        host.reflector.want(host.at(), wait, Duration::from_secs(2), Confirms::LostRecord);
        if labels.is_some() {
            // It has lost its label since.
            host.event(watch, Event::Deleted, "a", &pod("u1", 107));
            assert_eq!(host.deliveries(), []);
        }
    }
}

#[test]
fn a_wait_that_came_when_another_pod_had_the_name_has_the_past_of_its_own() {
    for labels in [None, Some("app=x")] {
        let mut host = Host::hub(labels);
        host.join("b");
        let watch = host.watch(&[("b", pod("u0", 90))]);
        host.deliveries();
        // The pod of these waits is gone, which the watch has yet to show.
        let pinned = host.join_for("a", Some("u1"));
        let any = host.join("a");
        let other = host.join_for("a", Some("u2"));
        let (read, _) = host.request(200);
        host.reflector.answer(host.at(), read, Some(pod("u2", 110)));
        assert_eq!(host.deliveries().len(), 3);
        for wait in [pinned, any, other] {
            host.want(wait, STEADY, false);
        }
        host.event(watch, Event::State, "a", &pod("u1", 102));
        host.event(watch, Event::State, "a", &pod("u2", 109));
        assert_eq!(host.deliveries(), [(pinned, Observed::Pod(Via::Watch, pod("u1", 102)))]);
        host.want(pinned, STEADY, false);
        host.event(watch, Event::Deleted, "a", &pod("u1", 108));
        if labels.is_some() {
            // The pod may only have lost its label.
            let (read, _) = host.request(200);
            host.reflector.answer(host.at(), read, Some(pod("u2", 110)));
        }
        let deleted = Observed::Deleted(pod("u1", 108));
        assert!(host.deliveries().contains(&(pinned, deleted)));
        host.event(watch, Event::State, "a", &pod("u2", 111));
        assert_eq!(host.deliveries().len(), 3);
    }
}

#[test]
fn many_urgent_reads_become_one_list() {
    let mut host = Host::hub(None);
    let names: Vec<String> = (0..80).map(|pod| format!("pod{pod}")).collect();
    host.join("first");
    let _ = host.watch(&[("first", pod("u", 90))]);
    host.deliveries();
    let late: Vec<WaitId> = names.iter().map(|name| host.join(name)).collect();
    let requests = host.requests(1_200);
    let lists = requests.iter().filter(|(_, request)| matches!(request, Request::List { .. })).count();
    assert_eq!(lists, 1, "{requests:?}");
    assert!(requests.len() <= 17, "{requests:?}");
    let list = requests.iter().find(|(_, request)| matches!(request, Request::List { .. })).expect("it").0;
    let now = host.at();
    for name in &names[..70] {
        let pod = pod("u", 100);
        host.reflector.item(list, head(name, &pod), || Ok(pod.clone()));
    }
    host.reflector.page(now, list, "101", None);
    let delivered = host.deliveries();
    let absent: Vec<WaitId> = delivered
        .iter()
        .filter(|(_, seen)| *seen == Observed::NotFound(Via::List))
        .map(|(wait, _)| *wait)
        .collect();
    assert!(late[70..].iter().all(|wait| absent.contains(wait)), "{absent:?}");
}

#[test]
fn an_event_that_overtakes_a_late_read_may_be_old() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u1", 90))]);
    host.deliveries();
    host.want(wait, Duration::from_millis(500), false);
    let (_read, _) = host.request(500);
    // In time it says what it says.
    host.event(watch, Event::State, "a", &pod("u1", 101));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u1", 101)))]);
    host.want(wait, Duration::from_millis(500), false);
    let (_read, _) = host.request(500);
    host.now += 400;
    host.event(watch, Event::State, "a", &pod("u1", 102));
    let late = Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"));
    let expected = [late, Observed::Pod(Via::Watch, pod("u1", 102))];
    assert_eq!(host.deliveries(), expected.map(|observed| (wait, observed)));
}

#[test]
fn a_list_that_is_about_to_bring_the_pod_is_awaited_for_a_second() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    host.reflector.failed(host.at(), list, failure(503, None));
    assert_eq!(host.deliveries(), [(wait, Observed::Failed(failure(503, None)))]);
    host.want(wait, Duration::from_secs(3), false);
    let (list, request) = host.request(1_000);
    assert!(matches!(request, Request::List { .. }), "{request:?}");
    // The due read is held back, because the LIST will have the pod.
    assert_eq!((host.commands(2_000), host.deliveries()), (vec![], vec![]));
    assert_eq!((host.commands(1_000), host.deliveries()), (vec![], vec![(wait, Observed::Silence)]));
    host.want(wait, Duration::from_secs(3), false);
    assert_eq!((host.commands(3_000), host.deliveries()), (vec![], vec![]));
    assert_eq!((host.commands(999), host.deliveries()), (vec![], vec![]));
    let pod = pod("u", 90);
    host.reflector.item(list, head("a", &pod), || Ok(pod.clone()));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::List, pod))]);
}

#[test]
fn a_refused_watch_takes_no_final_state_along() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    let pod = pod("u", 90);
    host.reflector.item(list, head("a", &pod), || Ok(pod.clone()));
    host.reflector.page(host.at(), list, "100", None);
    host.deliveries();
    host.want(wait, STEADY, false);
    let (watch, _) = host.request(0);
    host.reflector.failed(host.at(), watch, failure(503, None));
    host.deliveries();
    host.want(wait, STEADY, false);
    let (watch, _) = host.request(1_000);
    host.reflector.failed(host.at(), watch, failure(503, None));
    host.deliveries();
    host.want(wait, STEADY, false);
    let (list, request) = host.request(3_000);
    assert!(matches!(request, Request::List { .. }), "{request:?}");
    host.reflector.page(host.at(), list, "110", None);
    assert_eq!(host.deliveries(), [(wait, Observed::NotFound(Via::List))]);
    host.want(wait, Duration::from_secs(3), true);
    let both = host.requests(0);
    let (watch, _) = both.iter().find(|(_, request)| is_watch(request, 290)).expect("the watch");
    assert!(both.iter().any(|(_, request)| is_watch(request, 10)), "{both:?}");
    let (probe, _) = both.iter().find(|(_, request)| is_watch(request, 10)).expect("a probe");
    host.reflector.opened(host.at(), *probe);
    host.reflector.failed(host.at(), *watch, failure(403, None));
    assert!(!host.requests(0).iter().any(|(_, request)| is_watch(request, 10)), "it goes on");
    host.event(*probe, Event::State, "a", &crate::pod("u", 95));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, crate::pod("u", 95)))]);
    host.want(wait, Duration::from_secs(3), true);
    // The probe breaks, and continues by the pod's name.
    host.reflector.failed(host.at(), *probe, failure(0, None));
    let selection =
        Selection { namespace: Some("ci".into()), pod: Some(PodName::new("ci", "a")), labels: None };
    let by_name = Request::Watch { selection, from: From::After("95".into()), seconds: 10 };
    let requests = host.requests(0);
    assert!(requests.iter().any(|(_, request)| *request == by_name), "{requests:?}");
}

fn is_watch(request: &Request, of_seconds: u32) -> bool {
    matches!(request, Request::Watch { seconds, .. } if *seconds == of_seconds)
}

#[test]
fn reads_at_once_have_a_limit() {
    let mut host = Host::hub(None);
    host.join("first");
    let _ = host.watch(&[("first", pod("u", 90))]);
    host.deliveries();
    for name in 0..40 {
        host.join(&format!("pod{name}"));
    }
    let reads = (0..40).map(|_| host.requests(100).len()).sum::<usize>();
    assert_eq!(reads, 16, "none is answered");
}

#[test]
fn a_pause_is_reported_with_the_time_that_remains() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let _ = host.watch(&[]);
    assert_eq!(host.deliveries(), [(wait, Observed::NotFound(Via::List))]);
    host.want(wait, Duration::from_millis(200), false);
    let (read, _) = host.request(200);
    host.reflector.failed(host.at(), read, failure(429, Some(10)));
    assert_eq!(host.deliveries(), [(wait, Observed::Failed(failure(429, Some(10))))]);
    host.want(wait, Duration::from_secs(2), false);
    assert_eq!(host.commands(2_000), []);
    assert_eq!(host.commands(1_000), []);
    let delivered = host.deliveries();
    assert!(
        matches!(&delivered[..], [(_, Observed::Failed(failure))] if failure.retry_after == Some(Duration::from_secs(8)))
    );
    host.want(wait, Duration::from_secs(2), false);
    assert_eq!(host.commands(6_999), []);
    assert!(matches!(host.requests(1)[..], [(_, Request::Get(_))]));
}

#[test]
fn a_refusal_is_reported_until_it_is_over() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    host.reflector.failed(host.at(), list, failure(403, None));
    assert_eq!(host.reflector.refusal().map(|failure| failure.code), Some(403));
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    host.deliveries();
    host.want(wait, Duration::from_secs(300), false);
    let (own, _) = host.request(0);
    host.reflector.opened(host.at(), own);
    assert_eq!(host.commands(60_000), []);
    let watch = host.watch(&[("a", pod("u", 90))]);
    assert_eq!(host.reflector.refusal(), None);
    assert_eq!(host.commands(0), [Command::Close(own)]);
    host.reflector.leave(wait);
    assert_eq!(host.commands(0), [Command::Close(watch)]);
    assert_eq!(host.deliveries(), [], "what was for it is dropped");
    assert_eq!(host.reflector.poll(host.at()), None);
}

#[test]
fn where_it_stays_open_the_watch_outlives_the_waits() {
    let mut host = Host::hub(None);
    host.reflector.stay_open(true);
    let wait = host.join("a");
    let _ = host.watch(&[("a", pod("u", 90))]);
    host.reflector.leave(wait);
    assert_eq!(host.commands(1_000), []);
    assert!(host.reflector.is_empty());
    host.join("a");
    assert!(matches!(host.requests(0)[..], [(_, Request::Get(_))]), "no LIST");
    host.reflector.stay_open(false);
    assert_eq!(host.commands(0), [], "there is a wait");
}

#[test]
fn a_pod_that_is_only_read_starts_no_watch_of_the_scope() {
    let mut host = Host::hub(None);
    let polled = host.reflector.join(host.at(), PodName::new("ci", "a"), false, None);
    host.want(polled, STEADY, false);
    host.join("a");
    let (read, _) = host.request(200);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    let (_, request) = host.request(300);
    assert!(
        matches!(request, Request::Watch { selection: Selection { pod: Some(_), .. }, .. }),
        "{request:?}"
    );
}
