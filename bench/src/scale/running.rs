//! A waiter's process.
//!
//! A waiter reports on its standard output: `attached` when it has observed every pod, then for each pod `answer NUMBER
//! TIME CODE` (the time in nanoseconds of the machine's clock; `-` in place of a code that it cannot observe) or `error
//! NUMBER TEXT`.

use super::metrics::Served;
use super::process::{Usage, usage};
use super::waiter::Waiter;
use super::{Settings, now};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How often the usage of a waiter is sampled, in case the process ends.
const SAMPLE: Duration = Duration::from_millis(100);

/// A waiter's answer about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the pod.
    pub number: usize,
    /// When, on the machine's clock.
    pub at: i128,
    /// The exit code, if the waiter reports codes; or the error.
    pub code: Result<Option<i32>, String>,
}

/// A running waiter.
pub(super) struct Running {
    waiter: Waiter,
    count: usize,
    child: Arc<Mutex<Child>>,
    pid: u32,
    /// The most memory that the waiter may have.
    memory_mib: u32,
    /// Its lines, and when they arrived.
    lines: mpsc::UnboundedReceiver<(i128, String)>,
    last_usage: Arc<Mutex<Usage>>,
    sampler: tokio::task::JoinHandle<()>,
    answers: Vec<Answer>,
}

impl Running {
    pub(super) fn start(
        settings: &Settings,
        kubeconfig: &Path,
        namespace: &str,
        waiter: Waiter,
        count: usize,
    ) -> Self {
        let command = waiter.command(settings, kubeconfig, namespace, count);
        // The waiter ends when its standard input ends, so also if this process is killed.
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the waiter starts");
        let lines = listen(child.stdout.take().expect("standard output is piped"));
        let pid = child.id().expect("it runs");
        let last_usage = Arc::new(Mutex::new(Usage::default()));
        let child = Arc::new(Mutex::new(child));
        let (last, victim, memory_mib) = (Arc::clone(&last_usage), Arc::clone(&child), settings.memory_mib);
        let sampler = tokio::spawn(async move {
            while note(&last, pid).peak_mib() < f64::from(memory_mib) {
                tokio::time::sleep(SAMPLE).await;
            }
            kill(&victim);
        });
        Self { waiter, count, child, pid, memory_mib, lines, last_usage, sampler, answers: Vec::new() }
    }

    /// Its usage so far.
    pub(super) fn usage(&self) -> Usage {
        note(&self.last_usage, self.pid)
    }

    /// Waits until the waiter has observed every pod.
    pub(super) async fn attached(
        &mut self,
        limit: Duration,
        client: &kube::Client,
        before: &Served,
    ) -> Result<(), String> {
        let late = || format!("> {} s to attach", limit.as_secs());
        let until = Instant::now() + limit;
        if self.waiter == Waiter::Kubectl {
            // kubectl does not report that. It GETs, lists and watches the first pod until that has ended, then the
            // second.
            while Instant::now() < until {
                let served = Served::read(client).await.since(before);
                if served.watch > 0 {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return Err(late());
        }
        match timeout_at(until, self.lines.recv()).await.map_err(|_| late())? {
            Some((_, line)) if line == "attached" => Ok(()),
            Some((_, line)) => Err(format!("not attached: {line}")),
            None => Err(self.ended()),
        }
    }

    /// Waits until the waiter has answered for every pod.
    pub(super) async fn answered(&mut self, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        while self.answers.len() < self.count {
            let line = timeout_at(until, self.lines.recv()).await;
            let line = line.map_err(|_| format!("> {} s to answer", limit.as_secs()))?;
            let (came, line) = line.ok_or_else(|| self.ended())?;
            self.answers.extend(answer(came, &line));
        }
        Ok(())
    }

    /// Why there are no more lines.
    fn ended(&self) -> String {
        if self.usage().peak_mib() >= f64::from(self.memory_mib) {
            return format!("> {} MiB", self.memory_mib);
        }
        format!("ended after {} answers", self.answers.len())
    }

    /// Ends the waiter, and returns its answers.
    pub(super) fn end(mut self) -> Vec<Answer> {
        self.sampler.abort();
        kill(&self.child);
        std::mem::take(&mut self.answers)
    }
}

fn kill(child: &Mutex<Child>) {
    // The process may have ended already.
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
}

/// Reads its lines at once, so that a full pipe never blocks the waiter.
fn listen(stdout: ChildStdout) -> mpsc::UnboundedReceiver<(i128, String)> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if sender.send((now(), line)).is_err() {
                return;
            }
        }
    });
    receiver
}

fn note(last: &Mutex<Usage>, pid: u32) -> Usage {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    *last = usage(pid).or_before(*last);
    *last
}

/// Reads a line of a waiter. kubectl has lines of its own, whose time is that of their arrival.
fn answer(came: i128, line: &str) -> Option<Answer> {
    if let Some(name) = line.strip_suffix(" condition met") {
        let number = name.strip_prefix("pod/step-")?.parse().ok()?;
        return Some(Answer { number, at: came, code: Ok(None) });
    }
    let mut words = line.splitn(3, ' ');
    match (words.next()?, words.next()?.parse().ok()?, words.next()?) {
        ("answer", number, rest) => {
            let (at, code) = rest.split_once(' ')?;
            let code = if code == "-" { None } else { Some(code.parse().ok()?) };
            Some(Answer { number, at: at.parse().ok()?, code: Ok(code) })
        }
        ("error", number, text) => Some(Answer { number, at: came, code: Err(text.to_owned()) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_answers() {
        let known = |number, at, code| Some(Answer { number, at, code });
        assert_eq!(answer(9, "answer 3 17 -"), known(3, 17, Ok(None)));
        assert_eq!(answer(9, "answer 3 17 137"), known(3, 17, Ok(Some(137))));
        assert_eq!(answer(9, "answer 3 17"), None);
        assert_eq!(answer(9, "attached"), None);
        let refused = answer(9, "error 4 it is gone").expect("an answer");
        assert_eq!((refused.number, refused.at, refused.code), (4, 9, Err(String::from("it is gone"))));
        let met = answer(9, "pod/step-12 condition met").expect("an answer");
        assert_eq!((met.number, met.at, met.code), (12, 9, Ok(None)));
    }
}
