//! Waits over bytes: their inputs, their answers, and what remains in memory.

mod answers;
mod options;

use super::*;
use alloc::string::String;
use podwait_core::DoneReason;
use podwait_wire::ACCEPT;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A wait on one pod, and its first request.
fn waits() -> (Waits, WaitId, RequestId) {
    let mut waits = Waits::single();
    let machine = WaitMachine::new(Arc::default());
    let wait = waits.join(at(0), PodName::new("ci", "p"), machine, Duration::ZERO, true, &mut ());
    let _ = waits.poll(at(0), &mut ());
    let sent = actions(&mut waits, at(0));
    let [Action::Send { id, target, accept }] = &sent[..] else { unreachable!("{sent:?}") };
    assert_eq!((&**target, *accept), ("/api/v1/namespaces/ci/pods/p", ACCEPT));
    (waits, wait, *id)
}

fn actions(waits: &mut Waits, now: Instant) -> Vec<Action> {
    core::iter::from_fn(|| waits.next_action(now)).collect()
}

fn pod(version: u32, state: &str) -> String {
    alloc::format!(
        r#"{{"metadata":{{"namespace":"ci","name":"p","uid":"u","resourceVersion":"{version}"}},"spec":{{"restartPolicy":"Never","containers":[{{"name":"step"}}]}},"status":{{"phase":"Running","containerStatuses":[{{"name":"step","state":{state}}}]}}}}"#
    )
}

#[test]
fn a_get_and_a_watch_lead_to_an_answer() {
    let (mut waits, wait, get) = waits();
    let ok = ResponseHead { status: 200, content_type: Some("application/json"), ..ResponseHead::default() };
    waits.head(at(1), get, &ok);
    waits.body(at(1), get, pod(7, r#"{"running":{}}"#).as_bytes(), &mut ());
    waits.end(at(1), get, None, &mut ());
    let _ = waits.poll(at(1), &mut ());
    let sent = actions(&mut waits, at(1));
    let [Action::Send { id: watch, target, .. }] = &sent[..] else { unreachable!("{sent:?}") };
    assert!(target.contains("watch=true") && target.contains("resourceVersion=7&"), "{target}");
    waits.head(at(2), *watch, &ok);
    let ended = pod(8, r#"{"terminated":{"exitCode":3}}"#);
    let event = alloc::format!("{{\"type\":\"MODIFIED\",\"object\":{ended}}}\n");
    let (first, second) = event.split_at(40);
    waits.body(at(3), *watch, first.as_bytes(), &mut ());
    assert_eq!(waits.next_answer(), None);
    waits.body(at(4), *watch, second.as_bytes(), &mut ());
    let answer = waits.next_answer().map(|(id, exit)| (id, exit.map(|exit| (exit.code, exit.reason))));
    assert_eq!(answer, Some((wait, Ok((3, DoneReason::NonzeroExit)))));
    assert_eq!(actions(&mut waits, at(4)), [Action::Close(*watch)]);
    assert!(waits.is_empty() && waits.poll(at(5), &mut ()).is_none());
}

#[test]
fn a_refusal_whose_request_is_closed_leaves_no_deadline_behind() {
    let (mut waits, wait, get) = waits();
    waits.head(at(1), get, &ResponseHead { status: 403, ..ResponseHead::default() });
    assert!(waits.poll(at(1), &mut ()).is_some_and(|next| next <= at(1001)));
    assert!(waits.leave(wait).is_some());
    assert_eq!(actions(&mut waits, at(2)), [Action::Close(get)]);
    assert!(!waits.feed.has_refusals());
    assert_eq!(waits.poll(at(5000), &mut ()), None);
}

#[test]
fn a_refusal_without_an_end_is_answered_and_its_request_closed() {
    let (mut waits, wait, get) = waits();
    waits.head(at(1), get, &ResponseHead { status: 403, ..ResponseHead::default() });
    // Further heads are ignored.
    waits.head(at(1), get, &ResponseHead { status: 200, ..ResponseHead::default() });
    let _ = waits.poll(at(1001), &mut ());
    assert_eq!(actions(&mut waits, at(1001)), [Action::Close(get)]);
    assert!(!waits.feed.has_refusals());
    assert!(waits.leave(wait).is_some());
    assert_eq!(actions(&mut waits, at(1002)), []);
}
