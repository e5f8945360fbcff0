//! `podwait logs`, and `podwait wait --logs`.

use super::{Sim, assert_one_line, running};
use podwait_sim::{Fault, Terminated, Verb, pod};
use podwait_tests::cluster::pause;
use std::time::Duration;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn a_log_is_followed_to_its_end() {
    let sim = Sim::new().await;
    let life = running().writes("step", "one\n").after(millis(300)).writes("step", "two\nno newline");
    life.after(millis(300)).finished(3).spawn(&sim.cluster);
    let run = sim.run(&["logs", "p", "-c", "step", "-f"]).await;
    // The status is about the log, not about the exit of the container.
    assert_eq!((run.status, &*run.stdout, &*run.stderr), (Some(0), "one\ntwo\nno newline", ""));
}

#[tokio::test]
async fn without_follow_the_log_ends_at_its_present_end() {
    let sim = Sim::new().await;
    running().writes("step", "one\ntw").writes("aux", "a\n").run(&sim.cluster).await.expect("a life");
    let run = sim.run(&["logs", "pod/p", "-c", "step"]).await;
    assert_eq!((run.status, &*run.stdout, &*run.stderr), (Some(0), "one\ntw", ""));
    let run = sim.run(&["logs", "p", "--all-containers", "--prefix"]).await;
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!((run.status, lines), (Some(0), vec!["[aux] a", "[step] one", "[step] tw"]), "{run:?}");
}

#[tokio::test]
async fn attempts_are_distinguished() {
    let sim = Sim::new().await;
    let mut step = pod("ci", "p", &["step"]);
    step["spec"]["restartPolicy"] = "OnFailure".into();
    let life = podwait_sim::Life::of(step).scheduled("node-1").running().writes("step", "first\n");
    let life = life.after(millis(300)).terminated("step", Terminated::exit(1)).after(millis(300));
    let life = life.restarted("step").writes("step", "second\n").after(millis(300)).finished(0);
    life.spawn(&sim.cluster);
    let run = sim.run(&["logs", "p", "-f", "--prefix"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(0), "[step] first\n[step#2] second\n"), "{run:?}");
    let run = sim.run(&["logs", "p", "-f", "-o", "json"]).await;
    let lines: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let facts =
        |line: &serde_json::Value| (line["event"].clone(), line["text"].clone(), line["attempt"].clone());
    assert_eq!(facts(&lines[0]), ("line".into(), "first".into(), 1.into()));
    assert_eq!(facts(&lines[1]), ("line".into(), "second".into(), 2.into()));
    assert_eq!(lines.len(), 2, "{run:?}");
    assert!(lines[0]["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.contains('.')));
}

#[tokio::test]
async fn lines_that_may_be_missing_are_reported_and_change_the_status() {
    let sim = Sim::new().await;
    running().writes("step", "one\n").run(&sim.cluster).await.expect("a life");
    // The stream breaks, and meanwhile the node begins a new file.
    sim.cluster.faults().push(Verb::Log, Fault::CutIn(millis(300)));
    let logs = sim.start(&["logs", "p", "-c", "step", "-f"]);
    while sim.cluster.requests().log == 0 {
        pause(10).await;
    }
    pause(600).await;
    sim.cluster.write_log("ci", "p", "step", "not read\n");
    sim.cluster.rotate_log("ci", "p", "step", "");
    sim.cluster.write_log("ci", "p", "step", "three\n");
    podwait_sim::Life::existing("ci", "p").finished(0).run(&sim.cluster).await.expect("a life");
    let run = logs.end().await;
    assert_eq!((run.status, &*run.stdout), (Some(220), "one\nthree\n"), "{run:?}");
    assert!(run.stderr.starts_with("podwait: ci/p: lines of step may be missing between 20"), "{run:?}");
    assert!(run.stderr.contains("the node began a new file"), "{run:?}");
}

#[tokio::test]
async fn bytes_that_are_not_text_are_printed_unchanged() {
    use std::process::{Command, Stdio};
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let bytes = b"\xff\xfe\0\x1b[31m\r\n\xc3\n";
    sim.cluster.write_log("ci", "p", "step", bytes);
    podwait_sim::Life::existing("ci", "p").finished(0).run(&sim.cluster).await.expect("a life");
    let arguments = ["logs", "p", "-c", "step", "-f", "--kubeconfig", sim.kubeconfig()].map(str::to_owned);
    let output = tokio::task::spawn_blocking(|| {
        Command::new(podwait_tests::cli::podwait()).args(arguments).stdin(Stdio::null()).output()
    });
    assert_eq!(output.await.expect("no panic").expect("it runs").stdout, bytes);
}

#[tokio::test]
async fn a_missing_pod_container_or_right_is_reported() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    assert_one_line(&sim.run(&["logs", "p", "-c", "nope"]).await, 221, "nope");
    assert_one_line(&sim.run(&["logs", "p"]).await, 221, "step, aux");
    assert_one_line(&sim.run(&["logs", "q"]).await, 220, "ci/q: ");
    sim.cluster.faults().rule(|request| (request.verb == Verb::Log).then(|| Fault::status(403)));
    let run = sim.run(&["logs", "p", "-c", "step"]).await;
    assert!(run.stderr.contains("the log of step cannot be read at the moment"), "{run:?}");
    assert_eq!(run.status, Some(233), "{run:?}");
}

#[tokio::test]
async fn a_wait_prints_lines_and_has_the_status_of_the_step() {
    let sim = Sim::new().await;
    let life = running().writes("step", "one\n").after(millis(300)).writes("step", "two\n");
    life.after(millis(300)).finished(3).spawn(&sim.cluster);
    let run = sim.wait(&["-c", "step", "--logs"]).await;
    assert_one_line(&run, 3, "ci/p: container step exited 3");
    // The result is on standard error only: standard output has the lines of the step.
    assert_eq!(run.stdout, "one\ntwo\n");
    let run = sim.wait(&["-c", "step", "--logs", "-o", "json"]).await;
    let events: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!((run.status, kinds), (Some(3), vec!["line", "line", "result"]));
    assert_eq!(events[2]["exit_code"], 3);
}

#[tokio::test]
async fn a_log_that_cannot_be_read_changes_no_status() {
    let sim = Sim::new().await;
    running().writes("step", "one\n").after(millis(300)).finished(0).spawn(&sim.cluster);
    sim.cluster.faults().rule(|request| (request.verb == Verb::Log).then(|| Fault::status(500)));
    let run = sim.wait(&["-c", "step", "--logs"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(0), ""), "{run:?}");
    assert!(run.stderr.contains("cannot be read"), "{run:?}");
}
