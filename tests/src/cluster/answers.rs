//! Waits for one pod in every way at once.

use super::scratch::Looking;
use super::{End, Scratch, own_cluster, pause};
use crate::cli::{Run, run};
use crate::proxy::Proxy;
use podwait::trace::{Replay, TraceReader, replay};
use podwait::{
    Decision, DoneReason, Exit, FailReason, Failure, Hub, Observed, Policy, PolicyBuilder, RetryReason,
    Scope, Wait, wait,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How the waits are made.
#[derive(Default)]
pub struct Waiters {
    /// The container, if there are several.
    pub container: Option<&'static str>,
    /// The context of the kubeconfig, if not the current one.
    pub context: Option<&'static str>,
    /// Options of the command, except those for the pod.
    pub options: &'static [&'static str],
    /// The same for the library.
    pub policy: Option<fn(PolicyBuilder) -> PolicyBuilder>,
}

/// The answers of all ways of waiting.
#[derive(Debug)]
pub struct Answers {
    /// The library, watching.
    pub watched: Result<Exit, Failure>,
    /// The library, in a hub on the namespace.
    pub shared: Result<Exit, Failure>,
    /// The library, polling every half second.
    pub polled: Result<Exit, Failure>,
    /// The command.
    pub command: Run,
    /// The trace of the command, reduced.
    pub trace: String,
    /// How often the library was throttled (429).
    pub throttled: u32,
}

impl Waiters {
    /// Waits for this pod of the namespace until every way has answered.
    ///
    /// # Panics
    /// The cluster cannot be used, or the command's trace does not replay to its answer.
    pub async fn wait(&self, scratch: &Scratch, pod: &str) -> Answers {
        let client = match self.context {
            Some(context) => super::client(Some(context)).await,
            None => scratch.client(),
        };
        self.wait_with(&client, super::kubeconfig(), scratch, pod).await
    }

    /// The same through this proxy.
    ///
    /// # Panics
    /// The same.
    pub async fn wait_through(&self, proxy: &Proxy, scratch: &Scratch, pod: &str) -> Answers {
        let kubeconfig = proxy.kubeconfig();
        self.wait_with(&proxy.client(), kubeconfig.path(), scratch, pod).await
    }

    async fn wait_with(
        &self,
        client: &podwait::Client,
        kubeconfig: &Path,
        scratch: &Scratch,
        pod: &str,
    ) -> Answers {
        // The command is built before any wait begins: a missing pod must appear within ten seconds, and a build may
        // take longer.
        crate::cli::podwait();
        let kubeconfig = kubeconfig.to_str().expect("a readable path");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let trace = folder.path().join("trace.jsonl");
        let throttled = Arc::new(AtomicU32::new(0));
        let one = |wait: Wait, reobserve: Duration, looking: Looking| {
            let builder = Policy::builder().deadline(Some(Duration::from_secs(300))).reobserve(reobserve);
            let builder = self.policy.unwrap_or(std::convert::identity)(builder);
            let policy = builder.build().expect("a policy within its bounds");
            let mut wait = wait.policy(policy);
            if let Some(container) = self.container {
                wait = wait.container(container);
            }
            let throttled = Arc::clone(&throttled);
            wait.on_turn(move |turn| {
                if let Decision::Retry { why: RetryReason::ApiThrottled, .. } = turn.decision {
                    throttled.fetch_add(1, Ordering::Relaxed);
                }
                if let Observed::Pod(_, seen) = turn.observed {
                    looking.sees(version(&seen.pod.snapshot.resource_version));
                }
            })
        };
        let [of_watch, of_hub, of_poll, of_command] = [(); 4].map(|()| scratch.looking());
        let usual = Duration::from_secs(30);
        let alone = || wait(client.clone(), scratch.namespace(), pod);
        let hub = Hub::new(client.clone(), Scope::namespace(scratch.namespace()));
        let watched = one(alone(), usual, of_watch);
        let shared = one(hub.wait(scratch.namespace(), pod), usual, of_hub);
        let polled = one(alone().poll(), Duration::from_millis(500), of_poll);
        let mut arguments = vec!["wait", pod, "-n", scratch.namespace(), "--timeout", "300s"];
        arguments.extend(["--kubeconfig", kubeconfig, "--record", trace.to_str().expect("a readable path")]);
        arguments.extend(self.container.into_iter().flat_map(|container| ["-c", container]));
        arguments.extend(self.context.into_iter().flat_map(|context| ["--context", context]));
        arguments.extend(self.options);
        let command = async {
            let looks = looks(of_command, &trace);
            tokio::select! {
                run = run(&arguments) => run,
                never = looks => never,
            }
        };
        let (watched, shared, polled, command) = tokio::join!(watched, shared, polled, command);
        let (trace, throttled) = (read(&trace), throttled.load(Ordering::Relaxed));
        Answers { watched, shared, polled, command, trace, throttled }
    }
}

/// Reports the observations of the command, by its trace. Ends with the command.
async fn looks(looking: Looking, trace: &Path) -> ! {
    loop {
        pause(50).await;
        let text = std::fs::read_to_string(trace).unwrap_or_default();
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let seen = events.rfind(|event| event["event"] == "snapshot");
        if let Some(seen) = seen {
            let of = seen["pod"]["metadata"]["resourceVersion"].as_str();
            looking.sees(version(of.expect("the object has a resourceVersion")));
        }
    }
}

fn version(of: &str) -> u64 {
    of.parse().expect("etcd's revision")
}

fn read(trace: &Path) -> String {
    let text = std::fs::read_to_string(trace).expect("the command recorded its wait");
    let reader = TraceReader::new(text.as_bytes()).expect("the recording has a header");
    let Replay { difference, .. } = replay(reader, |_| {}).expect("the recording can be read");
    assert_eq!(difference, None, "the recording replays:\n{text}");
    text
}

impl Answers {
    /// Asserts that every way answered with this exit.
    ///
    /// # Panics
    /// One of them did not.
    #[track_caller]
    pub fn all_done(&self, reason: DoneReason, code: i32) {
        for exit in [&self.watched, &self.shared, &self.polled] {
            let exit = exit.as_ref().unwrap_or_else(|failure| panic!("{failure:?} in {self:#?}"));
            assert_eq!((exit.reason, exit.code), (reason, code), "{self:#?}");
        }
        assert_eq!(self.command.status, Some(code), "{self:#?}");
        assert_eq!(self.command.stdout, format!("{reason} {code}\n"), "{self:#?}");
    }

    /// Asserts that every way failed with one of these reasons, and with this code.
    ///
    /// # Panics
    /// One of them did not.
    #[track_caller]
    pub fn all_fail(&self, reasons: &[FailReason], code: Option<i32>, status: i32) {
        self.all_fail_with(reasons, &[code], status);
    }

    /// The same, if it depends on the kubelet which of these codes can be observed in time.
    ///
    /// # Panics
    /// One of them did not.
    #[track_caller]
    pub fn all_fail_with(&self, reasons: &[FailReason], codes: &[Option<i32>], status: i32) {
        for failure in [&self.watched, &self.shared, &self.polled] {
            let failure = failure.as_ref().expect_err("no exit of its own");
            assert!(reasons.contains(&failure.reason) && codes.contains(&failure.exit_code), "{self:#?}");
        }
        assert_eq!(self.command.status, Some(status), "{self:#?}");
        assert!(
            reasons.iter().any(|reason| self.command.stdout == format!("{reason}\n")),
            "{reasons:?}: {self:#?}"
        );
    }

    /// Asserts that all ways with a watch answered with this exit. A poll may be too late for it.
    ///
    /// # Panics
    /// One of them did not.
    #[track_caller]
    pub fn watchers_done(&self, reason: DoneReason, code: i32) {
        for exit in [&self.watched, &self.shared] {
            let exit = exit.as_ref().unwrap_or_else(|failure| panic!("{failure:?} in {self:#?}"));
            assert_eq!((exit.reason, exit.code), (reason, code), "{self:#?}");
        }
        assert_eq!(self.command.status, Some(code), "{self:#?}");
        if let Ok(polled) = &self.polled {
            assert_eq!(polled.code, code, "{self:#?}");
        }
    }

    /// Asserts that all ways with a watch failed with one of these reasons, and with this code. A poll may be too late,
    /// and observe only that the pod is gone.
    ///
    /// # Panics
    /// One of them did not.
    #[track_caller]
    pub fn watchers_fail(&self, reasons: &[FailReason], code: Option<i32>) {
        for failure in [&self.watched, &self.shared] {
            let failure = failure.as_ref().expect_err("no exit of its own");
            assert!(reasons.contains(&failure.reason) && failure.exit_code == code, "{self:#?}");
        }
        assert_eq!(self.command.status, Some(220), "{self:#?}");
        assert!(reasons.iter().any(|reason| self.command.stdout == format!("{reason}\n")), "{self:#?}");
        let polled = self.polled.as_ref().expect_err("no exit of its own");
        assert!(reasons.contains(&polled.reason) || polled.reason == FailReason::PodDeleted, "{self:#?}");
        assert!(polled.exit_code.is_none() || polled.exit_code == code, "{self:#?}");
    }

    /// Saves the trace with this name in `tests/recordings`, if `PODWAIT_RECORD` is set. The folder of the cluster, which messages of a
    /// node may name, is `/cluster` there.
    ///
    /// # Panics
    /// The trace cannot be written.
    pub fn keep_recording(&self, name: &str) {
        if std::env::var_os("PODWAIT_RECORD").is_some() {
            let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/recordings"));
            std::fs::create_dir_all(&folder).expect("the folder is made");
            let of_cluster = own_cluster().kubeconfig.parent().and_then(Path::to_str).expect("a folder");
            let trace = self.trace.replace(of_cluster, "/cluster");
            std::fs::write(folder.join(format!("{name}.jsonl")), trace).expect("the recording is kept");
        }
    }

    /// Asserts that every exit has the code of the container's last end in the runtime's journal.
    ///
    /// # Panics
    /// An exit has another code.
    pub async fn agree_with_the_runtime(&self, namespace: &str, container: &str) {
        let is_meant = |end: &End| end.namespace == namespace && end.container == container;
        for exit in
            [&self.watched, &self.shared, &self.polled].into_iter().filter_map(|answer| answer.as_ref().ok())
        {
            let last = own_cluster().last_end(is_meant, |end| end.exit_code == exit.code).await;
            let last = last.unwrap_or_else(|| panic!("the runtime has no end: {self:#?}"));
            assert_eq!(last.exit_code, exit.code, "the runtime has {last:?}: {self:#?}");
        }
    }
}
