use crate::{DecodeError, Encoding, Event, EventKind, Pod};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use podwait_core::ContainerState;

fn read(json: &str) -> Result<Pod, DecodeError> {
    crate::pod(Encoding::Json, json.as_bytes())
}

/// A pod with these fields and the required ones.
fn with(fields: &str) -> Result<Pod, String> {
    read(&format!(r#"{{"metadata":{{"name":"p","uid":"u"}},{fields}}}"#)).map_err(|error| error.to_string())
}

fn error(fields: &str) -> String {
    with(fields).expect_err(fields)
}

#[test]
fn an_error_contains_the_path_of_its_field() {
    let cases = [
        (r#""status":"Failure""#, "status: invalid type: string, expected an object"),
        (r#""status":[]"#, "status: invalid type: sequence, expected an object"),
        (r#""status":{"phase":1}"#, "status.phase: invalid type: integer `1`, expected a string"),
        (r#""spec":{"containers":{}}"#, "spec.containers: invalid type: map, expected a sequence"),
        (r#""spec":{"containers":[{},null]}"#, "spec.containers[1]: invalid type: null, expected an object"),
        (
            r#""status":{"containerStatuses":[{"state":{"terminated":{"reason":"Error"}}}]}"#,
            "status.containerStatuses[0].state.terminated: missing field `exitCode`",
        ),
        (
            r#""status":{"containerStatuses":[{"state":{"terminated":{"exitCode":null}}}]}"#,
            "status.containerStatuses[0].state.terminated.exitCode: invalid type: null, expected i32",
        ),
        (
            r#""status":{"containerStatuses":[{"state":{"terminated":{"exitCode":2147483648}}}]}"#,
            "status.containerStatuses[0].state.terminated.exitCode: invalid value: integer `2147483648`, expected i32",
        ),
        (
            r#""status":{"containerStatuses":[{"lastState":{"waiting":{"reason":{}}}}]}"#,
            "status.containerStatuses[0].lastState.waiting.reason: invalid type: map, expected a string",
        ),
        (
            r#""status":{"conditions":[{"lastTransitionTime":"yesterday"}]}"#,
            "status.conditions[0].lastTransitionTime: is not an RFC 3339 time",
        ),
        (
            r#""spec":{"containers":[{"restartPolicyRules":[{"exitCodes":{"values":[1,null]}}]}]}"#,
            "spec.containers[0].restartPolicyRules[0].exitCodes.values[1]: invalid type: null, expected i32",
        ),
        (
            r#""spec":{"restartPolicy":"Never","restartPolicy":"Never"}"#,
            "spec.restartPolicy: duplicate field `restartPolicy`",
        ),
        (r#""spec":{},"spec":null"#, "spec: duplicate field `spec`"),
        (r#""metadata":null"#, "metadata: duplicate field `metadata`"),
        (r#""a":nope"#, "a: expected ident"),
        (r#""a":[1,{"b":"c""#, "a[1].b: EOF while parsing"),
        (r#""a":1}}"#, "trailing characters"),
        ("\"a\":\"\u{1}\"", "a: control character"),
        (r#""a":"\x""#, "a: invalid escape"),
        (r#""status":{"phase":"\ud800"}"#, "status.phase: "),
    ];
    for (fields, expected) in cases {
        let error = error(fields);
        assert!(error.starts_with(expected), "{fields}: {error}");
        assert!(error.contains(" at byte "), "{error}");
    }
}

#[test]
fn an_error_is_short_and_clean_and_quotes_no_values() {
    let long = "n".repeat(10_000);
    for fields in [
        format!(r#""{long}":?"#),
        format!(r#""status":"{long}""#),
        format!(r#""{long}":{{"{long}":{{"{long}":{{"{long}":?"#),
        format!("\"a\":{}?", r#"[{"b":"#.repeat(2000)),
        "\"\u{202e}\u{7f}\":?".to_owned(),
        r#""status":{"containerStatuses":"a \"secret\", expected none"}"#.to_owned(),
    ] {
        let error = error(&fields);
        assert!(error.len() < 450, "{error}");
        assert!(!error.contains(char::is_control) && !error.contains('\u{202e}'), "{error}");
        assert!(!error.contains("nnn, expected") && !error.contains("secret"), "{error}");
    }
    assert_eq!(
        error(&format!(r#""status":"{long}""#)).len(),
        "status: invalid type: string, expected an object at byte 10047".len()
    );
}

#[test]
fn what_is_no_pod_is_reported_as_such() {
    let message = |json: &str| read(json).expect_err(json).to_string();
    assert_eq!(message(r#"{"kind":"Node","metadata":{"name":"n","uid":"u"}}"#), "not a Pod but a Node");
    assert_eq!(
        message(r#"{"apiVersion":"metrics.k8s.io/v1","kind":"Pod","metadata":{"name":"n","uid":"u"}}"#),
        "not a Pod but a Pod of metrics.k8s.io/v1"
    );
    assert_eq!(message(r#"{"kind":"a\u001bb"}"#), "not a Pod but a a\u{fffd}b");
    assert_eq!(message(r#"{"kind":"Pod","metadata":{"uid":"u"}}"#), "metadata.name is missing");
    assert_eq!(message(r#"{"kind":null,"metadata":{"name":"p","uid":null}}"#), "metadata.uid is missing");
    assert_eq!(message("null"), "invalid type: null, expected an object at byte 3");
    assert_eq!(message(""), "EOF while parsing a value at byte 0");
    assert_eq!(message("[]"), "invalid type: sequence, expected an object at byte 0");
}

#[test]
fn null_and_absent_are_the_default() {
    let bare = with(r#""spec":{},"status":{}"#).expect("a pod");
    for fields in [
        r#""spec":null,"status":null,"kind":null,"apiVersion":null"#,
        r#""spec":{"restartPolicy":null,"terminationGracePeriodSeconds":null,"containers":null,"initContainers":null,
            "ephemeralContainers":null,"schedulingGates":null}"#,
        r#""status":{"phase":null,"reason":null,"message":null,"conditions":null,"containerStatuses":null,
            "initContainerStatuses":null,"ephemeralContainerStatuses":null,"observedGeneration":null}"#,
        r#""status":{"conditions":[{"type":null},{}]}"#,
    ] {
        assert_eq!(with(fields), Ok(bare.clone()), "{fields}");
    }
    let empty = with(r#""spec":{"containers":[{}]},"status":{"containerStatuses":[{}]}"#);
    let null = with(
        r#""spec":{"containers":[{"name":null,"restartPolicy":null,"restartPolicyRules":null}]},
        "status":{"containerStatuses":[{"name":null,"restartCount":null,"containerID":null,"state":null,
        "lastState":{"terminated":null,"running":null,"waiting":null}}]}"#,
    );
    assert_eq!(null, empty);
    let record = r#""status":{"containerStatuses":[{"state":{"terminated":{"exitCode":0,"reason":null,"message":null,
        "startedAt":null,"finishedAt":null,"containerID":null}}}]}"#;
    assert!(with(record).is_ok());
}

#[test]
fn names_of_fields_may_be_escaped() {
    let json = r#"{"met\u0061data":{"n\u0061me":"p\u002d1","uid":"u"}}"#;
    assert_eq!(read(json).expect("a pod").name, "p-1");
    assert_eq!(super::head::head(json.as_bytes()).expect("a head").name, "p-1");
}

#[test]
fn all_of_the_text_must_be_utf_8_also_what_is_skipped() {
    let mut json = br#"{"metadata":{"name":"p","uid":"u"},"a":["#.to_vec();
    json.extend(b"\"\xff\"]}");
    let error = crate::pod(Encoding::Json, &json).expect_err("no UTF-8").to_string();
    assert_eq!(error, "a[0]: is not UTF-8 at byte 41");
}

#[test]
fn nothing_is_nested_too_deeply_to_be_skipped() {
    let deep = "[{\"a\":".repeat(100_000) + "1" + &"}]".repeat(100_000);
    assert!(with(&format!(r#""a":{deep}"#)).is_ok());
}

#[test]
fn of_several_states_and_conditions_the_right_one_counts() {
    let status = r#""status":{"containerStatuses":[{"state":{"running":{},"waiting":{},"terminated":{"exitCode":3}}},
        {"state":{"waiting":{"reason":"r"},"running":null}},{"state":{"waiting":{},"running":false}},{"state":null}],
        "conditions":[{"type":"PodScheduled","status":"False","reason":"first"},{"type":"PodScheduled","status":"True"}]}"#;
    let snapshot = with(status).expect("a pod").snapshot;
    let states: Vec<_> = snapshot.container_statuses.into_iter().map(|status| status.state).collect();
    assert!(matches!(&states[0], Some(ContainerState::Terminated(record)) if record.exit_code == 3));
    assert!(matches!(&states[1], Some(ContainerState::Waiting { reason, .. }) if reason == "r"));
    assert_eq!(states[2..], [Some(ContainerState::Running), None]);
    assert!(
        snapshot.pod_scheduled.is_some_and(|condition| !condition.is_true && condition.reason == "first")
    );
}

fn of<'a>(event: &'a Event<'_>) -> (EventKind, &'a str, &'a str, &'a str) {
    (event.kind, &event.head.namespace, &event.head.name, &event.head.resource_version)
}

fn event(line: &str) -> Event<'_> {
    Event::read(Encoding::Json, line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn an_event_is_read_up_to_its_head() {
    let start = r#"{"type":"MODIFIED","object":{"kind":"Pod","metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"7""#;
    assert_eq!(of(&event(start)), (EventKind::Modified, "n", "p", "7"));
    assert!(event(start).pod().is_err() && event(start).object().is_err());
    // Errors after the head are found when the pod is read.
    let pod = r#"{"metadata":{"name":"p","namespace":"n","resourceVersion":"7","uid":"u"}}"#;
    for (tail, expected) in [
        ("", "EOF while parsing"),
        (r#","type":"DELETED"}"#, "duplicate field `type`"),
        (r#","object":{}}"#, "duplicate field `object`"),
        ("}}", "trailing characters"),
    ] {
        let line = format!(r#"{{"type":"ADDED","object":{pod}{tail}"#);
        let read = event(&line);
        assert!(read.pod().expect_err(&line).to_string().contains(expected), "{line}");
        assert!(read.object().expect_err(&line).to_string().contains(expected), "{line}");
    }
}

#[test]
fn the_fields_of_an_event_may_come_in_any_order_and_with_space() {
    let pod = r#"{"spec":{"a":["}"]},"metadata":{"uid":"u","resourceVersion":"7","labels":{"name":"x"},"name":"p","namespace":"n"}}"#;
    for line in [
        format!(r#"{{"type":"DELETED","object":{pod}}}"#),
        format!(r#"{{"object":{pod},"type":"DELETED"}}"#),
        format!(r#"{{"other":[1],"object":{pod},"more":null,"type":"DELETED","last":{{}}}}"#),
        format!(r#"{{"type":"DELETED","object":{pod},"after":"}}"}}"#),
        format!(" {{ \"type\" : \"DELETED\" ,\t\"object\" : {pod}\n}} \r\n"),
    ] {
        let read = event(&line);
        assert_eq!(of(&read), (EventKind::Deleted, "n", "p", "7"), "{line}");
        assert_eq!(read.object().expect(&line), pod.as_bytes());
        assert_eq!(read.pod().expect(&line).name, "p");
    }
}

#[test]
fn a_bookmark_an_error_and_an_unknown_type_are_distinguished() {
    let bookmark = r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"12746","creationTimestamp":null},"spec":{"containers":null},"status":{}}}"#;
    assert_eq!(of(&event(bookmark)), (EventKind::Bookmark, "", "", "12746"));
    assert!(!event(bookmark).ends_initial_events().expect("a bookmark"));
    for (status, code) in [
        (r#"{"kind":"Status","metadata":{"name":5},"code":410}"#, 410),
        (r#"{"kind":"Status","reason":"Expired"}"#, 410),
        (r#"{"kind":"Status","reason":"Gone","code":500}"#, 410),
        (r#"{"kind":"Status","code":500}"#, 500),
        ("null", 0),
        ("[]", 0),
    ] {
        let line = format!(r#"{{"type":"ERROR","object":{status}}}"#);
        let read = event(&line);
        assert_eq!(of(&read), (EventKind::Error, "", "", ""));
        assert_eq!(read.object().expect(&line), status.as_bytes());
        let failure = read.failure();
        assert_eq!((failure.code, failure.is_status), (code, code != 0), "{line}");
        assert_eq!(failure.is_expired(), code == 410);
        assert!(!failure.message.is_empty());
    }
    let other = r#"{"type":"N\u0045W","object":1}"#;
    assert_eq!(of(&event(other)), (EventKind::Unrecognized, "", "", ""));
    let huge = r#"{"type":"ERROR","object":{"kind":"Status","code":429,"details":{"retryAfterSeconds":18446744073709551615}}}"#;
    assert_eq!(event(huge).failure().retry_after, Some(crate::retry_after::LONGEST));
}

#[test]
fn a_line_that_is_no_event_is_none() {
    for (line, expected) in [
        (r#"{"object":{}}"#, "type is missing"),
        (r#"{"type":"ADDED"}"#, "object is missing"),
        (r#"{"type":"ADDED","type":"ADDED","object":{}}"#, "type: duplicate field"),
        (r#"{"object":{},"object":{},"type":"ADDED"}"#, "object: duplicate field"),
        (r#"{"object":5,"type":"ADDED"}"#, "object: invalid type: integer `5`, expected an object"),
        (r#"{"type":"ADDED","object":null}"#, "object: invalid type: null, expected an object"),
        (r#"{"object":{},"type":"ADDED"}}"#, "trailing characters"),
        ("", "EOF while parsing"),
        ("not json", "expected ident"),
    ] {
        let error = Event::read(Encoding::Json, line.as_bytes()).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn escaped_names_are_read_and_wrong_ones_are_not() {
    let head = |json: &'static str| super::head::head(json.as_bytes());
    let read =
        head(r#"{"metadata":{"name":"\u0070","namespace":"n\/","resourceVersion":null}}"#).expect("a head");
    assert_eq!((&*read.name, &*read.namespace, &*read.resource_version), ("p", "n/", ""));
    for (json, expected) in [
        (r#"{"metadata":{"name":5}}"#, "metadata.name: invalid type: integer `5`, expected a string"),
        (r#"{"metadata":{"name":"\ud800"}}"#, "metadata.name: "),
        (r#"{"metadata":{"name":"a","name":"b"}}"#, "metadata.name: duplicate field"),
        (r#"{"metadata":[]}"#, "metadata: invalid type: sequence, expected an object"),
        (r#"{"metadata":{"name":"a""#, "metadata.name: EOF while parsing an object"),
        ("[]", "invalid type: sequence, expected an object"),
    ] {
        let error = head(json).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(super::head::head(b"{\"metadata\":{\"name\":\"\xff\"}}").is_err());
    assert_eq!(head(r#"{"metadata":null}"#).expect("no metadata"), crate::Head::default());
    assert_eq!(head("{}").expect("no metadata"), crate::Head::default());
}
