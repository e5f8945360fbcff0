//! The examples do what they say, those in README.md too, and the packages are whole.

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

/// An empty folder outside of the workspace, the same one each time: what cargo builds in it is not kept twice.
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
async fn the_agent_in_simulated_time_survives_what_it_should() {
    let agent = Command::new(example("podwait-core", "simulated_time")).output().await.expect("it starts");
    assert!(agent.status.success(), "{agent:?}");
}
