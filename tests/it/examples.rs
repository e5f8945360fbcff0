//! The examples do what they say.

use podwait_sim::{Cluster, Life, pod};
use podwait_tests::cli::example;
use std::time::Duration;
use tokio::process::Command;

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
