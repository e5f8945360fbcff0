//! Disruptions of a whole node, one after the other, on a separate node.

use super::{Node, Runtime, end, on_each, preemption, scenario, step_with, trap};
use k8s_openapi::api::core::v1;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Cluster, MAX_PODS, Scratch, Waiters, own_cluster, pause};
use serde_json::{Value, json};

/// Locked while the node of each runtime is disturbed, also between two scenarios.
pub(super) static NODE_IN_USE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A step that soon has to end.
pub(super) fn with_short_grace(script: &str) -> Value {
    step_with(script, |pod| pod["spec"]["terminationGracePeriodSeconds"] = json!(2))
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn steps_on_a_node_that_is_disrupted() {
    let own = own_cluster();
    let _node = NODE_IN_USE.lock().await;
    on_each(Runtime::disturbed, async |node| {
        rejected(node).await;
        full(own, node).await;
        restarted(own, node).await;
        runtime_restarted(own, node).await;
        preemption::by_the_scheduler(node).await;
        preemption::by_the_kubelet(node).await;
        tainted(node).await;
        under_pressure(own, node).await;
        shut_down(own, node).await;
        orphaned(own, node).await;
    })
    .await;
}

/// A step that is bound to this node without the scheduler.
fn bound(node: Node, script: &str, change: impl FnOnce(&mut Value)) -> Value {
    step_with(script, |pod| {
        pod["spec"]["nodeName"] = json!(node.name);
        change(pod);
    })
}

async fn rejected(node: Node) {
    let pod = |change: &dyn Fn(&mut Value)| bound(node, "exit 0", change);
    let too_big = pod(&|pod| {
        pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "100" } });
    });
    let elsewhere = pod(&|pod| {
        pod["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": node.runtime.steady().name })
    });
    for (name, pod) in [("out-of-cpu", too_big), ("node-affinity", elsewhere)] {
        let answers = super::undisturbed(node, name, Waiters::default(), pod).await;
        answers.all_fail(&[FailReason::RejectedByNode], None, 220);
    }
}

/// The node has its maximum number of pods.
async fn full(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("out-of-pods")).await;
    let last = bound(node, "sleep 3600", |pod| pod["metadata"]["name"] = json!("last"));
    scratch.create_pod(&last).await;
    scratch.wait_until_running("last").await;
    own.order(&format!("max-pods {} 1", node.name)).await;
    until(node, |node| allocatable_pods(node) == Some("1")).await;
    scratch.create_pod(&bound(node, "exit 0", |_| {})).await;
    let answers = Waiters::default().wait(&scratch, "step").await;
    own.order(&format!("max-pods {} {MAX_PODS}", node.name)).await;
    answers.all_fail(&[FailReason::RejectedByNode], None, 220);
    assert!(answers.trace.contains("OutOfpods"), "{answers:#?}");
    answers.keep_recording(&node.named("out-of-pods"));
    scratch.remove().await;
    until(node, |node| allocatable_pods(node) == Some(MAX_PODS)).await;
}

fn allocatable_pods(node: &v1::Node) -> Option<&str> {
    node.status.as_ref()?.allocatable.as_ref()?.get("pods").map(|pods| pods.0.as_str())
}

/// The runtime is restarted and has lost the step, which its kubelet requests from it.
async fn runtime_restarted(own: &Cluster, node: Node) {
    let restart = async |cluster: &Scratch| {
        cluster.wait_until_running("step").await;
        own.order(&format!("kill {}", node.component("runtime"))).await;
        own.order(&format!("start {}", node.component("runtime"))).await;
    };
    let pod = with_short_grace("sleep 3600");
    let answers = scenario(node, "runtime-restarted", Waiters::default(), pod, restart).await;
    // Our own has forgotten the step, and the kubelet makes up a code; containerd remembers it, and makes up another.
    let code = match node.runtime {
        Runtime::Processes => 137,
        Runtime::Containerd => 255,
    };
    answers.all_fail(&[FailReason::ContainerStatusUnknown], Some(code), 220);
    // The made-up end is not the last one here: the kubelet starts the step again, and publishes a status only then.
    let mut pod =
        with_short_grace("cd $PODWAIT_ROOT/data; test -e x && exit 0; touch x; echo begun; sleep 3600");
    pod["spec"]["restartPolicy"] = json!("OnFailure");
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    let answers = scenario(node, "runtime-restarted-on-failure", Waiters::default(), pod, restart).await;
    answers.all_done(DoneReason::Completed, 0);
    assert_eq!(answers.watched.as_ref().map(|exit| exit.restart_count), Ok(1), "{answers:#?}");
    until_schedulable(node).await;
}

/// The step continues while its kubelet is stopped, and ends. Not on a node with other scenarios: a restarted kubelet
/// no longer has the reason why it could not pull an image.
async fn restarted(own: &Cluster, node: Node) {
    let answers = scenario(
        node,
        "kubelet-restarted",
        Waiters::default(),
        with_short_grace(&trap(5)),
        async |cluster| {
            let uid = cluster.wait_until_running("step").await;
            own.order(&format!("kill {}", node.component("kubelet"))).await;
            pause(1000).await;
            end(own, &uid).await;
            own.order(&format!("start {}", node.component("kubelet"))).await;
        },
    );
    answers.await.all_done(DoneReason::NonzeroExit, 5);
    until_schedulable(node).await;
}

/// Puts a NoExecute taint on the node, or removes it.
pub(super) async fn taint(node: Node, is_on: bool) {
    let nodes: Api<v1::Node> = Api::all(podwait_tests::cluster::kube_client(None).await);
    let mut taints = node.taints();
    taints.extend(is_on.then(|| json!({ "key": "podwait.test/out", "effect": "NoExecute" })));
    let patch = Patch::Merge(json!({ "spec": { "taints": taints } }));
    nodes.patch(node.name, &PatchParams::default(), &patch).await.expect("the node is tainted");
}

async fn tainted(node: Node) {
    let answers =
        scenario(node, "tainted", Waiters::default(), with_short_grace(&trap(0)), async |cluster| {
            cluster.wait_until_running("step").await;
            taint(node, true).await;
        });
    answers.await.watchers_fail(&[FailReason::Disrupted], Some(0));
    taint(node, false).await;
}

/// The eviction manager checks every ten seconds, and evicts one pod at a time. Sometimes the kubelet writes Failed and
/// the reason while the step's last known state is running; the end follows, and with exit 0 another phase. It removes the
/// containers of an evicted pod, perhaps before it has published their ends: then it makes up 137.
async fn under_pressure(own: &Cluster, node: Node) {
    for (name, script, reasons, codes) in [
        ("evicted", String::from("sleep 3600"), &[FailReason::Evicted][..], &[None, Some(137)][..]),
        // Mostly Succeeded without a reason: only the condition shows the cause.
        (
            "evicted-exits-0",
            trap(0),
            &[FailReason::Disrupted, FailReason::Evicted],
            &[None, Some(0), Some(137)],
        ),
    ] {
        let answers = scenario(node, name, Waiters::default(), with_short_grace(&script), async |cluster| {
            cluster.wait_until_running("step").await;
            own.order(&format!("pressure {} memory", node.name)).await;
        });
        answers.await.all_fail_with(reasons, codes, 220);
        recovered(own, node, &format!("{name}-over")).await;
    }
}

/// Ends the shortage, and waits until the node accepts pods again.
pub(super) async fn recovered(own: &Cluster, node: Node, word: &str) {
    own.order(&format!("pressure {} none", node.name)).await;
    until_admitted(node, word).await;
    until_schedulable(node).await;
}

/// Waits until the kubelet accepts pods again. It refuses pods until the next check of its eviction manager, every ten
/// seconds, whatever the node's conditions are.
async fn until_admitted(node: Node, word: &str) {
    let scratch = Scratch::new(&node.named(word)).await;
    for number in 0..30 {
        let name = format!("probe-{number}");
        scratch.create_pod(&bound(node, "exit 0", |pod| pod["metadata"]["name"] = json!(name))).await;
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
    panic!("{} accepts no pods", node.name);
}

async fn shut_down(own: &Cluster, node: Node) {
    for (name, script, reasons, code) in [
        ("node-shutdown", String::from("sleep 3600"), &[FailReason::NodeShutdown][..], Some(137)),
        ("node-shutdown-exits-0", trap(0), &[FailReason::Disrupted, FailReason::NodeShutdown], Some(0)),
    ] {
        let answers = scenario(node, name, Waiters::default(), with_short_grace(&script), async |cluster| {
            cluster.wait_until_running("step").await;
            own.order(&format!("shutdown {}", node.name)).await;
        });
        answers.await.all_fail_with(reasons, &[None, code], 220);
        own.order(&format!("shutdown-cancel {}", node.name)).await;
        until_schedulable(node).await;
    }
}

/// The kubelet stops, then its node is deleted: the pods are orphans, and are collected.
async fn orphaned(own: &Cluster, node: Node) {
    let answers = scenario(
        node,
        "orphaned",
        Waiters::default(),
        with_short_grace("sleep 3600"),
        async |cluster: &Scratch| {
            cluster.wait_until_running("step").await;
            own.order(&format!("kill {}", node.component("kubelet"))).await;
            let nodes: Api<v1::Node> = Api::all(cluster.kube());
            nodes.delete(node.name, &DeleteParams::default()).await.expect("the node is deleted");
        },
    );
    answers.await.watchers_fail(&[FailReason::Disrupted], None);
    own.order(&format!("start {}", node.component("kubelet"))).await;
    own.order("ready 120").await;
}

/// Waits until the node accepts pods again: ready, and without a taint that the pods do not tolerate.
pub(super) async fn until_schedulable(node: Node) {
    let own_taints = node.taints().len();
    until(node, |node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        taints.count() == own_taints
            && conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    })
    .await;
}

async fn until(node: Node, is_so: impl Fn(&v1::Node) -> bool) {
    let nodes: Api<v1::Node> = Api::all(podwait_tests::cluster::kube_client(None).await);
    for _ in 0..300 {
        if is_so(&nodes.get(node.name).await.expect("the node is there")) {
            return;
        }
        pause(200).await;
    }
    panic!("{} does not reach that state", node.name);
}
