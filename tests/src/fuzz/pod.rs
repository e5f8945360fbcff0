//! Pods as bytes: any bytes, and JSON that has the fields of a pod with any values.

use crate::{reference, sentence};
use arbitrary::{Arbitrary, Unstructured};
use podwait_core::{Input, Instant, WaitMachine};
use podwait_wire::{Encoding, Event, Frames, Head, ListItems, Pod, pod as read, reduce};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

/// The result is a snapshot or a typed error, never a panic. JSON is read as serde reads it. A pod that was read and
/// written is read as the same pod, also in a watch or a LIST.
///
/// # Panics
/// A finding.
pub fn pod_bytes(data: &[u8]) {
    let found = read(Encoding::Json, data);
    let is_json = std::str::from_utf8(data).is_ok() && serde_json::from_slice::<IgnoredAny>(data).is_ok();
    if is_json {
        let expected = reference::decode(data);
        assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{found:?}, but serde {expected:?}");
    }
    in_a_watch(data, found.as_ref().ok());
    in_a_list(data, found.is_ok());
    of_protobuf(data);
    let Ok(pod) = found else { return };
    let again = reduced(&pod);
    let answer =
        |snapshot| WaitMachine::new(Default::default()).handle(Instant::ZERO, Input::Snapshot(snapshot));
    let (whole, reduced) = (answer(&pod.snapshot), answer(&again.snapshot));
    assert_eq!(whole.code(), reduced.code(), "{pod:#?}");
    for text in sentence::all_of(&pod.snapshot) {
        assert_eq!(sentence::check_text(&text), Ok(()));
    }
}

/// The pod from its reduced JSON.
fn reduced(pod: &Pod) -> Pod {
    let json = reduce(pod).to_string();
    let again = read(Encoding::Json, json.as_bytes()).expect("a reduced pod is a pod");
    assert_eq!(reduce(&again).to_string(), json);
    again
}

/// The event's fields may have any order.
fn in_a_watch(object: &[u8], pod: Option<&Pod>) {
    let in_order = [br#"{"type":"MODIFIED","object":"#, object, b"}"].concat();
    let other_order = [br#"{"object":"#, object, br#","type":"MODIFIED"}"#].concat();
    for line in [in_order, other_order] {
        let event = Event::read(Encoding::Json, &line);
        let Some(pod) = pod else {
            let _ = event.map(|event| drop(event.pod()));
            continue;
        };
        let event = event.expect("the event of a pod");
        let of = |pod: &Pod| [&pod.namespace, &pod.name, &pod.snapshot.resource_version].map(Clone::clone);
        let Head { namespace, name, resource_version } = &event.head;
        assert_eq!([namespace, name, resource_version].map(|text| text.clone().into_owned()), of(pod));
        assert_eq!(&event.pod().expect("the pod of the event"), pod);
        assert_eq!(event.object().expect("the object of the event"), object.trim_ascii());
    }
}

/// The body is cut in two somewhere.
fn in_a_list(object: &[u8], is_pod: bool) {
    let body = [br#"{"kind":"PodList","items":["#, object, b",", object, br#"],"metadata":{}}"#].concat();
    let mut list = ListItems::new(Encoding::Json);
    let mut items = Vec::new();
    for mut part in halves(&body, object) {
        loop {
            match list.next_item(&mut part) {
                Ok(Some(item)) => items.push(item.bytes().to_vec()),
                Ok(None) => break,
                Err(error) => return assert!(!is_pod, "{error}"),
            }
        }
    }
    let end = list.finish();
    if is_pod {
        end.expect("a whole list");
        assert_eq!(items, [object.trim_ascii(); 2]);
    }
}

/// Two parts, cut at a position that depends on `by`.
fn halves<'a>(body: &'a [u8], by: &[u8]) -> [&'a [u8]; 2] {
    let cut = by.iter().fold(0, |sum, byte| sum + usize::from(*byte)) % body.len();
    [&body[..cut], &body[cut..]]
}

/// The same bytes as protobuf: as a pod, and as the bodies of a watch and of a LIST.
fn of_protobuf(data: &[u8]) {
    if let Ok(pod) = read(Encoding::Protobuf, data) {
        reduced(&pod);
    }
    let _ = Event::read(Encoding::Protobuf, data).map(|event| (drop(event.pod()), event.failure()));
    if data.is_empty() {
        return;
    }
    let mut frames = Frames::new(Encoding::Protobuf);
    let mut list = ListItems::new(Encoding::Protobuf);
    for part in halves(data, data) {
        let mut rest = part;
        while let Ok(Some(_)) = frames.next_frame(&mut rest) {}
        let mut rest = part;
        while let Ok(Some(item)) = list.next_item(&mut rest) {
            let _ = (item.head(), item.pod());
        }
    }
    let _ = list.finish();
}

/// The same with JSON that has a pod's fields, so that the fuzzer need not find their names.
///
/// # Panics
/// A finding.
pub fn pod_shape(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(value) = pod(&mut input) else { return };
    pod_bytes(value.to_string().as_bytes());
}

type Made = arbitrary::Result<Value>;

/// Makes one kind of value.
type Make = fn(&mut Unstructured<'_>) -> Made;

fn pod(u: &mut Unstructured<'_>) -> Made {
    let metadata = fields(
        u,
        &[
            ("name", text),
            ("namespace", text),
            ("uid", text),
            ("resourceVersion", text),
            ("generation", number),
            ("deletionTimestamp", time),
            ("deletionGracePeriodSeconds", number),
        ],
    )?;
    let spec = fields(
        u,
        &[
            ("restartPolicy", text),
            ("terminationGracePeriodSeconds", number),
            ("containers", containers),
            ("initContainers", containers),
            ("ephemeralContainers", containers),
            ("schedulingGates", containers),
        ],
    )?;
    let status = fields(
        u,
        &[
            ("phase", text),
            ("reason", text),
            ("message", text),
            ("observedGeneration", number),
            ("conditions", conditions),
            ("containerStatuses", statuses),
            ("initContainerStatuses", statuses),
            ("ephemeralContainerStatuses", statuses),
        ],
    )?;
    Ok(json!({ "kind": "Pod", "metadata": metadata, "spec": spec, "status": status }))
}

/// Any subset of these fields, and sometimes any other value.
fn fields(u: &mut Unstructured<'_>, of: &[(&str, Make)]) -> Made {
    let mut object = Map::new();
    for (name, make) in of {
        match u8::arbitrary(u)? {
            0..=20 => {}
            21..=30 => {
                object.insert((*name).to_owned(), Value::Null);
            }
            31..=36 => {
                object.insert((*name).to_owned(), anything(u)?);
            }
            _ => {
                object.insert((*name).to_owned(), make(u)?);
            }
        }
    }
    Ok(Value::Object(object))
}

fn anything(u: &mut Unstructured<'_>) -> Made {
    Ok(match u8::arbitrary(u)? % 6 {
        0 => Value::Null,
        1 => json!(bool::arbitrary(u)?),
        2 => json!(i64::arbitrary(u)?),
        3 => json!(String::arbitrary(u)?),
        4 => json!([]),
        _ => json!({}),
    })
}

fn list(u: &mut Unstructured<'_>, make: Make) -> Made {
    let length = u.int_in_range(0..=3)?;
    (0..length).map(|_| make(u)).collect::<arbitrary::Result<Vec<_>>>().map(Value::from)
}

fn containers(u: &mut Unstructured<'_>) -> Made {
    list(u, |u| fields(u, &[("name", text), ("restartPolicy", text), ("restartPolicyRules", rules)]))
}

fn rules(u: &mut Unstructured<'_>) -> Made {
    list(u, |u| fields(u, &[("action", text), ("exitCodes", exit_codes)]))
}

fn exit_codes(u: &mut Unstructured<'_>) -> Made {
    fields(u, &[("operator", text), ("values", |u| list(u, number))])
}

fn conditions(u: &mut Unstructured<'_>) -> Made {
    list(u, |u| {
        fields(
            u,
            &[
                ("type", text),
                ("status", text),
                ("reason", text),
                ("message", text),
                ("lastTransitionTime", time),
            ],
        )
    })
}

fn statuses(u: &mut Unstructured<'_>) -> Made {
    list(u, |u| {
        fields(
            u,
            &[
                ("name", text),
                ("restartCount", number),
                ("containerID", text),
                ("state", state),
                ("lastState", state),
            ],
        )
    })
}

fn state(u: &mut Unstructured<'_>) -> Made {
    fields(u, &[("waiting", waiting), ("running", |_| Ok(json!({}))), ("terminated", terminated)])
}

fn waiting(u: &mut Unstructured<'_>) -> Made {
    fields(u, &[("reason", text), ("message", text)])
}

fn terminated(u: &mut Unstructured<'_>) -> Made {
    fields(
        u,
        &[
            ("exitCode", number),
            ("reason", text),
            ("message", text),
            ("startedAt", time),
            ("finishedAt", time),
            ("containerID", text),
        ],
    )
}

/// A word with a meaning in some field, or any text.
fn text(u: &mut Unstructured<'_>) -> Made {
    const WORDS: [&str; 24] = [
        "step",
        "aux",
        "p",
        "u",
        "110",
        "Never",
        "Always",
        "OnFailure",
        "Running",
        "Succeeded",
        "Failed",
        "Pending",
        "True",
        "DisruptionTarget",
        "PodScheduled",
        "TerminationByKubelet",
        "Evicted",
        "NotIn",
        "Restart",
        "RestartAllContainers",
        "Completed",
        "ContainerStatusUnknown",
        "ImagePullBackOff",
        "",
    ];
    let choice = u8::arbitrary(u)?;
    Ok(match WORDS.get(usize::from(choice)) {
        Some(word) => json!(word),
        None if choice < 250 => json!(WORDS[usize::from(choice) % WORDS.len()]),
        None => json!(String::arbitrary(u)?),
    })
}

fn number(u: &mut Unstructured<'_>) -> Made {
    Ok(match u8::arbitrary(u)? {
        choice @ 0..=200 => json!(choice),
        201..=230 => json!(i32::arbitrary(u)?),
        _ => json!(i64::arbitrary(u)?),
    })
}

fn time(u: &mut Unstructured<'_>) -> Made {
    const TIMES: [&str; 8] = [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:30Z",
        "2026-01-01T01:00:00.5+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-30T22:00:00Z",
        "-009999-01-02T01:59:59Z",
        "1970-01-01T00:00:00Z",
        "2016-12-31T23:59:60Z",
    ];
    Ok(match TIMES.get(usize::from(u8::arbitrary(u)? % 10)) {
        Some(time) => json!(time),
        None => text(u)?,
    })
}
