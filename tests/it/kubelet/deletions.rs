//! Steps whose pod is deleted.

use super::{Runtime, late, on_each, scenario, step, step_with, trap, undisturbed};
use kube::api::{Api, DeleteParams, EvictParams, Patch, PatchParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Scratch, Waiters, pause};
use serde_json::{Value, json};

/// A step whose pod a finalizer of the test keeps.
fn held(script: &str) -> Value {
    step_with(script, |pod| pod["metadata"]["finalizers"] = json!(["podwait.test/hold"]))
}

async fn release(cluster: &Scratch) {
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    cluster.pods().patch("step", &PatchParams::default(), &patch).await.expect("the finalizer is removed");
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_step_that_was_stopped_is_no_success() {
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                let answers =
                    scenario(node, "deleted-exits-0", Waiters::default(), step(&trap(0)), async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster.delete("step", 5).await;
                    });
                answers.await.watchers_fail(&[FailReason::PodDeleted], Some(0));
            },
            async {
                // Process 1 of a container ignores SIGTERM unless it handles it.
                let answers =
                    scenario(node, "deleted-deaf", Waiters::default(), step("sleep 3600"), async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster.delete("step", 2).await;
                    });
                answers.await.watchers_fail(&[FailReason::PodDeleted], Some(137));
            },
            async {
                let answers =
                    scenario(node, "force-deleted", Waiters::default(), step(&trap(0)), async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster.delete("step", 0).await;
                    });
                answers.await.watchers_fail(&[FailReason::PodDeleted], None);
            },
            async {
                let answers = scenario(
                    node,
                    "force-deleted-held",
                    Waiters::default(),
                    held(&trap(0)),
                    async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster.delete("step", 0).await;
                        cluster.wait_until_answered().await;
                        release(cluster).await;
                    },
                );
                answers.await.all_fail(&[FailReason::PodDeleted], Some(0), 220);
            },
            async {
                let answers =
                    scenario(node, "deleted-held", Waiters::default(), held(&trap(0)), async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster.delete("step", 5).await;
                        cluster.wait_until_answered().await;
                        release(cluster).await;
                    });
                answers.await.all_fail(&[FailReason::PodDeleted], Some(0), 220);
            },
            async {
                let answers =
                    scenario(node, "evicted-by-api", Waiters::default(), step(&trap(0)), async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster
                            .pods()
                            .evict("step", &EvictParams::default())
                            .await
                            .expect("the pod is evicted");
                    });
                answers.await.watchers_fail(&[FailReason::Disrupted], Some(0));
            },
            async {
                let answers = scenario(
                    node,
                    "namespace-deleted",
                    Waiters::default(),
                    step(&trap(0)),
                    async |cluster| {
                        cluster.wait_until_running("step").await;
                        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.kube());
                        let deleted = namespaces.delete(cluster.namespace(), &DeleteParams::default()).await;
                        deleted.expect("the namespace is deleted");
                    },
                );
                answers.await.watchers_fail(&[FailReason::PodDeleted], Some(0));
            },
            async {
                let answers =
                    scenario(node, "recreated", Waiters::default(), step(&trap(0)), async |cluster| {
                        cluster.wait_until_running("step").await;
                        cluster.delete("step", 0).await;
                        node.create(cluster, step("exit 0")).await;
                    });
                answers.await.watchers_fail(&[FailReason::PodDeleted, FailReason::PodReplaced], None);
            },
            async {
                let pod = step_with(&trap(0), |pod| pod["spec"]["activeDeadlineSeconds"] = json!(6));
                let answers = undisturbed(node, "active-deadline", Waiters::default(), pod).await;
                answers.all_fail(&[FailReason::DeadlineExceeded], Some(0), 221);
            },
        );
    })
    .await;
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_step_that_had_ended_keeps_its_exit() {
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                let answers = scenario(
                    node,
                    "deleted-after-end",
                    Waiters::default(),
                    step("sleep 1; exit 7"),
                    async |cluster| {
                        cluster.wait_until_ended("step").await;
                        cluster.delete("step", 0).await;
                    },
                );
                answers.await.watchers_done(DoneReason::NonzeroExit, 7);
            },
            async {
                // A wait that begins during the deletion has only the object as evidence.
                let scratch = late(node, "late-deleted-held", held("sleep 1; exit 0"), async |cluster| {
                    cluster.wait_until_ended("step").await;
                    // The times of the object have whole seconds.
                    pause(2000).await;
                    cluster.delete("step", 5).await;
                })
                .await;
                let answers = Waiters::default().wait(&scratch, "step").await;
                answers.all_done(DoneReason::Completed, 0);
                answers.keep_recording(&node.named("late-deleted-held"));
                release(&scratch).await;
                scratch.remove().await;
            },
            async {
                let scratch = late(node, "late-killed-held", held(&trap(0)), async |cluster| {
                    cluster.wait_until_running("step").await;
                    cluster.delete("step", 5).await;
                    cluster.wait_until_ended("step").await;
                })
                .await;
                let answers = Waiters::default().wait(&scratch, "step").await;
                answers.all_fail(&[FailReason::PodDeleted], Some(0), 220);
                answers.keep_recording(&node.named("late-killed-held"));
                release(&scratch).await;
                scratch.remove().await;
            },
        );
    })
    .await;
}
