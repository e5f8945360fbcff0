use super::*;
use crate::Encoding;
use alloc::format;
use alloc::string::ToString;
use podwait_core::{Input, Instant, WaitMachine};

const POD: &str = r#"{"metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"7","labels":{"secret":"s"},
    "deletionTimestamp":"2026-01-01T01:00:00.5+01:00","deletionGracePeriodSeconds":0},
    "spec":{"restartPolicy":"Never","schedulingGates":[{"name":"g"},{}],"containers":[{"name":"a","image":"i",
    "restartPolicyRules":[{"action":"X","exitCodes":{"operator":"NotIn","values":[1]}}]}]},
    "status":{"phase":"NewPhase","message":"m","reason":"r","conditions":[{"type":"PodScheduled","status":"False","message":"m"}],
    "containerStatuses":[{"name":"a","state":{"terminated":{"exitCode":0,"message":"the step wrote this"}}},
    {"name":"b","state":{"waiting":{"reason":"ErrImagePull","message":"no such host"}}},
    {"name":"c","state":{"waiting":{"reason":"CreateContainerError","message":"m"}},"lastState":{"terminated":{"exitCode":-1}}}]}}"#;

#[test]
fn only_what_the_rules_read_is_left() {
    let pod = crate::pod(Encoding::Json, POD.as_bytes()).expect("a pod");
    let expected = r#"{"kind":"Pod",
        "metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"7","generation":0,
        "deletionTimestamp":"2026-01-01T00:00:00Z","deletionGracePeriodSeconds":0},
        "spec":{"restartPolicy":"Never","schedulingGates":[{}],"containers":[{"name":"a",
        "restartPolicyRules":[{"action":"Unrecognized","exitCodes":{"operator":"NotIn","values":[1]}}]}]},
        "status":{"phase":"Unrecognized","reason":"r","observedGeneration":0,
        "conditions":[{"type":"PodScheduled","status":"False"}],
        "containerStatuses":[{"name":"a","restartCount":0,"state":{"terminated":{"exitCode":0}}},
        {"name":"b","restartCount":0,"state":{"waiting":{"reason":"ErrImagePull","message":"no such host"}}},
        {"name":"c","restartCount":0,"state":{"waiting":{"reason":"CreateContainerError"}},
        "lastState":{"terminated":{"exitCode":-1}}}]}}"#;
    assert_eq!(reduce(&pod), serde_json::from_str::<Value>(expected).expect("JSON"));
}

#[test]
fn it_is_read_again_to_the_same_decision() {
    let whole = crate::pod(Encoding::Json, POD.as_bytes()).expect("a pod");
    let reduced = reduce(&whole);
    let again = crate::pod(Encoding::Json, reduced.to_string().as_bytes()).expect("a pod");
    assert_eq!(reduce(&again), reduced);
    let decide = |pod: &Pod| {
        format!(
            "{:?}",
            WaitMachine::new(Default::default()).handle(Instant::ZERO, Input::Snapshot(&pod.snapshot)).code()
        )
    };
    assert_eq!(decide(&whole), decide(&again));
}
