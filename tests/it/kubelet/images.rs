//! Steps that cannot start, or not yet.

use super::{Node, Runtime, on_each, scenario, step_with, undisturbed};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Waiters, own_cluster, pause};
use serde_json::{Value, json};
use std::time::Duration;

fn image(name: &str) -> Value {
    step_with("exit 3", |pod| pod["spec"]["containers"][0]["image"] = json!(name))
}

/// An image whose first three pulls fail on this node, in a way that may pass.
async fn refused_three_times(node: Node) -> Value {
    match node.runtime {
        Runtime::Processes => image("refuse3/step:1"),
        Runtime::Containerd => {
            own_cluster().order("registry fault registry.test/refused-three-times 500 3").await;
            image("registry.test/refused-three-times:1")
        }
    }
}

fn with_secret() -> Value {
    step_with("exit $CODE", |pod| {
        pod["spec"]["containers"][0]["env"] = json!([
            { "name": "CODE", "valueFrom": { "secretKeyRef": { "name": "code", "key": "code" } } },
        ]);
    })
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_need_of_the_step_is_missing_for_a_while_or_for_good() {
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                // The kubelet waits 10, 20 and 40 s between its attempts.
                let patient = Waiters {
                    options: &["--image-pull-grace", "4m"],
                    policy: Some(|policy| policy.image_pull_grace(Duration::from_secs(240))),
                    ..Waiters::default()
                };
                let pod = refused_three_times(node).await;
                let answers = undisturbed(node, "image-refused-three-times", patient, pod).await;
                answers.all_done(DoneReason::NonzeroExit, 3);
            },
            async {
                let answers = undisturbed(node, "secret-missing", Waiters::default(), with_secret()).await;
                answers.all_fail(&[FailReason::ContainerConfigError], None, 221);
            },
            async {
                let answers = scenario(
                    node,
                    "secret-created-late",
                    Waiters::default(),
                    with_secret(),
                    async |cluster| {
                        pause(5000).await;
                        let secrets: Api<Secret> = Api::namespaced(cluster.kube(), cluster.namespace());
                        let secret = json!({ "metadata": { "name": "code" }, "stringData": { "code": "8" } });
                        let secret = serde_json::from_value(secret).expect("a Secret");
                        secrets.create(&PostParams::default(), &secret).await.expect("the Secret is created");
                    },
                );
                answers.await.all_done(DoneReason::NonzeroExit, 8);
            },
        );
    })
    .await;
}

/// `tests/it/containerd` has more refusals of a registry, and its own text of these.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn an_image_is_refused_by_our_own_runtime() {
    let node = Runtime::Processes.steady();
    tokio::join!(
        async {
            let answers =
                undisturbed(node, "image-refused", Waiters::default(), image("refuse/step:1")).await;
            answers.all_fail(&[FailReason::ImagePull], None, 221);
        },
        async {
            let pod = image("Not A/Name");
            let answers = undisturbed(node, "image-name-invalid", Waiters::default(), pod).await;
            answers.all_fail(&[FailReason::InvalidImageName], None, 221);
        },
        async {
            let answers =
                undisturbed(node, "image-refused-once", Waiters::default(), image("refuse1/step:1")).await;
            answers.all_done(DoneReason::NonzeroExit, 3);
        },
    );
}
