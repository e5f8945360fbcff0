//! `kill -9` at any time: the command with `--resume`, and the example agent.

use super::Sim;
use podwait::FINALIZER;
use podwait_sim::{Cluster, Life, Terminated, pod};
use podwait_tests::cli::example;
use podwait_tests::storm::dice::Dice;
use serde_json::json;
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// A life, and its answer.
type Story = (fn(Life) -> Life, i32, &'static str);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Each ends before a process that is killed again and again can have observed all of it.
const STORIES: [Story; 5] = [
    (|life| life.after(millis(900)).finished(0), 0, "completed 0"),
    (|life| life.after(millis(700)).finished(7), 7, "nonzero_exit 7"),
    (|life| life.after(millis(800)).terminated("step", Terminated::oom_killed()), 137, "oom_killed 137"),
    // Force-deleted soon after it has ended.
    (|life| life.after(millis(900)).finished(3).after(millis(1100)).delete(0), 3, "nonzero_exit 3"),
    // Stopped by a deletion, with a code that looks like a success.
    (|life| life.after(millis(600)).delete(0).after(millis(300)).finished(0), 220, "pod_deleted"),
];

/// `PODWAIT_SEED`, or always the same seed.
fn seed() -> u64 {
    std::env::var("PODWAIT_SEED").map_or(0, |seed| seed.parse().expect("PODWAIT_SEED is a number"))
}

/// A pod that is held from its creation, with this life.
fn begin(cluster: &Cluster, name: &str, story: fn(Life) -> Life) {
    let mut held = pod("ci", name, &["step"]);
    held["metadata"]["finalizers"] = json!([FINALIZER]);
    story(Life::of(held).scheduled("node-1").after(millis(300)).running()).spawn(cluster);
}

/// Starts a process again and again, and kills it before its end. Returns the end, and how often the process was
/// killed.
pub(crate) async fn kill_until_it_ends(mut command: Command, dice: &mut Dice, first: u64) -> (Output, u32) {
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for kills in 0..10_000 {
        // The times grow, so that there is an end on a slow machine, too.
        let time = millis(dice.below(first + 20 * u64::from(kills)));
        let mut process = command.spawn().expect("it starts");
        if timeout(time, process.wait()).await.is_ok() {
            return (process.wait_with_output().await.expect("it has ended"), kills);
        }
        // SIGKILL. Until the process is gone, its journal is locked.
        process.kill().await.expect("it is killed");
    }
    panic!("it never ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_killed_has_the_same_answers() {
    let podwait = podwait_tests::cli::podwait();
    let sim = Sim::new().await;
    let scratch = TempDir::new().expect("a folder");
    let seed = seed();
    let mut runs = Vec::new();
    for lane in 0..30 {
        let (story, status, answer) = STORIES[lane % STORIES.len()];
        let name = format!("p-{lane}");
        begin(&sim.cluster, &name, story);
        let journal = scratch.path().join(&name);
        let mut command = Command::new(podwait);
        command.args(["wait", &name, "--hold", "--kubeconfig", sim.kubeconfig(), "--resume"]).arg(journal);
        runs.push(tokio::spawn(async move {
            let mut dice = Dice::new(seed + lane as u64);
            let (output, kills) = kill_until_it_ends(command, &mut dice, 400).await;
            let answers = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            assert_eq!(
                (output.status.code(), &*answers),
                (Some(status), answer),
                "seed {seed}, {name}: {output:?}"
            );
            kills
        }));
    }
    let mut kills = 0;
    for run in runs {
        kills += run.await.expect("the right answer");
    }
    assert!(kills >= 100, "seed {seed}: only {kills} kills");
    for lane in 0..30 {
        let pod = sim.cluster.get("ci", &format!("p-{lane}"));
        let held = pod.is_some_and(|pod| pod["metadata"]["finalizers"].to_string().contains(FINALIZER));
        assert!(!held, "seed {seed}: p-{lane} is still held");
    }
    println!("{kills} kills");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_example_agent_that_is_killed_answers_once() {
    // The agent is built before the lives begin.
    let mut command = Command::new(example("podwait", "agent"));
    let sim = Sim::new().await;
    let scratch = TempDir::new().expect("a folder");
    let seed = seed();
    let (journal, results) = (scratch.path().join("journal"), scratch.path().join("results"));
    let names: Vec<String> = (0..40).map(|lane| format!("p-{lane}")).collect();
    let cluster = sim.cluster.clone();
    let create = names.clone();
    let pods = tokio::spawn(async move {
        for (lane, name) in create.iter().enumerate() {
            begin(&cluster, name, STORIES[lane % STORIES.len()].0);
            sleep(millis(200)).await;
        }
    });
    command.env("KUBECONFIG", sim.kubeconfig()).arg(journal).arg(&results).arg("ci").args(&names);
    let (output, kills) = kill_until_it_ends(command, &mut Dice::new(seed), 300).await;
    pods.await.expect("the pods live");
    assert!(output.status.success(), "seed {seed}: {output:?}");
    let answers = std::fs::read_to_string(&results).expect("results");
    let mut answers: Vec<&str> = answers.lines().collect();
    answers.sort_unstable();
    let expected =
        names.iter().enumerate().map(|(lane, name)| format!("{name} {}", STORIES[lane % STORIES.len()].2));
    let mut expected: Vec<String> = expected.collect();
    expected.sort_unstable();
    assert_eq!(answers, expected, "seed {seed}, {kills} kills");
    assert!(kills >= 20, "seed {seed}: only {kills} kills");
    println!("{kills} kills");
}
