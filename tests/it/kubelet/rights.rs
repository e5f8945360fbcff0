//! The Roles of `docs/rbac.yaml` suffice for their uses: the tests use a user without other rights.
//!
//! The API server alone decides about rights, so one runtime is enough.

use super::{Node, Runtime, step, trap};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, PostParams};
use podwait_tests::cli::{Run, run};
use podwait_tests::cluster::{Scratch, kube_client, kubeconfig, pause};
use serde_json::{Value, json};

/// Where the pods run.
const NODE: Node = Runtime::Processes.steady();

const ROLES: &str = include_str!("../../../docs/rbac.yaml");

/// A namespace in which the user `nobody` has the role of this name, and no other.
async fn namespace_with(role: &str) -> Scratch {
    let scratch = Scratch::new(role).await;
    let texts = ROLES.split("\n---\n").map(|text| serde_saphyr::from_str::<Role>(text).expect("a Role"));
    let mut roles = texts.filter(|found| found.metadata.name.as_deref() == Some(role));
    let found = roles.next().unwrap_or_else(|| panic!("docs/rbac.yaml has no {role}"));
    let binding = json!({
        "metadata": { "name": role },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
        "subjects": [{ "kind": "User", "name": "nobody", "apiGroup": "rbac.authorization.k8s.io" }],
    });
    let binding: RoleBinding = serde_json::from_value(binding).expect("a RoleBinding");
    let api = Api::<Role>::namespaced(scratch.kube(), scratch.namespace());
    api.create(&PostParams::default(), &found).await.expect("the Role is created");
    let api = Api::<RoleBinding>::namespaced(scratch.kube(), scratch.namespace());
    api.create(&PostParams::default(), &binding).await.expect("the RoleBinding is created");
    for rule in found.rules.expect("rules") {
        let (group, resource) =
            (&rule.api_groups.expect("a group")[0], &rule.resources.expect("a resource")[0]);
        for verb in &rule.verbs {
            wait_until_allowed(&scratch, group, resource, verb).await;
        }
    }
    scratch
}

/// The authorizer receives a binding a moment later.
async fn wait_until_allowed(scratch: &Scratch, group: &str, resource: &str, verb: &str) {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({ "spec": { "resourceAttributes": {
        "namespace": scratch.namespace(), "group": group, "resource": resource, "subresource": subresource, "verb": verb,
    } } });
    let review: SelfSubjectAccessReview = serde_json::from_value(review).expect("a review");
    let nobody = Api::all(kube_client(Some("nobody")).await);
    for _ in 0..300 {
        let review = nobody.create(&PostParams::default(), &review).await.expect("the review is answered");
        if review.status.is_some_and(|status| status.allowed) {
            return;
        }
        pause(100).await;
    }
    panic!("the user may not {verb} {resource} in half a minute");
}

/// The command, as the user `nobody`.
async fn podwait(scratch: &Scratch, arguments: &[&str]) -> Run {
    let config = kubeconfig().to_str().expect("a path");
    let [command, rest @ ..] = arguments else { panic!("no command") };
    let mut all = vec![*command, "--kubeconfig", config, "--context", "nobody", "-n", scratch.namespace()];
    all.extend(rest);
    run(&all).await
}

fn named(name: &str, script: &str) -> Value {
    let mut pod = step(script);
    pod["metadata"]["name"] = json!(name);
    pod
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_wait() {
    let scratch = namespace_with("podwait-wait").await;
    NODE.create(&scratch, step("sleep 1; exit 3")).await;
    let run = podwait(&scratch, &["wait", "step"]).await;
    assert_eq!((run.status, run.stdout.trim()), (Some(3), "nonzero_exit 3"), "{run:?}");
    // And there are no other rights.
    let run = podwait(&scratch, &["logs", "step"]).await;
    assert_eq!(run.status, Some(233), "{run:?}");
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_wait_for_many() {
    let scratch = namespace_with("podwait-wait-for-many").await;
    for name in ["a", "b"] {
        let mut pod = named(name, "sleep 1; exit 4");
        pod["metadata"]["labels"] = json!({ "app": "step" });
        NODE.create(&scratch, pod).await;
    }
    for targets in [&["wait", "a", "b"][..], &["wait", "-l", "app=step"]] {
        let run = podwait(&scratch, targets).await;
        let mut lines: Vec<&str> = run.stdout.lines().collect();
        lines.sort_unstable();
        let namespace = scratch.namespace();
        let expected = ["a", "b"].map(|name| format!("{namespace}/{name} nonzero_exit 4"));
        assert_eq!((run.status, lines), (Some(4), expected.iter().map(|line| &**line).collect()));
        assert!(!run.stderr.contains("not watched together"), "{run:?}");
    }
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_read_logs() {
    let scratch = namespace_with("podwait-logs").await;
    NODE.create(&scratch, step("echo one; sleep 1; echo two")).await;
    for arguments in [&["logs", "-f", "step"][..], &["wait", "--logs", "step"]] {
        let run = podwait(&scratch, arguments).await;
        assert_eq!((run.status, &*run.stdout), (Some(0), "one\ntwo\n"), "{run:?}");
    }
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_hold() {
    let scratch = namespace_with("podwait-hold").await;
    NODE.create(&scratch, step(&trap(5))).await;
    scratch.wait_until_running("step").await;
    let delete = async {
        // The hold is added at the first read of the pod.
        let is_held = async || {
            let pod = scratch.pods().get("step").await.expect("the pod");
            pod.metadata.finalizers.is_some_and(|all| all.iter().any(|one| one == podwait::FINALIZER))
        };
        while !is_held().await {
            pause(100).await;
        }
        scratch.delete("step", 0).await;
    };
    let (run, ()) = tokio::join!(podwait(&scratch, &["wait", "--hold", "step"]), delete);
    assert_eq!((run.status, run.stdout.trim()), (Some(220), "pod_deleted"), "{run:?}");
    assert!(run.stderr.contains("exited 5") && !run.stderr.contains("held"), "{run:?}");
    assert_eq!(scratch.pods().get_opt("step").await.expect("an answer"), None, "it is let go");
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_release() {
    let scratch = namespace_with("podwait-release").await;
    let mut pod = step("exit 6");
    pod["metadata"]["finalizers"] = json!([podwait::FINALIZER]);
    NODE.create(&scratch, pod).await;
    scratch.wait_until_ended("step").await;
    scratch.delete("step", 0).await;
    let run = podwait(&scratch, &["release", "--older-than", "0s"]).await;
    assert!(run.status == Some(0) && run.stdout.contains("step"), "{run:?}");
    assert_eq!(scratch.pods().get_opt("step").await.expect("an answer"), None, "it is let go");
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_run() {
    let scratch = namespace_with("podwait-run").await;
    for (script, status, left) in [("echo hello; exit 0", 0, 0), ("echo hello; exit 7", 7, 1)] {
        let arguments = ["run", "--image", "busybox:1", "--", "sh", "-c", script];
        let run = podwait(&scratch, &arguments).await;
        assert_eq!((run.status, &*run.stdout), (Some(status), "hello\n"), "{run:?}");
        assert!(!run.stderr.contains("not held"), "{run:?}");
        let pods = scratch.pods().list(&Default::default()).await.expect("a list");
        // The kubelet may still be about to remove one.
        let stays = pods.items.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        assert_eq!(stays.count(), left, "only the failed pod is kept");
        assert!(pods.iter().all(|pod| pod.metadata.finalizers.is_none()), "and it is not held");
    }
    scratch.remove().await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn to_wait_for_jobs() {
    let scratch = namespace_with("podwait-wait-for-jobs").await;
    let mut template = NODE.place(step("sleep 1; exit 8"));
    template.as_object_mut().expect("a pod").remove("metadata");
    let job = json!({ "metadata": { "name": "job" }, "spec": { "backoffLimit": 0, "template": template } });
    let job: Job = serde_json::from_value(job).expect("a Job");
    let api = Api::namespaced(scratch.kube(), scratch.namespace());
    api.create(&PostParams::default(), &job).await.expect("the Job is created");
    let run = podwait(&scratch, &["wait", "job/job"]).await;
    assert_eq!(run.status, Some(8), "{run:?}");
    scratch.remove().await;
}
