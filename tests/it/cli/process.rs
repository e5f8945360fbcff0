//! The command as a process that gets signals, with a standard output that may not be read.

use podwait_tests::cli::{Run, podwait};
use podwait_tests::cluster::pause;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest time until an expected end. A command that waits for a hanging operation would take far longer.
const ENDS: Duration = Duration::from_secs(20);

/// The standard output of the command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stdout {
    Read,
    /// A pipe that stays open and is not read.
    Unread,
    /// A pipe whose reader closes it after it has read something.
    ClosedSoon,
    /// A device that is always full.
    Full,
}

impl super::Sim {
    /// Starts `podwait` with these arguments.
    pub(super) fn process(&self, arguments: &[&str], stdout: Stdout) -> Process {
        let (command, rest) = arguments.split_first().expect("a command");
        Process::start(&[&[*command, "--kubeconfig", self.kubeconfig()], rest].concat(), stdout)
    }
}

/// A running command, which is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    kept: Option<std::process::ChildStdout>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// The command would correctly ignore a signal that the test process ignores.
static DEFAULT_SIGNALS: LazyLock<bool> = LazyLock::new(|| {
    let status =
        Command::new("env").args(["--default-signal=INT,HUP", "true"]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
});

impl Process {
    pub(super) fn start(arguments: &[&str], stdout: Stdout) -> Self {
        let mut command = if *DEFAULT_SIGNALS {
            let mut env = Command::new("env");
            env.arg("--default-signal=INT,HUP").arg(podwait());
            env
        } else {
            Command::new(podwait())
        };
        command.args(arguments);
        Self::spawn(command, stdout)
    }

    /// Starts the command with an ignored signal, as `nohup` does.
    pub(super) fn ignoring(arguments: &[&str], signal: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("trap '' {signal}; exec \"$@\""), "sh"]).arg(podwait()).args(arguments);
        Self::spawn(command, Stdout::Read)
    }

    fn spawn(mut command: Command, stdout: Stdout) -> Self {
        command.env_remove("KUBECONFIG").env("HOME", "/nonexistent").stdin(Stdio::null());
        let out = match stdout {
            Stdout::Full => std::fs::File::create("/dev/full").expect("/dev/full").into(),
            Stdout::Read | Stdout::Unread | Stdout::ClosedSoon => Stdio::piped(),
        };
        let mut child = command.stdout(out).stderr(Stdio::piped()).spawn().expect("the command starts");
        let stderr = child.stderr.take().map(read);
        let (kept, stdout) = match (stdout, child.stdout.take()) {
            (Stdout::Unread, kept) => (kept, None),
            (Stdout::ClosedSoon, Some(mut out)) => {
                let first = move || {
                    let mut first = [0; 100];
                    let length = out.read(&mut first).unwrap_or(0);
                    String::from_utf8_lossy(&first[..length]).into_owned()
                };
                (None, Some(std::thread::spawn(first)))
            }
            (Stdout::Read | Stdout::ClosedSoon | Stdout::Full, out) => (None, out.map(read)),
        };
        Self { child, kept, stdout, stderr }
    }

    pub(super) fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        kill.expect("kill runs");
    }

    /// Waits until the command has its signal handlers.
    pub(super) async fn listens(&self) {
        let term = 1_u64 << 14;
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
            let status = status.expect("a process of Linux");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            if caught.is_some_and(|mask| mask & term != 0) {
                return;
            }
            pause(10).await;
        }
    }

    pub(super) async fn end(self) -> Run {
        self.end_within(ENDS).await
    }

    pub(super) async fn end_within(mut self, limit: Duration) -> Run {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            if begin.elapsed() > limit {
                let _ = self.child.kill();
                let stderr = self.stderr.take().map(JoinHandle::join);
                panic!("it needs SIGKILL after {limit:?}; it printed {stderr:?}");
            }
            pause(20).await;
        };
        let text = |reader: Option<JoinHandle<String>>| {
            reader.map_or_else(String::new, |reader| reader.join().expect("no panic"))
        };
        drop(self.kept.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        Run { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
