//! Logs with rotations: lost lines are reported.

use super::super::{Runtime, logs, step};
use super::{LONGEST, print};
use podwait::{LogEvent, LogGap, LogStream, Logs, wait};
use podwait_tests::cluster::{Scratch, own_cluster, pause};
use podwait_tests::proxy::{Answer, Proxy};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

/// The text after the number of each line.
pub(crate) const REST: usize = 89;

/// Numbered lines, and the reported gaps.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Each whole line with its time.
    lines: Vec<(usize, SystemTime)>,
    /// Lines of which the rotation has lost a part.
    pub(crate) broken: usize,
    pub(crate) gaps: Vec<LogGap>,
}

impl Numbers {
    pub(crate) async fn all(mut stream: LogStream) -> Self {
        let (mut numbers, mut line) = (Self::default(), Vec::new());
        while let Some(event) = stream.next().await {
            match event {
                LogEvent::Line(piece) => {
                    if piece.is_first {
                        numbers.broken += usize::from(!line.is_empty());
                        line.clear();
                    }
                    line.extend_from_slice(&piece.text);
                    if piece.ends_line {
                        numbers.take(&line, piece.time.expect("a kubelet gives times"));
                        line.clear();
                    }
                }
                LogEvent::Gap(gap) => numbers.gaps.push(gap),
                LogEvent::Trouble(_) | _ => {}
            }
        }
        numbers
    }

    fn take(&mut self, line: &[u8], time: SystemTime) {
        match number(line) {
            Some(number) => self.lines.push((number, time)),
            None => self.broken += 1,
        }
    }

    /// Asserts that all lines are in order. Returns how many lines are missing in each place, and the time of the line
    /// before.
    pub(crate) fn holes(&self, total: usize) -> Vec<(usize, Option<SystemTime>)> {
        let (mut next, mut last, mut holes) = (0, None, Vec::new());
        let end = [(total, None)];
        for (number, time) in self.lines.iter().map(|(number, time)| (*number, Some(*time))).chain(end) {
            assert!(number >= next, "{number} comes again, or late");
            if number > next {
                holes.push((number - next, last));
            }
            (next, last) = (number + 1, time);
        }
        holes
    }

    /// Asserts the same, and that missing lines are within gaps. Returns how many lines are missing, and in how many
    /// places.
    fn check(&self, total: usize) -> (usize, usize) {
        let holes = self.holes(total);
        for (lost, last) in &holes {
            // The first line after the missing ones may be incomplete, and still bounds the gap.
            let bounds =
                |gap: &LogGap| gap.after <= *last && gap.before.is_none_or(|before| Some(before) > *last);
            assert!(self.gaps.iter().any(bounds), "{lost} after {last:?}: {:#?}", self.gaps);
        }
        (holes.iter().map(|(lost, _)| lost).sum(), holes.len())
    }
}

fn number(line: &[u8]) -> Option<usize> {
    let (number, rest) = line.split_at_checked(10)?;
    let is_whole = rest.len() == REST && rest.iter().all(|byte| *byte == b'x');
    std::str::from_utf8(number).ok().filter(|_| is_whole)?.parse().ok()
}

/// At one megabyte per second and at several. Files are rotated while a stream is read, by which unread lines are lost.
/// Then nothing is read until whole files are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn lines_that_a_rotation_removes_are_reported() {
    tokio::join!(on_node_1("lines-rotated", 100), on_node_1("lines-rotated-fast", 600));
}

async fn on_node_1(name: &str, lines_at_once: usize) {
    let (folder, rest) = (tempfile::tempdir().expect("a temporary folder"), "x".repeat(REST));
    let lines = format!("seq -f '%010.0f{rest}' $n $((n + {lines_at_once} - 1))");
    let pod = Runtime::Processes.steady().place(step(&numbered(&lines, lines_at_once, folder.path())));
    rotated(name, "node-1", Repeats::Never, &pod, folder.path()).await;
}

/// A script that writes numbered lines: `lines` writes so many from `$n` on. It begins when there is a file `start` in this
/// folder, and ends when there is a file `stop`; then it writes the number of lines to `written`.
pub(crate) fn numbered(lines: &str, lines_at_once: usize, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "n=0; while ! test -e {folder}/start; do sleep 0.1; done; while ! test -e {folder}/stop; do {lines}; n=$((n + {lines_at_once})); sleep 0.01; done; \
         echo $n > {folder}/written; sleep 4"
    )
}

/// Whether the kubelet may send a file twice in one stream: it does if it is notified of two rotations while it reads (`ReadLogs` in
/// k8s.io/cri-client). podwait does not recognize that: each notification opens the newest file from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// The rotations are far enough apart.
    Never,
    Perhaps,
}

/// Reads the log of such a pod `step` on this node. Its folder is here.
pub(crate) async fn rotated(name: &str, node: &str, repeats: Repeats, pod: &Value, folder: &Path) {
    let own = own_cluster();
    let scratch = Scratch::new(name).await;
    podwait_tests::cli::podwait();
    let [start, stop, written] = ["start", "stop", "written"].map(|name| folder.join(name));
    scratch.create_pod(pod).await;
    let uid = scratch.wait_until_running("step").await;
    let proxy = Proxy::start(scratch.kube()).await.expect("a port");
    let (wait, stream) = wait(proxy.client(), scratch.namespace(), "step").logs(Logs::of_target());
    let files = Mutex::new(BTreeSet::new());
    let rotations = || files.lock().expect("no thread panics with the lock").len();
    let until_rotated = async |times: usize| {
        let end = rotations() + times;
        while rotations() < end {
            pause(100).await;
        }
    };
    let absence = async {
        // What is rotated before the first read is missing, and nothing shows that.
        pause(5000).await;
        std::fs::write(start, "").expect("it is written");
        until_rotated(2).await;
        proxy.rule(|request| request.uri.contains("/log?").then(|| Answer::status(503).into()));
        proxy.sever().await;
        until_rotated(2).await;
        proxy.clear();
        until_rotated(1).await;
        std::fs::write(stop, "").expect("it is written");
    };
    let logs_of_step = own.logs(node, scratch.namespace(), "step", &uid, "step");
    let read = async {
        let printed = print(&own.kubeconfig, &scratch, &["logs", "step", "-f"]);
        tokio::join!(wait, Numbers::all(stream), printed, absence)
    };
    let (exit, numbers, printed, ()) = tokio::select! {
        read = tokio::time::timeout(LONGEST, read) => read.expect("the log ends with its run"),
        never = logs::count_rotations(logs_of_step, &files) => never,
    };
    assert_eq!(exit.map(|exit| exit.code).map_err(|failure| failure.reason), Ok(0));
    let total = std::fs::read_to_string(written).expect("the step says how many");
    let (total, rotations) = (total.trim().parse().expect("a number"), rotations());
    let (lost, holes) = numbers.check(total);
    println!(
        "{total} lines of 100 bytes, {rotations} rotations, no reads for two: {lost} lost in {holes} holes, {} broken, \
         {} gaps reported",
        numbers.broken,
        numbers.gaps.len()
    );
    assert!(lost > 0, "whole files were gone");
    assert!(numbers.gaps.len() <= rotations, "{:#?} in {rotations} rotations", numbers.gaps);
    // The command, which read all the time, also reports by its status whether lines may be missing.
    let notes = String::from_utf8_lossy(&printed.stderr);
    let (mut next, mut is_whole, mut repeated) = (0, true, 0);
    let lines: Vec<&[u8]> = printed.stdout.split(|byte| *byte == b'\n').collect();
    for (index, number) in lines.iter().enumerate().filter_map(|(index, line)| Some((index, number(line)?))) {
        let around = || {
            let around = &lines[index.saturating_sub(3)..lines.len().min(index + 3)];
            around.iter().map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>()
        };
        if number < next && repeats == Repeats::Perhaps {
            repeated += 1;
            continue;
        }
        assert!(number >= next, "{number} comes again, or late: {:#?}\n{notes}", around());
        is_whole &= number == next;
        next = number + 1;
    }
    println!("{repeated} lines came again");
    let is_reported = printed.status.code() == Some(220) && notes.contains("may be missing");
    assert!(is_reported || is_whole && next == total && printed.status.code() == Some(0), "{notes}");
    scratch.remove().await;
}
