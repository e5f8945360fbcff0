//! What is printed: standard output that accepts no data, and hostile text from elsewhere.

use super::process::Stdout;
use super::{Sim, assert_one_line, running};
use podwait_sim::{Fault, FaultBody, Life, Verb, pod};
use podwait_tests::cli::Run;
use podwait_tests::cluster::pause;

/// The logs of a pod that has written a line and continues to run, and how standard output is read.
async fn logs(arguments: &[&str], stdout: Stdout) -> Run {
    let sim = Sim::new().await;
    running().writes("step", "one\n").run(&sim.cluster).await.expect("a life");
    sim.process(&[&["logs", "p", "-c", "step"], arguments].concat(), stdout).end().await
}

#[tokio::test]
async fn a_log_ends_when_its_reader_has_closed_the_output() {
    // Although nothing more is written, and the pod continues to run.
    let run = logs(&["-f"], Stdout::ClosedSoon).await;
    assert_eq!((run.status, &*run.stdout, &*run.stderr), (Some(0), "one\n", ""));
    let run = logs(&["-f", "-o", "json"], Stdout::ClosedSoon).await;
    assert_eq!((run.status, &*run.stderr), (Some(0), ""));

    // And while the pod writes more than any pipe holds.
    let sim = Sim::new().await;
    let text = "a line that is never read, and many more such lines after it, as long\n".repeat(30_000);
    running().writes("step", &text).run(&sim.cluster).await.expect("a life");
    for arguments in [&["logs", "p", "-c", "step"][..], &["logs", "p", "-c", "step", "-f"]] {
        let run = sim.process(arguments, Stdout::ClosedSoon).end().await;
        assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_fails() {
    for arguments in [&[][..], &["-f"], &["-o", "json"]] {
        let run = logs(arguments, Stdout::Full).await;
        assert_eq!(run.status, Some(220), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains("standard output cannot be written: "), "{run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }
}

#[tokio::test]
async fn an_answer_does_not_depend_on_standard_output() {
    for stdout in [Stdout::ClosedSoon, Stdout::Full] {
        for arguments in [&[][..], &["-o", "json"], &["--logs"], &["--logs", "-o", "json"]] {
            let sim = Sim::new().await;
            running().writes("step", "one\n").run(&sim.cluster).await.expect("a life");
            let process = sim.process(&[&["wait", "p", "-c", "step"], arguments].concat(), stdout);
            while sim.cluster.requests().watch == 0 {
                pause(10).await;
            }
            pause(300).await;
            let life = Life::existing("ci", "p").writes("step", "two\n");
            life.finished(3).run(&sim.cluster).await.expect("a life");
            let run = process.end().await;
            assert_eq!(run.status, Some(3), "{arguments:?}: {run:?}");
        }
    }
}

/// This moves the cursor, writes to the clipboard, rings the bell, forges a line, and reverses text.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]52;c;eA==\u{7}\r\npodwait: ci/p: container step exited 0\n\u{9b}1A\u{202e}\0\u{2028}\u{85}\u{7f}x";

#[track_caller]
fn assert_harmless(run: &Run) {
    let acts = |c: char| (c.is_control() && c != '\n') || "\u{2028}\u{202e}\u{2066}\u{61c}".contains(c);
    assert!(!run.stderr.contains(acts) && !run.stdout.contains(acts), "{run:?}");
    for line in run.stderr.lines() {
        assert!(line.starts_with("podwait: ") && line.len() < 1100, "{} bytes: {run:?}", line.len());
        assert!(!line.starts_with("podwait: ci/p: container step exited 0"), "{run:?}");
    }
}

fn refused(code: u16, message: &str) -> Fault {
    let body = FaultBody::Status { reason: String::from("Forbidden"), message: message.to_owned() };
    Fault::Status { code, retry_after: None, body }
}

/// Runs of the command in which this text is a message.
async fn runs_with(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    for output in ["text", "json"] {
        // Messages of the pod.
        let sim = Sim::new().await;
        running().failed("Evicted", text).run(&sim.cluster).await.expect("a life");
        runs.push(sim.wait(&["-c", "step", "-o", output]).await);
        let sim = Sim::new().await;
        running().failed(text, text).run(&sim.cluster).await.expect("a life");
        runs.push(sim.wait(&["-c", "step", "-o", output]).await);
        let sim = Sim::new().await;
        let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1");
        life.waiting("step", "InvalidImageName", text).run(&sim.cluster).await.expect("a life");
        runs.push(sim.wait(&["-o", output]).await);
        // Messages of the API server: for the access check, for a hold, for a log.
        let sim = Sim::new().await;
        let denied = text.to_owned();
        sim.cluster.faults().rule(move |_| Some(refused(403, &denied)));
        for arguments in
            [&["wait", "p", "-o", output][..], &["wait", "-l", "a=b"], &["release"], &["run", "--image", "i"]]
        {
            runs.push(sim.run(arguments).await);
        }
        let sim = Sim::new().await;
        running().run(&sim.cluster).await.expect("a life");
        let denied = text.to_owned();
        sim.cluster.faults().rule(move |request| {
            matches!(request.verb, Verb::Log | Verb::Patch).then(|| refused(403, &denied))
        });
        let end = async {
            sim.got(|requests| requests.patch > 0 && requests.log > 0).await;
            Life::existing("ci", "p").finished(3).run(&sim.cluster).await.expect("an end");
        };
        let arguments = ["-c", "step", "--hold", "--logs", "-o", output];
        let (run, ()) = tokio::join!(sim.wait(&arguments), end);
        assert_eq!(run.status, Some(3), "{run:?}");
        assert!(run.stderr.contains("was not held") && run.stderr.contains("cannot be read"), "{run:?}");
        runs.push(run);
    }
    runs
}

#[tokio::test]
async fn text_from_elsewhere_is_harmless_wherever_it_is_printed() {
    for run in runs_with(HOSTILE).await {
        assert_harmless(&run);
    }
    for run in runs_with(&"long ".repeat(10_000)).await {
        assert_harmless(&run);
    }
}

#[tokio::test]
async fn an_empty_text_leaves_no_colon() {
    for run in runs_with("").await {
        for line in run.stderr.lines() {
            assert!(!line.trim_end().ends_with(':'), "{run:?}");
        }
    }
}

#[tokio::test]
async fn a_server_with_an_unreadable_response_counts_as_reached() {
    let sim = Sim::new().await;
    let body = FaultBody::Json(serde_json::json!({ "kind": "Pod", "metadata": 5 }));
    sim.cluster.faults().push(Verb::Get, Fault::Status { code: 200, retry_after: None, body });
    let run = sim.wait(&[]).await;
    assert_one_line(&run, 224, "returned a response that cannot be used: unreadable pod: metadata: ");
}

#[tokio::test]
async fn a_line_in_json_has_the_whole_text_and_cannot_control_a_terminal() {
    let sim = Sim::new().await;
    running().writes("step", "a\u{9b}2J\u{202e}b\u{1b}[0m\n").run(&sim.cluster).await.expect("a life");
    let run = sim.run(&["logs", "p", "-c", "step", "-o", "json"]).await;
    assert_harmless(&run);
    let line: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(line["text"], "a\u{9b}2J\u{202e}b\u{1b}[0m");
    assert_eq!(run.status, Some(0), "{run:?}");
}
