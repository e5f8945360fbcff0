//! Steps that are ended for a pod with a higher priority.

use super::disruptions::with_short_grace;
use super::{Node, scenario, trap};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{Api, PostParams};
use podwait::FailReason;
use podwait_tests::cluster::{Scratch, Waiters, kube_client};
use serde_json::{Value, json};

/// A step that requests more than half of the node.
fn big(script: &str) -> Value {
    let mut pod = with_short_grace(script);
    pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "5" } });
    pod
}

pub(super) fn of_priority(class: &str) -> Value {
    let mut pod = big(&trap(0));
    pod["spec"]["priorityClassName"] = json!(class);
    pod
}

/// Creates the two priorities, unless they exist.
pub(super) async fn create_classes() {
    let classes: Api<PriorityClass> = Api::all(kube_client(None).await);
    for (name, value) in [("podwait-low", 1), ("podwait-high", 1000)] {
        let class = json!({ "metadata": { "name": name }, "value": value });
        let class = serde_json::from_value(class).expect("a PriorityClass");
        let created = classes.create(&PostParams::default(), &class).await;
        let is_there = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 409);
        assert!(created.as_ref().err().is_none_or(is_there), "{name} is not created: {created:?}");
    }
}

/// The scheduler deletes the pod.
pub(super) async fn by_the_scheduler(node: Node) {
    let answers = scenario(
        node,
        "preempted",
        Waiters::default(),
        of_priority("podwait-low"),
        async |cluster: &Scratch| {
            cluster.wait_until_running("step").await;
            let mut rival = of_priority("podwait-high");
            rival["metadata"]["name"] = json!("rival");
            node.create(cluster, rival).await;
        },
    );
    create_classes().await;
    answers.await.watchers_fail(&[FailReason::Disrupted], Some(0));
}

/// The kubelet ends the pod by itself, for a critical pod that is bound to the node already. Sometimes it writes Failed
/// and the reason while the step's last known state is running; the end follows.
pub(super) async fn by_the_kubelet(node: Node) {
    for (name, script, code) in [
        ("preempted-by-kubelet", String::from("sleep 3600"), 137),
        // Mostly Succeeded without a reason: only the condition shows the cause.
        ("preempted-by-kubelet-exits-0", trap(0), 0),
    ] {
        let answers = scenario(node, name, Waiters::default(), big(&script), async |cluster: &Scratch| {
            cluster.wait_until_running("step").await;
            cluster.create_pod(&critical(node)).await;
        });
        let answers = answers.await;
        answers.all_fail_with(&[FailReason::Disrupted], &[None, Some(code)], 220);
        let causes = ["\"reason\":\"Preempting\"", "\"reason\":\"TerminationByKubelet\""];
        assert!(causes.iter().any(|cause| answers.trace.contains(cause)), "{answers:#?}");
    }
}

/// A pod that requests the whole node, and that the node must not refuse.
pub(super) fn critical(node: Node) -> Value {
    json!({
        "metadata": { "name": "critical" },
        "spec": {
            "nodeName": node.name,
            "priorityClassName": "system-node-critical",
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "critical", "image": "busybox:1", "resources": { "requests": { "cpu": "8" } },
            }],
        },
    })
}
