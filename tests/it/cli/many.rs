//! `podwait wait` for many pods and jobs at once.

use super::{Sim, assert_one_line};
use podwait_sim::{Life, pod};
use podwait_tests::cli::run;
use podwait_tests::cluster::pause;
use serde_json::{Value, json};
use std::time::Duration;

/// A pod that ends with this code, this many milliseconds after the first watch began.
fn ends(sim: &Sim, name: &str, code: i32, after: u64) {
    let mut step = pod("ci", name, &["step"]);
    step["metadata"]["labels"] = json!({ "job": "build" });
    Life::of(step).scheduled("node-1").running().spawn(&sim.cluster);
    let end = Life::existing("ci", name).after(Duration::from_millis(after)).finished(code);
    let cluster = sim.cluster.clone();
    tokio::spawn(async move {
        while cluster.requests().watch == 0 {
            pause(10).await;
        }
        end.run(&cluster).await.expect("a life");
    });
}

#[tokio::test]
async fn results_come_as_pods_end_and_the_first_failure_is_the_status() {
    let sim = Sim::new().await;
    for (name, code, after) in [("a", 0, 100), ("b", 5, 1100), ("c", 3, 600)] {
        ends(&sim, name, code, after);
    }
    let run = sim.run(&["wait", "a", "pod/b", "pods/c"]).await;
    assert_eq!(run.status, Some(3), "{run:?}");
    assert_eq!(run.stdout, "ci/a completed 0\nci/c nonzero_exit 3\nci/b nonzero_exit 5\n");
    assert_eq!(run.stderr.lines().count(), 3, "{run:?}");
}

#[tokio::test]
async fn json_is_one_line_for_each_result() {
    let sim = Sim::new().await;
    ends(&sim, "a", 0, 100);
    ends(&sim, "b", 1, 300);
    let run = sim.run(&["wait", "a", "b", "-o", "json"]).await;
    let results: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let facts: Vec<(&str, i64)> = results
        .iter()
        .map(|result| (result["pod"].as_str().unwrap_or("?"), result["exit_code"].as_i64().unwrap_or(-1)))
        .collect();
    assert_eq!((run.status, facts), (Some(1), vec![("a", 0), ("b", 1)]));
}

#[tokio::test]
async fn any_ends_with_the_first_result() {
    let sim = Sim::new().await;
    ends(&sim, "a", 4, 300);
    ends(&sim, "b", 0, 60_000);
    let run = sim.run(&["wait", "a", "b", "--any"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(4), "ci/a nonzero_exit 4\n"), "{run:?}");
}

#[tokio::test]
async fn a_selector_selects_the_pods_that_match_now() {
    let sim = Sim::new().await;
    ends(&sim, "a", 0, 300);
    ends(&sim, "b", 2, 600);
    pod_without_label(&sim).await;
    let run = sim.run(&["wait", "-l", "job=build"]).await;
    assert_eq!((run.status, &*run.stdout), (Some(2), "ci/a completed 0\nci/b nonzero_exit 2\n"), "{run:?}");
}

async fn pod_without_label(sim: &Sim) {
    Life::of(pod("ci", "other", &["step"])).running().run(&sim.cluster).await.expect("a life");
}

#[tokio::test]
async fn a_selector_that_matches_nothing_is_an_error_in_the_end() {
    let sim = Sim::new().await;
    let run = sim.run(&["wait", "-l", "job=none"]).await;
    assert_one_line(&run, 220, "no pod in ci matches \"job=none\"");
}

#[tokio::test]
async fn lines_of_several_pods_have_the_name_of_the_pod() {
    let sim = Sim::new().await;
    for name in ["a", "b"] {
        let life = Life::of(pod("ci", name, &["step"])).scheduled("node-1").running();
        let life = life.writes("step", &format!("{name} here\n")).after(Duration::from_millis(300));
        life.finished(0).spawn(&sim.cluster);
    }
    let run = sim.run(&["wait", "a", "b", "--logs"]).await;
    let mut lines: Vec<&str> = run.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!((run.status, lines), (Some(0), vec!["[a/step] a here", "[b/step] b here"]), "{run:?}");
}

#[tokio::test]
async fn signals_cancel_all() {
    let sim = Sim::new().await;
    ends(&sim, "a", 0, 60_000);
    ends(&sim, "b", 0, 60_000);
    let child = sim.start(&["wait", "a", "b"]);
    while sim.cluster.requests().watch == 0 {
        pause(10).await;
    }
    child.signal("TERM");
    let run = child.end().await;
    assert_eq!((run.status, &*run.stdout), (Some(223), "ci/a cancelled\nci/b cancelled\n"), "{run:?}");
}

/// The output of `podwait` on a terminal of this size.
async fn on_a_terminal(sim: &Sim, arguments: &str) -> String {
    let command = format!(
        "stty rows 24 cols 60; {} {arguments} --kubeconfig {} >/dev/null",
        podwait_tests::cli::podwait().display(),
        sim.kubeconfig()
    );
    // script(1) provides a terminal.
    let script = tokio::process::Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output()
        .await;
    String::from_utf8_lossy(&script.expect("script runs").stdout).into_owned()
}

#[tokio::test]
async fn on_a_terminal_there_is_a_table() {
    let sim = Sim::new().await;
    ends(&sim, "a", 0, 1500);
    ends(&sim, "a-longer-name", 3, 2500);
    let shown = on_a_terminal(&sim, "wait a a-longer-name").await;
    for words in
        ["0 of 2 ended", "1 of 2 ended", "2 of 2 ended", "\x1b[", "ci/a-longer-name      2 s  nonzero_exit 3"]
    {
        assert!(shown.contains(words), "{words:?} in {shown}");
    }
    // Without a terminal there is no table.
    let run = sim.run(&["wait", "a", "a-longer-name"]).await;
    assert!(!run.stderr.contains('\x1b') && !run.stderr.contains("ended"), "{run:?}");
}

#[tokio::test]
async fn wrong_targets_are_reported_in_one_line() {
    for (arguments, words) in [
        (&["wait", "deployment/a"][..], "neither a pod nor a job"),
        (&["wait", "a", "--any", "--all"], "cannot be used with"),
        (&["wait", "a", "--record", "f", "--resume", "g"], "cannot be used with"),
        (&["wait", "a", "job/b", "--logs"], "--logs is for pods, and job/b is a Job"),
        (&["wait", "job/b", "-c", "step"], "--container is for pods"),
        (&["wait", "job/b", "--hold"], "--hold is for pods"),
        (&["wait", "job/b", "--resume", "f"], "--resume is for pods"),
    ] {
        assert_one_line(&run(arguments).await, 230, words);
    }
    let sim = Sim::new().await;
    assert_one_line(
        &sim.run(&["wait", "a", "b", "--record", "/tmp/f"]).await,
        230,
        "--record records the wait for one pod",
    );
}
