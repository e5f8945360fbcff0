//! Steps that the kubelet ends.

use super::{end, scenario, step_with, trap, undisturbed};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::Waiters;
use serde_json::{Value, json};

/// A probe that fails as soon as it is asked.
fn failing() -> Value {
    json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 1 })
}

/// The status of a step that exits by itself after SIGTERM does not show that a probe had it killed: the kubelet reports this
/// in an event only.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_probe_that_kills_leaves_no_trace_in_the_status() {
    let killed = async |name: &str, probe: &str, script: String| {
        let pod = step_with(&script, |container| container[probe] = failing());
        undisturbed(name, pod).await
    };
    tokio::join!(
        async { killed("liveness-exits-0", "livenessProbe", trap(0)).await.by_itself(0) },
        async { killed("startup-exits-0", "startupProbe", trap(0)).await.by_itself(0) },
        async { killed("liveness-exits-9", "livenessProbe", trap(9)).await.by_itself(9) },
        async {
            let script = "trap '' TERM; echo deaf >/truth/end; sleep 3600";
            let ended = killed("liveness-kills", "livenessProbe", script.into()).await;
            ended.after("deaf").all_done(DoneReason::NonzeroExit, 137);
        },
    );
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn deleted_while_it_runs() {
    tokio::join!(
        async {
            let ended = scenario(
                "deleted-exits-0",
                Waiters::default(),
                step_with(&trap(0), |_| {}),
                async |cluster, _| {
                    cluster.wait_until_running("step").await;
                    cluster.delete("step", 3).await;
                },
            );
            ended.await.after("0").watchers_fail(&[FailReason::PodDeleted], Some(0));
        },
        async {
            // The hook takes all of the grace period; SIGTERM comes with the two seconds that the kubelet then adds.
            let pod = step_with(&trap(4), |container| {
                container["lifecycle"] = json!({ "preStop": { "exec": { "command": ["sleep", "3600"] } } });
            });
            let ended = scenario("hook-hangs", Waiters::default(), pod, async |cluster, _| {
                cluster.wait_until_running("step").await;
                cluster.delete("step", 3).await;
            });
            ended.await.after("4").watchers_fail(&[FailReason::PodDeleted], Some(4));
        },
    );
}

/// A native sidecar is stopped after the step has ended, and its own end decides nothing.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_native_sidecar_outlives_the_step() {
    let mut pod = step_with(&format!("sleep 1; {}", end(6)), |_| {});
    pod["spec"]["initContainers"] = json!([{
        "name": "proxy", "image": "busybox:1", "restartPolicy": "Always",
        "command": ["sh", "-c", "trap 'sleep 1; exit 9' TERM; sleep 3600 & wait"],
    }]);
    let step = Waiters { container: Some("step"), ..Waiters::default() };
    scenario("native-sidecar", step, pod, async |_, _| {}).await.by_itself(6);
}
