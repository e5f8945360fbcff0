//! Measures the cost of waiting for many pods. The command and its options: [`USAGE`].

use podwait_bench::scale::wait::{Task, wait};
use podwait_bench::scale::{Outcome, Peers, Settings, Waiter, formats, kubelet, lists, plot, report, run};
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const USAGE: &str = "\
usage: scale [--waiters NAME,...] [--counts N,...] [--rate WRITES_PER_SECOND] [--limit SECONDS]
             [--memory MIB] [--out FOLDER]
       scale --plot FILE.jsonl [--out FOLDER]
       scale --terminated-vs-phase RUNS [--at-once N]
       scale --formats PODS
       scale --lists PODS
Runs each waiter with each number of pods, each time in a fresh cluster of tests/cluster, and writes scale.jsonl (to which
it adds), scale.md and three plots to the folder. With --plot it makes these from existing results.";

/// Writes per second, chosen so that the API server, etcd and the waiters together do not use up two cores.
const RATE: u32 = 100;

struct Options {
    waiters: Vec<Waiter>,
    counts: Vec<usize>,
    rate: u32,
    limit: Duration,
    memory_mib: u32,
    out: Option<PathBuf>,
    plot: Option<PathBuf>,
    kubelet: Option<usize>,
    formats: Option<usize>,
    lists: Option<usize>,
    at_once: usize,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            waiters: Waiter::ALL.to_vec(),
            counts: vec![50, 200, 400, 1000, 5000, 10_000],
            rate: RATE,
            limit: Duration::from_secs(600),
            memory_mib: 8192,
            out: None,
            plot: None,
            kubelet: None,
            formats: None,
            lists: None,
            at_once: 20,
        };
        while let Some(option) = words.next() {
            let value = words.next().ok_or(USAGE)?;
            match option.as_str() {
                "--waiters" => {
                    options.waiters = value.split(',').map(str::parse).collect::<Result<_, _>>()?
                }
                "--counts" => options.counts = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--rate" => options.rate = value.parse()?,
                "--limit" => options.limit = Duration::from_secs(value.parse()?),
                "--memory" => options.memory_mib = value.parse()?,
                "--out" => options.out = Some(PathBuf::from(value)),
                "--plot" => options.plot = Some(PathBuf::from(value)),
                "--terminated-vs-phase" => options.kubelet = Some(value.parse()?),
                "--formats" => options.formats = Some(value.parse()?),
                "--lists" => options.lists = Some(value.parse()?),
                "--at-once" => options.at_once = value.parse()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

/// One thread, for the waiters and for the writer.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if_eq("wait").is_some() {
        let mut word = || words.next().ok_or(USAGE);
        let waiter: Waiter = word()?.parse()?;
        let task = Task { kubeconfig: word()?.into(), namespace: word()?, count: word()?.parse()? };
        return wait_for_parent(waiter, task).await;
    }
    let options = Options::read(words)?;
    if let Some(runs) = options.kubelet {
        print!("{}", kubelet::compare(runs, options.at_once).await?);
        return Ok(());
    }
    if let Some(pods) = options.lists {
        print!("{}", lists::compare(pods).await);
        return Ok(());
    }
    if let Some(pods) = options.formats {
        print!("{}", formats::compare(pods).await);
        return Ok(());
    }
    let outcomes = match &options.plot {
        Some(file) => read(file)?,
        None => measure(&options).await?,
    };
    if let Some(folder) = &options.out {
        plot::write(folder, &outcomes)?;
        fs::write(folder.join("scale.md"), table(&outcomes))?;
    }
    print!("{}", table(&outcomes));
    Ok(())
}

/// Waits, and ends with the process that started this one, whatever the result of the wait.
async fn wait_for_parent(waiter: Waiter, task: Task) -> Result<(), Box<dyn Error>> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    wait(waiter, task).await?;
    // Its CPU time and memory are read while the process exists.
    std::future::pending().await
}

async fn measure(options: &Options) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let peers = options.waiters.iter().any(|waiter| waiter.is_peer()).then(Peers::build);
    let settings = Settings {
        program: std::env::current_exe()?,
        peers,
        rate: options.rate,
        limit: options.limit,
        memory_mib: options.memory_mib,
    };
    let file = options.out.as_ref().map(|folder| folder.join("scale.jsonl"));
    let mut outcomes = Vec::new();
    for &count in &options.counts {
        for &waiter in &options.waiters {
            let outcome = run(&settings, waiter, count).await;
            eprintln!("{outcome}");
            if let Some(wrong) = &outcome.first_wrong {
                eprintln!("  {wrong}");
            }
            if let Some(file) = &file {
                let line = serde_json::to_string(&outcome)?;
                writeln!(OpenOptions::new().create(true).append(true).open(file)?, "{line}")?;
            }
            outcomes.push(outcome);
        }
    }
    // Earlier results are in the same plots.
    Ok(match &file {
        Some(file) => read(file)?,
        None => outcomes,
    })
}

/// The results in a file. Of several results for a waiter and a number of pods, the last one counts.
fn read(file: &Path) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        let outcome: Outcome = serde_json::from_str(line)?;
        outcomes.retain(|before| (&before.waiter, before.count) != (&outcome.waiter, outcome.count));
        outcomes.push(outcome);
    }
    outcomes.sort_by_key(|outcome| {
        let place = Waiter::ALL.iter().position(|waiter| waiter.name() == outcome.waiter);
        (outcome.count, place)
    });
    Ok(outcomes)
}

fn table(outcomes: &[Outcome]) -> String {
    let rows: String = outcomes.iter().map(|outcome| format!("{outcome}\n")).collect();
    let bytes = outcomes.iter().map(|outcome| outcome.pod_bytes).max().unwrap_or_default();
    format!("A pod that has ended is {bytes} bytes of JSON.\n\n{}\n{rows}", report::HEAD)
}
