//! States from before the last read, and probes for final states.

use crate::host::{Host, STEADY, failure, head, is_watch, pod};
use podwait_hub::{ApiFailure, Confirms, Event, From, Observed, PodName, Request, Selection, Via};
use std::time::Duration;

#[test]
fn a_watch_that_is_behind_does_not_bring_old_states_back() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u2", 98))]);
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::List, pod("u2", 98)))]);
    host.want(wait, STEADY, false);
    // These events are from before the LIST: the end of another pod, and the beginning of this one.
    host.event(watch, Event::Deleted, "a", &pod("u1", 95));
    host.event(watch, Event::State, "a", &pod("u2", 96));
    assert_eq!(host.deliveries(), []);
    host.event(watch, Event::Deleted, "a", &pod("u2", 101));
    assert_eq!(host.deliveries(), [(wait, Observed::Deleted(pod("u2", 101)))]);
}

#[test]
fn what_a_probe_by_name_shows_need_not_have_the_label() {
    let mut host = Host::hub(Some("podwait"));
    let (first, second) = (host.join("a"), host.join("a"));
    let _ = host.watch(&[]);
    let read = host.beside.iter().find(|(_, request)| matches!(request, Request::Get(_))).expect("a read").0;
    // The pod exists without the label, and then another pod has the name.
    host.reflector.answer(host.at(), read, Some(pod("u1", 90)));
    host.deliveries();
    host.want(first, STEADY, false);
    host.want(second, STEADY, false);
    let (read, request) = host.request(500);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")));
    host.reflector.answer(host.at(), read, Some(pod("u2", 103)));
    host.deliveries();
    host.want(first, Duration::from_secs(3), true);
    host.want(second, STEADY, false);
    let (probe, request) = host.request(0);
    let selection =
        Selection { namespace: Some("ci".into()), pod: Some(PodName::new("ci", "a")), labels: None };
    assert_eq!(request, Request::Watch { selection, from: From::After("90".into()), seconds: 10 });
    host.reflector.opened(host.at(), probe);
    host.event(probe, Event::State, "a", &pod("u2", 104));
    assert_eq!(host.deliveries().len(), 2, "it is news to both");
    host.want(first, Duration::from_secs(3), true);
    host.want(second, STEADY, false);
    let (_, request) = host.request(500);
    assert_eq!(request, Request::Get(PodName::new("ci", "a")), "it is read as often as before");
}

#[test]
fn what_was_there_before_goes_only_to_the_wait_that_confirms() {
    let mut host = Host::hub(None);
    let first = host.join("a");
    let _ = host.watch(&[("a", pod("u1", 90))]);
    host.deliveries();
    host.want(first, STEADY, false);
    let second = host.join("a");
    let (read, _) = host.request(200);
    host.reflector.answer(host.at(), read, Some(pod("u2", 105)));
    assert_eq!(host.deliveries().len(), 2);
    host.want(first, Duration::from_secs(3), true);
    host.want(second, STEADY, false);
    let (probe, _) = host.request(1_000);
    host.reflector.opened(host.at(), probe);
    host.event(probe, Event::State, "a", &pod("u1", 102));
    host.event(probe, Event::Deleted, "a", &pod("u1", 103));
    let expected = [Observed::Pod(Via::Watch, pod("u1", 102)), Observed::Deleted(pod("u1", 103))];
    assert_eq!(host.deliveries(), expected.map(|observed| (first, observed)));
}

#[test]
fn what_came_before_a_lost_record_is_looked_for_and_the_pod_is_still_there() {
    for labels in [None, Some("app=x")] {
        let mut host = Host::hub(labels);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u1", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_millis(200), false);
        let (read, _) = host.request(200);
        host.reflector.answer(host.at(), read, Some(pod("u1", 105)));
        assert_eq!(host.deliveries().len(), 1);
        host.reflector.want(host.at(), wait, Duration::from_secs(3), Confirms::LostRecord);
        let (probe, request) = host.request(1_000);
        assert!(
            matches!(&request, Request::Watch { selection, .. } if selection.pod.is_none()),
            "{request:?}"
        );
        host.reflector.opened(host.at(), probe);
        host.event(probe, Event::State, "a", &pod("u1", 102));
        assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u1", 102)))]);
        host.reflector.want(host.at(), wait, Duration::from_secs(2), Confirms::LostRecord);
        if labels.is_some() {
            // It has lost its label since.
            host.event(watch, Event::Deleted, "a", &pod("u1", 107));
            assert_eq!(host.deliveries(), []);
        }
    }
}

#[test]
fn a_wait_that_came_when_another_pod_had_the_name_has_the_past_of_its_own() {
    for labels in [None, Some("app=x")] {
        let mut host = Host::hub(labels);
        host.join("b");
        let watch = host.watch(&[("b", pod("u0", 90))]);
        host.deliveries();
        // The pod of these waits is gone, which the watch has yet to show.
        let pinned = host.join_for("a", Some("u1"));
        let any = host.join("a");
        let other = host.join_for("a", Some("u2"));
        let (read, _) = host.request(200);
        host.reflector.answer(host.at(), read, Some(pod("u2", 110)));
        assert_eq!(host.deliveries().len(), 3);
        for wait in [pinned, any, other] {
            host.want(wait, STEADY, false);
        }
        host.event(watch, Event::State, "a", &pod("u1", 102));
        host.event(watch, Event::State, "a", &pod("u2", 109));
        assert_eq!(host.deliveries(), [(pinned, Observed::Pod(Via::Watch, pod("u1", 102)))]);
        host.want(pinned, STEADY, false);
        host.event(watch, Event::Deleted, "a", &pod("u1", 108));
        if labels.is_some() {
            // The pod may only have lost its label.
            let (read, _) = host.request(200);
            host.reflector.answer(host.at(), read, Some(pod("u2", 110)));
        }
        let deleted = Observed::Deleted(pod("u1", 108));
        assert!(host.deliveries().contains(&(pinned, deleted)));
        host.event(watch, Event::State, "a", &pod("u2", 111));
        assert_eq!(host.deliveries().len(), 3);
    }
}

#[test]
fn a_refused_watch_takes_no_final_state_along() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let (list, _) = host.request(200);
    let first = pod("u", 90);
    host.reflector.item(list, head("a", &first), || Ok(first.clone()));
    host.reflector.page(host.at(), list, "100", None);
    host.deliveries();
    host.want(wait, STEADY, false);
    let (watch, _) = host.request(0);
    host.reflector.failed(host.at(), watch, failure(503, None));
    host.deliveries();
    host.want(wait, STEADY, false);
    let (watch, _) = host.request(1_000);
    host.reflector.failed(host.at(), watch, failure(503, None));
    host.deliveries();
    host.want(wait, STEADY, false);
    let (list, request) = host.request(3_000);
    assert!(matches!(request, Request::List { .. }), "{request:?}");
    host.reflector.page(host.at(), list, "110", None);
    assert_eq!(host.deliveries(), [(wait, Observed::NotFound(Via::List))]);
    host.want(wait, Duration::from_secs(3), true);
    let both = host.requests(0);
    let (watch, _) = both.iter().find(|(_, request)| is_watch(request, 290)).expect("the watch");
    assert!(both.iter().any(|(_, request)| is_watch(request, 10)), "{both:?}");
    let (probe, _) = both.iter().find(|(_, request)| is_watch(request, 10)).expect("a probe");
    host.reflector.opened(host.at(), *probe);
    host.reflector.failed(host.at(), *watch, failure(403, None));
    assert!(!host.requests(0).iter().any(|(_, request)| is_watch(request, 10)), "it goes on");
    host.event(*probe, Event::State, "a", &pod("u", 95));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u", 95)))]);
    host.want(wait, Duration::from_secs(3), true);
    // The probe breaks, and continues by the pod's name.
    host.reflector.failed(host.at(), *probe, failure(0, None));
    let selection =
        Selection { namespace: Some("ci".into()), pod: Some(PodName::new("ci", "a")), labels: None };
    let by_name = Request::Watch { selection, from: From::After("95".into()), seconds: 10 };
    let requests = host.requests(0);
    assert!(requests.iter().any(|(_, request)| *request == by_name), "{requests:?}");
}

#[test]
fn an_event_that_overtakes_a_late_read_may_be_old() {
    let mut host = Host::hub(None);
    let wait = host.join("a");
    let watch = host.watch(&[("a", pod("u1", 90))]);
    host.deliveries();
    host.want(wait, Duration::from_millis(500), false);
    let (_read, _) = host.request(500);
    // In time it says what it says.
    host.event(watch, Event::State, "a", &pod("u1", 101));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u1", 101)))]);
    host.want(wait, Duration::from_millis(500), false);
    let (_read, _) = host.request(500);
    host.now += 400;
    host.event(watch, Event::State, "a", &pod("u1", 102));
    let late = Observed::Failed(ApiFailure::new(Via::Get, 0, "no answer yet"));
    let expected = [late, Observed::Pod(Via::Watch, pod("u1", 102))];
    assert_eq!(host.deliveries(), expected.map(|observed| (wait, observed)));
}

#[test]
fn the_past_of_its_own_pod_is_for_a_wait_by_itself_too() {
    let mut host = Host::hub(None);
    host.join("b");
    let watch = host.watch(&[("b", pod("u0", 90))]);
    host.deliveries();
    let pinned = host.join_for("a", Some("u1"));
    let (read, _) = host.request(200);
    host.reflector.answer(host.at(), read, Some(pod("u2", 110)));
    host.deliveries();
    host.want(pinned, STEADY, false);
    assert!(host.event(watch, Event::State, "a", &pod("u1", 102)));
    assert_eq!(host.deliveries(), [(pinned, Observed::Pod(Via::Watch, pod("u1", 102)))]);
}

#[test]
fn an_older_state_of_a_list_counts_if_nothing_came_since_it_began() {
    // The version that comes during the LIST, and that of the LIST.
    for (meanwhile, listed, is_delivered) in [
        (None, 95, true),
        (None, 107, true),
        (Some(106), 95, false),
        (Some(106), 106, true),
        (Some(106), 107, true),
    ] {
        let mut host = Host::hub(None);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 98))]);
        host.deliveries();
        host.want(wait, STEADY, false);
        host.event(watch, Event::State, "a", &pod("u", 105));
        host.deliveries();
        host.want(wait, Duration::from_millis(500), false);
        let (read, _) = host.request(500);
        // If the version is older, the store was restored from a backup.
        host.reflector.failed(host.at(), watch, failure(410, None));
        let (list, request) = host.request(1_000);
        assert!(matches!(request, Request::List { .. }), "{request:?}");
        if let Some(version) = meanwhile {
            host.reflector.answer(host.at(), read, Some(pod("u", version)));
            assert!(host.deliveries().contains(&(wait, Observed::Pod(Via::Get, pod("u", version)))));
            host.want(wait, STEADY, false);
        }
        let item = pod("u", listed);
        host.reflector.item(list, head("a", &item), || Ok(item.clone()));
        let delivered = host.deliveries().contains(&(wait, Observed::Pod(Via::List, item)));
        assert_eq!(delivered, is_delivered, "{meanwhile:?} {listed}");
    }
}

#[test]
fn a_list_whose_version_cannot_be_compared_shows_no_absence() {
    for (version, is_absent) in [("x", false), ("89", false), ("90", true)] {
        let mut host = Host::hub(None);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, STEADY, false);
        host.reflector.failed(host.at(), watch, failure(410, None));
        let (list, request) = host.request(1_000);
        assert!(matches!(request, Request::List { .. }), "{request:?}");
        host.reflector.page(host.at(), list, version, None);
        let requests = host.requests(0);
        let is_read = requests.iter().any(|(_, request)| matches!(request, Request::Get(_)));
        let delivered = host.deliveries().contains(&(wait, Observed::NotFound(Via::List)));
        assert_eq!((delivered, is_read), (is_absent, !is_absent), "{version}");
    }
}

#[test]
fn nothing_is_late_of_a_pod_that_is_not_known() {
    let mut host = Host::hub(None);
    host.join("b");
    let watch = host.watch(&[("b", pod("u0", 90))]);
    host.deliveries();
    let wait = host.join("a");
    host.want(wait, Duration::from_millis(500), false);
    let (_read, _) = host.request(0);
    host.now += 900;
    host.event(watch, Event::State, "a", &pod("u1", 101));
    assert_eq!(host.deliveries(), [(wait, Observed::Pod(Via::Watch, pod("u1", 101)))]);
}

#[test]
fn a_list_repeats_no_absence_that_is_being_confirmed() {
    for labels in [None, Some("app=x")] {
        let mut host = Host::hub(labels);
        let wait = host.join("a");
        let watch = host.watch(&[("a", pod("u", 90))]);
        host.deliveries();
        host.want(wait, Duration::from_millis(200), false);
        let (read, _) = host.request(200);
        host.reflector.answer(host.at(), read, None);
        assert_eq!(host.deliveries(), [(wait, Observed::NotFound(Via::Get))]);
        host.want(wait, Duration::from_secs(3), true);
        host.reflector.failed(host.at(), watch, failure(410, None));
        let requests = host.requests(1_000);
        let is_list = |request: &Request| matches!(request, Request::List { .. });
        let list = requests.iter().find(|(_, request)| is_list(request)).expect("a LIST").0;
        host.reflector.page(host.at(), list, "110", None);
        assert_eq!(host.deliveries(), []);
        let is_get = |request: &Request| matches!(request, Request::Get(_));
        assert!(!host.requests(500).iter().any(|(_, request)| is_get(request)));
    }
}
