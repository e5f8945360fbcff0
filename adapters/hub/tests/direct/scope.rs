//! The watch of the scope: when it is there, and when the server refuses it.

use crate::host::{Host, STEADY, failure, pod};
use podwait_hub::{Command, Observed, PodName, Request, Selection, Via};
use std::time::Duration;

#[test]
fn a_refusal_is_reported_until_it_is_over() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    host.reflector.failed(host.at(), list, failure(403, None));
    assert_eq!(host.reflector.refusal().map(|failure| failure.code), Some(403));
    let own = host.watch_by_name(wait, pod("u", 90));
    // Another wait comes meanwhile.
    let later = host.join("b");
    let of_later = host.watch_by_name(later, pod("v", 91));
    assert_eq!(host.commands(60_000), []);
    let watch = host.watch(&[("a", pod("u", 90)), ("b", pod("v", 91))]);
    assert_eq!(host.reflector.refusal(), None);
    assert!([own, of_later].iter().all(|id| host.closed.contains(id)), "{:?}", host.closed);
    host.reflector.leave(later);
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
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.reflector.leave(wait);
    assert_eq!(host.commands(1_000), []);
    assert!(host.reflector.is_empty());
    let wait = host.join("a");
    let (read, request) = host.request(0);
    assert!(matches!(request, Request::Get(_)), "no LIST");
    host.reflector.stay_open(false);
    assert_eq!(host.commands(0), [], "there is a wait");
    assert!(!host.reflector.is_empty());
    host.reflector.stay_open(true);
    host.reflector.leave(wait);
    assert_eq!(host.commands(0), [Command::Close(read)], "the watch stays");
    host.reflector.stay_open(false);
    assert_eq!(host.commands(0), [Command::Close(watch)]);
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

#[test]
fn the_first_read_that_succeeds_again_ends_the_rest_of_the_watch() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let mut rest = 50;
    for next in [1_000, 2_000, 4_000, 8_000, 16_000] {
        assert_eq!(host.commands(rest - 1), []);
        let (list, request) = host.request(1);
        assert!(matches!(request, Request::List { .. } | Request::WatchList { .. }), "{request:?}");
        host.reflector.failed(host.at(), list, failure(503, None));
        assert_eq!(host.deliveries().len(), 1);
        host.want(wait, Duration::from_secs(300), false);
        rest = next;
    }
    host.want(wait, Duration::from_secs(1), false);
    let (read, _) = host.request(1_000);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    assert_eq!(host.commands(0), [], "no read had failed");
    host.deliveries();
    host.want(wait, Duration::from_millis(500), false);
    let (read, _) = host.request(500);
    host.reflector.failed(host.at(), read, failure(503, None));
    host.deliveries();
    host.want(wait, Duration::from_secs(1), false);
    let (read, _) = host.request(1_000);
    host.reflector.answer(host.at(), read, Some(pod("u", 90)));
    let (_, request) = host.request(0);
    assert!(matches!(request, Request::List { .. }), "{request:?}");
}

#[test]
fn a_list_after_a_refusal_shows_which_pods_are_gone() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let list = host.first_page();
    let listed = pod("u", 90);
    host.item(list, "a", &listed);
    host.page(list, "100");
    host.deliveries();
    host.want(wait, Duration::from_secs(300), false);
    let (watch, _) = host.request(0);
    host.reflector.failed(host.at(), watch, failure(403, None));
    let _ = host.watch_by_name(wait, pod("u", 90));
    assert_eq!(host.commands(60_000), []);
    let (list, request) = host.request(200);
    assert!(matches!(request, Request::List { .. }), "{request:?}");
    host.page(list, "110");
    assert_eq!(host.deliveries(), [(wait, Observed::NotFound(Via::List))]);
}

#[test]
fn only_repeated_refusals_of_a_proxy_are_a_refusal() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let proxy = podwait_hub::ApiFailure { is_status: false, ..failure(403, None) };
    let mut rest = 50;
    for next in [1_000, 2_000, 4_000, 8_000] {
        let (list, request) = host.request(rest);
        assert!(matches!(request, Request::WatchList { .. }), "{request:?}");
        assert_eq!(host.reflector.refusal(), None);
        host.reflector.failed(host.at(), list, proxy.clone());
        host.deliveries();
        host.want(wait, Duration::from_secs(300), false);
        rest = next;
    }
    assert_eq!(host.reflector.refusal(), Some(&proxy));
}

#[test]
fn after_two_refusals_of_a_watch_that_was_allowed_pods_are_read() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u", 90))]);
    host.deliveries();
    host.want(wait, Duration::from_secs(300), false);
    assert_eq!(host.commands(10_000), []);
    host.reflector.failed(host.at(), watch, failure(403, None));
    let (watch, request) = host.request(0);
    assert!(matches!(request, Request::Watch { .. }), "{request:?}");
    host.reflector.failed(host.at(), watch, failure(403, None));
    assert_eq!(host.reflector.refusal(), None);
    assert_eq!(host.deliveries(), []);
    assert!(matches!(host.request(0).1, Request::Get(_)));
}
