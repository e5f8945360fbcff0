//! Pods that the label selector of the scope matches, or no longer matches.

use crate::host::{Host, failure, head, pod};
use podwait_hub::{Event, Observed, PodName, Request, Via};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(300);

#[test]
fn a_state_that_is_known_already_shows_that_the_pod_has_the_label() {
    for (version, is_read_again) in [(103, false), (102, true)] {
        let mut host = Host::hub(Some("app=x"));
        let wait = host.join("a");
        let watch = host.watch(&[]);
        let is_get = |request: &Request| *request == Request::Get(PodName::new("ci", "a"));
        let read = host.beside.iter().find(|(_, request)| is_get(request)).expect("a read").0;
        host.reflector.answer(host.at(), read, Some(pod("u", 90)));
        host.deliveries();
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
