//! Traces: what is recorded is what is replayed.

use podwait::Step;
use podwait::trace::{Pods, Recorder, Replay, TraceError, TraceLine, TraceReader, reduce, replay};
use podwait_core::{ContainerState, PodSnapshot};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::case::Case;
use podwait_tests::cli::{kubeconfig, run};
use std::io::Read;

fn cases() -> Vec<Case> {
    let mut cases = Case::read_all(include_str!("../cases/observed.jsonl"));
    cases.extend(Case::read_all(include_str!("../cases/waiting.jsonl")));
    cases
}

/// The trace that a recorder writes of a case.
fn record(case: &Case, pods: Pods) -> Vec<u8> {
    let mut trace = Vec::new();
    let header = case.header();
    let mut recorder = Recorder::new(&mut trace, &header, pods).expect("memory");
    let mut machine = header.machine();
    for (at, observed) in case.events() {
        let decision = machine.handle(at, observed.as_input());
        recorder.look(Step { at, observed: &observed, decision: &decision, machine: &machine });
    }
    recorder.finish().expect("memory");
    trace
}

fn replayed(trace: &[u8]) -> Result<Replay, TraceError> {
    replay(TraceReader::new(trace)?, |_| {})
}

#[test]
fn every_case_is_reproduced_from_its_recording_whole_or_reduced() {
    for case in cases() {
        for pods in [Pods::Full, Pods::Reduced] {
            let trace = record(&case, pods);
            let replay = replayed(&trace).unwrap_or_else(|error| panic!("{} {pods:?}: {error}", case.id));
            assert_eq!(replay.difference, None, "{} {pods:?}", case.id);
            assert!(replay.decision.is_some());
        }
    }
}

#[test]
fn a_trace_that_is_cut_off_anywhere_reads_up_to_its_last_whole_line() {
    let case = cases().into_iter().next().expect("a case");
    let trace = record(&case, Pods::Reduced);
    let header = trace.iter().position(|byte| *byte == b'\n').expect("lines") + 1;
    for end in header..trace.len() {
        let mut reader = TraceReader::new(&trace[..end]).expect("the header is whole");
        let mut lines = 0;
        while reader.next().unwrap_or_else(|error| panic!("cut at {end}: {error}")).is_some() {
            lines += 1;
        }
        let whole = trace[header..end].iter().filter(|byte| **byte == b'\n').count();
        // A line that lacks nothing but its end is there, too.
        assert!(
            lines == whole || (lines == whole + 1 && trace[end] == b'\n'),
            "cut at {end}: {lines} of {whole}"
        );
    }
    for end in 0..header - 1 {
        assert!(TraceReader::new(&trace[..end]).is_err(), "half a header at {end}");
    }
}

#[test]
fn a_difference_is_found_and_named() {
    let case = cases().into_iter().next().expect("a case");
    let trace = String::from_utf8(record(&case, Pods::Reduced)).expect("UTF-8");
    let tampered =
        trace.replace(r#""reason":"completed","exit_code":0"#, r#""reason":"nonzero_exit","exit_code":1"#);
    assert_ne!(trace, tampered);
    let difference = replayed(tampered.as_bytes()).expect("readable").difference.expect("a difference");
    assert_eq!(difference.line, 7);
    assert!(difference.to_string().starts_with("line 7: recorded {"), "{difference}");
}

#[test]
fn what_is_wrong_with_a_trace_is_told_with_its_line() {
    let header = r#"{"podwait_trace":1,"id":"x","target":{"namespace":"ci","pod":"p"}}"#;
    let tick = r#"{"at_ms":5,"event":"tick"}"#;
    let cases = [
        (String::new(), "line 1: there is no header"),
        (String::from("{"), "line 1: not the header of a trace"),
        (String::from("[]\n"), "line 1: not the header of a trace"),
        (String::from(r#"{"podwait_trace":2,"new":true}"#), "line 1: the trace has version 2"),
        (
            header.replace(r#""id":"x""#, r#""policy":{"absent_grace_ms":0}"#),
            "line 1: not the header of a trace: absent_grace",
        ),
        (format!("{header}\n{tick}\n{{\"at_ms\":\n"), "line 3: not an event"),
        (
            format!("{header}\n{tick}\n\n{{\"at_ms\":6,\"event\":\"jump\"}}\n"),
            "line 4: unknown event \"jump\"",
        ),
        (
            format!("{header}\n{tick}\n{{\"at_ms\":4,\"event\":\"tick\"}}\n"),
            "line 3: time goes back from 5 ms to 4 ms",
        ),
        (
            format!("{header}\n{{\"at_ms\":1,\"event\":\"snapshot\"}}\n"),
            "line 2: an event \"snapshot\" without \"pod\"",
        ),
        (
            format!("{header}\n{{\"at_ms\":1,\"event\":\"api_error\"}}\n"),
            "line 2: an event \"api_error\" without \"code\"",
        ),
        (format!("{header}\n{{\"at_ms\":-1,\"event\":\"tick\"}}\n"), "line 2: not an event"),
        (
            format!(
                "{header}\n{{\"at_ms\":1,\"event\":\"snapshot\",\"pod\":{{\"metadata\":{{\"name\":\"p\"}}}}}}\n"
            ),
            "line 2: not a pod: metadata.uid is missing",
        ),
        (format!("{header}\n{{\"at_ms\":1,\"decision\":\"maybe\"}}\n"), "line 2: not a decision"),
    ];
    for (trace, words) in cases {
        // A last line that lacks nothing but its end is whole, and as wrong.
        if trace.ends_with("}\n") {
            let error = replayed(trace.trim_end().as_bytes()).expect_err(words).to_string();
            assert!(error.starts_with(words), "{words:?}, not {error:?}");
        }
        let error = replayed(trace.as_bytes()).expect_err(words).to_string();
        assert!(error.starts_with(words), "{words:?}, not {error:?}");
    }
    // Unknown fields are nobody's business.
    let newer = format!("{}\n{}\n", header.replace('}', r#","new":1}"#), tick.replace('}', r#","new":[]}"#));
    assert!(replayed(newer.as_bytes()).is_ok(), "{newer}");
}

#[test]
fn a_line_of_100_mb_is_refused_without_reading_it_all() {
    let endless = std::io::BufReader::new(std::io::repeat(b'{').take(100 << 20));
    let error = TraceReader::new(endless).err().expect("no header").to_string();
    assert!(error.starts_with("line 1: longer than"), "{error}");
    let header = br#"{"podwait_trace":1,"target":{}}"#;
    let mut reader = TraceReader::new(std::io::BufReader::new(
        header.chain(&b"\n"[..]).chain(std::io::repeat(b'x').take(100 << 20)),
    ))
    .expect("a header");
    assert!(reader.next().expect_err("too long").to_string().starts_with("line 2: longer than"));
}

/// The snapshot without the texts for people, which no rule reads.
fn without_messages(mut pod: PodSnapshot) -> PodSnapshot {
    pod.message.clear();
    for condition in [&mut pod.disruption_target, &mut pod.pod_scheduled].into_iter().flatten() {
        condition.message.clear();
    }
    let lists = [
        &mut pod.container_statuses,
        &mut pod.init_container_statuses,
        &mut pod.ephemeral_container_statuses,
    ];
    for status in lists.into_iter().flatten() {
        match &mut status.state {
            // What the runtime says about an image decides how long it is waited for.
            Some(ContainerState::Waiting { reason, .. })
                if matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff") => {}
            Some(ContainerState::Waiting { message, .. }) => message.clear(),
            Some(ContainerState::Terminated(record)) => record.message.clear(),
            Some(ContainerState::Running) | None => {}
        }
        if let Some(record) = &mut status.last_terminated {
            record.message.clear();
        }
    }
    pod
}

#[test]
fn a_reduced_pod_has_all_that_the_rules_read_and_nothing_else() {
    for case in cases() {
        for (_, observed) in case.events() {
            let (podwait::Observed::Pod(seen) | podwait::Observed::Deleted(seen)) = observed else {
                continue;
            };
            let json = reduce(&seen.pod).to_string();
            let again =
                podwait::decode(json.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", case.id));
            assert_eq!(reduce(&again), reduce(&seen.pod), "{}", case.id);
            assert_eq!(again.snapshot, without_messages(seen.pod.snapshot.clone()), "{}", case.id);
        }
    }
    let mut secretive = pod("ci", "p", &["step"]);
    secretive["metadata"]["annotations"]["token"] = "hunter2".into();
    secretive["spec"]["containers"][0]["env"] =
        serde_json::json!([{ "name": "PASSWORD", "value": "hunter2" }]);
    secretive["spec"]["containers"][0]["command"] = serde_json::json!(["sh", "-c", "echo hunter2"]);
    let life = Life::of(secretive)
        .scheduled("n")
        .running()
        .merge(serde_json::json!({ "status": { "message": "hunter2" } }));
    let (_, last) = life.finished(0).events().expect("a life").pop().expect("events");
    let mut last = (*last.object).clone();
    last["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = "hunter2".into();
    let seen = podwait::decode(last.to_string().as_bytes()).expect("a pod");
    assert!(last.to_string().contains("hunter2") && !reduce(&seen).to_string().contains("hunter2"));
}

#[test]
fn decisions_are_read_as_they_are_written() {
    let case = cases().into_iter().next().expect("a case");
    let trace = record(&case, Pods::Reduced);
    let mut reader = TraceReader::new(&trace[..]).expect("a header");
    assert_eq!(reader.header(), &case.header());
    let mut kinds = String::new();
    while let Some(line) = reader.next().expect("readable") {
        kinds.push(if matches!(line, TraceLine::Event(..)) { 'e' } else { 'd' });
    }
    assert_eq!(kinds, "ededed");
}

#[tokio::test]
async fn the_command_records_a_wait_and_replays_it() {
    let cluster = Cluster::new();
    let server = cluster.serve().await.expect("loopback");
    let config = kubeconfig(&server.url());
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_str().expect("a readable path").to_owned();
    let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1").running().finished(3);
    life.run(&cluster).await.expect("a life");

    let trace = file("trace.jsonl");
    let config = config.path().to_str().expect("a readable path");
    let waited = run(&["wait", "p", "--kubeconfig", config, "--record", &trace]).await;
    assert_eq!(waited.status, Some(3), "{waited:?}");
    let timeline = run(&["replay", &trace]).await;
    assert_eq!(timeline.status, Some(0), "{timeline:?}");
    assert!(timeline.stdout.contains("DONE: container step exited 3"), "{timeline:?}");

    let text = std::fs::read_to_string(&trace).expect("a trace");
    let (tampered, broken) = (file("tampered.jsonl"), file("broken.jsonl"));
    std::fs::write(&tampered, text.replace(r#""exit_code":3"#, r#""exit_code":4"#)).expect("written");
    std::fs::write(&broken, "{}\n").expect("written");
    let different = run(&["replay", "--output", "json", &tampered]).await;
    assert_eq!(different.status, Some(1), "{different:?}");
    assert!(different.stderr.contains("tampered.jsonl: line 5: recorded"), "{different:?}");

    let mixed = run(&["replay", "-o", "json", &broken, "/no/such", &trace]).await;
    assert_eq!(mixed.status, Some(2), "{mixed:?}");
    assert!(
        mixed.stderr.contains("broken.jsonl: line 1: not the header") && mixed.stderr.contains("/no/such: "),
        "{mixed:?}"
    );
    let result: serde_json::Value =
        serde_json::from_str(&mixed.stdout).expect("one object for the readable trace");
    let expected = serde_json::json!({
        "id": null, "outcome": "done", "exit_code": 3, "reason": "nonzero_exit", "class": null,
        "evidence": "observed", "decided_at_ms": result["decided_at_ms"], "retry_after_ms": null,
    });
    assert_eq!(result, expected);
    assert!(result["decided_at_ms"].is_u64(), "{result}");
}
