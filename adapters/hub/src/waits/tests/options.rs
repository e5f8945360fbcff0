//! What the host may choose: recordings of whole pods, an open watch, the time that a machine slept, a cancelled wait.

use super::answers::{RUNNING, Seen, answer, head};
use super::*;
use podwait_core::FailReason;

/// A hub with a wait, and its request for the first page: the server refuses a LIST at the beginning of a watch.
fn hub(labels: Option<&str>) -> (Waits, WaitId, RequestId) {
    let (mut waits, wait, id) = hub_of_streams(labels);
    answer(&mut waits, id, 422, br#"{"kind":"Status","apiVersion":"v1","message":"no","code":422}"#, 100);
    let (id, target, accept) = request(&mut waits, 200);
    assert_eq!((&*target, accept.as_str()), (&*list(labels, ""), "application/json"));
    (waits, wait, id)
}

/// A hub with a wait, and its first request.
fn hub_of_streams(labels: Option<&str>) -> (Waits, WaitId, RequestId) {
    let scope = Scope { namespace: Some("ci".into()), labels: labels.map(Into::into) };
    let mut waits = Waits::of_scope(scope, 10);
    waits.keep_json(true);
    let machine = WaitMachine::new(Arc::default());
    let wait = waits.join(at(0), PodName::new("ci", "p"), machine, Duration::ZERO, true, &mut ());
    let (id, target, _) = request(&mut waits, 200);
    assert!(
        target.contains("watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"),
        "{target}"
    );
    (waits, wait, id)
}

/// The target of a page of the LIST.
fn list(labels: Option<&str>, token: &str) -> String {
    let labels = labels.map(|labels| alloc::format!("&labelSelector={labels}")).unwrap_or_default();
    alloc::format!("/api/v1/namespaces/ci/pods?limit=500{token}{labels}")
}

/// The next request at that time, and its target.
#[track_caller]
fn request(waits: &mut Waits, millis: u64) -> (RequestId, String, String) {
    let _ = waits.poll(at(millis), &mut ());
    match waits.next_action(at(millis)) {
        Some(Action::Send { id, target, accept }) => (id, target, accept.into()),
        other => unreachable!("{other:?}"),
    }
}

/// A page with these items.
fn page(items: &str, next: &str) -> Vec<u8> {
    alloc::format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"100","continue":"{next}"}},"items":[{items}]}}"#
    )
    .into_bytes()
}

/// The texts of the pods that were seen.
fn texts(seen: &Seen) -> Vec<Option<&[u8]>> {
    fn text(observed: &Observed<Arc<ObservedPod>>) -> Option<Option<&[u8]>> {
        match observed {
            Observed::Pod(_, pod) | Observed::Deleted(pod) => Some(pod.json.as_deref()),
            Observed::NotFound(_) | Observed::Failed(_) | Observed::Silence | Observed::Cancelled => None,
        }
    }
    seen.0.iter().filter_map(text).collect()
}

#[test]
fn what_keeps_the_json_has_it_of_every_pod() {
    let pod = |version| pod(version, RUNNING);
    let (mut waits, _, first) = hub(None);
    // The pod is on the second page.
    answer(&mut waits, first, 200, &page("", "more"), 1 << 10);
    let (second, target, _) = request(&mut waits, 200);
    assert_eq!(target, list(None, "&continue=more"));
    let seen = answer(&mut waits, second, 200, &page(&pod(7), ""), 100);
    assert_eq!(texts(&seen), [Some(pod(7).as_bytes())]);

    let (watch, target, _) = request(&mut waits, 200);
    assert!(target.contains("watch=true&resourceVersion=100&"), "{target}");
    let event = alloc::format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", pod(101));
    let mut seen = Seen::default();
    waits.head(at(300), watch, &head(200));
    waits.body(at(300), watch, event.as_bytes(), &mut seen);
    assert_eq!(texts(&seen), [Some(pod(101).as_bytes())]);
}

#[test]
fn a_list_at_the_beginning_of_a_watch_ends_with_its_bookmark() {
    let (mut waits, _, watch) = hub_of_streams(None);
    let (mut seen, other) = (Seen::default(), pod(7, RUNNING).replace(r#""name":"p""#, r#""name":"q""#));
    let mark = |annotations| {
        alloc::format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{{"resourceVersion":"9"{annotations}}}}}}}"#
        )
    };
    waits.head(at(300), watch, &head(200));
    let (added, plain) = (alloc::format!("{{\"type\":\"ADDED\",\"object\":{other}}}\n"), mark(""));
    for line in [added, plain + "\n"] {
        waits.body(at(300), watch, line.as_bytes(), &mut seen);
    }
    assert_eq!(seen.0, []);
    let last = mark(r#","annotations":{"k8s.io/initial-events-end":"true"}"#) + "\n";
    waits.body(at(300), watch, last.as_bytes(), &mut seen);
    assert_eq!(seen.0, [Observed::NotFound(Via::List)]);
    assert_eq!(actions(&mut waits, at(300)), [], "the watch goes on");
}

#[test]
fn what_keeps_the_json_has_it_of_single_reads() {
    for keeps in [true, false] {
        let mut waits = Waits::single();
        waits.keep_json(keeps);
        let machine = WaitMachine::new(Arc::default());
        waits.join(at(0), PodName::new("ci", "p"), machine, Duration::ZERO, true, &mut ());
        let (get, _, accept) = request(&mut waits, 0);
        assert_eq!(accept == ACCEPT, !keeps);
        let pod = pod(7, RUNNING);
        let seen = answer(&mut waits, get, 200, pod.as_bytes(), 100);
        assert_eq!(texts(&seen), [keeps.then_some(pod.as_bytes())]);
    }
    // A LIST by name shows whether the label selector of the watch matches the pod.
    let (mut waits, _, first) = hub(Some("app"));
    answer(&mut waits, first, 200, &page("", ""), 100);
    let (watch, ..) = request(&mut waits, 200);
    waits.head(at(200), watch, &head(200));
    let machine = WaitMachine::new(Arc::default());
    waits.join(at(200), PodName::new("ci", "q"), machine, Duration::ZERO, true, &mut ());
    let (mut targets, pod) = (Vec::new(), pod(7, RUNNING).replace(r#""name":"p""#, r#""name":"q""#));
    while let Some(Action::Send { id, target, .. }) = waits.next_action(at(200)) {
        let is_of_q = target.contains("fieldSelector=metadata.name%3Dq");
        if is_of_q {
            let seen = answer(&mut waits, id, 200, &page(&pod, ""), 100);
            assert_eq!(texts(&seen), [Some(pod.as_bytes())]);
        }
        targets.push((target, is_of_q));
        let _ = waits.poll(at(200), &mut ());
    }
    assert!(targets.iter().any(|(_, is_of_q)| *is_of_q), "{targets:?}");
}

#[test]
fn the_watch_stays_open_only_where_it_is_to_stay_open() {
    for stays_open in [true, false] {
        let (mut waits, wait, first) = hub(None);
        waits.stay_open(stays_open);
        answer(&mut waits, first, 200, &page("", ""), 1 << 10);
        let (watch, ..) = request(&mut waits, 200);
        waits.head(at(200), watch, &head(200));
        assert!(!waits.is_empty() && waits.leave(wait).is_some() && waits.is_empty());
        assert_eq!(actions(&mut waits, at(300)).contains(&Action::Close(watch)), !stays_open);
    }
}

#[test]
fn a_refusal_of_the_scope_is_reported() {
    let (mut waits, _, first) = hub(None);
    assert_eq!(waits.refusal(), None);
    answer(&mut waits, first, 403, br#"{"kind":"Status","apiVersion":"v1","message":"no","code":403}"#, 100);
    assert_eq!(waits.refusal().map(|failure| (failure.via, failure.code)), Some((Via::List, 403)));
}

#[test]
fn a_wait_can_be_cancelled() {
    let (mut waits, wait, get) = waits();
    waits.cancel(at(1), wait, &mut ());
    let answer = waits.next_answer().map(|(id, exit)| (id, exit.map_err(|failure| failure.reason)));
    assert_eq!(answer, Some((wait, Err(FailReason::Cancelled))));
    assert_eq!(actions(&mut waits, at(1)), [Action::Close(get)]);
    assert!(waits.is_empty());
}

/// Keeps the machine's times.
#[derive(Default)]
struct Times(Vec<u64>);

impl Observer for Times {
    fn on_turn(&mut self, _: WaitId, turn: Turn<'_>) {
        self.0.push(turn.at.as_millis());
    }
}

#[test]
fn the_time_that_a_machine_slept_counts_from_its_first_good_read() {
    let (mut waits, mut times) = (Waits::single(), Times::default());
    let mut machine = WaitMachine::new(Arc::default());
    let _ = machine.handle(at(70), podwait_core::Input::Tick);
    let asleep = Duration::from_secs(5);
    let wait = waits.join(at(1_000), PodName::new("ci", "p"), machine, asleep, true, &mut times);
    let (get, ..) = request(&mut waits, 1_000);
    waits.head(at(1_010), get, &head(200));
    waits.body(at(1_010), get, pod(7, RUNNING).as_bytes(), &mut times);
    waits.end(at(1_010), get, None, &mut times);
    assert_eq!(times.0, [70, 5_080]);
    assert_eq!(
        waits.leave(wait).map(|(pod, _, asleep)| (pod, asleep)),
        Some((PodName::new("ci", "p"), Duration::ZERO))
    );
}
