//! A kubelet of another version takes over its node while steps run.

use super::{NODE_IN_USE, disturbed, end, order, step, trap};
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use podwait_tests::cluster::{CONTAINERD_NODE, Scratch, Waiters, kube_client, of_version, pause};
use std::path::Path;
use tokio::sync::{Barrier, watch};

/// `PODWAIT_KUBELETS` names other minor versions of Kubernetes of `tests/cluster/versions`, with commas: the node is taken to each
/// of them and back. By default one kubelet takes over from another of the same version.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_kubelet_that_takes_over_reports_the_end_of_every_step() {
    let _node = NODE_IN_USE.write().await;
    let minors = std::env::var("PODWAIT_KUBELETS").unwrap_or_default();
    let minors: Vec<&str> = minors.split(',').filter(|minor| !minor.is_empty()).collect();
    let usual = version().await;
    for minor in &minors {
        take_over(&format!("to-{minor}"), Some(&of_version(minor))).await;
        let other = version().await;
        assert!(other.starts_with(&format!("v{minor}.")), "{other} is none of {minor}");
        take_over(&format!("from-{minor}"), None).await;
        assert_eq!(version().await, usual);
        println!("{usual} to {other} and back: every code is the step's own");
    }
    if minors.is_empty() {
        take_over("to-the-same", None).await;
    }
}

/// The version of the node's kubelet, as it reports it.
async fn version() -> String {
    let nodes: Api<Node> = Api::all(kube_client(None).await);
    let node = nodes.get(CONTAINERD_NODE).await.expect("the node is there");
    node.status.and_then(|status| status.node_info).expect("it has a status").kubelet_version
}

/// Whether the node has a kubelet, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Old,
    Gone,
    New,
}

/// Replaces the kubelet of the node by this program, or by the usual one.
async fn take_over(name: &str, program: Option<&Path>) {
    let name = &format!("kubelet-{}", name.replace('.', "-"));
    let kubelet = &format!("kubelet-{}", CONTAINERD_NODE.trim_start_matches("node-"));
    let program = program.map_or_else(String::new, |path| path.display().to_string());
    let (stage, stages) = watch::channel(Stage::Old);
    let reach = async |wanted: Stage| {
        let mut stages = stages.clone();
        stages.wait_for(|stage| *stage >= wanted).await.expect("the stages go on");
    };
    // Three steps run, and one of them has ended in the gap.
    let (run, in_gap) = (&Barrier::new(4), &Barrier::new(2));
    let waiters = Waiters::default;

    let before = async {
        let pod = step(&format!("sleep 1; {}", end(5)));
        disturbed(&format!("{name}-ended-before"), waiters(), pod, async |cluster, _| {
            cluster.wait_until_ended("step").await;
            run.wait().await;
        })
        .await
        .by_itself(5);
    };
    let within = async {
        disturbed(&format!("{name}-ends-in-the-gap"), waiters(), step(&trap(4)), async |cluster, uid| {
            cluster.wait_until_running("step").await;
            run.wait().await;
            reach(Stage::Gone).await;
            order(&format!("runtime signal {uid} step SIGTERM")).await;
            in_gap.wait().await;
        })
        .await
        .by_itself(4);
    };
    let after = async {
        disturbed(&format!("{name}-runs-on"), waiters(), step(&trap(3)), async |cluster, uid| {
            cluster.wait_until_running("step").await;
            let container = container_id(cluster).await;
            run.wait().await;
            reach(Stage::New).await;
            assert_eq!(container_id(cluster).await, container, "the step was started again");
            order(&format!("runtime signal {uid} step SIGTERM")).await;
        })
        .await
        .by_itself(3);
    };
    let begins = async {
        reach(Stage::Gone).await;
        disturbed(&format!("{name}-begins-after"), waiters(), step(&end(6)), async |_, _| {})
            .await
            .by_itself(6);
    };
    let replace = async {
        run.wait().await;
        order(&format!("kill {kubelet}")).await;
        order(&format!("program {kubelet} {program}")).await;
        stage.send_replace(Stage::Gone);
        in_gap.wait().await;
        pause(2000).await;
        order(&format!("start {kubelet}")).await;
        // A kubelet that was just started knows no pods for some seconds.
        pause(8000).await;
        stage.send_replace(Stage::New);
    };
    tokio::join!(before, within, after, begins, replace);
}

/// The id of the container of the pod `step`.
async fn container_id(cluster: &Scratch) -> Option<String> {
    let pod = cluster.pods().get("step").await.expect("the pod is there");
    pod.status?.container_statuses?.into_iter().next()?.container_id
}
