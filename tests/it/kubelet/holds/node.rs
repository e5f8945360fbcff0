//! The same for pods that are deleted with their node, or are removed from it.

use super::super::disruptions::{NODE_IN_USE, recovered, taint, until_schedulable, with_short_grace};
use super::super::preemption::{create_classes, critical, of_priority};
use super::super::{Node, Runtime, end, on_each, trap};
use super::{BARE, HELD, Pair};
use k8s_openapi::api::core::v1;
use kube::api::{Api, DeleteParams};
use podwait_tests::cluster::{Cluster, own_cluster};
use serde_json::{Value, json};

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn no_node_failure_loses_the_exit_of_a_held_pod() {
    let own = own_cluster();
    let _node = NODE_IN_USE.lock().await;
    create_classes().await;
    on_each(Runtime::disturbed, async |node| failures(own, node).await).await;
}

async fn failures(own: &'static Cluster, node: Node) {
    let pair = Pair::new(own, node, "hold-tainted", with_short_grace(&trap(0))).await;
    pair.row("NoExecute taint", async |_| {
        taint(node, true).await;
    })
    .await
    .expect_err("it was stopped");
    taint(node, false).await;
    until_schedulable(node).await;

    let pair = Pair::new(own, node, "hold-preempted", small(of_priority("podwait-low"))).await;
    pair.row("preempted by the scheduler", async |pair| {
        let mut rival = of_priority("podwait-high");
        rival["metadata"]["name"] = json!("rival");
        rival["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "7" } });
        node.create(&pair.scratch, rival).await;
    })
    .await
    .expect_err("it was stopped");

    let pair = Pair::new(own, node, "hold-preempted-by-kubelet", small(with_short_grace(&trap(0)))).await;
    pair.row("preempted by the kubelet, then deleted", async |pair| {
        pair.scratch.create_pod(&critical(node)).await;
        pair.until_both_are_over().await;
        pair.delete_both(0).await;
    })
    .await
    .expect_err("it was stopped");

    let pair = Pair::new(own, node, "hold-pressure", with_short_grace(&trap(0))).await;
    pair.row("evicted by the kubelet, then deleted", async |pair| {
        own.order(&format!("pressure {} memory", node.name)).await;
        pair.until_both_are_over().await;
        pair.delete_both(0).await;
    })
    .await
    .expect_err("it was stopped");
    recovered(own, node, "hold-pressure-over").await;

    let pair = Pair::new(own, node, "hold-shutdown", with_short_grace("sleep 3600")).await;
    pair.row("node shutdown, then deleted", async |pair| {
        own.order(&format!("shutdown {}", node.name)).await;
        pair.until_both_are_over().await;
        pair.delete_both(0).await;
    })
    .await
    .expect_err("it was stopped");
    own.order(&format!("shutdown-cancel {}", node.name)).await;
    until_schedulable(node).await;

    orphans(own, node).await;
}

/// A pod that is small enough for two on the node.
fn small(mut pod: Value) -> Value {
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "3" } });
    pod
}

impl Pair {
    /// Waits until the kubelet has published both ends.
    async fn until_both_are_over(&self) {
        for name in [HELD, BARE] {
            self.scratch.wait_until_ended(name).await;
        }
    }
}

/// The node is gone, and the pods are collected. One pair has ended before. The other one ends after its kubelet was
/// killed.
async fn orphans(own: &'static Cluster, node: Node) {
    let ended = Pair::new(own, node, "hold-orphan-ended", with_short_grace(&trap(7))).await;
    let running = Pair::new(own, node, "hold-orphan", with_short_grace(&trap(7))).await;
    ended.end_both().await;
    own.order(&format!("kill {}", node.component("kubelet"))).await;
    let nodes: Api<v1::Node> = Api::all(ended.scratch.kube());
    nodes.delete(node.name, &DeleteParams::default()).await.expect("the node is deleted");
    let (ended, running) = tokio::join!(
        ended.row("collected as an orphan after its end", async |_| {}),
        running.row("collected as an orphan while running; its kubelet comes back", async |pair| {
            for uid in [&pair.held, &pair.bare] {
                end(own, uid).await;
            }
            pair.until_gone(BARE).await;
            own.order(&format!("start {}", node.component("kubelet"))).await;
        })
    );
    ended.expect("an exit of its own");
    // The step was not stopped, but the deletion preceded its end, so it may not have ended by itself.
    running.expect_err("it was deleted");
    own.order("ready 120").await;
    until_schedulable(node).await;
}
