//! The same for pods that are deleted with their node, or are removed from it.

use super::super::disruptions::{NODE, NODE_IN_USE, on_node, recovered, taint, until_schedulable};
use super::super::preemption::{create_classes, critical, of_priority};
use super::super::{end, trap};
use super::{BARE, HELD, Pair};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams};
use podwait_tests::cluster::own_cluster;
use serde_json::{Value, json};

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn no_node_failure_loses_the_exit_of_a_held_pod() {
    let own = own_cluster();
    let _node = NODE_IN_USE.lock().await;
    create_classes().await;

    let pair = Pair::new(own, "hold-tainted", on_node(&trap(0))).await;
    pair.row("NoExecute taint", async |_| {
        taint(json!([{ "key": "podwait.test/out", "effect": "NoExecute" }])).await;
    })
    .await
    .expect_err("it was stopped");
    taint(json!(null)).await;
    until_schedulable().await;

    let pair = Pair::new(own, "hold-preempted", small(of_priority("podwait-low"))).await;
    pair.row("preempted by the scheduler", async |pair| {
        let mut rival = of_priority("podwait-high");
        rival["metadata"]["name"] = json!("rival");
        rival["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "7" } });
        pair.scratch.create_pod(&rival).await;
    })
    .await
    .expect_err("it was stopped");

    let pair = Pair::new(own, "hold-preempted-by-kubelet", small(on_node(&trap(0)))).await;
    pair.row("preempted by the kubelet, then deleted", async |pair| {
        pair.scratch.create_pod(&critical()).await;
        pair.until_both_are_over().await;
        pair.delete_both(0).await;
    })
    .await
    .expect_err("it was stopped");

    let pair = Pair::new(own, "hold-pressure", on_node(&trap(0))).await;
    pair.row("evicted by the kubelet, then deleted", async |pair| {
        own.order(&format!("pressure {NODE} memory")).await;
        pair.until_both_are_over().await;
        pair.delete_both(0).await;
    })
    .await
    .expect_err("it was stopped");
    recovered(own, "hold-pressure-over").await;

    let pair = Pair::new(own, "hold-shutdown", on_node("sleep 3600")).await;
    pair.row("node shutdown, then deleted", async |pair| {
        own.order(&format!("shutdown {NODE}")).await;
        pair.until_both_are_over().await;
        pair.delete_both(0).await;
    })
    .await
    .expect_err("it was stopped");
    own.order(&format!("shutdown-cancel {NODE}")).await;
    until_schedulable().await;

    orphans(own).await;
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
async fn orphans(own: &'static podwait_tests::cluster::Cluster) {
    let ended = Pair::new(own, "hold-orphan-ended", on_node(&trap(7))).await;
    let running = Pair::new(own, "hold-orphan", on_node(&trap(7))).await;
    ended.end_both().await;
    own.order("kill kubelet-2").await;
    let nodes: Api<Node> = Api::all(ended.scratch.kube());
    nodes.delete(NODE, &DeleteParams::default()).await.expect("the node is deleted");
    let (ended, running) = tokio::join!(
        ended.row("collected as an orphan after its end", async |_| {}),
        running.row("collected as an orphan while running; its kubelet comes back", async |pair| {
            for uid in [&pair.held, &pair.bare] {
                end(own, uid).await;
            }
            pair.until_gone(BARE).await;
            own.order("start kubelet-2").await;
        })
    );
    ended.expect("an exit of its own");
    // The step was not stopped, but the deletion preceded its end, so it may not have ended by itself.
    running.expect_err("it was deleted");
    own.order("ready 120").await;
    until_schedulable().await;
}
