//! Both encodings give the same objects.

use crate::data::{ENCODINGS, data, events, hash, list, pods};
use podwait_core::{ContainerState, Phase, RestartAction, Timestamp};
use podwait_wire::{
    Answer, DecodeError, Encoding, Event, EventKind, Frames, Owner, Refusal, Subject, Via, pod, reduce,
};
use std::collections::HashMap;
use std::time::Duration;

#[test]
fn every_pod_of_recordings_and_cases_is_the_same_in_both_encodings() {
    let pods: HashMap<u64, String> = pods().into_iter().map(|json| (hash(&json), json)).collect();
    let stream = data("all.watch.pb");
    let mut piece = &*stream;
    let mut frames = Frames::new(Encoding::Protobuf);
    let mut compared = 0;
    for hash in data("all.fnv1a").chunks(8) {
        let frame = frames.next_frame(&mut piece).expect("a frame").expect("as many events as hashes");
        let hash = u64::from_be_bytes(hash.try_into().expect("eight bytes"));
        // A case may have been changed or taken away since.
        let Some(json) = pods.get(&hash) else { continue };
        compared += 1;
        let expected = pod(Encoding::Json, json.as_bytes()).expect(json);
        let event = Event::read(Encoding::Protobuf, frame).expect("an event");
        assert_eq!(event.pod().expect("a pod"), expected, "{json}");
        assert_eq!((event.kind, &*event.head.name), (EventKind::Modified, &*expected.name));
        assert_eq!(event.head.resource_version, expected.snapshot.resource_version);
        let object = event.object().expect("an object");
        assert_eq!(pod(Encoding::Protobuf, object).expect("a pod"), expected);
        let again = pod(Encoding::Json, reduce(&expected).to_string().as_bytes()).expect("a reduced pod");
        assert_eq!(reduce(&again), reduce(&expected));
    }
    assert!(frames.next_frame(&mut piece).expect("the end").is_none() && !frames.is_torn());
    assert!(compared > 1000, "{compared}: write the vectors anew");
}

#[test]
fn a_watch_and_a_list_are_the_same_in_both_encodings() {
    let [protobuf, json] = ENCODINGS.map(|(encoding, end)| {
        let watch = events(encoding, [&*data(&format!("rich.watch.{end}"))]).expect("events");
        let (pods, meta) = list(encoding, [&*data(&format!("rich.list.{end}"))]).expect("a list");
        assert_eq!((&*meta.resource_version, &*meta.next, pods.len()), ("77", "next \"page\"", 5));
        assert_eq!(list(encoding, [&*data(&format!("empty.list.{end}"))]).expect("a list").0, []);
        (watch, pods, meta)
    });
    assert_eq!(protobuf, json);
    let (events, is_torn) = protobuf.0;
    assert!(!is_torn);
    assert_eq!(events.len(), 8);
    assert_eq!(events[5], r#"bookmark ["", "", "12746"] false"#);
    assert_eq!(events[6], r#"bookmark ["", "", "12746"] true"#);
    assert!(events[7].contains("code: 410, is_status: true"), "{}", events[7]);
}

#[test]
fn everything_that_is_read_is_in_the_full_pod() {
    for (encoding, end) in ENCODINGS {
        let bytes = data(&format!("full.{end}"));
        let full = pod(encoding, &bytes).expect("a pod");
        assert_eq!((&*full.namespace, &*full.name), ("ci", "full"));
        let owner = Owner { kind: "Job".into(), name: "j".into(), uid: "u2".into() };
        assert_eq!(full.owner, Some(owner));
        let snapshot = full.snapshot;
        assert_eq!((snapshot.generation, snapshot.observed_generation), (1 << 40, 3));
        assert_eq!(snapshot.deletion_timestamp, Some(Timestamp(1_767_225_650)));
        assert_eq!(snapshot.deletion_grace_period_seconds, Some(30));
        assert!(snapshot.is_scheduling_gated);
        assert_eq!((snapshot.phase, &*snapshot.reason), (Phase::Failed, "Evicted"));
        let rules = &snapshot.containers[0].restart_policy_rules;
        assert_eq!((rules[0].exit_codes.clone(), rules[1].negated), (vec![1, 42, 255, -1], true));
        assert_eq!(rules[2].action, RestartAction::Unrecognized);
        assert_eq!(snapshot.init_containers[0].name, "sidecar");
        assert_eq!(snapshot.ephemeral_containers[0].restart_policy_rules.len(), 1);
        let condition = snapshot.disruption_target.expect("a condition");
        assert_eq!((condition.is_true, &*condition.reason), (true, "TerminationByKubelet"));
        assert_eq!(
            snapshot.pod_scheduled.expect("a condition").last_transition_time,
            Some(Timestamp(1_767_225_601))
        );
        assert_eq!(snapshot.container_statuses[0].last_terminated.as_ref().expect("a record").exit_code, 1);
        let Some(ContainerState::Terminated(record)) = &snapshot.container_statuses[1].state else {
            panic!("the one that says most")
        };
        assert_eq!((record.exit_code, &*record.message), (137, "\"quoted\" \\ \n\t\u{1}é"));
        assert_eq!(record.finished_at, Some(Timestamp(1_767_225_609)));
        let states: Vec<_> =
            snapshot.ephemeral_container_statuses.iter().map(|status| &status.state).collect();
        assert!(
            matches!(states[0], Some(ContainerState::Waiting { reason, .. }) if reason == "ImagePullBackOff")
        );
        assert!(matches!(states[1], Some(ContainerState::Waiting { reason, .. }) if reason.is_empty()));
        assert_eq!(states[2], &None);
        assert!(
            matches!(states[3], Some(ContainerState::Terminated(record)) if record.exit_code == -1_073_741_510)
        );
        assert_eq!(snapshot.ephemeral_container_statuses[3].restart_count, -1);
        // A zero time is null in JSON, and an empty message in protobuf.
        let Some(ContainerState::Terminated(record)) = &snapshot.init_container_statuses[0].state else {
            panic!("a record")
        };
        assert_eq!((record.exit_code, record.finished_at), (0, None));
    }
}

#[test]
fn an_answer_of_another_kind_is_reported_as_such() {
    for (encoding, end) in ENCODINGS {
        let error = pod(encoding, &data(&format!("node.{end}"))).expect_err("no pod");
        assert_eq!(error.to_string(), "not a Pod but a Node");
        let error = list(encoding, [&*data(&format!("service.list.{end}"))]).expect_err("no pods");
        assert_eq!(error.to_string(), "not a PodList but a ServiceList");
        let error = pod(encoding, &data(&format!("rich.list.{end}"))).expect_err("no pod");
        assert_eq!(error.to_string(), "not a Pod but a PodList");
        let error = list(encoding, [&*data(&format!("full.{end}"))]).expect_err("no list");
        assert_eq!(error.to_string(), "not a PodList but a Pod");
        // In JSON the `status` of a `Status` is a string, and that error is found first.
        let error = pod(encoding, &data(&format!("forbidden.status.{end}"))).expect_err("no pod");
        assert!(encoding == Encoding::Json || matches!(error, DecodeError::Kind { .. }), "{error}");
    }
    assert!(pod(Encoding::Protobuf, &data("full.json")).is_err());
    assert!(pod(Encoding::Json, &data("full.pb")).is_err());
    assert!(list(Encoding::Protobuf, [&*data("rich.list.json")]).is_err());
    assert!(list(Encoding::Json, [&*data("rich.list.pb")]).is_err());
}

#[test]
fn a_status_is_the_same_in_both_encodings() {
    let subject = Subject::of("GET", "/api/v1/namespaces/ci/pods/p", None);
    for (name, code, expected) in [
        ("not-found", 404, "absence"),
        ("forbidden", 403, "status"),
        ("too-many", 429, "status"),
        ("expired", 410, "status"),
        ("invalid", 422, "status"),
        ("generic", 404, "absence"),
        ("bad", 400, "status"),
        ("conflict", 409, "status"),
        ("timeout", 504, "page"),
        ("unexpected", 500, "status"),
    ] {
        let [protobuf, json] = ENCODINGS.map(|(_, end)| {
            let body = data(&format!("{name}.status.{end}"));
            let refusal =
                Refusal::read(Via::Get, &subject, &Answer { code, body: &body, ..Answer::default() });
            for cut in 0..body.len() {
                let answer = Answer { code, body: &body[..cut], ..Answer::default() };
                let cut = Refusal::read(Via::Get, &subject, &answer);
                assert!(!cut.failure.is_status || cut.failure == refusal.failure, "{name} {cut:?}");
            }
            refusal
        });
        assert_eq!(protobuf.failure, json.failure);
        let found = match (json.is_absence_of("p"), json.failure.is_status) {
            (true, _) => "absence",
            (false, true) => "status",
            (false, false) => "page",
        };
        assert_eq!(found, expected, "{name} {json:?}");
        assert_eq!(
            (protobuf.is_absence_of("p"), protobuf.is_absence_of("q")),
            (json.is_absence_of("p"), false)
        );
        let wait = match name {
            "too-many" => Some(7),
            "timeout" => Some(3),
            _ => None,
        };
        assert_eq!(json.failure.retry_after, wait.map(Duration::from_secs), "{name}");
        assert!(!json.failure.message.contains('\u{1b}'));
    }
}
