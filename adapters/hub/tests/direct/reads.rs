//! Reads of single pods.

use crate::host::{Host, STEADY, failure, head, pod};
use podwait_hub::{ApiFailure, Command, Event, Observed, PodName, Request, Via, WaitId};
use std::time::Duration;

#[test]
fn reads_at_once_have_a_limit() {
    let mut host = Host::hub(None);
    host.join("first");
    let _ = host.watch(&[("first", pod("u", 90))]);
    host.deliveries();
    let waits: Vec<WaitId> = (0..40).map(|name| host.join(&format!("pod{name}"))).collect();
    let reads = (0..40).map(|_| host.requests(100).len()).sum::<usize>();
    assert_eq!(reads, 16, "none is answered");
    // Reads whose waits leave make room for others.
    for (left, room) in [(0, 1), (1, 1), (2, 1)] {
        host.reflector.leave(waits[left]);
        assert_eq!(host.requests(100).len(), room);
    }
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
fn a_failure_has_the_call_of_its_request() {
    let mut host = Host::hub(Some("app=x"));
    host.join("first");
    let _ = host.watch(&[("first", pod("u", 90))]);
    host.deliveries();
    let (wait, question) = host.join_with_question("a");
    host.reflector.failed(host.at(), question, failure(503, None));
    let expected = ApiFailure { via: Via::List, ..failure(503, None) };
    assert_eq!(host.deliveries(), [(wait, Observed::Failed(expected))]);
}

#[test]
fn an_answer_that_was_overtaken_is_delivered_if_it_is_newer_or_ends_a_failure() {
    // The first event, if its object can be read, and the version of the answer.
    for (event, is_readable, answer, is_delivered) in [
        (101, true, 102, true),
        (101, true, 101, false),
        (101, true, 100, false),
        (101, false, 90, true),
        (101, false, 89, false),
        (101, false, 102, true),
    ] {
        let mut host = Host::hub(None);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_millis(500), false);
        let (read, _) = host.request(500);
        let seen = pod("u", event);
        let object = if is_readable { Ok(seen.clone()) } else { Err(failure(200, None)) };
        host.reflector.event(host.at(), watch, Event::State, head("a", &seen), || object);
        assert_eq!(host.deliveries().len(), 1);
        host.want(wait, Duration::from_secs(300), false);
        host.reflector.answer(host.at(), read, Some(pod("u", answer)));
        let expected = is_delivered.then(|| (wait, Observed::Pod(Via::Get, pod("u", answer))));
        assert_eq!(host.deliveries(), Vec::from_iter(expected), "{event} {is_readable} {answer}");
    }
}

#[test]
fn a_read_shows_that_the_watch_has_passed_a_change_over() {
    for (version, is_passed_over) in [(90, false), (95, true), (100, true), (101, false)] {
        let mut host = Host::hub(None);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_millis(1_000), false);
        let (read, _) = host.request(1_000);
        host.reflector.answer(host.at(), read, Some(pod("u", version)));
        assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Get, pod("u", version)))]);
        host.want(wait, Duration::from_secs(300), false);
        assert_eq!(host.commands(0).contains(&Command::Close(watch)), is_passed_over, "{version}");
    }
}

#[test]
fn after_a_read_that_failed_a_list_comes_before_the_next_watch() {
    for has_failed in [false, true] {
        let mut host = Host::hub(None);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_millis(1_000), false);
        let (read, _) = host.request(1_000);
        if has_failed {
            host.reflector.failed(host.at(), read, failure(503, None));
        } else {
            host.reflector.answer(host.at(), read, Some(pod("u", 90)));
        }
        host.deliveries();
        host.want(wait, Duration::from_secs(300), false);
        host.reflector.failed(host.at(), watch, failure(0, None));
        let (_, request) = host.request(0);
        assert_eq!(matches!(request, Request::WatchList { .. }), has_failed, "{request:?}");
    }
}

#[test]
fn a_watch_that_catches_up_with_a_read_is_kept() {
    for (reached, is_kept) in [(104, false), (105, true)] {
        let mut host = Host::hub(None);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_secs(1), false);
        let (read, _) = host.request(1_000);
        host.reflector.answer(host.at(), read, Some(pod("u", 105)));
        host.deliveries();
        host.want(wait, Duration::from_secs(300), false);
        host.event(watch, Event::State, "b", &pod("v", reached));
        assert_eq!(host.commands(4_999), []);
        assert_eq!(!host.commands(1).contains(&Command::Close(watch)), is_kept, "{reached}");
    }
}

#[test]
fn while_the_watch_is_down_a_pod_is_read_by_a_get() {
    let mut host = Host::hub(Some("app=x"));
    let wait = host.join("a");
    let (list, _) = host.request(50);
    host.reflector.failed(host.at(), list, failure(503, None));
    host.deliveries();
    host.want(wait, Duration::from_millis(500), false);
    assert_eq!(host.request(500).1, Request::Get(PodName::new("ci", "a")), "no LIST by name");
}

#[test]
fn a_watch_that_is_not_needed_any_more_takes_no_place_of_a_read() {
    let mut host = Host::hub(None);
    // The requests for pods outside of the scope have a burst of 200.
    let outside = |pod: u32| PodName::new("di", &format!("pod{pod}"));
    let mut waits = Vec::new();
    for pod in 0..150 {
        waits.push(host.reflector.join(host.at(), outside(pod), true, None));
        host.want(waits[waits.len() - 1], STEADY, false);
    }
    let reads = host.requests(0);
    assert_eq!(reads.len(), 150);
    for (read, _) in reads {
        host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    }
    for wait in waits {
        host.reflector.leave(wait);
    }
    let wait = host.reflector.join(host.at(), outside(150), true, None);
    host.want(wait, STEADY, false);
    assert_eq!(host.request(0).1, Request::Get(outside(150)));
}

#[test]
fn a_change_that_was_passed_over_leads_to_one_list_a_minute() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let mut watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    for (after, version, is_listed) in
        [(1_000, 95, true), (30_000, 96, false), (29_999, 97, false), (1, 98, true), (59_999, 99, false)]
    {
        host.want(wait, Duration::from_millis(after), false);
        let (read, _) = host.request(after);
        host.reflector.answer(host.at(), read, Some(pod("u", version)));
        host.deliveries();
        let commands = host.commands(0);
        assert_eq!(commands.contains(&Command::Close(watch)), is_listed, "{version}");
        if is_listed {
            let [_, Command::Send(list, Request::WatchList { .. })] = commands[..] else {
                panic!("{commands:?}")
            };
            let seen = pod("u", version);
            host.item(list, "a", &seen);
            host.page(list, "100");
            host.deliveries();
            watch = list;
        }
    }
}

#[test]
fn a_read_that_is_under_way_is_awaited_when_the_list_fails() {
    let mut host = Host::hub(None);
    let (first, second) = (host.join("a"), host.join("b"));
    let (list, _) = host.request(50);
    host.reflector.failed(host.at(), list, failure(503, None));
    assert_eq!(host.deliveries().len(), 2);
    host.want(first, Duration::from_millis(500), false);
    host.want(second, Duration::from_secs(300), false);
    let (read, _) = host.request(500);
    let (list, request) = host.request(500);
    assert!(matches!(request, Request::List { .. }), "{request:?}");
    host.reflector.failed(host.at(), list, failure(503, None));
    assert_eq!(host.deliveries(), [(second, Observed::Failed(failure(503, None)))]);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    assert_eq!(host.deliveries(), [(first, Observed::Pod(Via::Get, pod("u", 90)))]);
}
