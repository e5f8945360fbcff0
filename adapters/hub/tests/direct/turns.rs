//! Reads that are late: only because of the rate limit, or because nothing is known.

use crate::host::{Host, Pod, STEADY, failure, pod};
use podwait_hub::{ApiFailure, Observed, PodName, Request, RequestId, Via, WaitId};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn no_answer() -> Observed<Pod> {
    Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"))
}

/// Lets that time pass, and handles at each tenth of a second what is due. Returns the requests.
fn pass(host: &mut Host, millis: u64) -> Vec<(RequestId, Request)> {
    let mut requests: Vec<_> = (0..millis / 100).flat_map(|_| host.requests(100)).collect();
    requests.extend(host.requests(millis % 100));
    requests
}

/// More waits than there may be reads at once. Returns the reads that are under way.
fn crowd(host: &mut Host) -> Vec<RequestId> {
    for name in 0..20 {
        host.join(&format!("crowd{name}"));
    }
    let reads: Vec<RequestId> = host.requests(0).into_iter().map(|(id, _)| id).collect();
    assert_eq!(reads.len(), 16);
    reads
}

/// What the only wait that is due receives.
#[track_caller]
fn delivery(host: &mut Host, wait: WaitId) -> Observed<Pod> {
    let mut delivered = host.deliveries();
    assert_eq!(delivered.len(), 1, "{delivered:?}");
    let (of, observed) = delivered.remove(0);
    assert_eq!(of, wait);
    observed
}

/// A hub whose watch shows a pod, after two seconds.
fn hub() -> (Host, WaitId, RequestId) {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    host.want(wait, STEADY, false);
    host.commands(2_000);
    (host, wait, watch)
}

#[test]
fn the_watch_of_the_scope_is_enough_while_reads_wait_their_turn() {
    let (mut host, wait, _) = hub();
    crowd(&mut host);
    host.want(wait, SECOND, false);
    pass(&mut host, 1_999);
    assert_eq!(host.deliveries(), []);
    host.commands(1);
    assert_eq!(delivery(&mut host, wait), Observed::Silence);
}

#[test]
fn a_watch_of_the_scope_that_ended_is_enough_for_a_second() {
    for (ends_at, expected) in [(900, no_answer()), (1_500, Observed::Silence)] {
        let (mut host, wait, watch) = hub();
        crowd(&mut host);
        host.want(wait, SECOND, false);
        pass(&mut host, ends_at);
        host.reflector.ended(host.at(), watch);
        let requests = pass(&mut host, 2_000 - ends_at);
        assert!(matches!(requests[..], [(_, Request::Watch { .. })]), "{requests:?}");
        assert_eq!(delivery(&mut host, wait), expected);
    }
}

#[test]
fn the_watch_of_the_scope_is_not_enough_while_reads_fail() {
    let (mut host, wait, _) = hub();
    let reads = crowd(&mut host);
    host.want(wait, SECOND, false);
    pass(&mut host, 1_500);
    host.reflector.failed(host.at(), reads[0], failure(503, None));
    host.deliveries();
    pass(&mut host, 500);
    assert_eq!(delivery(&mut host, wait), no_answer());
}

#[test]
fn the_watch_of_the_scope_is_not_enough_for_a_pod_without_the_label() {
    let (mut host, wait, _) = Host::with_pod_outside();
    crowd(&mut host);
    host.want(wait, SECOND, false);
    pass(&mut host, 1_499);
    assert_eq!(host.deliveries(), []);
    host.commands(1);
    assert_eq!(delivery(&mut host, wait), no_answer());
}

/// A pod outside of the scope, its two waits, and its watch.
fn outside() -> (Host, [WaitId; 2], RequestId) {
    let mut host = Host::hub(None);
    let waits = [(); 2].map(|()| host.reflector.join(host.at(), PodName::new("di", "a"), true, None));
    for wait in waits {
        host.want(wait, STEADY, false);
    }
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    host.deliveries();
    for wait in waits {
        host.want(wait, STEADY, false);
    }
    let (watch, _) = host.request(0);
    (host, waits, watch)
}

/// More waits outside of the scope than the rate allows in the next seconds.
fn crowd_outside(host: &mut Host) {
    for name in 0..700 {
        let pod = PodName::new("di", &format!("crowd{name}"));
        let wait = host.reflector.join(host.at(), pod, true, None);
        host.want(wait, STEADY, false);
    }
    assert!(host.requests(0).len() <= 200);
}

#[test]
fn an_open_watch_of_the_pod_is_enough_while_reads_wait_their_turn() {
    for (is_open, expected) in [(true, Observed::Silence), (false, no_answer())] {
        let (mut host, [wait, _], watch) = outside();
        if is_open {
            host.reflector.opened(host.at(), watch);
        }
        host.want(wait, SECOND, false);
        crowd_outside(&mut host);
        pass(&mut host, 2_000);
        assert_eq!(delivery(&mut host, wait), expected, "{is_open}");
    }
}

#[test]
fn a_watch_of_the_pod_that_ended_is_enough_for_a_second() {
    for (after, expected) in [(999, Observed::Silence), (1_000, no_answer())] {
        let (mut host, [first, second], watch) = outside();
        host.reflector.opened(host.at(), watch);
        host.commands(2_000);
        host.reflector.ended(host.at(), watch);
        let (read, _) = host.request(0);
        host.reflector.answer(host.at(), read, Some(pod("u", 90)));
        host.deliveries();
        host.want(first, Duration::from_millis(100), false);
        host.want(second, Duration::from_millis(after), false);
        assert!(matches!(host.request(0).1, Request::Watch { .. }));
        crowd_outside(&mut host);
        pass(&mut host, after);
        assert_eq!(delivery(&mut host, second), expected, "{after}");
    }
}

#[test]
fn only_a_list_gives_a_read_that_was_not_sent_more_time() {
    let mut host = Host::hub(None);
    let waits = ["a", "a"].map(|name| host.join(name));
    let _ = host.watch(&[]);
    host.deliveries();
    host.want(waits[0], Duration::from_millis(200), false);
    host.want(waits[1], STEADY, false);
    let (read, _) = host.request(200);
    host.reflector.failed(host.at(), read, failure(429, Some(10)));
    host.deliveries();
    host.want(waits[0], Duration::from_millis(500), false);
    host.want(waits[1], Duration::from_millis(700), false);
    pass(&mut host, 700);
    // The first wait's own read has a second more.
    assert!(matches!(delivery(&mut host, waits[1]), Observed::Failed(_)));
}

#[test]
fn a_read_that_another_wait_has_begun_has_a_second() {
    let mut host = Host::hub(None);
    let waits = ["a", "a", "a"].map(|name| host.join(name));
    let _ = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    for (wait, after) in waits.into_iter().zip([1_000, 1_000, 1_600]) {
        host.want(wait, Duration::from_millis(after), false);
    }
    let _read = host.request(1_000);
    pass(&mut host, 999);
    assert_eq!(host.deliveries(), [], "the read may still have an answer");
    pass(&mut host, 1);
    let late: Vec<WaitId> = host.deliveries().into_iter().map(|(wait, _)| wait).collect();
    assert_eq!(late, waits);
}

#[test]
fn a_read_that_a_pause_has_held_back_has_a_second_after_it() {
    let (mut host, wait, _) = hub();
    host.want(wait, SECOND, false);
    let (read, _) = host.request(1_000);
    host.reflector.failed(host.at(), read, failure(429, Some(10)));
    host.deliveries();
    // Another wait wants the pod sooner, and this one when the pause is over.
    let other = host.join("a");
    host.want(wait, Duration::from_secs(10), false);
    pass(&mut host, 9_999);
    assert!(host.deliveries().iter().all(|(of, _)| *of == other));
    let (_, request) = host.request(1);
    assert_eq!((request, host.deliveries()), (Request::Get(PodName::new("ci", "a")), vec![]));
    pass(&mut host, 999);
    assert_eq!(host.deliveries(), []);
}

#[test]
fn after_a_read_without_an_answer_a_list_comes_before_the_next_watch() {
    let (mut host, wait, watch) = hub();
    host.want(wait, SECOND, false);
    let (_read, _) = host.request(1_000);
    host.commands(1_000);
    assert_eq!(delivery(&mut host, wait), no_answer());
    host.want(wait, STEADY, false);
    host.reflector.failed(host.at(), watch, failure(0, None));
    let (_, request) = host.request(0);
    assert!(matches!(request, Request::WatchList { .. }), "{request:?}");
}

#[test]
fn a_pod_that_only_a_read_has_shown_is_watched_where_all_are() {
    let (mut host, ..) = hub();
    let wait = host.join("b");
    let (read, _) = host.request(0);
    host.reflector.answer(host.at(), read, Some(pod("v", 95)));
    host.deliveries();
    host.want(wait, Duration::from_secs(300), false);
    let requests = pass(&mut host, 20_000);
    assert!(!requests.iter().any(|(_, request)| *request == Request::Get(PodName::new("ci", "b"))));
}
