//! Signals and `--timeout`: they end the command, whatever hangs. SIGKILL is never needed.

use super::process::{Process, Stdout};
use super::{Sim, running};
use podwait::FINALIZER;
use podwait_sim::{Fault, Life, Verb, pod};
use podwait_tests::cli::kubeconfig;
use podwait_tests::cluster::pause;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

/// The status of a command that a signal ended, and of one whose time limit ran out.
const INTERRUPTED: Option<i32> = Some(223);
const LIMIT: Option<i32> = Some(222);

impl Sim {
    /// Waits until the simulated API server has received such requests.
    pub(super) async fn got(&self, is_enough: impl Fn(podwait_sim::RequestCounts) -> bool) {
        while !is_enough(self.cluster.requests()) {
            pause(10).await;
        }
    }

    /// A running pod that has written more than any pipe holds.
    async fn writer(&self, name: &str) {
        let life = Life::of(pod("ci", name, &["step"])).scheduled("node-1").running();
        let line = "a line that is never read, and many more such lines after it, as long\n";
        life.writes("step", &line.repeat(30_000)).run(&self.cluster).await.expect("a life");
    }
}

/// A folder with an exec plugin, and a kubeconfig that uses it.
fn plugin(folder: &Path, script: &str, server: &str) -> String {
    let plugin = folder.join("plugin");
    std::fs::write(&plugin, format!("#!/bin/sh\ncd {}\n{script}\n", folder.display())).expect("written");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("made executable");
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never",
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "sim",
        "clusters": [{ "name": "sim", "cluster": { "server": server } }],
        "users": [{ "name": "sim", "user": { "exec": exec } }],
        "contexts": [{ "name": "sim", "context": { "cluster": "sim", "user": "sim", "namespace": "ci" } }],
    });
    let file = folder.join("config");
    std::fs::write(&file, config.to_string()).expect("written");
    file.to_str().expect("a readable path").to_owned()
}

/// A plugin that creates a file and then hangs, for a limited time.
const HANGS: &str = "touch called; exec sleep 90";

async fn exists(file: &Path) {
    while !file.exists() {
        pause(10).await;
    }
}

#[tokio::test]
async fn each_of_three_signals_cancels_a_wait() {
    for signal in ["INT", "TERM", "HUP"] {
        let sim = Sim::new().await;
        running().run(&sim.cluster).await.expect("a life");
        let process = sim.process(&["wait", "p", "-c", "step"], Stdout::Read);
        sim.got(|requests| requests.watch > 0).await;
        process.signal(signal);
        let run = process.end().await;
        assert_eq!((run.status, &*run.stdout), (INTERRUPTED, "cancelled\n"), "{signal}: {run:?}");
    }
}

#[tokio::test]
async fn signals_that_are_ignored_at_the_start_stay_ignored() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let process = Process::ignoring(&["wait", "p", "-c", "step", "--kubeconfig", sim.kubeconfig()], "HUP");
    sim.got(|requests| requests.watch > 0).await;
    process.signal("HUP");
    Life::existing("ci", "p").finished(3).run(&sim.cluster).await.expect("a life");
    let run = process.end().await;
    assert_eq!((run.status, &*run.stdout), (Some(3), "nonzero_exit 3\n"), "{run:?}");
}

#[tokio::test]
async fn a_plugin_that_hangs_at_the_start_delays_nothing() {
    for (arguments, signal, status) in [
        (&["wait", "p"][..], Some("TERM"), INTERRUPTED),
        (&["run", "--image", "i"], Some("HUP"), INTERRUPTED),
        (&["logs", "p"], Some("INT"), INTERRUPTED),
        (&["release"], Some("TERM"), INTERRUPTED),
        (&["wait", "p", "--timeout", "1s"], None, LIMIT),
        (&["run", "--image", "i", "--timeout", "1s"], None, LIMIT),
    ] {
        let folder = TempDir::new().expect("a folder");
        let config = plugin(folder.path(), HANGS, "http://127.0.0.1:1");
        let process = Process::start(&[arguments, &["--kubeconfig", &config]].concat(), Stdout::Read);
        if let Some(signal) = signal {
            exists(&folder.path().join("called")).await;
            process.signal(signal);
        }
        let run = process.end().await;
        assert_eq!(run.status, status, "{arguments:?}: {run:?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_at_a_renewal_delays_no_signal() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let folder = TempDir::new().expect("a folder");
    // The first credential expires at once, so that the next request needs another one.
    let script = r#"
if [ -e first ]; then touch called; exec sleep 90; fi
touch first
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t","expirationTimestamp":"2020-01-01T00:00:00Z"}}'"#;
    for signals in [1, 2] {
        let config = plugin(folder.path(), script, &sim.url());
        for file in ["first", "called"] {
            let _ = std::fs::remove_file(folder.path().join(file));
        }
        let process = Process::start(&["wait", "p", "-c", "step", "--kubeconfig", &config], Stdout::Read);
        exists(&folder.path().join("called")).await;
        for _ in 0..signals {
            process.signal("TERM");
            pause(300).await;
        }
        let run = process.end().await;
        assert_eq!(run.status, INTERRUPTED, "{run:?}");
    }
}

/// Accepts connections and sends nothing.
async fn mute() -> (tokio::task::JoinHandle<()>, tokio::sync::mpsc::UnboundedReceiver<()>, NamedTempFile) {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let config = kubeconfig(&format!("http://{}", server.local_addr().expect("an address")));
    let (connected, is_connected) = tokio::sync::mpsc::unbounded_channel();
    let accept = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = server.accept().await {
            open.push(connection);
            let _ = connected.send(());
        }
    });
    (accept, is_connected, config)
}

#[tokio::test]
async fn an_api_server_that_never_responds_delays_nothing() {
    for (arguments, signal, status) in [
        (&["wait", "p"][..], Some("TERM"), INTERRUPTED),
        (&["wait", "-l", "a=b"], Some("TERM"), INTERRUPTED),
        (&["run", "--image", "i"], Some("TERM"), INTERRUPTED),
        (&["logs", "p"], Some("TERM"), INTERRUPTED),
        (&["release"], Some("TERM"), INTERRUPTED),
        (&["wait", "-l", "a=b", "--timeout", "1s"], None, LIMIT),
        (&["run", "--image", "i", "--timeout", "1s"], None, LIMIT),
    ] {
        let (server, mut connected, config) = mute().await;
        let config = config.path().to_str().expect("a readable path").to_owned();
        let process = Process::start(&[arguments, &["--kubeconfig", &config]].concat(), Stdout::Read);
        if let Some(signal) = signal {
            connected.recv().await.expect("it connects");
            process.signal(signal);
        }
        let run = process.end().await;
        assert_eq!(run.status, status, "{arguments:?}: {run:?}");
        server.abort();
    }
}

#[tokio::test]
async fn a_deletion_without_a_response_does_not_delay_a_second_signal() {
    let sim = Sim::new().await;
    sim.cluster.faults().rule(|request| (request.verb == Verb::Delete).then_some(Fault::Hang));
    let process = sim.process(&["run", "--image", "i", "--no-hold"], Stdout::Read);
    sim.got(|requests| requests.create > 0 && requests.watch > 0).await;
    process.signal("TERM");
    sim.got(|requests| requests.delete > 0).await;
    process.signal("TERM");
    assert_eq!(process.end().await.status, INTERRUPTED);
}

#[tokio::test]
async fn standard_output_that_is_not_read_delays_no_signal() {
    for arguments in [&["wait", "p", "--logs"][..], &["wait", "p", "q", "--logs"], &["logs", "p", "-f"]] {
        for signals in [1, 2] {
            let sim = Sim::new().await;
            sim.writer("p").await;
            sim.writer("q").await;
            let process = sim.process(arguments, Stdout::Unread);
            sim.got(|requests| requests.log > 0).await;
            // By then the pipe and all buffers are full; otherwise the test is only weaker.
            pause(500).await;
            for _ in 0..signals {
                process.signal("TERM");
                pause(300).await;
            }
            assert_eq!(process.end().await.status, INTERRUPTED, "{arguments:?}");
        }
    }
}

#[tokio::test]
async fn standard_output_that_is_not_read_delays_no_second_signal_of_a_run() {
    let sim = Sim::new().await;
    let process = sim.process(&["run", "--image", "i", "--no-hold"], Stdout::Unread);
    sim.got(|requests| requests.create > 0 && requests.watch > 0).await;
    let created =
        sim.cluster.events().into_iter().find(|event| event.kind.as_str() == "ADDED").expect("a pod");
    let name = created.object["metadata"]["name"].as_str().expect("a name");
    let line = "a line that is never read, and many more such lines after it, as long\n";
    let life = Life::existing("ci", name).scheduled("node-1").running().writes("step", &line.repeat(30_000));
    life.run(&sim.cluster).await.expect("a life");
    sim.got(|requests| requests.log > 0).await;
    pause(500).await;
    process.signal("TERM");
    sim.got(|requests| requests.delete > 0).await;
    process.signal("TERM");
    assert_eq!(process.end().await.status, INTERRUPTED);
}

#[tokio::test]
async fn standard_output_that_is_not_read_delays_neither_a_limit_nor_an_answer() {
    let sim = Sim::new().await;
    sim.writer("p").await;
    sim.writer("q").await;
    let process = sim.process(&["wait", "p", "q", "--logs", "--timeout", "2s"], Stdout::Unread);
    assert_eq!(process.end().await.status, LIMIT);

    let process = sim.process(&["wait", "p", "--logs"], Stdout::Unread);
    sim.got(|requests| requests.log > 2).await;
    pause(500).await;
    Life::existing("ci", "p").finished(5).run(&sim.cluster).await.expect("a life");
    let run = process.end().await;
    assert_eq!(run.status, Some(5), "{run:?}");
    assert!(run.stderr.contains("standard output accepts no data"), "{run:?}");
}

#[tokio::test]
async fn a_log_without_a_response_delays_no_signal() {
    // The access check gets a response, later requests get none.
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let mut gets = 0;
    sim.cluster.faults().rule(move |request| {
        gets += u32::from(request.verb == Verb::Get);
        (gets > 1).then_some(Fault::Hang)
    });
    let process = sim.process(&["logs", "p", "-c", "step"], Stdout::Read);
    sim.got(|requests| requests.get > 1).await;
    process.signal("TERM");
    assert_eq!(process.end().await.status, INTERRUPTED);

    // Nor does a log that is refused again and again.
    let sim = Sim::new().await;
    for name in ["p", "q"] {
        Life::of(pod("ci", name, &["step"])).running().run(&sim.cluster).await.expect("a life");
    }
    sim.cluster.faults().rule(|request| (request.verb == Verb::Log).then(|| Fault::status(500)));
    let process = sim.process(&["wait", "p", "q", "--logs"], Stdout::Read);
    sim.got(|requests| requests.log > 1).await;
    process.signal("TERM");
    assert_eq!(process.end().await.status, INTERRUPTED);
}

#[tokio::test]
async fn a_hold_without_a_response_delays_no_signal() {
    for signals in [1, 2] {
        let sim = Sim::new().await;
        running().run(&sim.cluster).await.expect("a life");
        sim.cluster.faults().rule(|request| (request.verb == Verb::Patch).then_some(Fault::Hang));
        let process = sim.process(&["wait", "p", "-c", "step", "--hold"], Stdout::Read);
        sim.got(|requests| requests.patch > 0).await;
        for _ in 0..signals {
            process.signal("TERM");
            pause(300).await;
        }
        assert_eq!(process.end().await.status, INTERRUPTED);
    }
}

#[tokio::test]
async fn a_fifo_in_place_of_a_file_delays_no_signal() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    let folder = TempDir::new().expect("a folder");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").args(["-m", "600"]).arg(&fifo).status().expect("mkfifo runs").success());
    let fifo = fifo.to_str().expect("a readable path");
    for option in ["--resume", "--record"] {
        let process = sim.process(&["wait", "p", "-c", "step", option, fifo], Stdout::Read);
        process.listens().await;
        // The command opens the FIFO, or reports that it cannot use one.
        pause(500).await;
        process.signal("TERM");
        let run = process.end().await;
        assert!(matches!(run.status, Some(223 | 230 | 231)), "{option}: {run:?}");
    }
}

/// Whether the pod is held.
fn is_held(sim: &Sim, name: &str) -> bool {
    let pod = sim.cluster.get("ci", name).expect("a pod");
    pod["metadata"]["finalizers"].as_array().is_some_and(|all| all.contains(&json!(FINALIZER)))
}

async fn held(sim: &Sim, names: &[&str]) {
    while !names.iter().all(|name| is_held(sim, name)) {
        pause(10).await;
    }
}

/// A simulated cluster with these pods, which run.
async fn with_pods(names: &[&str]) -> Sim {
    let sim = Sim::new().await;
    for name in names {
        let life = Life::of(pod("ci", name, &["step"])).scheduled("node-1").running();
        life.run(&sim.cluster).await.expect("a life");
    }
    sim
}

#[tokio::test]
async fn no_hold_remains_on_pods_whose_waits_are_dropped() {
    let names = ["a", "b", "c", "d"];
    let sim = with_pods(&names).await;
    let process = sim.process(&["wait", "a", "b", "c", "d", "--any", "--hold"], Stdout::Read);
    held(&sim, &names).await;
    Life::existing("ci", "c").finished(4).run(&sim.cluster).await.expect("a life");
    let run = process.end().await;
    assert_eq!((run.status, &*run.stdout), (Some(4), "ci/c nonzero_exit 4\n"), "{run:?}");
    assert!(!names.iter().any(|name| is_held(&sim, name)), "{run:?}");
}

#[tokio::test]
async fn no_hold_remains_after_signals_and_limits() {
    for (targets, options, signals, status) in [
        (&["a"][..], &[][..], 1, INTERRUPTED),
        (&["a"], &["--logs"], 2, INTERRUPTED),
        (&["a", "b"], &[], 1, INTERRUPTED),
        (&["a", "b"], &["--logs"], 2, INTERRUPTED),
        (&["a"], &["--timeout", "3s"], 0, LIMIT),
        (&["a", "b"], &["--timeout", "3s", "--logs"], 0, LIMIT),
    ] {
        let sim = with_pods(targets).await;
        let process = sim.process(&[&["wait", "--hold"], targets, options].concat(), Stdout::Read);
        held(&sim, targets).await;
        for _ in 0..signals {
            process.signal("INT");
            // Late enough that the two signals do not count as one.
            pause(20).await;
        }
        let run = process.end().await;
        assert_eq!(run.status, status, "{targets:?} {options:?} {run:?}");
        let left: Vec<_> = targets.iter().filter(|name| is_held(&sim, name)).collect();
        assert!(left.is_empty(), "{left:?} after {signals} signals: {targets:?} {options:?} {run:?}");
    }
}

#[tokio::test]
async fn releases_that_hang_are_abandoned_concurrently() {
    let names = ["a", "b", "c", "d"];
    let sim = with_pods(&names).await;
    let process = sim.process(&["wait", "a", "b", "c", "d", "--any", "--hold"], Stdout::Read);
    held(&sim, &names).await;
    sim.cluster.faults().rule(|request| {
        (request.verb == Verb::Patch && request.name.as_deref() != Some("c")).then_some(Fault::Hang)
    });
    Life::existing("ci", "c").finished(4).run(&sim.cluster).await.expect("a life");
    let run = process.end_within(Duration::from_secs(30)).await;
    assert_eq!(run.status, Some(4), "{run:?}");
    assert!(run.stderr.contains("still held, see podwait release: ci/a, ci/b, ci/d"), "{run:?}");
}
