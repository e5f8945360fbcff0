use super::envelope::{Envelope, head_of};
use super::fields::{Fields, tag};
use super::pod::pod;
use crate::{DecodeError, Encoding, Event, EventKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A field that holds bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).expect("a short value");
    assert!(number < 16 && length < 128);
    [&[number << 3 | 2, length], value].concat()
}

/// A pod with these fields and the required ones.
fn with(fields: &[u8]) -> Result<crate::Pod, String> {
    let metadata = field(1, &[field(1, b"p"), field(5, b"u")].concat());
    pod(&[&metadata, fields].concat()).map_err(|error| error.to_string())
}

/// A pod with a container status of this state.
fn with_state(state: &[u8]) -> Result<crate::Pod, String> {
    with(&field(3, &field(8, &field(2, state))))
}

#[test]
fn an_error_contains_the_path_of_its_field() {
    for (fields, expected) in [
        (field(1, b""), "metadata: is there twice"),
        (field(2, b"\x1a\x05Ne"), "spec: ends in the middle"),
        (field(2, b"\x18\x01"), "spec.restartPolicy: expected bytes, found a number"),
        (field(2, b"\x22\x01\x01"), "spec.terminationGracePeriodSeconds: expected an integer, found bytes"),
        (field(2, &field(3, b"\xff")), "spec.restartPolicy: is not UTF-8"),
        (
            field(2, &[field(2, b""), field(2, b"\x08\x01")].concat()),
            "spec.containers[1].name: expected bytes, found a number",
        ),
        (
            field(3, &field(2, &field(4, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))),
            "status.conditions[0].lastTransitionTime: is not a time",
        ),
        (field(3, b"\x0b\x0c"), "status: has a group"),
        (field(3, b"\x0c"), "status: has a group"),
        (field(3, b"\x0e"), "status: has a field of an unknown type"),
        (field(3, b"\x00\x01"), "status: has a field with an invalid number"),
        (field(3, b"\x08"), "status: ends in the middle"),
        (
            field(3, b"\x88\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            "status: has a number that is too long",
        ),
        (field(3, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "status: ends in the middle"),
        (b"\x1a\x05\x00".to_vec(), "ends in the middle"),
        (b"\xfa\x3e".to_vec(), "ends in the middle"),
    ] {
        let error = with(&fields).expect_err(expected);
        assert_eq!(error, expected);
    }
    let start = "status.containerStatuses[0].state.";
    for (state, expected) in [
        (field(3, b""), "terminated: has no exitCode"),
        (field(3, &field(3, b"Error")), "terminated: has no exitCode"),
        (field(3, b"\x08\x80\x80\x80\x80\x08"), "terminated.exitCode: is out of an integer's range"),
        (field(3, b"\x08\x01\x08\x01"), "terminated.exitCode: is there twice"),
        (field(3, b"\x08\x01\x2a\x01\x08"), "terminated.startedAt: ends in the middle"),
        (field(1, b"\x08\x01"), "waiting.reason: expected bytes, found a number"),
        ([field(3, b"\x08\x01"), field(3, b"\x08\x01")].concat(), "terminated: is there twice"),
    ] {
        let error = with_state(&state).expect_err(expected);
        assert_eq!(error, format!("{start}{expected}"));
    }
}

#[test]
fn only_unknown_fields_are_skipped() {
    let plain = with(b"").expect("a pod");
    for unknown in [
        &b"\x20\x05"[..],
        b"\x21\0\0\0\0\0\0\0\0",
        b"\x25\0\0\0\0",
        b"\x22\x02\xff\xff",
        b"\xf8\xff\xff\xff\x0f\x01",
    ] {
        assert_eq!(with(unknown).as_ref(), Ok(&plain));
    }
    assert!(with(b"\xf8\xff\xff\xff\x1f\x01").is_err(), "no field has such a number");
}

#[test]
fn what_identifies_a_pod_must_be_there() {
    let error = |metadata: &[u8]| pod(&field(1, metadata)).expect_err("no pod").to_string();
    assert_eq!(error(&field(1, b"p")), "metadata.uid is missing");
    assert_eq!(error(&field(5, b"u")), "metadata.name is missing");
    assert_eq!(pod(b"").expect_err("no pod").to_string(), "metadata.name is missing");
}

#[test]
fn numbers_are_read_as_they_were_written() {
    let code = |varint: &[u8]| {
        let state = with_state(&field(3, &[b"\x08", varint].concat()))?;
        match &state.snapshot.container_statuses[0].state {
            Some(podwait_core::ContainerState::Terminated(record)) => Ok(record.exit_code),
            other => Err(format!("{other:?}")),
        }
    };
    assert_eq!(code(b"\0"), Ok(0));
    assert_eq!(code(b"\x80\0"), Ok(0));
    assert_eq!(code(b"\xff\x01"), Ok(255));
    assert_eq!(code(b"\xff\xff\xff\xff\x07"), Ok(i32::MAX));
    assert_eq!(code(b"\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01"), Ok(i32::MIN));
    assert!(code(b"\xff\xff\xff\xff\x0f").is_err(), "-1 has ten bytes");
    assert!(tag(u64::MAX).is_err());
    let mut fields = Fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_eq!(fields.next().expect("a field").expect("a field").integer().expect("a number"), -1);
}

fn envelope(kind: &[u8], rest: &[u8]) -> Vec<u8> {
    [b"k8s\0", &*field(1, &[field(1, b"v1"), field(2, kind)].concat()), rest].concat()
}

#[test]
fn an_envelope_is_checked() {
    let metadata = field(1, &[field(1, b"p"), field(3, b"n"), field(5, b"u"), field(6, b"7")].concat());
    let read = |bytes: &[u8]| {
        crate::pod(Encoding::Protobuf, bytes).map(|pod| pod.name).map_err(|error| error.to_string())
    };
    assert_eq!(
        read(&envelope(b"Pod", &[field(2, &metadata), field(3, b""), field(4, b"")].concat())).as_deref(),
        Ok("p")
    );
    assert_eq!(read(&envelope(b"", &field(2, &metadata))).as_deref(), Ok("p"));
    for (bytes, expected) in [
        (b"".to_vec(), "does not begin with k8s\\0"),
        (b"k8s\x01".to_vec(), "does not begin with k8s\\0"),
        (b"k8s\0".to_vec(), "has no object"),
        (envelope(b"Pod", b""), "has no object"),
        (envelope(b"Pod", &[field(2, &metadata), field(2, b"")].concat()), "raw: is there twice"),
        (
            envelope(b"Pod", &[field(2, &metadata), field(3, b"gzip")].concat()),
            "contentEncoding: is of an unknown encoding",
        ),
        (
            envelope(b"Pod", &[field(2, &metadata), field(4, b"application/json")].concat()),
            "contentType: is not protobuf",
        ),
        (envelope(b"No\x1bde", &field(2, &metadata)), "not a Pod but a No\u{fffd}de"),
        (envelope(b"\xff", &field(2, &metadata)), "not a Pod but a \u{fffd}"),
    ] {
        assert_eq!(read(&bytes), Err(expected.to_string()));
    }
    let other = [&b"k8s\0"[..], &field(1, &field(1, b"metrics/v1")), &field(2, &metadata)].concat();
    assert_eq!(read(&other), Err("not a Pod but a Pod of metrics/v1".to_string()));
}

#[test]
fn an_event_of_protobuf_is_read_up_to_its_head() {
    // Nothing after the third of the three fields is read.
    let metadata = field(1, &[&field(1, b"p")[..], &field(3, b"n"), &field(6, b"7"), b"\x0f"].concat());
    let frame = |kind: &[u8], object: &[u8]| [field(1, kind), field(2, &field(1, object))].concat();
    let added = frame(b"ADDED", &envelope(b"Pod", &field(2, &metadata)));
    let event = Event::read(Encoding::Protobuf, &added).expect("an event");
    assert_eq!((event.kind, &*event.head.namespace, &*event.head.name), (EventKind::Added, "n", "p"));
    assert_eq!(event.head.resource_version, "7");
    assert!(event.pod().is_err());
    assert!(event.object().expect("an object").starts_with(b"k8s\0"));
    assert!(!event.ends_initial_events().expect("no bookmark"));

    for (bytes, expected) in [
        (b"".to_vec(), "type is missing"),
        (field(1, b"ADDED"), "object is missing"),
        ([field(1, b"ADDED"), field(2, b"")].concat(), "object is missing"),
        ([added.clone(), field(1, b"ADDED")].concat(), "is there twice"),
        (frame(b"ADDED", b"{}"), "does not begin with k8s"),
        (frame(b"ADDED", &envelope(b"Status", &field(2, b""))), "not a Pod but a Status"),
        (
            frame(b"ADDED", &envelope(b"Pod", &field(2, &field(1, &field(1, b"\xff"))))),
            "metadata.name: is not UTF-8",
        ),
        (
            frame(
                b"ADDED",
                &envelope(b"Pod", &field(2, &field(1, &[field(1, b"a"), field(1, b"b")].concat()))),
            ),
            "metadata.name: is there twice",
        ),
    ] {
        let error = Event::read(Encoding::Protobuf, &bytes).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }

    let new = frame(b"NEW", b"anything");
    assert_eq!(Event::read(Encoding::Protobuf, &new).expect("an event").kind, EventKind::Unrecognized);
    let broken = frame(b"ERROR", b"anything");
    let failure = Event::read(Encoding::Protobuf, &broken).expect("an event").failure();
    assert_eq!((failure.code, failure.is_status, &*failure.message), (0, false, "the watch failed"));
    let gone = frame(b"ERROR", &envelope(b"Status", &field(2, &field(4, b"Expired"))));
    assert!(Event::read(Encoding::Protobuf, &gone).expect("an event").failure().is_expired());
    assert_eq!(head_of(b"").expect("no metadata"), crate::Head::default());
    assert!(matches!(Envelope::read(&added).map_err(DecodeError::from), Err(DecodeError::Field(_))));
}
