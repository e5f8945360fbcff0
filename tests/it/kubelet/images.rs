//! Steps that cannot start, or not yet.

use super::{scenario, step_with, undisturbed};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Waiters, pause};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_need_of_the_step_is_missing_for_a_while_or_for_good() {
    let image = |image: &'static str| {
        step_with("exit 3", move |pod| pod["spec"]["containers"][0]["image"] = json!(image))
    };
    let secret = || {
        step_with("exit $CODE", |pod| {
            pod["spec"]["containers"][0]["env"] = json!([
                { "name": "CODE", "valueFrom": { "secretKeyRef": { "name": "code", "key": "code" } } },
            ]);
        })
    };
    tokio::join!(
        async {
            let answers = undisturbed("image-refused", Waiters::default(), image("refuse/step:1")).await;
            answers.all_fail(&[FailReason::ImagePull], None, 221);
        },
        async {
            let pod = image("Not A/Name");
            let answers = undisturbed("image-name-invalid", Waiters::default(), pod).await;
            answers.all_fail(&[FailReason::InvalidImageName], None, 221);
        },
        async {
            // The kubelet waits 10, 20 and 40 s between its attempts.
            let patient = Waiters {
                options: &["--image-pull-grace", "4m"],
                policy: Some(|policy| policy.image_pull_grace(Duration::from_secs(240))),
                ..Waiters::default()
            };
            let pod = image("refuse3/step:1");
            let answers = undisturbed("image-refused-three-times", patient, pod).await;
            answers.all_done(DoneReason::NonzeroExit, 3);
        },
        async {
            let answers =
                undisturbed("image-refused-once", Waiters::default(), image("refuse1/step:1")).await;
            answers.all_done(DoneReason::NonzeroExit, 3);
        },
        async {
            let answers = undisturbed("secret-missing", Waiters::default(), secret()).await;
            answers.all_fail(&[FailReason::ContainerConfigError], None, 221);
        },
        async {
            let answers = scenario("secret-created-late", Waiters::default(), secret(), async |cluster| {
                pause(5000).await;
                let secrets: Api<Secret> = Api::namespaced(cluster.kube(), cluster.namespace());
                let secret = json!({ "metadata": { "name": "code" }, "stringData": { "code": "8" } });
                let secret = serde_json::from_value(secret).expect("a Secret");
                secrets.create(&PostParams::default(), &secret).await.expect("the Secret is created");
            });
            answers.await.all_done(DoneReason::NonzeroExit, 8);
        },
    );
}
