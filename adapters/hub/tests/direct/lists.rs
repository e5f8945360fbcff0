//! LISTs, their pages, and the reads in their place.

use crate::host::{Host, Pod, STEADY, failure, pod};
use podwait_hub::{ApiFailure, Command, Observed, PodName, Request, Via, WaitId};
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
    for name in &names[..70] {
        let pod = pod("u", 100);
        host.item(list, name, &pod);
    }
    host.page(list, "101");
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
    host.item(list, "a", &pod);
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::List, pod))]);
}

#[test]
fn a_pod_is_read_while_the_scope_has_no_watch() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    host.want(wait, STEADY, false);
    // The next LIST may not begin sooner than a second after the last one.
    host.reflector.failed(host.at(), watch, ApiFailure { is_status: true, ..failure(410, None) });
    assert_eq!((host.commands(499), host.deliveries()), (vec![], vec![]));
    assert_eq!(host.request(1).1, Request::Get(PodName::new("ci", "a")));
}

#[test]
fn a_pod_is_read_for_a_wait_that_comes_after_its_item_of_the_list() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    host.reflector.opened(host.at(), list);
    host.item(list, "a", &pod("u", 90));
    host.deliveries();
    host.want(wait, STEADY, false);
    host.join("a");
    assert_eq!(host.commands(100), []);
    host.page(list, "100");
    assert_eq!(host.request(0).1, Request::Get(PodName::new("ci", "a")));
}

#[test]
fn a_page_has_time_while_bytes_arrive_and_a_limit_of_bytes() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let list = host.first_page();
    assert_eq!(host.commands(9_000), []);
    host.reflector.progress(host.at(), list, 100);
    assert_eq!(host.commands(9_000), []);
    host.reflector.progress(host.at(), list, usize::MAX);
    assert_eq!(host.commands(0), [Command::Close(list)]);
    let delivered = host.deliveries();
    let [(of, Observed::Failed(failure))] = &delivered[..] else { panic!("{delivered:?}") };
    assert_eq!((*of, &*failure.message), (wait, "the LIST does not end"));
    // Only a page has a limit.
    host.want(wait, Duration::from_secs(1), false);
    let (read, request) = host.request(1_000);
    assert!(matches!(request, Request::Get(_)), "{request:?}");
    host.reflector.progress(host.at(), read, usize::MAX);
    assert_eq!(host.commands(0), []);
}

#[test]
fn more_than_fifty_urgent_reads_are_worth_a_list() {
    for (labels, count, is_listed) in
        [(None, 50, false), (None, 51, true), (Some("app=x"), 50, false), (Some("app=x"), 51, true)]
    {
        let mut host = Host::hub(labels);
        let names: Vec<String> = (0..count).map(|pod| format!("pod{pod}")).collect();
        let waits: Vec<WaitId> = names.iter().map(|name| host.join(name)).collect();
        let listed: Vec<(&str, Pod)> = names.iter().map(|name| (&**name, pod("u", 90))).collect();
        let _ = host.watch(&listed);
        host.deliveries();
        for wait in waits {
            host.want(wait, Duration::from_secs(5), false);
        }
        let requests = host.requests(5_000);
        let is_list = |request: &Request| matches!(request, Request::List { .. });
        assert_eq!(requests.iter().any(|(_, request)| is_list(request)), is_listed, "{requests:?}");
    }
}

#[test]
fn reads_and_pages_of_a_slow_list_take_turns() {
    let mut host = Host::hub(None);
    host.join("first");
    let waits = ["a", "b"].map(|name| host.join(name));
    let page = host.first_page();
    host.want(waits[0], Duration::from_millis(12_000), false);
    host.want(waits[1], Duration::from_millis(13_000), false);
    assert_eq!(host.commands(8_000), []);
    host.reflector.page(host.at(), page, "100", Some("1".into()));
    let (mut page, _) = host.request(0);
    for (name, token) in [("a", "2"), ("b", "3")] {
        host.now += if name == "a" { 4_000 } else { 1_000 };
        host.reflector.page(host.at(), page, "100", Some(token.into()));
        let requests = host.requests(0);
        let [(_, read), (next, Request::List { token: Some(of_page), .. })] = &requests[..] else {
            panic!("{requests:?}")
        };
        assert_eq!((read, &**of_page), (&Request::Get(PodName::new("ci", name)), token));
        page = *next;
    }
}

#[test]
fn no_list_is_made_for_pods_without_the_label() {
    let mut host = Host::hub(Some("app=x"));
    let names: Vec<String> = (0..60).map(|pod| format!("pod{pod}")).collect();
    let waits: Vec<WaitId> = names.iter().map(|name| host.join(name)).collect();
    let _ = host.watch(&[]);
    let mut reads = std::mem::take(&mut host.beside);
    for _ in 0..100 {
        for (id, request) in std::mem::take(&mut reads) {
            assert!(!matches!(request, Request::List { .. }), "{request:?}");
            if let Request::Get(_) = request {
                host.reflector.answer(host.at(), id, Some(pod("u", 90)));
            }
        }
        host.deliveries();
        reads = host.requests(100);
    }
    for wait in waits {
        host.want(wait, Duration::from_millis(400), false);
    }
    let requests = host.requests(400);
    assert!(!requests.iter().any(|(_, request)| matches!(request, Request::List { .. })), "{requests:?}");
}

#[test]
fn the_pages_of_a_list_follow_at_once() {
    let mut host = Host::hub(None);
    host.join("a");
    let mut page = host.first_page();
    for token in ["1", "2", "3", "4"] {
        host.reflector.page(host.at(), page, "100", Some(token.into()));
        let (next, request) = host.request(0);
        assert!(matches!(&request, Request::List { token: Some(of), .. } if of == token), "{request:?}");
        page = next;
    }
}
