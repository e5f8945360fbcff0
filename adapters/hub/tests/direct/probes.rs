//! When probes for final states begin and end.

use crate::host::{Host, STEADY, failure, is_watch, pod};
use podwait_hub::{Command, Event, From, Observed, PodName, Request, RequestId, Selection, WaitId};
use std::time::Duration;

const CONFIRMATION: Duration = Duration::from_secs(30);

/// A hub whose pods are gone by a read each and whose waits confirm that; the watch, and the probe of the scope.
fn missed<const N: usize>(names: [&str; N]) -> (Host, [WaitId; N], RequestId, RequestId) {
    let mut host = Host::hub(None);
    let waits = names.map(|name| host.join(name));
    let watch = host.watch(&names.map(|name| (name, pod("u", 90))));
    host.deliveries();
    for wait in waits {
        host.want(wait, Duration::from_millis(200), false);
    }
    for (read, _) in host.requests(200) {
        host.reflector.answer(host.at(), read, None);
    }
    host.deliveries();
    for wait in waits {
        host.want(wait, CONFIRMATION, true);
    }
    assert_eq!(host.commands(999), [], "the open watch has a second");
    let (probe, request) = host.request(1);
    let selection = Selection { namespace: Some("ci".into()), pod: None, labels: None };
    assert_eq!(request, Request::Watch { selection, from: From::After("100".into()), seconds: 10 });
    host.reflector.opened(host.at(), probe);
    (host, waits, watch, probe)
}

#[test]
fn the_probe_of_the_scope_ends_with_the_last_pod_that_is_missed() {
    let (mut host, [first, second], _, probe) = missed(["a", "b"]);
    let third = host.join("b");
    for (read, _) in host.requests(0) {
        host.reflector.answer(host.at(), read, None);
    }
    host.deliveries();
    host.want(second, CONFIRMATION, true);
    host.want(third, CONFIRMATION, true);
    host.reflector.leave(first);
    assert_eq!(host.commands(0), [], "the other one is missed");
    host.want(second, STEADY, false);
    assert_eq!(host.commands(0), [], "another wait confirms its deletion");
    host.want(third, STEADY, false);
    assert_eq!(host.commands(0), [Command::Close(probe)]);
}

#[test]
fn the_probe_of_the_scope_is_for_missed_pods() {
    let mut host = Host::hub(None);
    let (first, second) = (host.join("a"), host.join("b"));
    let _ = host.watch(&[("a", pod("u", 90)), ("b", pod("v", 91))]);
    host.deliveries();
    host.want(second, Duration::from_secs(300), false);
    host.want(first, Duration::from_millis(200), false);
    let (read, _) = host.request(200);
    host.reflector.answer(host.at(), read, None);
    host.deliveries();
    host.want(first, CONFIRMATION, true);
    let (probe, _) = host.request(1_000);
    host.reflector.opened(host.at(), probe);
    assert!(!host.event(probe, Event::State, "b", &pod("v", 101)));
    assert!(host.event(probe, Event::State, "a", &pod("u", 101)));
}

#[test]
fn the_probe_of_the_scope_is_not_repeated_if_the_server_has_no_history() {
    for (code, is_repeated) in [(0, true), (503, true), (410, false), (403, false)] {
        let (mut host, _, watch, probe) = missed(["a"]);
        host.reflector.failed(host.at(), probe, failure(code, None));
        let requests = host.requests(5_000);
        assert_eq!(requests.iter().any(|(_, request)| is_watch(request, 10)), is_repeated, "{code}");
        assert_eq!(host.deliveries(), [], "the watch may bring the end");

        // Without a watch only the failure remains.
        let (mut host, [wait], _, probe) = missed(["a"]);
        host.reflector.failed(host.at(), watch, failure(410, None));
        host.reflector.failed(host.at(), probe, failure(code, None));
        let expected = (!is_repeated).then(|| (wait, Observed::Failed(failure(code, None))));
        assert_eq!(host.deliveries(), Vec::from_iter(expected), "{code}");
    }
}

/// A single wait that confirms the deletion of its pod, after a read that found this; its probe.
fn missed_alone(found: Option<u64>) -> (Host, WaitId, RequestId) {
    let mut host = Host::single();
    let wait = host.join("a");
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    host.deliveries();
    host.want(wait, Duration::from_millis(500), false);
    let (watch, _) = host.request(0);
    host.reflector.opened(host.at(), watch);
    let (read, _) = host.request(500);
    host.reflector.answer(host.at(), read, found.map(|version| pod("v", version)));
    host.deliveries();
    host.want(wait, CONFIRMATION, true);
    let requests = host.requests(1_000);
    let (probe, request) = requests.iter().find(|(_, request)| is_watch(request, 10)).expect("a probe");
    let selection =
        Selection { namespace: Some("ci".into()), pod: Some(PodName::new("ci", "a")), labels: None };
    let from = From::After("90".into());
    assert_eq!(*request, Request::Watch { selection, from, seconds: 10 });
    host.reflector.opened(host.at(), *probe);
    (host, wait, *probe)
}

#[test]
fn the_probe_of_one_pod_is_not_repeated_if_the_server_has_no_history() {
    for found in [None, Some(105)] {
        for (code, is_repeated) in [(0, true), (503, true), (410, false), (403, false)] {
            let (mut host, wait, probe) = missed_alone(found);
            host.reflector.failed(host.at(), probe, failure(code, None));
            // The watch of the pod that has its name now may bring the end, too.
            let is_delivered = !is_repeated && found.is_none();
            let expected = is_delivered.then(|| (wait, Observed::Failed(failure(code, None))));
            assert_eq!(host.deliveries(), Vec::from_iter(expected), "{found:?} {code}");
            let requests = host.requests(5_000);
            assert_eq!(requests.iter().any(|(_, request)| is_watch(request, 10)), is_repeated, "{code}");
        }
    }
}

#[test]
fn a_pause_holds_for_the_probe_of_a_pod_without_the_label() {
    let (mut host, wait, _) = Host::with_pod_outside();
    host.want(wait, Duration::from_millis(500), false);
    let (read, _) = host.request(500);
    host.reflector.answer(host.at(), read, None);
    host.deliveries();
    host.want(wait, CONFIRMATION, true);
    let (probe, request) = host.request(0);
    assert!(is_watch(&request, 10), "{request:?}");
    host.reflector.failed(host.at(), probe, failure(429, Some(5)));
    assert_eq!(host.requests(4_999), []);
    assert!(is_watch(&host.request(1).1, 10));
}
