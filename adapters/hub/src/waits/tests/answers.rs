//! Which observation becomes of which answer.

use super::*;
use crate::call::Command::Close;
use podwait_wire::{LONGEST_OBJECT, Refusal};

/// The observations of all turns.
#[derive(Default)]
pub(super) struct Seen(pub(super) Vec<Observed<Arc<ObservedPod>>>);

impl Observer for Seen {
    fn on_turn(&mut self, _: WaitId, turn: Turn<'_>) {
        self.0.push(turn.observed.clone());
    }
}

impl Seen {
    /// The only failure among them.
    #[track_caller]
    fn failure(&self) -> &ApiFailure {
        let failures: Vec<&ApiFailure> = self.0.iter().filter_map(failure_of).collect();
        assert_eq!(failures.len(), 1, "{:?}", self.0);
        failures[0]
    }
}

fn failure_of(observed: &Observed<Arc<ObservedPod>>) -> Option<&ApiFailure> {
    match observed {
        Observed::Failed(failure) => Some(failure),
        Observed::Pod(..)
        | Observed::Deleted(_)
        | Observed::NotFound(_)
        | Observed::Silence
        | Observed::Cancelled => None,
    }
}

pub(super) const RUNNING: &str = r#"{"running":{}}"#;

/// A head of JSON with this status.
pub(super) fn head(status: u16) -> ResponseHead<'static> {
    ResponseHead { status, content_type: Some("application/json"), ..ResponseHead::default() }
}

/// Hands over a whole answer in pieces of that length. Returns what the waits saw.
pub(super) fn answer(waits: &mut Waits, id: RequestId, status: u16, body: &[u8], piece: usize) -> Seen {
    let mut seen = Seen::default();
    waits.head(at(1), id, &head(status));
    body.chunks(piece).for_each(|piece| waits.body(at(1), id, piece, &mut seen));
    waits.end(at(1), id, None, &mut seen);
    seen
}

/// A Status of that code about a pod of this name.
fn status(code: u16, reason: &str, name: &str) -> String {
    alloc::format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"so it is","reason":"{reason}","details":{{"kind":"pods","name":"{name}"}},"code":{code}}}"#
    )
}

#[test]
fn a_pod_may_be_as_long_as_the_limit() {
    let pod = pod(7, RUNNING);
    let longest = pod.clone() + &" ".repeat(LONGEST_OBJECT - pod.len());
    let (mut waits, _, get) = waits();
    let seen = answer(&mut waits, get, 200, longest.as_bytes(), LONGEST_OBJECT / 2);
    let [Observed::Pod(Via::Get, pod)] = &seen.0[..] else { unreachable!("{:?}", seen.0) };
    assert_eq!((pod.uid(), pod.resource_version()), ("u", "7"));

    let (mut waits, _, get) = super::waits();
    let too_long = longest + " ";
    let seen = answer(&mut waits, get, 200, too_long.as_bytes(), LONGEST_OBJECT / 2);
    assert!(seen.failure().message.starts_with("unreadable pod: "), "{}", seen.failure());
    assert_eq!(actions(&mut waits, at(1))[0], Action::Close(get));
}

#[test]
fn the_body_of_a_refusal_may_be_as_long_as_the_limit() {
    let status = status(403, "Forbidden", "p");
    let padding = " ".repeat(Refusal::LONGEST_BODY - status.len());
    let longest = alloc::format!("{}{padding}}}", status.strip_suffix('}').unwrap_or_default());
    let too_long = longest.clone() + " ";
    for (body, message) in
        [(&status, "so it is"), (&longest, "so it is"), (&too_long, "HTTP status 403 Forbidden")]
    {
        let (mut waits, _, get) = waits();
        let seen = answer(&mut waits, get, 403, body.as_bytes(), 1 << 10);
        let failure = seen.failure();
        assert_eq!((failure.code, &*failure.message), (403, message), "{}", body.len());
    }
}

#[test]
fn only_a_404_about_the_pod_is_its_absence() {
    for (code, reason, name, is_absence) in [
        (404, "NotFound", "p", true),
        (404, "NotFound", "q", false),
        (404, "Elsewhere", "p", false),
        (403, "NotFound", "p", false),
    ] {
        let (mut waits, _, get) = waits();
        let seen = answer(&mut waits, get, code, status(code, reason, name).as_bytes(), 1 << 10);
        let is_not_found = matches!(&seen.0[..], [Observed::NotFound(Via::Get)]);
        assert_eq!(is_not_found, is_absence, "{code} {reason} {name}: {:?}", seen.0);
    }
}

#[test]
fn an_answer_must_be_about_the_requested_pod() {
    let asked = PodName::new("ci", "p");
    for (namespace, name, is_the_one) in
        [("ci", "p", true), ("", "p", true), ("ci", "q", false), ("di", "p", false), ("", "q", false)]
    {
        let bytes = pod(7, RUNNING).replace(
            r#""namespace":"ci","name":"p""#,
            &alloc::format!(r#""namespace":"{namespace}","name":"{name}""#),
        );
        let read = ObservedPod::of_answer(&asked, Encoding::Json, bytes.as_bytes().to_vec());
        assert_eq!(read.is_ok(), is_the_one, "{namespace}/{name}: {read:?}");
        if let Err(failure) = read {
            let message = alloc::format!("requested pod ci/p, received {namespace}/{name}");
            assert_eq!((failure.via, failure.code, failure.message), (Via::Get, 200, message));
        }
    }
}

/// A wait whose watch is open, and the watch.
fn watched() -> (Waits, RequestId) {
    let (mut waits, _, get) = waits();
    answer(&mut waits, get, 200, pod(7, RUNNING).as_bytes(), 1 << 10);
    let _ = waits.poll(at(1), &mut ());
    let sent = actions(&mut waits, at(1));
    let [Action::Send { id, .. }] = &sent[..] else { unreachable!("{sent:?}") };
    waits.head(at(2), *id, &head(200));
    (waits, *id)
}

#[test]
fn a_stream_that_ends_within_an_event_is_broken() {
    for (piece, broken) in [("", None), ("{\"type\"", Some("the stream broke in the middle of an event"))] {
        let (mut waits, watch) = watched();
        let mut seen = Seen::default();
        waits.body(at(5_000), watch, piece.as_bytes(), &mut seen);
        waits.end(at(5_000), watch, None, &mut seen);
        assert_eq!(seen.0.iter().find_map(failure_of).map(|failure| &*failure.message), broken);
    }
}

#[test]
fn an_answer_that_cannot_be_read_is_closed() {
    let (mut waits, watch) = watched();
    let mut seen = Seen::default();
    waits.body(at(5_000), watch, b"[]\n", &mut seen);
    assert_eq!(seen.failure().via, Via::Watch);
    assert!(seen.failure().message.starts_with("unreadable watch event: "), "{}", seen.failure());
    assert_eq!(waits.feed.reflector.next_command(), Some(Close(watch)));
    assert!(!waits.feed.has_body(watch));
}

#[test]
fn a_request_with_an_invalid_name_fails_without_being_sent() {
    let mut waits = Waits::single();
    let mut seen = Seen::default();
    let machine = WaitMachine::new(Arc::default());
    let wait = waits.join(at(0), PodName::new("ci", "../p"), machine, Duration::ZERO, true, &mut seen);
    let _ = waits.poll(at(0), &mut seen);
    assert_eq!(actions(&mut waits, at(0)), []);
    let _ = waits.poll(at(0), &mut seen);
    let failure = seen.failure();
    assert_eq!((failure.via, failure.code, failure.is_status), (Via::Get, 400, true));
    assert_eq!(failure.message, "\"../p\" is not a valid pod name");
    assert!(matches!(waits.next_answer(), Some((id, Err(_))) if id == wait));
}

#[test]
fn what_a_machine_confirms_is_known() {
    for (why, expected) in [
        (RetryReason::ConfirmingDeletion, Confirms::Deletion),
        (RetryReason::ConfirmingLostRecord, Confirms::LostRecord),
        (RetryReason::Running, Confirms::Nothing),
    ] {
        assert_eq!(confirms(why), expected);
    }
}
