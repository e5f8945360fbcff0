//! Traces: the replay has the recorded decisions.

use podwait::Turn;
use podwait::trace::{Pods, Recorder, Replay, TraceError, TraceLine, TraceReader, replay};
use podwait_core::{ContainerState, PodSnapshot};
use podwait_sim::{Cluster, Life, pod};
use podwait_tests::case::Case;
use podwait_tests::cli::{Run, Started, kubeconfig, run, start};
use podwait_wire::reduce;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;
use tokio::time::timeout;

fn cases() -> Vec<Case> {
    let mut cases = Case::read_all(include_str!("../cases/observed.jsonl"));
    cases.extend(Case::read_all(include_str!("../cases/waiting.jsonl")));
    cases
}

/// The trace of a case, written by a recorder.
fn record(case: &Case, pods: Pods) -> Vec<u8> {
    let mut trace = Vec::new();
    let header = case.header();
    let mut recorder = Recorder::new(&mut trace, &header, pods).expect("memory");
    let mut machine = header.machine();
    for (at, observed) in case.events() {
        let decision = machine.handle(at, observed.as_input());
        recorder.on_turn(Turn { at, observed: &observed, decision: &decision, machine: &machine });
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
        // A line without its line end is complete, too.
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
fn a_difference_is_detected_and_described() {
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
fn a_defect_of_a_trace_is_reported_with_its_line() {
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
        // A last line without its line end is complete, and has the same defect.
        if trace.ends_with("}\n") {
            let error = replayed(trace.trim_end().as_bytes()).expect_err(words).to_string();
            assert!(error.starts_with(words), "{words:?}, not {error:?}");
        }
        let error = replayed(trace.as_bytes()).expect_err(words).to_string();
        assert!(error.starts_with(words), "{words:?}, not {error:?}");
    }
    // Unknown fields are ignored.
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

/// The snapshot without messages, which no rule reads.
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
            // The runtime's message about an image determines the grace.
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
fn a_reduced_pod_has_exactly_the_fields_that_the_rules_read() {
    for case in cases() {
        for (_, observed) in case.events() {
            let (podwait::Observed::Pod(_, seen) | podwait::Observed::Deleted(seen)) = observed else {
                continue;
            };
            let json = reduce(&seen.pod).to_string();
            let again = podwait_wire::pod(podwait_wire::Encoding::Json, json.as_bytes())
                .unwrap_or_else(|error| panic!("{}: {error}", case.id));
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
    let seen = podwait_wire::pod(podwait_wire::Encoding::Json, last.to_string().as_bytes()).expect("a pod");
    assert!(last.to_string().contains("hunter2") && !reduce(&seen).to_string().contains("hunter2"));
}

#[test]
fn written_decisions_are_read_unchanged() {
    let case = cases().into_iter().next().expect("a case");
    let trace = record(&case, Pods::Reduced);
    let mut reader = TraceReader::new(&trace[..]).expect("a header");
    assert_eq!(reader.header(), &case.header());
    let mut kinds = String::new();
    while let Some(line) = reader.next().expect("readable") {
        kinds.push(match line {
            TraceLine::Event(..) => 'e',
            TraceLine::Decision(..) => 'd',
            TraceLine::Stopped(_) => 's',
        });
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

#[test]
fn a_recording_stops_at_its_limit_with_a_note() {
    let case = cases().into_iter().next().expect("a case");
    let whole = record(&case, Pods::Full);
    let header = case.header();
    let first = whole.iter().position(|byte| *byte == b'\n').expect("lines") + 1;
    let mut ends = [0, 0];
    for limit in 0..whole.len() - first + 200 {
        let mut trace = Vec::new();
        let recorder = Recorder::new(&mut trace, &header, Pods::Full).expect("memory");
        let mut recorder = recorder.limit(limit as u64);
        let mut machine = header.machine();
        for (at, observed) in case.events() {
            let decision = machine.handle(at, observed.as_input());
            recorder.on_turn(Turn { at, observed: &observed, decision: &decision, machine: &machine });
        }
        let end = recorder.finish();
        let replay = replayed(&trace).unwrap_or_else(|error| panic!("limit {limit}: {error}"));
        assert_eq!((replay.difference, end.is_err()), (None, replay.stopped_at.is_some()), "limit {limit}");
        ends[usize::from(end.is_ok())] += 1;
        match end {
            Ok(()) => assert_eq!(trace, whole, "limit {limit}"),
            Err(error) => {
                let words = format!("has reached its limit of {limit} bytes");
                assert!(error.to_string().ends_with(&words), "{error}");
                let last = trace.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().expect("a line");
                assert!(String::from_utf8_lossy(last).contains(&words), "limit {limit}");
                assert!(trace.len() - first <= limit.max(128), "limit {limit}: {} bytes", trace.len());
            }
        }
    }
    assert!(ends.into_iter().all(|count| count > 50), "{ends:?}");
}

#[test]
fn a_line_costs_no_more_memory_than_it_has() {
    // A serde value for each of four million elements would need thirty times the size of the line.
    let header = r#"{"podwait_trace":1,"target":{}}"#;
    for field in ["decision", "stopped"] {
        let list = "0,".repeat(2 << 20);
        let trace = format!("{header}\n{{\"at_ms\":1,\"{field}\":[{list}0]}}\n");
        let replay = replayed(trace.as_bytes());
        assert_eq!(replay.is_ok(), field == "stopped", "{replay:?}");
    }
}

/// A simulated cluster over HTTP with a pod `ci/p` whose step ends with 3, and files in a folder.
struct Recorded {
    cluster: Cluster,
    _server: podwait_sim::Server,
    config: tempfile::NamedTempFile,
    folder: tempfile::TempDir,
}

impl Recorded {
    /// The pod runs, and has ended only if `is_over`. Each object has about 200 KB.
    async fn new(is_over: bool) -> Self {
        let cluster = Cluster::new();
        let server = cluster.serve().await.expect("loopback");
        let mut large = pod("ci", "p", &["step"]);
        large["metadata"]["annotations"]["large"] = "x".repeat(200 << 10).into();
        let life = Life::of(large).scheduled("node-1").running();
        let life = if is_over { life.finished(3) } else { life };
        life.run(&cluster).await.expect("a life");
        let (config, folder) = (kubeconfig(&server.url()), tempfile::tempdir().expect("a folder"));
        Self { cluster, _server: server, config, folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a readable path").to_owned()
    }

    fn fifo(&self, name: &str) -> String {
        let fifo = self.file(name);
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
        fifo
    }

    fn start(&self, trace: &str) -> Started {
        let config = self.config.path().to_str().expect("a readable path");
        start(&["wait", "p", "--kubeconfig", config, "--record", trace, "--record-full"])
    }

    async fn wait(&self, trace: &str) -> Run {
        ended(self.start(trace)).await
    }
}

/// The end of a command that should end by itself.
async fn ended(started: Started) -> Run {
    timeout(Duration::from_secs(60), started.end()).await.expect("it ends by itself")
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn only_its_owner_reads_a_trace() {
    let recorded = Recorded::new(true).await;
    let (new, old, link) = (recorded.file("new"), recorded.file("old"), recorded.file("link"));
    fs::write(&old, "what was there before").expect("written");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o666)).expect("its owner may");
    std::os::unix::fs::symlink(&old, &link).expect("a link");
    for (trace, file) in [(&new, &new), (&link, &old)] {
        let run = recorded.wait(trace).await;
        assert_eq!(run.status, Some(3), "{run:?}");
        assert_eq!(mode(file), 0o600);
        assert!(replayed(&fs::read(file).expect("a trace")).expect("readable").decision.is_some());
    }
    // The library's own function, for both kinds of traces.
    drop(podwait::trace::create(recorded.file("another")).expect("a file"));
    assert_eq!(mode(&recorded.file("another")), 0o600);
    // The mode of anything but a regular file is unchanged.
    let before = mode("/dev/null");
    let run = recorded.wait("/dev/null").await;
    assert_eq!((run.status, mode("/dev/null")), (Some(3), before), "{run:?}");
}

#[tokio::test]
async fn problems_of_a_recording_change_no_answer() {
    let recorded = Recorded::new(true).await;
    let run = recorded.wait("/dev/full").await;
    assert_eq!((run.status, &*run.stdout), (Some(3), "nonzero_exit 3\n"), "{run:?}");
    assert!(run.stderr.contains("the trace /dev/full is not complete: No space left"), "{run:?}");
    // No process opens the other end.
    let run = recorded.wait(&recorded.fifo("closed")).await;
    assert_eq!((run.status, &*run.stdout), (Some(3), "nonzero_exit 3\n"), "{run:?}");
    assert!(run.stderr.contains("is not complete: writing it takes too long"), "{run:?}");
    // The other end is opened, but not read; a pipe holds 64 KiB.
    let fifo = recorded.fifo("unread");
    let opened = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::File::open(fifo).expect("the command opens it, too")
    });
    let run = recorded.wait(&fifo).await;
    assert_eq!((run.status, &*run.stdout), (Some(3), "nonzero_exit 3\n"), "{run:?}");
    assert!(run.stderr.contains("is not complete: writing it takes too long"), "{run:?}");
    drop(opened.join().expect("no panic"));
    // It is read.
    let fifo = recorded.fifo("read");
    let read = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo).expect("the command writes it")
    });
    let run = recorded.wait(&fifo).await;
    assert_eq!(run.status, Some(3), "{run:?}");
    assert!(!run.stderr.contains("the trace"), "{run:?}");
    let trace = read.join().expect("no panic");
    assert!(replayed(&trace).expect("readable").decision.is_some_and(|decision| decision.is_final()));
    // A file that cannot be opened is reported before the wait begins.
    for (trace, words) in [("/no/such/folder/trace", "No such file"), ("/", "Is a directory")] {
        let run = recorded.wait(trace).await;
        assert_eq!((run.status, &*run.stdout), (Some(230), ""), "{run:?}");
        assert!(run.stderr.contains(&format!("cannot write the trace {trace}: {words}")), "{run:?}");
    }
}

#[tokio::test]
async fn a_recording_without_a_reader_delays_no_signal() {
    let recorded = Recorded::new(false).await;
    let started = recorded.start(&recorded.fifo("closed"));
    while recorded.cluster.requests().watch == 0 {
        podwait_tests::cluster::pause(10).await;
    }
    started.signal("TERM");
    let run = ended(started).await;
    assert_eq!((run.status, &*run.stdout), (Some(223), "cancelled\n"), "{run:?}");
}

#[tokio::test]
async fn replay_cleans_all_texts_of_a_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let evil = "\u{1b}[2J\u{7}\r\n\u{9b}\u{202e}\u{2028}\0podwait: ci/p: container step exited 0";
    let header = serde_json::json!({
        "podwait_trace": 1, "id": format!("id{evil}"), "title": format!("title{evil}{}", "x".repeat(1 << 20)),
        "target": { "namespace": "ci", "pod": "p", "container": format!("step{evil}") },
    });
    let status =
        |state: serde_json::Value| serde_json::json!([{ "name": format!("step{evil}"), "state": state }]);
    let pod = |status: serde_json::Value| {
        serde_json::json!({
            "metadata": { "namespace": "ci", "name": "p", "uid": "u", "resourceVersion": "5" },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": format!("step{evil}") }] },
            "status": {
                "phase": "Pending", "reason": format!("Because{evil}"), "message": evil, "containerStatuses": status,
            },
        })
    };
    let waiting = serde_json::json!({ "waiting": { "reason": format!("Odd{evil}"), "message": evil } });
    let ended = serde_json::json!({ "terminated": { "exitCode": 3, "containerID": "c", "reason": evil } });
    let events = [
        serde_json::json!({ "at_ms": 1, "event": "api_error", "op": "get", "code": 500, "message": evil }),
        serde_json::json!({ "at_ms": 2, "event": "snapshot", "via": "get", "pod": pod(status(waiting)) }),
        serde_json::json!({ "at_ms": 3, "event": "snapshot", "via": "get", "pod": pod(status(ended)) }),
    ];
    let rejected =
        serde_json::json!({ "at_ms": 3, "event": "api_error", "op": "get", "code": 422, "message": evil });
    let wrong = [
        serde_json::json!({ "at_ms": 3, "event": format!("jump{evil}{}", "x".repeat(1 << 20)) }),
        serde_json::json!({ "at_ms": 3, "decision": format!("maybe{evil}{}", "x".repeat(1 << 20)) }),
        serde_json::json!({ "at_ms": evil, "event": "tick" }),
        serde_json::json!({ "at_ms": 3, "event": "snapshot", "pod": { "kind": evil } }),
        serde_json::json!({ "at_ms": 3, "decision": "fail", "reason": evil }),
    ];
    let lasts = events[2..].iter().chain([&rejected]).chain(&wrong);
    for (n, last) in lasts.enumerate() {
        let file = folder.path().join(format!("trace-{n}"));
        let lines: Vec<String> =
            [&header, &events[0], &events[1], last].map(serde_json::Value::to_string).into();
        fs::write(&file, lines.join("\n") + "\n").expect("written");
        let file = file.to_str().expect("a readable path");
        for output in ["text", "json"] {
            let run = run(&["replay", "-o", output, file]).await;
            assert_eq!(run.status, Some(if n < 2 { 0 } else { 2 }), "{run:?}");
            for printed in [&run.stdout, &run.stderr] {
                for line in printed.lines() {
                    assert!(!line.starts_with("podwait: ci/p"), "a forged line: {printed:?}");
                    assert!(line.len() < 4000, "a line of {} bytes", line.len());
                }
                let foreign = |character: char| {
                    (character.is_control() && character != '\n')
                        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2028}')
                };
                assert!(!printed.contains(foreign), "{printed:?}");
                // Nor does it after a program has unescaped the JSON.
                assert!(!printed.contains("\\u00"), "{printed:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_trace_that_never_ends_is_refused() {
    for (file, words) in [("/dev/zero", "/dev/zero: line 1: longer than"), ("/", "/: line 1: Is a directory")]
    {
        let run = ended(start(&["replay", file])).await;
        assert_eq!(run.status, Some(2), "{run:?}");
        assert!(run.stderr.contains(words), "{run:?}");
    }
}
