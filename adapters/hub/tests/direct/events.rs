//! Which events are read and delivered.

use crate::host::{Host, STEADY, pod};
use podwait_hub::{Event, Observed, Via};
use std::time::Duration;

#[test]
fn an_event_that_shows_nothing_new_is_not_read() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 98))]);
    host.deliveries();
    host.want(wait, STEADY, false);
    for version in [97, 98] {
        assert!(!host.event(watch, Event::State, "a", &pod("u", version)), "{version}");
    }
    assert!(!host.event(watch, Event::State, "b", &pod("u", 99)), "no wait is for it");
    assert_eq!(host.deliveries(), []);
    assert!(host.event(watch, Event::State, "a", &pod("u", 99)));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u", 99)))]);
}

#[test]
fn a_version_that_is_no_number_is_always_news() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 98))]);
    host.deliveries();
    for version in ["x", "y"] {
        host.want(wait, STEADY, false);
        let pod = crate::host::Pod { uid: "u", version: version.into() };
        assert!(host.event(watch, Event::State, "a", &pod));
        assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod))]);
    }
}

#[test]
fn of_a_missed_pod_only_what_came_after_its_last_state_is_read() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u1", 90))]);
    host.deliveries();
    host.want(wait, Duration::from_millis(200), false);
    let (read, _) = host.request(200);
    host.reflector.answer(host.at(), read, Some(pod("u2", 105)));
    host.deliveries();
    host.want(wait, Duration::from_secs(3), true);
    let (probe, _) = host.request(1_000);
    host.reflector.opened(host.at(), probe);
    for version in [89, 90] {
        assert!(!host.event(probe, Event::State, "a", &pod("u1", version)), "{version}");
        assert!(!host.event(watch, Event::State, "a", &pod("u1", version)), "{version}");
    }
    assert!(host.event(probe, Event::State, "a", &pod("u1", 91)));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u1", 91)))]);
}

#[test]
fn a_pod_that_the_watch_shows_is_not_read() {
    for labels in [None, Some("app=x")] {
        let mut host = Host::hub(labels);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_secs(300), false);
        assert_eq!(host.requests(60_000), []);
        host.event(watch, Event::State, "a", &pod("u", 101));
        host.deliveries();
        host.want(wait, Duration::from_secs(300), false);
        assert_eq!(host.requests(60_000), []);
    }
}
