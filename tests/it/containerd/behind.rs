//! What happens to a step behind the back of the kubelet, of CRI, or of containerd.

use super::{DEAF, Ended, end, order, scenario, step, step_with};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Waiters, pause};
use serde_json::{Value, json};

/// A step beside which another program runs in the container all the time, as by `kubectl exec`.
fn with_exec(script: &str) -> Value {
    step_with(script, |container| {
        let probe = json!({ "exec": { "command": ["sleep", "3600"] }, "timeoutSeconds": 3600 });
        container["readinessProbe"] = probe;
    })
}

/// Gives this order about the pod, whose uid replaces `UID`, when it runs.
async fn ordered(name: &str, pod: Value, does: &str) -> Ended {
    scenario(name, Waiters::default(), pod, async |cluster, uid| {
        cluster.wait_until_running("step").await;
        // For the program in the container.
        pause(1500).await;
        order(&does.replace("UID", uid)).await;
    })
    .await
}

/// The container's record is left in each case. It has the code of the kill, since the shim saw the end.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn the_task_is_taken_away_and_the_record_stays() {
    let killed = async |name: &str, pod: Value, does: &str| {
        ordered(name, pod, does).await.after("deaf").all_done(DoneReason::NonzeroExit, 137);
    };
    tokio::join!(
        killed("runc-killed", step(DEAF), "runtime runc kill UID step"),
        killed("runc-deleted", step(DEAF), "runtime runc delete UID step"),
        killed("runc-deleted-with-exec", with_exec(DEAF), "runtime runc delete UID step"),
        killed("task-killed", step(DEAF), "runtime task kill UID step"),
        killed("task-deleted", step(DEAF), "runtime task delete UID step"),
        killed("task-deleted-with-exec", with_exec(DEAF), "runtime task delete UID step"),
    );
}

/// The shim is killed at several moments of a step's life, while containerd sees it.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_shim_that_is_killed_at_another_moment() {
    tokio::join!(
        async {
            let ended = ordered("shim-killed-with-exec", with_exec(DEAF), "runtime shim UID SIGKILL").await;
            ended.after("deaf").all_done(DoneReason::NonzeroExit, 255);
        },
        async {
            // While the kubelet waits for the end that it asked for.
            let script = "trap 'echo asked >/truth/end; sleep 3600' TERM; echo begun; sleep 3600 & wait";
            let mut pod = step(script);
            pod["spec"]["terminationGracePeriodSeconds"] = json!(30);
            let ended =
                scenario("shim-killed-while-it-stops", Waiters::default(), pod, async |cluster, uid| {
                    cluster.wait_until_running("step").await;
                    cluster.delete("step", 30).await;
                    pause(2000).await;
                    order(&format!("runtime shim {uid} SIGKILL")).await;
                });
            ended.await.after("asked").watchers_fail(&[FailReason::PodDeleted], Some(255));
        },
        async {
            // Before there is a container: the kubelet makes a new sandbox.
            order("registry fault shim-killed-early slow 1").await;
            let pod = step_with(&end(4), |container| container["image"] = json!("shim-killed-early:1"));
            let ended = scenario("shim-killed-early", Waiters::default(), pod, async |_, uid| {
                pause(4000).await;
                order(&format!("runtime shim {uid} SIGKILL")).await;
            });
            ended.await.by_itself(4);
        },
    );
}
