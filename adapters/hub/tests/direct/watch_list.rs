//! The LIST at the beginning of a watch, and what replaces it.

use crate::host::{Host, STEADY, failure, pod};
use podwait_hub::{ApiFailure, Command, Event, From, Observed, PodName, Request, Via};

#[test]
fn a_list_at_the_beginning_of_a_watch_becomes_the_watch() {
    let mut host = Host::hub(None);
    let (there, gone, absent) = (host.join("a"), host.join("b"), host.join("c"));
    let (watch, request) = host.request(200);
    assert!(matches!(request, Request::WatchList { .. }), "{request:?}");
    host.reflector.opened(host.at(), watch);
    host.event(watch, Event::State, "a", &pod("u1", 90));
    host.event(watch, Event::State, "b", &pod("u2", 91));
    assert_eq!(
        host.deliveries(),
        [(there, Observed::Pod(Via::List, pod("u1", 90))), (gone, Observed::Pod(Via::List, pod("u2", 91)))]
    );
    // Events may come before the end of the LIST.
    host.event(watch, Event::State, "a", &pod("u1", 101));
    host.event(watch, Event::Deleted, "b", &pod("u2", 102));
    assert_eq!(
        host.deliveries(),
        [(there, Observed::Pod(Via::List, pod("u1", 101))), (gone, Observed::Deleted(pod("u2", 102)))]
    );
    host.listed(watch, "103");
    assert_eq!(host.deliveries(), [(absent, Observed::NotFound(Via::List))]);
    for wait in [there, gone, absent] {
        host.want(wait, STEADY, false);
    }
    assert_eq!(host.commands(20_000), [], "it has no deadline any more");
    host.event(watch, Event::State, "c", &pod("u3", 104));
    assert_eq!(host.deliveries(), [(absent, Observed::Pod(Via::Watch, pod("u3", 104)))]);
    host.reflector.ended(host.at(), watch);
    let (_, request) = host.request(0);
    assert!(matches!(&request, Request::Watch { from: From::After(at), .. } if at == "104"), "{request:?}");
}

#[test]
fn a_list_that_breaks_off_is_followed_by_one_in_pages_and_a_refused_one_at_once() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (watch, _) = host.request(200);
    host.reflector.opened(host.at(), watch);
    host.reflector.ended(host.at(), watch);
    let early = Observed::Failed(ApiFailure::new(Via::Watch, 0, "the response ended early"));
    assert_eq!(host.deliveries(), [(wait, early)]);
    host.want(wait, STEADY, false);
    let (list, request) = host.request(1_000);
    assert!(matches!(request, Request::List { token: None, .. }), "{request:?}");
    host.page(list, "100");
    let (watch, _) = host.request(0);
    host.deliveries();
    host.want(wait, STEADY, false);
    // Once a LIST has succeeded, the next one may come with the watch again.
    host.reflector.failed(host.at(), watch, failure(410, None));
    let (list, request) = host.request(4_000);
    assert!(matches!(request, Request::WatchList { .. }), "{request:?}");
    host.reflector.failed(host.at(), list, failure(422, None));
    assert_eq!(host.deliveries(), [], "the form of a request is of no concern to a wait");
    let (list, request) = host.request(0);
    assert!(matches!(request, Request::List { token: None, .. }), "{request:?}");
    host.page(list, "110");
    let (watch, _) = host.request(0);
    host.deliveries();
    host.want(wait, STEADY, false);
    host.reflector.failed(host.at(), watch, failure(410, None));
    let (_, request) = host.request(8_000);
    assert!(matches!(request, Request::List { .. }), "it is not asked again: {request:?}");
}

#[test]
fn a_throttled_watch_is_no_reason_to_wait_for_the_list() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    host.reflector.failed(host.at(), list, failure(429, Some(4)));
    assert_eq!(host.deliveries(), [(wait, Observed::Failed(failure(429, Some(4))))]);
    host.want(wait, STEADY, false);
    let (_, request) = host.request(4_000);
    assert!(matches!(request, Request::List { token: None, .. }), "{request:?}");
}

#[test]
fn a_server_that_breaks_off_two_lists_in_a_row_is_asked_for_pages() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let (mut list, mut request) = host.request(100_000);
        if let Request::WatchList { .. } = request {
            kinds.push("stream");
            host.reflector.failed(host.at(), list, failure(503, None));
            host.deliveries();
            host.want(wait, STEADY, false);
            (list, request) = host.request(20_000);
        }
        assert!(matches!(request, Request::List { token: None, .. }), "{request:?}");
        kinds.push("pages");
        host.page(list, "100");
        let (watch, _) = host.request(1_000);
        host.reflector.failed(host.at(), watch, failure(410, None));
        host.deliveries();
        host.want(wait, STEADY, false);
    }
    assert_eq!(kinds, ["stream", "pages", "stream", "pages", "pages"]);
}

#[test]
fn a_list_at_the_beginning_of_a_watch_has_a_deadline_while_nothing_arrives() {
    let mut host = Host::hub(None);
    host.join("a");
    let (watch, _) = host.request(200);
    host.reflector.opened(host.at(), watch);
    assert_eq!(host.commands(9_000), []);
    host.reflector.progress(host.at(), watch, 100);
    assert_eq!(host.requests(9_999), []);
    assert!(host.commands(1).contains(&Command::Close(watch)));
}

#[test]
fn without_the_right_to_list_a_pod_is_read_by_its_name() {
    let mut host = Host::hub(Some("podwait"));
    host.join("first");
    let _ = host.watch(&[("first", pod("u", 90))]);
    host.deliveries();
    let (wait, question) = host.join_with_question("a");
    host.reflector.failed(host.at(), question, failure(403, None));
    assert_eq!(host.deliveries(), []);
    let (read, request) = host.request(100);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")));
    host.reflector.answer(host.at(), read, Some(pod("u2", 95)));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Get, pod("u2", 95)))]);
}
