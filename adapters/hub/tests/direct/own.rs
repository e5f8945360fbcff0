//! Pods with watches of their own.

use crate::host::{Host, STEADY, failure, pod};
use podwait_hub::{Command, Event, From, Head, Observed, PodName, Request, RequestId, Via, WaitId};
use std::time::Duration;

/// A wait whose pod is at version 90, and its open watch.
fn watched() -> (Host, WaitId, RequestId) {
    let mut host = Host::single();
    let wait = host.join("a");
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    host.deliveries();
    host.want(wait, Duration::from_secs(400), false);
    let (watch, request) = host.request(0);
    assert!(matches!(&request, Request::Watch { from, .. } if *from == From::After("90".into())));
    host.reflector.opened(host.at(), watch);
    (host, wait, watch)
}

#[test]
fn only_events_of_the_pod_itself_are_read() {
    let (mut host, wait, watch) = watched();
    for (namespace, name, is_read) in
        [("ci", "b", false), ("di", "a", false), ("ci", "a", true), ("", "a", true)]
    {
        host.now += 1;
        let pod = pod("u", host.now);
        let (mut has_read, now) = (false, host.at());
        let head = Head { namespace, name, resource_version: &pod.version };
        host.reflector.event(now, watch, Event::State, head, || {
            has_read = true;
            Ok(pod.clone())
        });
        assert_eq!(has_read, is_read, "{namespace}/{name}");
        let delivered = host.deliveries();
        assert_eq!(delivered, Vec::from_iter(is_read.then_some((wait, Observed::Pod(Via::Watch, pod)))));
        host.want(wait, STEADY, false);
    }
}

#[test]
fn an_old_state_is_not_read_and_an_old_end_is() {
    let (mut host, _, watch) = watched();
    assert!(!host.event(watch, Event::State, "a", &pod("u", 90)));
    assert!(host.event(watch, Event::Deleted, "a", &pod("v", 89)));
    assert_eq!(host.deliveries(), [], "it was of another pod");
}

#[test]
fn a_pod_that_is_only_to_be_read_has_no_watch() {
    let mut host = Host::single();
    let wait = host.reflector.join(host.at(), PodName::new("ci", "a"), false, None);
    host.want(wait, STEADY, false);
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    host.deliveries();
    host.want(wait, STEADY, false);
    assert_eq!(host.request(500).1, Request::Get(PodName::new("ci", "a")));
}

#[test]
fn a_watch_that_failed_rests_although_reads_succeed() {
    let (mut host, wait, watch) = watched();
    host.reflector.failed(host.at(), watch, failure(403, None));
    // This is not delivered: reads show whether they are allowed.
    assert_eq!(host.deliveries(), []);
    let (read, request) = host.request(500);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")));
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    host.deliveries();
    host.want(wait, STEADY, false);
    assert_eq!(host.commands(0), []);
}

#[test]
fn the_watch_of_a_pod_that_is_gone_is_closed() {
    let (mut host, _, watch) = watched();
    host.join("a");
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, None);
    assert_eq!(host.commands(0), [Command::Close(watch)]);
}

#[test]
fn a_watch_that_is_open_for_too_long_is_replaced_by_a_read() {
    let (mut host, _, watch) = watched();
    assert_eq!(host.commands(299_999), []);
    let commands = host.commands(1);
    assert_eq!(commands[0], Command::Close(watch));
    assert!(matches!(&commands[1..], [Command::Send(_, Request::Get(_))]), "{commands:?}");
}
