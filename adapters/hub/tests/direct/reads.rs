//! Reads of single pods, and the LIST in their place.

use crate::host::{Host, failure, head, pod};
use podwait_hub::{ApiFailure, Command, Event, Observed, Request, Via, WaitId};
use std::time::Duration;

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
    let wait = host.join("a");
    let (question, request) = host.request(0);
    assert!(matches!(request, Request::List { limit: 1, .. }), "{request:?}");
    host.reflector.failed(host.at(), question, failure(503, None));
    let expected = ApiFailure { via: Via::List, ..failure(503, None) };
    assert_eq!(host.deliveries(), [(wait, Observed::Failed(expected))]);
}

#[test]
fn a_page_has_time_while_bytes_arrive_and_a_limit_of_bytes() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    assert_eq!(host.commands(9_000), []);
    host.reflector.progress(host.at(), list, 100);
    assert_eq!(host.commands(9_000), []);
    host.reflector.progress(host.at(), list, usize::MAX);
    assert_eq!(host.commands(0), [Command::Close(list)]);
    let delivered = host.deliveries();
    let [(of, Observed::Failed(failure))] = &delivered[..] else { panic!("{delivered:?}") };
    assert_eq!((*of, &*failure.message), (wait, "the list does not end"));
    // Only a page has a limit.
    host.want(wait, Duration::from_secs(1), false);
    let (read, request) = host.request(1_000);
    assert!(matches!(request, Request::Get(_)), "{request:?}");
    host.reflector.progress(host.at(), read, usize::MAX);
    assert_eq!(host.commands(0), []);
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
        assert_eq!(matches!(request, Request::List { .. }), has_failed, "{request:?}");
    }
}
