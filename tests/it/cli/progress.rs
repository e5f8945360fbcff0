//! What the command shows while it waits.

use super::Sim;
use podwait_sim::{Life, pod};
use podwait_tests::cli::Run;
use podwait_tests::cluster::pause;
use serde_json::Value;

/// A wait for a pod whose image cannot be pulled for some seconds, with these arguments.
async fn hindered(arguments: &[&str]) -> Run {
    let sim = Sim::new().await;
    let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1");
    let life = life.waiting("step", "ErrImagePull", "429 Too Many\u{1b}[2J Requests");
    life.run(&sim.cluster).await.expect("a life");
    let wait = sim.start(&[&["wait", "p"], arguments].concat());
    pause(4500).await;
    Life::existing("ci", "p").running().finished(3).run(&sim.cluster).await.expect("an end");
    wait.end().await
}

#[tokio::test]
async fn a_line_names_what_is_awaited_and_which_limit_ends_that() {
    let run = hindered(&[]).await;
    assert_eq!((run.status, &*run.stdout), (Some(3), "nonzero_exit 3\n"), "{run:?}");
    let lines: Vec<&str> = run.stderr.lines().collect();
    let [line, answer] = &lines[..] else { panic!("{run:?}") };
    let message = "container step could not pull its image (ErrImagePull: 429 Too Many\u{fffd}[2J Requests)";
    let begins = format!("podwait: ci/p: {message}, for ");
    assert!(line.starts_with(&begins) && line.contains(", image_pull in 1m 5"), "{line}");
    assert!(answer.starts_with("podwait: ci/p: container step "), "{answer}");
}

#[tokio::test]
async fn the_same_as_json_and_not_at_all() {
    let (run, silent) =
        tokio::join!(hindered(&["--progress", "json", "-o", "json"]), hindered(&["--progress", "none"]));
    let first = run.stderr.lines().next().expect("a line");
    let progress: Value = serde_json::from_str(first).expect("JSON");
    let facts = (&progress["event"], &progress["pod"], &progress["stage"], &progress["limit"]["reason"]);
    assert_eq!(facts, (&"progress".into(), &"p".into(), &"image".into(), &"image_pull".into()), "{run:?}");
    assert!(progress["limit"]["seconds"].as_u64().is_some_and(|left| left < 120), "{progress}");
    assert_eq!(silent.stderr.lines().count(), 1, "{silent:?}");
}
