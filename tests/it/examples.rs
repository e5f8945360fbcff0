//! The examples work, also those in README.md, and the packages are complete.

mod packages;
mod readme;

use podwait_sim::{Cluster, Life, pod};
use podwait_tests::cli::example;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// The folder in which cargo has built these tests.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a path");
    program.ancestors().nth(3).expect("TARGET/debug/deps/it-...").to_owned()
}

/// An empty folder outside of the workspace, always the same one, so that cargo keeps one build of it.
fn fresh(name: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    let folder = std::env::temp_dir().join(format!("podwait-{name}-{:016x}", hasher.finish()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

#[tokio::test]
async fn the_blocking_agent_waits_without_tokio_and_without_kube() {
    let cluster = Cluster::new();
    let server = cluster.serve().await.expect("loopback");
    let life = Life::of(pod("ci", "p", &["step"]))
        .scheduled("node-1")
        .running()
        .after(Duration::from_millis(700))
        .finished(3);
    let kubelet = life.spawn(&cluster);
    let agent = Command::new(example("podwait-core", "blocking_agent"))
        .args([&server.addr().to_string(), "ci", "p", "step"])
        .output()
        .await;
    let agent = agent.expect("it starts");
    assert_eq!(agent.status.code(), Some(3), "{agent:?}");
    assert_eq!(String::from_utf8_lossy(&agent.stdout), "container step exited 3\n");
    kubelet.abort();
}

#[tokio::test]
async fn machines_with_inputs_from_a_watcher_of_kube_decide() {
    let cluster = Cluster::new();
    let server = cluster.serve().await.expect("loopback");
    let life = |name| Life::of(pod("ci", name, &["step"])).scheduled("node-1").running();
    let later = Duration::from_millis(700);
    let lives = [
        life("ends").after(later).finished(3),
        life("ended").finished(0),
        life("goes").after(later).removed(),
        // No wait is for this pod.
        life("other").after(later).finished(5),
    ];
    let kubelets: Vec<_> = lives.into_iter().map(|life| life.spawn(&cluster)).collect();
    let kubeconfig = podwait_tests::cli::kubeconfig(&format!("http://{}", server.addr()));
    let program = Command::new(example("podwait", "reflector"))
        .env("KUBECONFIG", kubeconfig.path())
        .args(["ci", "ends", "ended", "goes", "never"])
        .output()
        .await
        .expect("it starts");
    assert!(program.status.success(), "{program:?}");
    let text = String::from_utf8_lossy(&program.stdout);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let [ended, ends, goes, never] = &lines[..] else { panic!("{text}") };
    assert_eq!((*ended, *ends), ("ended: container step exited 0", "ends: container step exited 3"));
    assert!(goes.starts_with("goes: pod_deleted: "), "{goes}");
    assert!(never.starts_with("never: pod_never_seen: "), "{never}");
    kubelets.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_agent_in_simulated_time_survives_faults() {
    let agent = Command::new(example("podwait-core", "simulated_time")).output().await.expect("it starts");
    assert!(agent.status.success(), "{agent:?}");
}
