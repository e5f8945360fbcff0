//! What happens to a whole node. One after the other, on a node of its own.

use super::{scenario, step_with, trap};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Cluster, Scratch, Waiters, own_cluster, pause};
use serde_json::{Value, json};

const NODE: &str = "node-2";

/// Held while something happens to the node, also between two scenarios.
pub(super) static NODE_IN_USE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A step on the node that something happens to.
fn on_node(script: &str) -> Value {
    step_with(script, |pod| {
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": NODE });
        pod["spec"]["terminationGracePeriodSeconds"] = json!(2);
    })
}

#[tokio::test]
async fn the_node_takes_its_pods_with_it() {
    let Some(own) = own_cluster() else { return };
    let _node = NODE_IN_USE.lock().await;
    rejected().await;
    restarted(own).await;
    preempted().await;
    tainted().await;
    under_pressure(own).await;
    shut_down(own).await;
    orphaned(own).await;
}

async fn rejected() {
    let pod = |change: &dyn Fn(&mut Value)| {
        step_with("exit 0", |pod| {
            pod["spec"]["nodeName"] = json!(NODE);
            pod["spec"].as_object_mut().expect("a spec").remove("nodeSelector");
            change(pod);
        })
    };
    let too_big = pod(&|pod| {
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "100" } });
    });
    let elsewhere = pod(&|pod| pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "node-1" }));
    for (name, pod) in [("out-of-cpu", too_big), ("node-affinity", elsewhere)] {
        if let Some(answers) = super::undisturbed(name, Waiters::default(), pod).await {
            answers.all_fail(&[FailReason::RejectedByNode], None, 220);
        }
    }
}

/// The step goes on while its kubelet is away. Not on a node with other scenarios: a kubelet that starts anew has forgotten
/// why it could not pull an image.
async fn restarted(own: &Cluster) {
    let answers =
        scenario("kubelet-restarted", Waiters::default(), on_node("sleep 8; exit 5"), async |cluster| {
            cluster.wait_until_running("step").await;
            own.order("kill kubelet-2").await;
            pause(1000).await;
            own.order("start kubelet-2").await;
        });
    if let Some(answers) = answers.await {
        answers.all_done(DoneReason::NonzeroExit, 5);
    }
    until_schedulable().await;
}

async fn preempted() {
    let big = |priority: &str| {
        let mut pod = on_node(&trap(0));
        pod["spec"]["priorityClassName"] = json!(priority);
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "5" } });
        pod
    };
    let answers = scenario("preempted", Waiters::default(), big("podwait-low"), async |cluster| {
        cluster.wait_until_running("step").await;
        let mut rival = big("podwait-high");
        rival["metadata"]["name"] = json!("rival");
        cluster.create_pod(&rival).await;
    });
    let classes: Api<PriorityClass> =
        Api::all(podwait_tests::cluster::client(None).await.expect("a cluster"));
    for (name, value) in [("podwait-low", 1), ("podwait-high", 1000)] {
        let class = json!({ "metadata": { "name": name }, "value": value });
        let class = serde_json::from_value(class).expect("a PriorityClass");
        classes.create(&PostParams::default(), &class).await.expect("the PriorityClass is created");
    }
    if let Some(answers) = answers.await {
        answers.watchers_fail(&[FailReason::Disrupted], Some(0));
    }
}

async fn tainted() {
    let taint = async |taints: Value| {
        let nodes: Api<Node> = Api::all(podwait_tests::cluster::client(None).await.expect("a cluster"));
        let patch = Patch::Merge(json!({ "spec": { "taints": taints } }));
        nodes.patch(NODE, &PatchParams::default(), &patch).await.expect("the node is tainted");
    };
    let answers = scenario("tainted", Waiters::default(), on_node(&trap(0)), async |cluster| {
        cluster.wait_until_running("step").await;
        taint(json!([{ "key": "podwait.test/out", "effect": "NoExecute" }])).await;
    });
    if let Some(answers) = answers.await {
        answers.watchers_fail(&[FailReason::Disrupted], Some(0));
    }
    taint(json!(null)).await;
}

/// The eviction manager looks every ten seconds, and one pod goes at a time. Now and then the kubelet writes Failed and the
/// reason while the step's last known state is running; the end follows, and with exit 0 another phase.
async fn under_pressure(own: &Cluster) {
    for (name, script, reasons, code) in [
        ("evicted", String::from("sleep 3600"), &[FailReason::Evicted][..], Some(137)),
        // Mostly Succeeded without a reason: only the condition tells.
        ("evicted-exits-0", trap(0), &[FailReason::Disrupted, FailReason::Evicted], Some(0)),
    ] {
        let answers = scenario(name, Waiters::default(), on_node(&script), async |cluster| {
            cluster.wait_until_running("step").await;
            own.order(&format!("pressure {NODE} memory")).await;
        });
        if let Some(answers) = answers.await {
            answers.all_fail_with(reasons, &[None, code], 220);
        }
        own.order(&format!("pressure {NODE} none")).await;
        // Until its eviction manager has looked again, the kubelet refuses pods, whatever the node's conditions say.
        pause(11_000).await;
        until_schedulable().await;
    }
}

async fn shut_down(own: &Cluster) {
    for (name, script, reasons, code) in [
        ("node-shutdown", String::from("sleep 3600"), &[FailReason::NodeShutdown][..], Some(137)),
        ("node-shutdown-exits-0", trap(0), &[FailReason::Disrupted, FailReason::NodeShutdown], Some(0)),
    ] {
        let answers = scenario(name, Waiters::default(), on_node(&script), async |cluster| {
            cluster.wait_until_running("step").await;
            own.order(&format!("shutdown {NODE}")).await;
        });
        if let Some(answers) = answers.await {
            answers.all_fail_with(reasons, &[None, code], 220);
        }
        own.order(&format!("shutdown-cancel {NODE}")).await;
        until_schedulable().await;
    }
}

/// The kubelet is gone, then its node: the pods are nobody's, and are collected.
async fn orphaned(own: &Cluster) {
    let answers =
        scenario("orphaned", Waiters::default(), on_node("sleep 3600"), async |cluster: &Scratch| {
            cluster.wait_until_running("step").await;
            own.order("kill kubelet-2").await;
            let nodes: Api<Node> = Api::all(cluster.client());
            nodes.delete(NODE, &DeleteParams::default()).await.expect("the node is deleted");
        });
    if let Some(answers) = answers.await {
        answers.watchers_fail(&[FailReason::Disrupted], None);
    }
    own.order("start kubelet-2").await;
    own.order("ready 60").await;
}

/// Waits until the node takes pods again: ready, and without a taint.
async fn until_schedulable() {
    let nodes: Api<Node> = Api::all(podwait_tests::cluster::client(None).await.expect("a cluster"));
    for _ in 0..300 {
        let node = nodes.get(NODE).await.expect("the node is there");
        let status = node.status.unwrap_or_default();
        let ready =
            status.conditions.iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True");
        if ready && node.spec.and_then(|spec| spec.taints).is_none_or(|taints| taints.is_empty()) {
            return;
        }
        pause(200).await;
    }
    panic!("{NODE} does not recover");
}
