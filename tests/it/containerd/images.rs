//! Images that cannot be pulled, for a while or for good.

use super::{end, order, scenario, step_with, undisturbed};
use podwait::FailReason;
use podwait_tests::cluster::Waiters;
use serde_json::{Value, json};

fn image(name: &str) -> Value {
    step_with(&end(3), |container| container["image"] = json!(name))
}

/// An image that this registry's fault is about.
async fn faulty(fault: &str) -> Value {
    // The fault is there before the pod is.
    order(&format!("registry fault {} {fault}", image_of(fault))).await;
    image(&image_of(fault))
}

fn image_of(fault: &str) -> String {
    format!("registry.test/{}", fault.replace(' ', "-times-"))
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn what_a_registry_refuses_for_good() {
    let refused = async |fault: &str| {
        let ended = undisturbed(&format!("image-{fault}"), faulty(fault).await).await;
        ended.without_a_word().all_fail(&[FailReason::ImagePull], None, 221);
        assert!(ended.sentence().contains("registry.test"), "{:#?}", ended.answers);
    };
    tokio::join!(
        refused("401"),
        refused("403"),
        refused("404"),
        async {
            let ended = undisturbed("image-wrong-platform", image("wrong-platform:1")).await;
            ended.without_a_word().all_fail(&[FailReason::ImagePull], None, 221);
            assert!(ended.sentence().contains("no match for platform"), "{:#?}", ended.answers);
        },
        async {
            let ended = undisturbed("image-name-invalid", image("Not A/Name")).await;
            ended.without_a_word().all_fail(&[FailReason::InvalidImageName], None, 221);
        },
    );
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn what_passes_at_the_second_attempt() {
    let passes = async |fault: &str| {
        let pod = faulty(&format!("{fault} 1")).await;
        undisturbed(&format!("image-{fault}-once"), pod).await.by_itself(3);
    };
    tokio::join!(
        passes("404"),
        passes("429"),
        passes("500"),
        passes("503"),
        passes("cut"),
        passes("digest"),
        // Ten seconds for one layer.
        passes("slow"),
        async {
            // An error that may pass is waited for; a person mends the registry meanwhile.
            let pod = faulty("500").await;
            let ended = scenario("image-500-healed", Waiters::default(), pod, async |cluster, _| {
                cluster.wait_until_waiting("step", "ImagePullBackOff").await;
                order(&format!("registry heal {}", image_of("500"))).await;
            });
            ended.await.by_itself(3);
        },
    );
}
