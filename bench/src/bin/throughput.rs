//! How fast do podwait and kubectl read a log? The command and its options: [`USAGE`].

use futures_util::FutureExt;
use podwait::{LogEvent, Logs, wait};
use podwait_bench::scale::process;
use podwait_tests::cluster::{Cluster, Scratch, kubectl, own_cluster_with, pause};
use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const USAGE: &str = "\
usage: throughput [--megabytes N] [--rounds N] [--line BYTES]
A step writes N megabytes in lines of BYTES bytes, and `kubectl logs -f --timestamps`, `podwait logs -f --timestamps` and
podwait's library read them. In each round they read one after the other: once when all is written, and once
while the step writes as fast as it can. Prints a table of medians.";

struct Options {
    megabytes: usize,
    rounds: usize,
    line: usize,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { megabytes: 200, rounds: 5, line: 100 };
        while let Some(word) = words.next() {
            let value = words.next()?.parse().ok()?;
            match word.as_str() {
                "--megabytes" => options.megabytes = value,
                "--rounds" => options.rounds = value,
                "--line" => options.line = value,
                _ => return None,
            }
        }
        (options.line >= 12).then_some(options)
    }
}

/// A reader of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Kubectl,
    Podwait,
    Library,
}

const READERS: [(Reader, &str); 3] = [
    (Reader::Kubectl, "kubectl logs -f --timestamps"),
    (Reader::Podwait, "podwait logs -f --timestamps"),
    (Reader::Library, "podwait's library"),
];

/// The time to read the whole log, and the reader's CPU time.
#[derive(Clone, Copy, Debug)]
struct Taken {
    time: Duration,
    cpu: Duration,
}

struct Field {
    own: &'static Cluster,
    kubectl: PathBuf,
    podwait: PathBuf,
    /// The text that the step writes.
    text: PathBuf,
    /// The checksum of the text, and its length.
    sum: u32,
    lines: usize,
    bytes: usize,
}

impl Field {
    fn new(options: &Options, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let (text, filler) = (folder.join("text"), "x".repeat(options.line - 11));
        let lines = options.megabytes * 1_000_000 / options.line;
        let (mut file, mut hasher) =
            (BufWriter::new(std::fs::File::create(&text)?), crc32fast::Hasher::new());
        for number in 0..lines {
            let line = format!("{number:010}{filler}\n");
            hasher.update(line.as_bytes());
            file.write_all(line.as_bytes())?;
        }
        file.flush()?;
        Ok(Self {
            own: own_cluster_with(&["--nodes", "1", "--log-max-size", "8Gi"]),
            kubectl: kubectl(),
            podwait: podwait_tests::cli::podwait_for_release(),
            text,
            sum: hasher.finalize(),
            lines,
            bytes: lines * options.line,
        })
    }

    fn start(&self, reader: Reader, namespace: &str) -> std::io::Result<Child> {
        let mut command = match reader {
            Reader::Kubectl => Command::new(&self.kubectl),
            Reader::Podwait => Command::new(&self.podwait),
            Reader::Library => Command::new(std::env::current_exe()?),
        };
        match reader {
            Reader::Kubectl | Reader::Podwait => {
                command.args(["logs", "step", "-f", "--timestamps", "-n", namespace])
            }
            Reader::Library => command.args(["read", namespace]),
        };
        command.env("KUBECONFIG", &self.own.kubeconfig).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()
    }

    /// Receives the output of this reader until it is complete, then stops the reader. The time counts from `begin`.
    fn take(&self, reader: Reader, mut child: Child, begin: Instant) -> Result<Taken, Box<dyn Error>> {
        let mut output = BufReader::with_capacity(1 << 20, child.stdout.take().ok_or("no output")?);
        let (mut hasher, mut line) = (crc32fast::Hasher::new(), Vec::new());
        for _ in 0..self.lines {
            line.clear();
            output.read_until(b'\n', &mut line)?;
            let text = match reader {
                Reader::Kubectl | Reader::Podwait => line.splitn(2, |byte| *byte == b' ').nth(1),
                Reader::Library => Some(&line[..]),
            };
            hasher.update(text.unwrap_or_default());
        }
        let taken = Taken { time: begin.elapsed(), cpu: process::usage(child.id()).cpu };
        child.kill()?;
        child.wait()?;
        if hasher.finalize() != self.sum {
            return Err(format!("{reader:?} printed lines that were not written").into());
        }
        Ok(taken)
    }

    /// A step that writes the text when this file exists, and then continues to run.
    async fn step(&self, word: &str, go: &Path) -> Result<Scratch, Box<dyn Error>> {
        let scratch = Scratch::new(word).await;
        let (text, go) = (self.text.display(), go.display());
        let script = format!("while ! test -e {go}; do sleep 0.01; done; cat {text}; sleep 3600");
        let container =
            serde_json::json!({ "name": "step", "image": "busybox:1", "command": ["sh", "-c", script] });
        let pod = serde_json::json!({
            "metadata": { "name": "step" },
            "spec": { "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container] },
        });
        scratch.create_pod(&pod).await;
        scratch.wait_until_running("step").await;
        Ok(scratch)
    }

    /// Reads the log when all is written, and while the step writes.
    async fn round(&self, round: usize, folder: &Path) -> Result<Vec<[Taken; 2]>, Box<dyn Error>> {
        let mut all = Vec::new();
        for (reader, name) in READERS {
            let go = folder.join(format!("go-{round}-{reader:?}"));
            let scratch = self.step(&format!("round-{round}-{}", all.len()), &go).await?;
            let child = self.start(reader, scratch.namespace())?;
            // The reader runs before the step writes its first line.
            pause(1000).await;
            std::fs::write(&go, "")?;
            let live = self.take(reader, child, Instant::now())?;
            let late = self.take(reader, self.start(reader, scratch.namespace())?, Instant::now())?;
            eprintln!("{name}: late {late:?}, live {live:?}");
            scratch.remove().await;
            all.push([late, live]);
        }
        Ok(all)
    }

    #[expect(clippy::cast_precision_loss, reason = "a log has less than 2^53 bytes")]
    fn print(&self, rounds: &[Vec<[Taken; 2]>]) {
        println!("| reader | all written: MB/s | CPU | while it is written: MB/s | CPU |");
        println!("|---|---|---|---|---|");
        for (place, (_, name)) in READERS.iter().enumerate() {
            let cells = [0, 1].map(|when| {
                let median = |of: fn(&Taken) -> Duration| {
                    let mut all: Vec<f64> =
                        rounds.iter().map(|round| of(&round[place][when]).as_secs_f64()).collect();
                    all.sort_by(f64::total_cmp);
                    all[all.len() / 2]
                };
                let rate = self.bytes as f64 / 1e6 / median(|taken| taken.time);
                format!("{rate:.0} | {:.2} s", median(|taken| taken.cpu))
            });
            println!("| {name} | {} | {} |", cells[0], cells[1]);
        }
    }
}

/// The library in a separate process: prints the lines.
async fn read(namespace: &str) -> Result<(), Box<dyn Error>> {
    let client = podwait::Client::from_config(kube::Config::infer().await?)?;
    let (wait, mut logs) = wait(client, namespace, "step").logs(Logs::of_target());
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout());
    let print = async {
        loop {
            let event = match logs.next().now_or_never() {
                Some(event) => event,
                None => {
                    out.flush()?;
                    logs.next().await
                }
            };
            let Some(event) = event else { break };
            if let LogEvent::Line(line) = event {
                out.write_all(&line.text)?;
                out.write_all(if line.ends_line { b"\n" } else { b"" })?;
            }
        }
        out.flush()
    };
    let (_, printed) = tokio::join!(wait, print);
    Ok(printed?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [read_it, namespace] = &words[..]
        && read_it == "read"
    {
        return read(namespace).await;
    }
    let options = Options::read(words.into_iter()).ok_or(USAGE)?;
    let folder = tempfile::tempdir()?;
    let field = Field::new(&options, folder.path())?;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        rounds.push(field.round(round, folder.path()).await?);
    }
    field.print(&rounds);
    Ok(())
}
