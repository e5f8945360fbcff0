//! The command, against a simulated cluster over HTTP on loopback.

mod connect;
pub(crate) mod crashes;
mod fake;
mod hold;
mod logs;
mod many;
mod once;
mod printing;
mod process;
mod progress;
mod rights;
mod run;
mod selector;
mod signals;

use podwait_sim::{Cluster, Fault, Life, Server, Terminated, Verb, pod};
use podwait_tests::cli::{Run, Started, kubeconfig, podwait, run, start, start_with};
use podwait_tests::cluster::pause;
use std::process::Command;
use tempfile::NamedTempFile;

/// A simulated cluster over HTTP, and a kubeconfig for it whose context names the namespace `ci`.
struct Sim {
    cluster: Cluster,
    kubeconfig: NamedTempFile,
    server: Server,
}

impl Sim {
    async fn new() -> Self {
        let cluster = Cluster::new();
        let server = cluster.serve().await.expect("loopback");
        Self { kubeconfig: kubeconfig(&server.url()), cluster, server }
    }

    fn kubeconfig(&self) -> &str {
        self.kubeconfig.path().to_str().expect("a readable path")
    }

    fn url(&self) -> String {
        self.server.url()
    }

    fn addr(&self) -> std::net::SocketAddr {
        self.server.addr()
    }

    /// Runs `podwait wait p -c step` with these variables in its environment.
    async fn wait_with(&self, environment: &[(&str, &str)]) -> Run {
        let arguments = ["wait", "p", "-c", "step", "--kubeconfig", self.kubeconfig()];
        start_with(&arguments, environment).end().await
    }

    /// Runs `podwait wait p` with these additional arguments.
    async fn wait(&self, arguments: &[&str]) -> Run {
        self.run(&[&["wait", "p"], arguments].concat()).await
    }

    /// Runs `podwait` with these arguments.
    async fn run(&self, arguments: &[&str]) -> Run {
        self.start(arguments).end().await
    }

    /// Starts `podwait` with these arguments.
    fn start(&self, arguments: &[&str]) -> Started {
        start(&[&[arguments[0], "--kubeconfig", self.kubeconfig()], &arguments[1..]].concat())
    }
}

/// A pod `ci/p` that runs.
fn running() -> Life {
    Life::of(pod("ci", "p", &["step", "aux"])).scheduled("node-1").running()
}

/// A pod `ci/p` whose step has ended like this.
async fn ended(how: Terminated) -> Sim {
    let sim = Sim::new().await;
    running().terminated("step", how).run(&sim.cluster).await.expect("a life");
    sim
}

#[track_caller]
fn assert_one_line(run: &Run, status: i32, words: &str) {
    assert_eq!(run.status, Some(status), "{run:?}");
    assert!(run.stderr.starts_with("podwait: ") && run.stderr.contains(words), "{words:?} in {run:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
}

/// The server can be reached, but its response about this pod cannot be read.
#[tokio::test]
async fn a_pod_that_cannot_be_read_is_not_a_server_that_cannot_be_reached() {
    for change in [
        serde_json::json!({ "metadata": { "deletionTimestamp": "99999-01-01T00:00:00Z" } }),
        serde_json::json!({ "status": { "phase": 5 } }),
        serde_json::json!({ "kind": "PodMetrics" }),
    ] {
        let sim = Sim::new().await;
        running().merge(change.clone()).run(&sim.cluster).await.expect("a life");
        let run = sim.wait(&["-c", "step"]).await;
        assert_one_line(&run, 224, "returned a response that cannot be used: ");
        assert!(!run.stderr.contains("cannot reach"), "{change}: {run:?}");
    }
}

#[tokio::test]
async fn the_exit_code_of_the_step_is_the_exit_status() {
    for code in [0, 3, 137, 255] {
        let sim = ended(Terminated::exit(code)).await;
        let run = sim.wait(&["-c", "step"]).await;
        assert_one_line(&run, code, &format!("ci/p: container step exited {code}"));
        let reason = if code == 0 { "completed" } else { "nonzero_exit" };
        assert_eq!(run.stdout, format!("{reason} {code}\n"));
    }
}

#[tokio::test]
async fn a_code_that_does_not_fit_is_255_and_printed_in_full() {
    for code in [-1_073_741_510, 256, -1] {
        let sim = ended(Terminated::exit(code)).await;
        let run = sim.wait(&["-c", "step", "-o", "json"]).await;
        assert_eq!(run.status, Some(255), "{run:?}");
        let result: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON object");
        assert_eq!(result["exit_code"], code);
    }
}

#[tokio::test]
async fn json_has_every_fact() {
    let sim = ended(Terminated::oom_killed()).await;
    let run = sim.wait(&["-c", "step", "--output", "json"]).await;
    let result: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let facts = [
        "namespace",
        "pod",
        "container",
        "outcome",
        "reason",
        "class",
        "exit_code",
        "evidence",
        "oom_killed",
        "attempt",
        "phase",
    ];
    let values: Vec<_> = facts.map(|fact| result[fact].clone()).into();
    let expected = serde_json::json!([
        "ci",
        "p",
        "step",
        "done",
        "oom_killed",
        null,
        137,
        "observed",
        true,
        1,
        "Running"
    ]);
    assert_eq!(serde_json::Value::from(values), expected, "{run:?}");
    assert!(result["finished_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{run:?}");
}

#[tokio::test]
async fn failures_exit_with_the_status_of_their_class() {
    let cases: [(Life, &[&str], i32, &str, &str); 4] = [
        (
            running().failed("Evicted", "low on memory"),
            &["-c", "step"],
            220,
            "evicted",
            "the pod was evicted",
        ),
        (running(), &["-c", "nope"], 221, "container_not_in_spec", "the pod has no container named nope"),
        (running(), &[], 221, "container_ambiguous", "no container was named"),
        (
            running(),
            &["-c", "step", "--timeout", "300ms"],
            222,
            "deadline",
            "the step did not end within 300ms",
        ),
    ];
    for (life, arguments, status, reason, sentence) in cases {
        let sim = Sim::new().await;
        life.run(&sim.cluster).await.expect("a life");
        let run = sim.wait(arguments).await;
        assert_one_line(&run, status, &format!("ci/p: {sentence}"));
        assert_eq!(run.stdout, format!("{reason}\n"));
    }
}

#[tokio::test]
async fn an_api_server_that_rejects_the_wait_is_an_api_failure() {
    let sim = Sim::new().await;
    running().run(&sim.cluster).await.expect("a life");
    sim.cluster.faults().rule(|request| (request.verb == Verb::Get).then(|| Fault::status(400)));
    let run = sim.wait(&["-c", "step"]).await;
    assert_one_line(&run, 224, "rejects the request");
    assert_eq!(run.stdout, "api_rejected\n");
}

#[tokio::test]
async fn signals_cancel() {
    for signal in ["INT", "TERM"] {
        let sim = Sim::new().await;
        running().run(&sim.cluster).await.expect("a life");
        let child = sim.start(&["wait", "pod/p", "-c", "step"]);
        // Once it watches, it handles signals; an earlier signal would have its default action.
        while sim.cluster.requests().watch == 0 {
            pause(10).await;
        }
        child.signal(signal);
        let run = child.end().await;
        assert_one_line(&run, 223, "cancelled");
        assert_eq!(run.stdout, "cancelled\n");
    }
}

#[tokio::test]
async fn wrong_arguments_are_reported_in_one_line() {
    let cases: [(&[&str], &str); 11] = [
        (&["wait"], "required"),
        (&["wait", "A_B"], "a name has lowercase letters"),
        (&["wait", "pod/"], "a name has lowercase letters"),
        (&["wait", "a", "-n", "../x"], "a name has lowercase letters"),
        (&["wait", "a", "--timeout", "5"], "time unit needed"),
        (&["wait", "a", "--timeout", "0s"], "--timeout must be between"),
        (&["wait", "a", "--timeout", "9000y"], "--timeout must be between"),
        (&["wait", "a", "--start-timeout", "9000y"], "--start-timeout must be between"),
        (&["wait", "a", "--image-pull-grace", "0s"], "--image-pull-grace must be between"),
        (&["wait", "a", "--output", "yaml"], "yaml"),
        (&["weit"], "weit"),
    ];
    for (arguments, words) in cases {
        let run = run(arguments).await;
        assert_one_line(&run, 230, words);
        assert_eq!(run.stdout, "");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_reported_in_one_line() {
    let sim = Sim::new().await;
    let broken = NamedTempFile::new().expect("a file");
    std::fs::write(broken.path(), "clusters: [\n").expect("written");
    let broken = broken.path().to_str().expect("a readable path");
    let cases: [(&[&str], &str); 4] = [
        (&["wait", "a"], "there is no kubeconfig"),
        (&["wait", "a", "--kubeconfig", "/no/such"], "cannot read the kubeconfig /no/such"),
        (&["wait", "a", "--kubeconfig", broken], "cannot be used"),
        (&["wait", "a", "--kubeconfig", sim.kubeconfig(), "--context", "prod"], "has no context named prod"),
    ];
    for (arguments, words) in cases {
        assert_one_line(&run(arguments).await, 231, words);
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_reported_at_once() {
    let cases = [
        (401, 233, "does not accept the credentials"),
        (403, 233, "denies access"),
        (404, 232, "is not a Kubernetes API server"),
    ];
    for (code, status, words) in cases {
        let sim = Sim::new().await;
        sim.cluster.faults().rule(move |_| Some(Fault::status(code)));
        assert_one_line(&sim.wait(&[]).await, status, words);
    }
    // No process listens on a port that was just released.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("loopback")
        .port();
    let config = kubeconfig(&format!("http://127.0.0.1:{port}"));
    let run = run(&["wait", "a", "--kubeconfig", config.path().to_str().expect("a readable path")]).await;
    assert_one_line(&run, 232, "cannot reach http://127.0.0.1");
}

#[tokio::test]
async fn a_pipe_without_a_reader_does_not_change_the_exit_status() {
    let sim = ended(Terminated::exit(3)).await;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let child = Command::new(podwait())
        .args(["wait", "p", "-c", "step", "--kubeconfig", sim.kubeconfig()])
        .stdout(writer.try_clone().expect("a pipe"))
        .stderr(writer)
        .spawn();
    let mut child = child.expect("it starts");
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("it ends");
    assert_eq!(status.code(), Some(3));
}

#[tokio::test]
async fn the_demo_shows_all_three_endings_and_succeeds() {
    let run = run(&["demo"]).await;
    assert_eq!(run.status, Some(0), "{run:?}");
    for words in [
        "awaiting_terminated_state",
        "(completed, observed, rule 3)",
        "(pod_deleted, rule 4)",
        "(inferred_from_phase, inferred, rule 9)",
    ] {
        assert!(run.stdout.contains(words), "{words} in {}", run.stdout);
    }
}

#[tokio::test]
async fn help_goes_to_standard_output() {
    for arguments in [&["--help"][..], &["wait", "--help"], &["--version"]] {
        let run = run(arguments).await;
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
        assert!(run.stdout.contains("podwait"), "{run:?}");
    }
}
