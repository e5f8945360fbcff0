//! The ways of waiting, each a process of its own.
//!
//! A waiter speaks on its standard output: `attached` when it has seen every pod, then `answer NUMBER TIME CODE` for each pod
//! (the time in nanoseconds of the machine's clock; `-` where it cannot know the code), or `error NUMBER TEXT`.

use super::metrics::Served;
use super::process::{Usage, usage};
use super::{Settings, now, pod_name};
use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How often a waiter's use is noted, in case that it ends.
const SAMPLE: Duration = Duration::from_millis(100);

/// A way of waiting for many pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// `podwait::wait` for each pod.
    PerPod,
    /// `kube::runtime::wait::await_condition` for each pod, on its phase.
    AwaitCondition,
    /// One watch whose lines are only searched for `"terminated"`: nothing that watches can be cheaper.
    Limit,
    /// A GET of each pod every second.
    Poll,
    /// An informer of the namespace for each pod, as client-go makes it and limits its requests.
    Informers,
    /// The same without client-go's limit of requests.
    InformersUnthrottled,
    /// `kubectl wait` for all pods: it looks at one after the other, and only for success.
    Kubectl,
}

impl Waiter {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 7] = [
        Self::Limit,
        Self::PerPod,
        Self::AwaitCondition,
        Self::Poll,
        Self::Informers,
        Self::InformersUnthrottled,
        Self::Kubectl,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PerPod => "per-pod",
            Self::AwaitCondition => "await-condition",
            Self::Limit => "limit",
            Self::Poll => "poll",
            Self::Informers => "informers",
            Self::InformersUnthrottled => "informers-unthrottled",
            Self::Kubectl => "kubectl",
        }
    }

    /// Whether it is one of the Go programs.
    #[must_use]
    pub fn is_peer(self) -> bool {
        matches!(self, Self::Informers | Self::InformersUnthrottled | Self::Kubectl)
    }

    /// Whether it cannot wait for a pod that fails.
    #[must_use]
    pub fn sees_success_only(self) -> bool {
        self == Self::Kubectl
    }

    /// Whether it answers with the exit code.
    #[must_use]
    pub fn knows_codes(self) -> bool {
        !matches!(self, Self::Limit | Self::Kubectl)
    }

    fn command(
        self,
        settings: &Settings,
        kubeconfig: &Path,
        namespace: &str,
        count: usize,
    ) -> std::process::Command {
        use std::process::Command;
        let peer = |name| Command::new(settings.peers.as_ref().expect("the peers are built").join(name));
        let count_word = count.to_string();
        let mut command = match self {
            Self::PerPod | Self::AwaitCondition | Self::Limit | Self::Poll => {
                let mut command = Command::new(&settings.program);
                command.args(["wait", self.name()]);
                command
            }
            Self::Informers | Self::InformersUnthrottled => {
                let mut command = peer("peers");
                command.arg(self.name());
                command
            }
            Self::Kubectl => {
                let mut command = peer("kubectl");
                command.arg("wait").arg("--kubeconfig").arg(kubeconfig).args(["-n", namespace]);
                command.args(["--for=jsonpath={.status.phase}=Succeeded", "--timeout=1h"]);
                command.args((0..count).map(|number| format!("pod/{}", pod_name(number))));
                return command;
            }
        };
        command.arg(kubeconfig).args([namespace, &count_word]);
        command
    }
}

impl fmt::Display for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Waiter {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|waiter| waiter.name() == name)
            .ok_or_else(|| format!("{name} is none of {}", names()))
    }
}

/// What a waiter said of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which pod.
    pub number: usize,
    /// When, on the machine's clock.
    pub at: i128,
    /// The exit code, if it tells; or why there is none.
    pub code: Result<Option<i32>, String>,
}

/// A waiter at work.
pub(super) struct Running {
    waiter: Waiter,
    count: usize,
    child: Child,
    /// What it says, and when that came.
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
        // It ends with its standard input, however this process ends.
        let mut child = Command::from(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the waiter starts");
        let lines = listen(child.stdout.take().expect("standard output is piped"));
        let pid = child.id().expect("it runs");
        let last_usage = Arc::new(Mutex::new(Usage::default()));
        let last = Arc::clone(&last_usage);
        let sampler = tokio::spawn(async move {
            loop {
                note(&last, pid);
                tokio::time::sleep(SAMPLE).await;
            }
        });
        Self { waiter, count, child, lines, last_usage, sampler, answers: Vec::new() }
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Usage {
        self.child.id().map_or_else(|| read(&self.last_usage), |pid| note(&self.last_usage, pid))
    }

    /// Waits until it has seen every pod.
    pub(super) async fn attached(
        &mut self,
        limit: Duration,
        client: &kube::Client,
        before: &Served,
    ) -> Result<(), String> {
        let late = || format!("> {} s to attach", limit.as_secs());
        let until = Instant::now() + limit;
        if self.waiter == Waiter::Kubectl {
            // It does not say. It GETs, lists and watches the first pod until that has ended, then the second.
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
            None => Err(String::from("ended before it was attached")),
        }
    }

    /// Waits until it has answered for every pod.
    pub(super) async fn answered(&mut self, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        while self.answers.len() < self.count {
            let line = timeout_at(until, self.lines.recv()).await;
            let line = line.map_err(|_| format!("> {} s to answer", limit.as_secs()))?;
            let (came, line) = line.ok_or_else(|| format!("ended after {} answers", self.answers.len()))?;
            self.answers.extend(answer(came, &line));
        }
        Ok(())
    }

    /// Ends it, and returns what it said.
    pub(super) async fn end(mut self) -> Vec<Answer> {
        self.sampler.abort();
        let _ = self.child.kill().await;
        std::mem::take(&mut self.answers)
    }
}

/// Reads at once what it says, so that it never has to wait to say it.
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

fn read(last: &Mutex<Usage>) -> Usage {
    *last.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(last: &Mutex<Usage>, pid: u32) -> Usage {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    *last = usage(pid).or_before(*last);
    *last
}

/// Reads a line of a waiter; kubectl's are of its own, and are answers of the moment in which they come.
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
    fn names_read_back() {
        for waiter in Waiter::ALL {
            assert_eq!(waiter.name().parse(), Ok(waiter));
        }
        assert!("woodpecker".parse::<Waiter>().is_err());
    }

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
