//! Logs with random breaks of streams, rotations of files and restarts of containers.
//!
//! In every case the collected lines are the written lines, in order and once, and missing lines are within a gap.

use super::{Collected, secs};
use podwait::{GapReason, Logs, wait};
use podwait_sim::{Cluster, Fault, Life, Terminated, Verb, pod};
use podwait_tests::client_of;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

#[derive(Clone, Debug)]
enum Move {
    /// This many lines of this length at once.
    Write(u8, u16),
    /// Half a line.
    WriteHalf,
    Pause(u16),
    /// A rotation, with this many lines that are written at that moment.
    Rotate(u8),
    Restart,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        6 => (1..30_u8, prop_oneof![4 => 0..80_u16, 1 => 10_000..40_000_u16]).prop_map(|(lines, length)| Move::Write(lines, length)),
        1 => Just(Move::WriteHalf),
        6 => (1..4000_u16).prop_map(Move::Pause),
        1 => (0..3_u8).prop_map(Move::Rotate),
        1 => Just(Move::Restart),
    ];
    prop::collection::vec(one, 1..60)
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let one = prop_oneof![
        (0..4_usize).prop_map(|events| Fault::CutMidLine { events }),
        (0..40_usize).prop_map(|events| Fault::ResetAfter { events }),
        (0..9000_u64).prop_map(|millis| Fault::CutIn(Duration::from_millis(millis))),
        (0..9000_u64).prop_map(|millis| Fault::ResetIn(Duration::from_millis(millis))),
        Just(Fault::Reset),
        Just(Fault::status(503)),
        Just(Fault::status(429).retry_after(2)),
    ];
    // A response that is twice cut off after the last line cannot be distinguished from a complete one.
    prop::collection::vec(one, 0..25).prop_map(|faults| {
        let apart = |(n, fault)| {
            if let Fault::CutMidLine { events } = fault {
                Fault::CutMidLine { events: events * 25 + n }
            } else {
                fault
            }
        };
        faults.into_iter().enumerate().map(apart).collect()
    })
}

/// A written line, with its run and its time by the cluster's clock.
struct Written {
    run: u32,
    text: String,
    at: Duration,
    /// It is in a file that the kubelet no longer serves.
    is_in_old_file: bool,
}

async fn live(moves: Vec<Move>, faults: Vec<Fault>) -> Result<(), TestCaseError> {
    let cluster = Cluster::new();
    let mut step = pod("ci", "p", &["step"]);
    step["spec"]["restartPolicy"] = "OnFailure".into();
    for fault in faults {
        cluster.faults().push(Verb::Log, fault);
    }
    let start = tokio::time::Instant::now();
    let life = async {
        let apply = async |life: Life| life.run(&cluster).await.expect("an honest life");
        apply(Life::of(step).scheduled("node-1").running()).await;
        let (mut written, mut run, mut number, mut half) = (Vec::new(), 1, 0_u32, false);
        for one in moves {
            let mut write = |count: u8, length: u16, run: u32| {
                let lines: Vec<String> = (0..count)
                    .map(|_| {
                        number += 1;
                        format!("{number} {}", "x".repeat(length.into()))
                    })
                    .collect();
                for text in &lines {
                    written.push(Written {
                        run,
                        text: text.clone(),
                        at: start.elapsed(),
                        is_in_old_file: false,
                    });
                }
                lines.iter().fold(String::new(), |all, line| all + line + "\n")
            };
            match one {
                Move::Write(..) | Move::Rotate(_) if half => {
                    cluster.write_log("ci", "p", "step", " and half\n");
                    half = false;
                }
                Move::Write(lines, length) => {
                    let text = write(lines, length, run);
                    cluster.write_log("ci", "p", "step", text);
                }
                Move::WriteHalf if !half => {
                    let text = write(1, 3, run);
                    cluster.write_log("ci", "p", "step", text.trim_end());
                    if let Some(last) = written.last_mut() {
                        last.text += " and half";
                    }
                    half = true;
                }
                Move::Rotate(lines) => {
                    // A kubelet rotates a file only when it is large, and checks that at intervals.
                    let large = write(4, 40_000, run);
                    cluster.write_log("ci", "p", "step", large);
                    sleep(secs(10)).await;
                    let text = write(lines, 5, run);
                    cluster.rotate_log("ci", "p", "step", text);
                    written
                        .iter_mut()
                        .filter(|line| line.run == run)
                        .for_each(|line| line.is_in_old_file = true);
                }
                Move::Restart if !half => {
                    let ended = Life::existing("ci", "p").terminated("step", Terminated::exit(1));
                    apply(ended.after(secs(2)).started("step")).await;
                    // The next run would replace this run's log, which other tests cover.
                    sleep(secs(100)).await;
                    run += 1;
                }
                Move::WriteHalf | Move::Restart => {}
                Move::Pause(millis) => sleep(Duration::from_millis(millis.into())).await,
            }
        }
        if half {
            cluster.write_log("ci", "p", "step", " and half\n");
        }
        sleep(secs(200)).await;
        apply(Life::existing("ci", "p").finished(0)).await;
        written
    };
    // All remaining faults may occur at the end.
    let (wait, logs) = wait(client_of(&cluster), "ci", "p").logs(Logs::of_target().drain(secs(300)));
    let (exit, collected, written) = tokio::join!(wait, Collected::all(logs), life);
    prop_assert_eq!(exit.map(|exit| exit.code), Ok(0));
    let runs = written.iter().map(|line| line.run).max().unwrap_or(1);
    for run in 1..=runs {
        let text = collected.texts.get(&("step".to_owned(), run)).map_or("", String::as_str);
        let (mut heard_lines, mut any) = (text.lines().peekable(), false);
        for line in written.iter().filter(|line| line.run == run) {
            // A reader that could not read before the rotation begins with the new file, and cannot detect the loss.
            if heard_lines.next_if(|collected| *collected == line.text).is_some() {
                any = true;
                continue;
            }
            if !any && line.is_in_old_file {
                continue;
            }
            let at = UNIX_EPOCH + secs(1_767_225_600) + line.at;
            let is_told = collected.gaps.iter().any(|gap| {
                // The missing part of a line is later than the line's time.
                let is_after = gap.after.is_none_or(|after| after <= at + Duration::from_millis(1));
                let is_before = gap.before.is_none_or(|before: SystemTime| at <= before);
                gap.attempts.contains(&run) && is_after && is_before
            });
            let start: String = line.text.chars().take(20).collect();
            prop_assert!(is_told, "run {run}: {start:?} at {:?} is missing: {:?}", line.at, collected.gaps);
        }
        let rest: Vec<&str> = heard_lines.map(|line| &line[..line.len().min(20)]).collect();
        prop_assert!(rest.is_empty(), "run {run} has additional lines, or lines out of order: {rest:?}");
    }
    let reasons: Vec<GapReason> = collected.gaps.iter().map(|gap| gap.reason).collect();
    prop_assert!(reasons.iter().all(|reason| *reason == GapReason::Rotated), "{reasons:?}");
    Ok(())
}

#[test]
fn the_collected_lines_are_the_written_lines() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let run = |(moves, faults)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(live(moves, faults))
    };
    runner.run(&(moves(), faults()), run).unwrap_or_else(|error| panic!("{error}"));
}
