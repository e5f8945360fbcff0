//! The output of a step through runtime, kubelet and API server to `kubectl logs -f`, on which podwait's logs depend.

use super::disruptions::{NODE_IN_USE, with_short_grace};
use super::{Node, Runtime, end, on_each, step, trap};
use podwait_tests::cli::Run;
use podwait_tests::cluster::{self, Cluster, Scratch, own_cluster, pause};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// Longer than any of these tests takes.
const LONGEST: Duration = Duration::from_secs(200);

/// kubectl, built on first use.
fn kubectl() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(cluster::kubectl)
}

/// Follows the log of the pod `step` to the end of the stream.
async fn follow(own: &Cluster, scratch: &Scratch) -> Run {
    logs(own, scratch, &["--follow", "--timestamps"]).await
}

async fn logs(own: &Cluster, scratch: &Scratch, options: &[&str]) -> Run {
    let mut command = Command::new(kubectl());
    let command = command.args(["logs", "step", "-n", scratch.namespace()]).args(options);
    let command = command.env("KUBECONFIG", &own.kubeconfig).kill_on_drop(true);
    let output = tokio::time::timeout(LONGEST, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("a stream of {} does not end", scratch.namespace()));
    output.expect("kubectl starts").into()
}

/// The texts of these lines, each of which has a time.
fn texts(output: &str) -> impl Iterator<Item = &str> {
    output.lines().map(|line| {
        let (time, text) = line.split_once(' ').unwrap_or_else(|| panic!("no time in {line:.80}"));
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "no time in {line:.80}");
        text
    })
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn the_output_of_a_step_is_complete() {
    on_each(Runtime::steady, async |node| complete(own_cluster(), node).await).await;
}

async fn complete(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("logs")).await;
    // Lines that are written to both streams at once have any order. A line is cut at 16 KiB in the runtime, and joined
    // again.
    let script = "seq 2000 | sed 's/^/out /'; seq 2000 | sed 's/^/err /' >&2; sleep 2; echo; printf 'a\\r\\n'; \
                  head -c 40000 /dev/zero | tr '\\0' x; echo; printf end; exit 3";
    node.create(&scratch, step(script)).await;
    scratch.wait_until_running("step").await;
    let run = follow(own, &scratch).await;
    assert_eq!((run.status, &*run.stderr), (Some(0), ""), "kubectl does not report how the step ended");
    let lines: Vec<&str> = texts(&run.stdout).collect();
    for stream in ["out", "err"] {
        let written: Vec<String> = (1..=2000).map(|number| format!("{stream} {number}")).collect();
        let came = lines.iter().filter(|line| line.starts_with(stream));
        assert!(came.eq(written.iter()), "{stream}");
    }
    assert_eq!(lines[4000..], ["", "a", &*"x".repeat(40_000), "end"]);
    assert_eq!(run.stdout.lines().count(), 4004);
    scratch.remove().await;
}

/// The value of this variable, or the default.
pub(super) fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number of megabytes"))
}

/// The part of a file that the kubelet has not read at a rotation is lost, and a reader cannot detect that; the part
/// may be the end of the log, if the container has ended. Here a file is full after a megabyte, and is checked every
/// three seconds. `PODWAIT_LOG_RATE` is the number of megabytes per second, if the machine can write as much, and
/// `PODWAIT_LOG_SIZE` the number in total.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_rotation_loses_lines_in_one_place_at_most() {
    on_each(Runtime::steady, async |node| rotated(own_cluster(), node).await).await;
}

async fn rotated(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("rotations")).await;
    // In lines of a hundred bytes.
    let per_round = number("PODWAIT_LOG_RATE", 1) * 100;
    let total = (number("PODWAIT_LOG_SIZE", 8) * 10_000).next_multiple_of(per_round);
    let text = "x".repeat(89);
    let lines = numbered_lines(&text, per_round);
    let script = format!("n=0; while [ $n -lt {total} ]; do {lines}; sleep 0.01; done; sleep 4");
    node.create(&scratch, step(&script)).await;
    let uid = scratch.wait_until_running("step").await;
    let begin = Instant::now();
    let files = Mutex::new(BTreeSet::new());
    let run = tokio::select! {
        run = follow(own, &scratch) => run,
        never = count_rotations(own.logs(node.name, scratch.namespace(), "step", &uid, "step"), &files) => never,
    };
    let rotations = files.into_inner().expect("no thread panics with the lock").len();
    assert_eq!((run.status, &*run.stderr), (Some(0), ""));
    let (mut next, mut gaps, mut broken) = (0, Vec::new(), 0);
    for line in texts(&run.stdout) {
        let number = line.strip_suffix(&text).filter(|number| number.len() == 10);
        // A line of which the rotation has lost a part.
        let Some(number) = number.and_then(|number| number.parse::<usize>().ok()) else {
            broken += 1;
            continue;
        };
        assert!(number >= next, "{number} comes again, or late");
        if number > next {
            gaps.push(number - next);
        }
        next = number + 1;
    }
    if next < total {
        gaps.push(total - next);
    }
    println!(
        "{:?}: {total} lines of 100 bytes in {:.0?}: {rotations} rotations, {} lines lost in {} gaps {gaps:?}, {broken} broken",
        node.runtime,
        begin.elapsed(),
        gaps.iter().sum::<usize>(),
        gaps.len()
    );
    assert!(rotations >= 2, "{rotations} rotations");
    assert!(gaps.len() <= rotations && broken <= rotations, "{gaps:?} in {rotations} rotations");
    // A later reader has only the last file, which may be empty.
    let late = logs(own, &scratch, &[]).await;
    assert!(late.status == Some(0) && late.stdout.lines().count() < total, "{} bytes", late.stdout.len());
    scratch.remove().await;
}

/// A command that writes this many lines, each of which is its number in ten digits and this text, and counts them in `n`.
pub(super) fn numbered_lines(text: &str, count: usize) -> String {
    let write = format!("for (end = n + {count}; n < end; n++) printf \"%010d{text}\\n\", n");
    format!("awk -v n=$n 'BEGIN {{ {write} }}'; n=$((n + {count}))")
}

/// Collects the times at which files of this folder were rotated, from their names. A file that is compressed later has
/// another suffix.
pub(super) async fn count_rotations(folder: PathBuf, times: &Mutex<BTreeSet<String>>) -> ! {
    loop {
        let files = std::fs::read_dir(&folder).expect("the container has a log");
        let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let moved = names.filter_map(|name| Some(name.split('.').nth(2)?.to_owned()));
        times.lock().expect("no thread panics with the lock").extend(moved);
        pause(100).await;
    }
}

/// Only the end of the API server itself breaks a response off. After any failure of the kubelet, or of the connection
/// to it, the response ends properly, as at the container's end. So a reader has to check the state of the container.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn the_end_of_a_stream_is_no_end_of_the_step() {
    let _node = NODE_IN_USE.lock().await;
    on_each(Runtime::disturbed, async |node| cut(own_cluster(), node).await).await;
}

async fn cut(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("cuts")).await;
    let ticks = format!("{{ while sleep 0.1; do echo tick; done; }} & {}", trap(4));
    node.create(&scratch, with_short_grace(&ticks)).await;
    let uid = scratch.wait_until_running("step").await;
    for orders in [
        &[format!("cut {}", node.name)][..],
        &[format!("stream-limit {} 2000", node.name), format!("stream-limit {} 0", node.name)],
        &[format!("restart {}", node.component("kubelet"))],
    ] {
        let (first, others) = orders.split_first().expect("something happens");
        let cut = async {
            pause(1500).await;
            own.order(first).await;
        };
        let (run, ()) = tokio::join!(follow(own, &scratch), cut);
        assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{first}");
        assert!(run.stdout.lines().count() > 5, "{first}: {run:?}");
        for order in others {
            own.order(order).await;
        }
        own.order("ready 120").await;
        assert!(own.ends().iter().all(|one| one.uid != uid), "{first}: the step continues");
    }
    let (run, ()) = tokio::join!(follow(own, &scratch), async {
        pause(1500).await;
        end(own, &uid).await;
    });
    // A kubelet that was just started may not know the pod yet. Then kubectl retries, and prints a message.
    assert_eq!(run.status, Some(0), "{run:?}");
    let end = own.last_end(|end| end.uid == uid, |_| true).await;
    assert_eq!(end.map(|end| end.exit_code), Some(4));
    scratch.remove().await;
}
