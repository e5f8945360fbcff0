//! Disruptions of a whole node, one after the other, on a separate node.

use super::{end, preemption, scenario, step_with, trap};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Cluster, MAX_PODS, Scratch, Waiters, own_cluster, pause};
use serde_json::{Value, json};

pub(super) const NODE: &str = "node-2";

/// Locked while the node is disturbed, also between two scenarios.
pub(super) static NODE_IN_USE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A step on the node that is disturbed.
pub(super) fn on_node(script: &str) -> Value {
    step_with(script, |pod| {
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": NODE });
        pod["spec"]["terminationGracePeriodSeconds"] = json!(2);
    })
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn steps_on_a_node_that_is_disrupted() {
    let own = own_cluster();
    let _node = NODE_IN_USE.lock().await;
    rejected().await;
    full(own).await;
    restarted(own).await;
    runtime_restarted(own).await;
    preemption::by_the_scheduler().await;
    preemption::by_the_kubelet().await;
    tainted().await;
    under_pressure(own).await;
    shut_down(own).await;
    orphaned(own).await;
}

/// A step that is bound to the node without the scheduler.
fn bound(script: &str, change: impl FnOnce(&mut Value)) -> Value {
    step_with(script, |pod| {
        pod["spec"]["nodeName"] = json!(NODE);
        pod["spec"].as_object_mut().expect("a spec").remove("nodeSelector");
        change(pod);
    })
}

async fn rejected() {
    let pod = |change: &dyn Fn(&mut Value)| bound("exit 0", change);
    let too_big = pod(&|pod| {
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "100" } });
    });
    let elsewhere = pod(&|pod| pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "node-1" }));
    for (name, pod) in [("out-of-cpu", too_big), ("node-affinity", elsewhere)] {
        let answers = super::undisturbed(name, Waiters::default(), pod).await;
        answers.all_fail(&[FailReason::RejectedByNode], None, 220);
    }
}

/// The node has its maximum number of pods.
async fn full(own: &Cluster) {
    let scratch = Scratch::new("out-of-pods").await;
    let last = bound("sleep 3600", |pod| pod["metadata"]["name"] = json!("last"));
    scratch.create_pod(&last).await;
    scratch.wait_until_running("last").await;
    own.order(&format!("max-pods {NODE} 1")).await;
    until(|node| allocatable_pods(node) == Some("1")).await;
    scratch.create_pod(&bound("exit 0", |_| {})).await;
    let answers = Waiters::default().wait(&scratch, "step").await;
    own.order(&format!("max-pods {NODE} {MAX_PODS}")).await;
    answers.all_fail(&[FailReason::RejectedByNode], None, 220);
    assert!(answers.trace.contains("OutOfpods"), "{answers:#?}");
    answers.keep_recording("out-of-pods");
    scratch.remove().await;
    until(|node| allocatable_pods(node) == Some(MAX_PODS)).await;
}

fn allocatable_pods(node: &Node) -> Option<&str> {
    node.status.as_ref()?.allocatable.as_ref()?.get("pods").map(|pods| pods.0.as_str())
}

/// The runtime is restarted and has lost the step, which its kubelet requests from it.
async fn runtime_restarted(own: &Cluster) {
    let restart = async |cluster: &Scratch| {
        cluster.wait_until_running("step").await;
        own.order("kill runtime-2").await;
        own.order("start runtime-2").await;
    };
    let pod = on_node("sleep 3600");
    let answers = scenario("runtime-restarted", Waiters::default(), pod, restart).await;
    answers.all_fail(&[FailReason::ContainerStatusUnknown], Some(137), 220);
    // The made-up end is not the last one here: the kubelet starts the step again, and publishes a status only then.
    let mut pod = on_node("cd $PODWAIT_ROOT/data; test -e x && exit 0; touch x; echo begun; sleep 3600");
    pod["spec"]["restartPolicy"] = json!("OnFailure");
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let answers = scenario("runtime-restarted-on-failure", Waiters::default(), pod, restart).await;
    answers.all_done(DoneReason::Completed, 0);
    assert_eq!(answers.watched.as_ref().map(|exit| exit.restart_count), Ok(1), "{answers:#?}");
    until_schedulable().await;
}

/// The step continues while its kubelet is stopped, and ends. Not on a node with other scenarios: a restarted kubelet
/// no longer has the reason why it could not pull an image.
async fn restarted(own: &Cluster) {
    let answers = scenario("kubelet-restarted", Waiters::default(), on_node(&trap(5)), async |cluster| {
        let uid = cluster.wait_until_running("step").await;
        own.order("kill kubelet-2").await;
        pause(1000).await;
        end(own, &uid).await;
        own.order("start kubelet-2").await;
    });
    answers.await.all_done(DoneReason::NonzeroExit, 5);
    until_schedulable().await;
}

pub(super) async fn taint(taints: Value) {
    let nodes: Api<Node> = Api::all(podwait_tests::cluster::kube_client(None).await);
    let patch = Patch::Merge(json!({ "spec": { "taints": taints } }));
    nodes.patch(NODE, &PatchParams::default(), &patch).await.expect("the node is tainted");
}

async fn tainted() {
    let answers = scenario("tainted", Waiters::default(), on_node(&trap(0)), async |cluster| {
        cluster.wait_until_running("step").await;
        taint(json!([{ "key": "podwait.test/out", "effect": "NoExecute" }])).await;
    });
    answers.await.watchers_fail(&[FailReason::Disrupted], Some(0));
    taint(json!(null)).await;
}

/// The eviction manager checks every ten seconds, and evicts one pod at a time. Sometimes the kubelet writes Failed and
/// the reason while the step's last known state is running; the end follows, and with exit 0 another phase.
async fn under_pressure(own: &Cluster) {
    for (name, script, reasons, code) in [
        ("evicted", String::from("sleep 3600"), &[FailReason::Evicted][..], Some(137)),
        // Mostly Succeeded without a reason: only the condition shows the cause.
        ("evicted-exits-0", trap(0), &[FailReason::Disrupted, FailReason::Evicted], Some(0)),
    ] {
        let answers = scenario(name, Waiters::default(), on_node(&script), async |cluster| {
            cluster.wait_until_running("step").await;
            own.order(&format!("pressure {NODE} memory")).await;
        });
        answers.await.all_fail_with(reasons, &[None, code], 220);
        recovered(own, &format!("{name}-over")).await;
    }
}

/// Ends the shortage, and waits until the node accepts pods again.
pub(super) async fn recovered(own: &Cluster, word: &str) {
    own.order(&format!("pressure {NODE} none")).await;
    until_admitted(word).await;
    until_schedulable().await;
}

/// Waits until the kubelet accepts pods again. It refuses pods until the next check of its eviction manager, every ten
/// seconds, whatever the node's conditions are.
async fn until_admitted(word: &str) {
    let scratch = Scratch::new(word).await;
    for number in 0..30 {
        let name = format!("probe-{number}");
        scratch.create_pod(&bound("exit 0", |pod| pod["metadata"]["name"] = json!(name))).await;
        loop {
            pause(300).await;
            let pod = scratch.pods().get(&name).await.expect("the pod is there");
            match pod.status.and_then(|status| status.phase).as_deref() {
                Some("Running" | "Succeeded") => return scratch.remove().await,
                Some("Failed") => break,
                _ => {}
            }
        }
        pause(700).await;
    }
    panic!("{NODE} accepts no pods");
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
        answers.await.all_fail_with(reasons, &[None, code], 220);
        own.order(&format!("shutdown-cancel {NODE}")).await;
        until_schedulable().await;
    }
}

/// The kubelet stops, then its node is deleted: the pods are orphans, and are collected.
async fn orphaned(own: &Cluster) {
    let answers =
        scenario("orphaned", Waiters::default(), on_node("sleep 3600"), async |cluster: &Scratch| {
            cluster.wait_until_running("step").await;
            own.order("kill kubelet-2").await;
            let nodes: Api<Node> = Api::all(cluster.kube());
            nodes.delete(NODE, &DeleteParams::default()).await.expect("the node is deleted");
        });
    answers.await.watchers_fail(&[FailReason::Disrupted], None);
    own.order("start kubelet-2").await;
    own.order("ready 120").await;
}

/// Waits until the node accepts pods again: ready, and without a taint.
pub(super) async fn until_schedulable() {
    until(|node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        taints.count() == 0 && conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    })
    .await;
}

async fn until(is_so: impl Fn(&Node) -> bool) {
    let nodes: Api<Node> = Api::all(podwait_tests::cluster::kube_client(None).await);
    for _ in 0..300 {
        if is_so(&nodes.get(NODE).await.expect("the node is there")) {
            return;
        }
        pause(200).await;
    }
    panic!("{NODE} does not reach that state");
}
