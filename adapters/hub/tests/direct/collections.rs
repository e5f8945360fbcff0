//! A scope as a whole: every object of it is delivered, without a wait for any.

use crate::host::{Host, failure, head, pod};
use podwait_hub::{Collected, Event, From, Reflector, Request, Scope, Via};

fn host() -> Host {
    let mut host = Host::hub(None);
    let scope = Scope::namespace("ci").labels("job=7");
    host.reflector = Reflector::of_collection(host.at(), scope, 10);
    host
}

fn collected(host: &mut Host) -> Vec<Collected<crate::host::Pod>> {
    std::iter::from_fn(|| host.reflector.next_collected()).collect()
}

#[test]
fn every_object_is_delivered_and_the_lists_have_their_ends() {
    let mut host = host();
    let (watch, request) = host.request(0);
    assert!(
        matches!(&request, Request::WatchList { selection, .. } if selection.labels.as_deref() == Some("job=7"))
    );
    host.reflector.opened(host.at(), watch);
    host.event(watch, Event::State, "a", &pod("u1", 90));
    host.listed(watch, "100");
    host.event(watch, Event::State, "b", &pod("u2", 101));
    host.event(watch, Event::Deleted, "a", &pod("u1", 102));
    assert_eq!(
        collected(&mut host),
        [
            Collected::ListBegins,
            Collected::Object(Via::List, pod("u1", 90)),
            Collected::ListEnds,
            Collected::Object(Via::Watch, pod("u2", 101)),
            Collected::Deleted(pod("u1", 102)),
        ]
    );
    // It goes on without any wait, and without a delivery if the watch only ends or breaks for a moment.
    host.now += 20_000;
    host.reflector.ended(host.at(), watch);
    let (watch, request) = host.request(0);
    assert!(matches!(&request, Request::Watch { from: From::After(at), .. } if at == "102"), "{request:?}");
    assert_eq!(collected(&mut host), []);
    // After a 410 there is another LIST.
    host.reflector.failed(host.at(), watch, failure(410, None));
    let (list, _) = host.request(60_000);
    host.item(list, "b", &pod("u2", 101));
    host.page(list, "110");
    assert_eq!(
        collected(&mut host),
        [Collected::ListBegins, Collected::Object(Via::List, pod("u2", 101)), Collected::ListEnds]
    );
}

#[test]
fn a_list_beside_the_watch_comes_when_it_is_wanted() {
    let mut host = host();
    let watch = host.watch(&[]);
    assert_eq!(collected(&mut host), [Collected::ListBegins, Collected::ListEnds]);
    assert_eq!(host.requests(60_000), [], "one LIST is enough");
    host.reflector.list_again();
    let (list, request) = host.request(0);
    assert!(matches!(request, Request::List { limit: 500, token: None, .. }), "{request:?}");
    host.item(list, "a", &pod("u1", 120));
    host.event(watch, Event::State, "b", &pod("u2", 121));
    host.reflector.page(host.at(), list, "122", Some("next".to_owned()));
    let (list, _) = host.request(0);
    host.page(list, "122");
    assert_eq!(
        collected(&mut host),
        [
            Collected::ListBegins,
            Collected::Object(Via::List, pod("u1", 120)),
            Collected::Object(Via::Watch, pod("u2", 121)),
            Collected::ListEnds,
        ]
    );
    assert_eq!(host.requests(60_000), []);
    // One that fails is delivered, and is not sent again by itself.
    host.reflector.list_again();
    let (list, _) = host.request(0);
    host.reflector.failed(host.at(), list, failure(503, None));
    assert_eq!(collected(&mut host), [Collected::ListBegins, Collected::Failed(failure(503, None))]);
    assert_eq!(host.requests(60_000), []);
    // Another one begins only after a rest.
    host.reflector.list_again();
    let (list, _) = host.request(0);
    host.page(list, "130");
    host.reflector.list_again();
    assert_eq!(host.requests(999), []);
    assert_eq!(host.requests(1).len(), 1);
}

#[test]
fn a_refusal_is_delivered_and_the_scope_is_tried_again() {
    let mut host = host();
    let (list, _) = host.request(0);
    host.reflector.failed(host.at(), list, failure(403, None));
    assert_eq!(collected(&mut host), [Collected::ListBegins, Collected::Failed(failure(403, None))]);
    assert!(host.reflector.refusal().is_some_and(|failure| failure.code == 403));
    assert_eq!(host.requests(59_999), []);
    let watch = host.watch(&[("a", pod("u1", 90))]);
    assert_eq!(
        collected(&mut host),
        [Collected::ListBegins, Collected::Object(Via::List, pod("u1", 90)), Collected::ListEnds]
    );
    assert!(host.reflector.refusal().is_none());
    // An object that cannot be read is a failure of its own; the watch goes on.
    let unreadable = failure(200, None);
    let object = pod("u1", 101);
    host.reflector.event(host.at(), watch, Event::State, head("a", &object), || Err(unreadable));
    let [Collected::Failed(failure)] = &collected(&mut host)[..] else { unreachable!("one delivery") };
    assert!(failure.message.starts_with("unreadable object of the scope: "), "{failure:?}");
    assert_eq!(host.requests(1_000), []);
}

#[test]
fn a_server_that_fails_is_delivered_each_time() {
    let mut host = host();
    for _ in 0..3 {
        let (list, _) = host.request(60_000);
        host.reflector.failed(host.at(), list, failure(500, None));
        assert_eq!(collected(&mut host), [Collected::ListBegins, Collected::Failed(failure(500, None))]);
    }
}
