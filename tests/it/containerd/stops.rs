//! Steps whose pod is deleted.

use super::{DEAF, Ended, end, scenario, step, step_with, trap};
use podwait::FailReason;
use podwait_tests::cluster::Waiters;
use serde_json::{Value, json};

async fn deleted(name: &str, pod: Value) -> Ended {
    scenario(name, Waiters::default(), pod, async |cluster, _| {
        cluster.wait_until_running("step").await;
        cluster.delete("step", 3).await;
    })
    .await
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn deleted_while_it_runs() {
    tokio::join!(
        async {
            let ended = deleted("deleted-exits-0", step(&trap(0))).await;
            ended.after("0").watchers_fail(&[FailReason::PodDeleted], Some(0));
        },
        async {
            let ended = deleted("deleted-deaf", step(DEAF)).await;
            ended.after("deaf").watchers_fail(&[FailReason::PodDeleted], Some(137));
        },
        async {
            // The image has the stop signal SIGUSR1. That of the container (KEP-4960) needs a feature that is off in 1.36,
            // and a field of CRI that containerd 1.6 does not have.
            let script = format!("trap '' TERM; trap '{}' USR1; echo begun; sleep 3600 & wait", end(5));
            let pod = step_with(&script, |container| container["image"] = json!("stop-signal:1"));
            let ended = deleted("deleted-by-stop-signal", pod).await;
            ended.after("5").watchers_fail(&[FailReason::PodDeleted], Some(5));
        },
    );
}
