use super::*;
use podwait_core::{ContainerState, Phase};
use std::hint::black_box;

const EVENTS: [&str; 3] = [
    include_str!("../../../benches/events/3k.json"),
    include_str!("../../../benches/events/10k.json"),
    include_str!("../../../benches/events/30k.json"),
];

/// A pod with this beside what it must have.
fn pod(fields: &str) -> Result<Pod, String> {
    let json = format!(r#"{{"metadata":{{"name":"p","uid":"u"}},{fields}}}"#);
    decode(json.as_bytes()).map_err(|error| error.to_string())
}

fn error(fields: &str) -> String {
    let error = pod(fields).expect_err(fields);
    error.strip_prefix("not readable as a pod: ").unwrap_or(&error).to_owned()
}

#[test]
fn a_pod_of_a_real_kubelet_is_read() {
    let (pod, _) =
        crate::wire::envelope::envelope(EVENTS[1].as_bytes()).expect("an event").pod().expect("a pod");
    assert_eq!((&*pod.namespace, &*pod.name), ("default", "step-10k"));
    let snapshot = pod.snapshot;
    assert_eq!(
        (&*snapshot.resource_version, snapshot.generation, snapshot.phase),
        ("441", 1, Phase::Running)
    );
    assert_eq!(snapshot.termination_grace_period_seconds, Some(60));
    let names = |list: &[Container]| list.iter().map(|container| container.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&snapshot.containers), ["step", "istio-proxy"]);
    assert_eq!(names(&snapshot.init_containers), ["clone"]);
    assert!(snapshot.pod_scheduled.is_some_and(|condition| condition.is_true));
    assert_eq!(snapshot.container_statuses[1].name, "step");
    assert_eq!(snapshot.container_statuses[1].state, Some(ContainerState::Running));
    let Some(ContainerState::Terminated(record)) = &snapshot.init_container_statuses[0].state else {
        panic!("the init container has ended")
    };
    assert_eq!((record.exit_code, &*record.reason), (0, "Completed"));
    assert_eq!(record.finished_at, Some(Timestamp(1_795_490_399)));
}

#[test]
fn what_is_cut_off_anywhere_is_no_pod() {
    for event in EVENTS {
        let envelope = crate::wire::envelope::envelope(event.as_bytes()).expect("an event");
        let object = envelope.object().expect("an object");
        let whole = decode(object).expect("a pod");
        for cut in (0..object.len()).step_by(event.len() / 1000) {
            assert!(decode(&object[..cut]).is_err(), "cut at {cut}");
        }
        let spaced: String = [" \n", std::str::from_utf8(object).expect("UTF-8"), "\r\t "].concat();
        assert_eq!(decode(spaced.as_bytes()).expect("a pod with space around"), whole);
    }
}

#[test]
fn an_error_says_which_field_it_is_about() {
    let cases = [
        (r#""status":"Failure""#, "status: expected an object, found a string"),
        (r#""status":[]"#, "status: expected an object, found a list"),
        (r#""status":{"phase":1}"#, "status.phase: expected a string, found a number"),
        (r#""spec":{"containers":{}}"#, "spec.containers: expected a list, found an object"),
        (r#""spec":{"containers":[{},null]}"#, "spec.containers[1]: expected an object, found null"),
        (
            r#""status":{"containerStatuses":[{"state":{"terminated":{"reason":"Error"}}}]}"#,
            "status.containerStatuses[0].state.terminated: has no exitCode",
        ),
        (
            r#""status":{"containerStatuses":[{"state":{"terminated":{"exitCode":2147483648}}}]}"#,
            "status.containerStatuses[0].state.terminated.exitCode: is out of an integer's range",
        ),
        (
            r#""status":{"containerStatuses":[{"lastState":{"waiting":{"reason":{}}}}]}"#,
            "status.containerStatuses[0].lastState.waiting.reason: expected a string, found an object",
        ),
        (
            r#""status":{"conditions":[{"lastTransitionTime":"yesterday"}]}"#,
            "status.conditions[0].lastTransitionTime: is no RFC 3339 time",
        ),
        (
            r#""spec":{"containers":[{"restartPolicyRules":[{"exitCodes":{"values":[1,null]}}]}]}"#,
            "spec.containers[0].restartPolicyRules[0].exitCodes.values[1]: expected an integer, found null",
        ),
        (r#""spec":{"restartPolicy":"Never","restartPolicy":"Never"}"#, "spec.restartPolicy: is there twice"),
        (r#""spec":{},"spec":null"#, "spec: is there twice"),
        (r#""a":nope"#, "a: expected a value, found something else"),
        (r#""a":[1,{"b":"c""#, "a: does not end"),
        (r#""a":1,}"#, "expected a string, found something else"),
        (r#""a":1}}"#, "something follows the end"),
        ("\"a\":\"\u{1}\"", "a: has a control character that is not escaped"),
    ];
    for (fields, expected) in cases {
        let error = error(fields);
        assert!(error.starts_with(expected), "{fields}: {error}");
        assert!(error.contains(" at byte "), "{error}");
    }
    let name = format!(r#""{}":?"#, "n".repeat(1000));
    assert!(error(&name).len() < 200, "a message has a limit");
}

#[test]
fn what_is_no_pod_is_told_apart() {
    let message = |json: &str| decode(json.as_bytes()).expect_err(json).to_string();
    assert_eq!(message(r#"{"kind":"Node","metadata":{"name":"n","uid":"u"}}"#), "not a pod but a Node");
    assert_eq!(
        message(r#"{"apiVersion":"metrics.k8s.io/v1","kind":"Pod","metadata":{"name":"n","uid":"u"}}"#),
        "not a pod but a Pod of metrics.k8s.io/v1"
    );
    assert_eq!(message(r#"{"kind":"Pod","metadata":{"uid":"u"}}"#), "not a pod: metadata.name is missing");
    assert_eq!(
        message(r#"{"kind":null,"metadata":{"name":"p","uid":null}}"#),
        "not a pod: metadata.uid is missing"
    );
    assert_eq!(message("null"), "not readable as a pod: expected an object, found null at byte 0");
    assert_eq!(message(""), "not readable as a pod: expected an object, found the end at byte 0");
}

#[test]
fn names_of_fields_may_be_escaped() {
    let json = br#"{"met\u0061data":{"n\u0061me":"p\u002d1","uid":"u"}}"#;
    assert_eq!(decode(json).expect("a pod").name, "p-1");
}

#[test]
fn of_what_is_skipped_only_the_brackets_count_and_that_it_is_utf_8() {
    assert!(pod(r#""spec":{"volumes":[nonsense:,,"]"{]]}"#).is_ok());
    assert!(pod(r#""spec":{"volumes":["]}"#).is_err());
    let mut json = br#"{"metadata":{"name":"p","uid":"u"},"a":["#.to_vec();
    json.extend(b"\"\xff\"]}");
    let error = decode(&json).expect_err("no UTF-8").to_string();
    assert_eq!(error, "not readable as a pod: is not UTF-8 at byte 41");
}

#[test]
fn of_several_states_and_conditions_the_right_one_counts() {
    let status = r#""status":{"containerStatuses":[{"state":{"running":{},"waiting":{},"terminated":{"exitCode":3}}},
        {"state":{"waiting":{"reason":"r"},"running":null}},{"state":{"waiting":{},"running":false}},{"state":null}],
        "conditions":[{"type":"PodScheduled","status":"False","reason":"first"},{"type":"PodScheduled","status":"True"}]}"#;
    let snapshot = pod(status).expect("a pod").snapshot;
    let states: Vec<_> = snapshot.container_statuses.into_iter().map(|status| status.state).collect();
    assert!(matches!(&states[0], Some(ContainerState::Terminated(record)) if record.exit_code == 3));
    assert!(matches!(&states[1], Some(ContainerState::Waiting { reason, .. }) if reason == "r"));
    assert_eq!(states[2..], [Some(ContainerState::Running), None]);
    assert!(
        snapshot.pod_scheduled.is_some_and(|condition| !condition.is_true && condition.reason == "first")
    );
}

#[test]
fn what_earlier_pods_have_left_changes_nothing() {
    let pods: Vec<&[u8]> = EVENTS.iter().map(|event| event.as_bytes()).collect();
    let rich = br#"{"type":"ADDED","object":{"metadata":{"name":"a-name-that-is-longer","uid":"other"},
        "spec":{"restartPolicy":"Never","containers":[{"name":"a","restartPolicyRules":[{"action":"Restart"}]},{"name":"b"}],
        "ephemeralContainers":[{"name":"debugger"}]},
        "status":{"phase":"Failed","reason":"Evicted","message":"The node was low on resource",
        "conditions":[{"type":"DisruptionTarget","status":"True","reason":"r","message":"m"}],
        "ephemeralContainerStatuses":[{"name":"debugger","state":{"waiting":{"reason":"w","message":"x"}}}],
        "containerStatuses":[{"name":"a","containerID":"c","state":{"terminated":{"exitCode":1,"reason":"Error",
        "message":"mm","containerID":"c"}},"lastState":{"terminated":{"exitCode":2}}}]}}}"#;
    let poor = br#"{"type":"ADDED","object":{"metadata":{"name":"p","uid":"u"}}}"#;
    let mut spare = Spare::default();
    let orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 4, 3, 1, 4], [2, 2, 4, 0, 3]];
    for index in orders.into_iter().flatten() {
        let line = pods.iter().copied().chain([&rich[..], &poor[..]]).nth(index).expect("one of five");
        let event = crate::wire::envelope::envelope(line).expect("an event");
        let (read, _) = event.pod_with(&mut spare).expect("a pod");
        assert_eq!(read, event.pod().expect("a pod").0);
        spare.take_apart(read);
    }
}

#[test]
fn the_next_pod_of_a_kind_takes_no_new_memory() {
    for event in EVENTS {
        let event = crate::wire::envelope::envelope(event.as_bytes()).expect("an event");
        let mut spare = Spare::default();
        let mut read = || {
            let (pod, _) = event.pod_with(&mut spare).expect("a pod");
            spare.take_apart(black_box(pod));
        };
        read();
        let heap = allocation_counter::measure(read);
        assert_eq!(heap.count_total, 0, "{heap:?}");
    }
}
