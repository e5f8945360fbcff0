//! Pods that the label selector of the scope matches, or no longer matches.

use crate::host::{Host, failure, head, pod};
use podwait_hub::{Event, From, Observed, PodName, Request, Via};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(300);

#[test]
fn a_state_that_is_known_already_shows_that_the_pod_has_the_label() {
    for (version, is_read_again) in [(103, false), (102, true)] {
        let (mut host, wait, watch) = Host::with_pod_outside();
        host.want(wait, LONG, false);
        let (read, _) = host.request(500);
        host.reflector.answer(host.at(), read, Some(pod("u", 103)));
        host.deliveries();
        host.want(wait, LONG, false);
        assert!(!host.event(watch, Event::State, "a", &pod("u", version)));
        assert_eq!(!host.requests(60_000).is_empty(), is_read_again, "{version}");
    }
}

#[test]
fn an_event_that_cannot_be_read_says_nothing_about_the_label() {
    let mut host = Host::hub(Some("app=x"));
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    host.want(wait, LONG, false);
    let now = host.at();
    host.reflector.event(now, watch, Event::State, head("a", &pod("u", 101)), || Err(failure(200, None)));
    host.deliveries();
    host.want(wait, Duration::from_secs(1), false);
    let (read, _) = host.request(1_000);
    host.reflector.answer(host.at(), read, Some(pod("u", 102)));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Get, pod("u", 102)))]);
    host.want(wait, LONG, false);
    host.event(watch, Event::State, "b", &pod("v", 102));
    assert_eq!(host.requests(60_000), []);
}

#[test]
fn an_event_shows_that_the_pod_has_the_label_now() {
    let (mut host, wait, watch) = Host::with_pod_outside();
    host.want(wait, LONG, false);
    host.event(watch, Event::State, "a", &pod("u", 104));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u", 104)))]);
    host.want(wait, LONG, false);
    assert_eq!(host.requests(60_000), []);
}

#[test]
fn a_read_under_way_is_awaited_when_a_list_does_not_have_the_pod() {
    let mut host = Host::hub(Some("app=x"));
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    host.want(wait, Duration::from_millis(900), false);
    let (read, request) = host.request(900);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")));
    host.reflector.failed(host.at(), watch, failure(410, None));
    let (list, _) = host.request(100);
    host.page(list, "110");
    assert_eq!(host.commands(0), []);
    host.reflector.answer(host.at(), read, Some(pod("u", 105)));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Get, pod("u", 105)))]);
}

#[test]
fn the_probe_for_a_pod_that_a_list_does_not_have_begins_where_the_last_watch_was() {
    let mut host = Host::hub(Some("app=x"));
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    host.want(wait, LONG, false);
    host.reflector.failed(host.at(), watch, failure(410, None));
    let (list, _) = host.request(1_000);
    host.page(list, "110");
    let (read, request) = host.request(0);
    assert!(matches!(request, Request::Get(_)), "{request:?}");
    host.reflector.answer(host.at(), read, None);
    assert_eq!(host.deliveries(), [(wait, Observed::NotFound(Via::Get))]);
    host.want(wait, Duration::from_secs(30), true);
    let (_, request) = host.request(1_000);
    assert!(
        matches!(&request, Request::Watch { from: From::After(version), seconds: 10, .. } if version == "100"),
        "{request:?}"
    );
}
