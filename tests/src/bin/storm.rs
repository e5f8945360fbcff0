//! Runs storms and prints their table: `storm --runs 20000 [--first SEED] [--way WAY] [--lives N] [--crowd]`.
//!
//! With `--lives N` each run has N lives, in one hub under one weather.
//!
//! Exits with 1 if any run has a bad verdict, after printing its story.

use podwait_tests::storm::crowd::Crowd;
use podwait_tests::storm::table::Table;
use podwait_tests::storm::way::Way;
use podwait_tests::storm::{Run, Storm};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How many stories of failed runs are printed.
const STORIES: usize = 10;

const USAGE: &str = "usage: storm [--runs N] [--first SEED] [--way watch|poll|hub|labelled|outside] [--lives N] [--crowd] \
     [--story SEED]";

struct Args {
    runs: u64,
    first: u64,
    way: Option<Way>,
    lives: Option<usize>,
    crowd: bool,
    story: Option<u64>,
}

fn args() -> Option<Args> {
    let mut args = Args { runs: 1000, first: 0, way: None, lives: None, crowd: false, story: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => args.runs = words.next()?.parse().ok()?,
            "--first" => args.first = words.next()?.parse().ok()?,
            "--story" => args.story = Some(words.next()?.parse().ok()?),
            "--way" => args.way = Some(Way::parse(&words.next()?)?),
            "--lives" => args.lives = Some(words.next()?.parse().ok().filter(|lives| *lives > 0)?),
            "--crowd" => args.crowd = true,
            _ => return None,
        }
    }
    Some(args)
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let storm = Storm { way: args.way, ..Storm::default() };
    let verbose = Storm { keeps_decisions: true, ..storm };
    if let Some(seed) = args.story {
        runs(verbose, seed, args.lives).iter().for_each(|run| println!("{run}"));
        return ExitCode::SUCCESS;
    }
    if args.crowd {
        crowds();
        return ExitCode::SUCCESS;
    }
    let begin = Instant::now();
    let table = table(storm, args.first, args.runs, args.lives);
    print!("{table}");
    let took = begin.elapsed().as_secs_f64();
    let (burst, busiest) = table.total().burst();
    eprintln!("{} runs in {took:.1} s; the most requests in 10 s, {burst}, had seed {busiest}", args.runs);
    let mut seeds: Vec<u64> = table.bad.iter().map(|(seed, _)| *seed).collect();
    seeds.dedup();
    for seed in seeds.into_iter().take(STORIES) {
        let bad = runs(verbose, seed, args.lives).into_iter().filter(|run| run.verdict().is_bad());
        bad.for_each(|run| println!("\n{run}"));
    }
    if table.bad.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nfailed seeds: {:?}", table.bad);
    ExitCode::FAILURE
}

/// The runs of this seed.
fn runs(storm: Storm, seed: u64, lives: Option<usize>) -> Vec<Run> {
    match lives {
        Some(lives) => storm.run_together(seed, lives),
        None => vec![storm.run(seed)],
    }
}

/// Every run has its own clock, so that runs can use all cores.
fn table(storm: Storm, first: u64, count: u64, lives: Option<usize>) -> Table {
    let (next, end) = (AtomicU64::new(first), first.saturating_add(count));
    let work = || {
        let mut table = Table::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return table;
            }
            runs(storm, seed, lives).iter().for_each(|run| table.add(run));
        }
    };
    let mut table = Table::default();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            table.merge(worker.join().expect("a worker that does not panic"));
        }
    });
    table
}

fn crowds() {
    println!(
        "| 200 waits, ten minutes of outage | right | most in a second of the outage | most in a second when the server is back | most in 10 ms |"
    );
    println!("|---|---|---|---|---|");
    for (name, way, jitter) in [
        ("watching", Way::Watch, false),
        ("watching, jitter", Way::Watch, true),
        ("polling", Way::Poll, false),
        ("polling, jitter", Way::Poll, true),
        ("one hub", Way::Hub, false),
        ("one hub, jitter", Way::Hub, true),
    ] {
        let meeting = Crowd { waits: 200, outage: Duration::from_secs(600), jitter, way }.run();
        let (during, afterwards) = (meeting.during(), meeting.afterwards());
        println!("| {name} | {} | {during} | {afterwards} | {} |", meeting.right, meeting.peak);
    }
}
