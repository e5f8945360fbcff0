//! Probes that fail: those that have the step stopped, and those that only report.

use super::{DEAF, end, step_with, trap, undisturbed};
use podwait::DoneReason;
use serde_json::{Value, json};

/// A probe that fails as soon as it is asked.
fn failing() -> Value {
    json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 1 })
}

/// A step of this script, with such a probe.
fn probed(probe: &str, script: &str) -> Value {
    step_with(script, |container| container[probe] = failing())
}

/// The status of a step that exits by itself after SIGTERM does not show that a probe had it killed: the kubelet reports this
/// in an event only.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_probe_that_kills_leaves_no_trace_in_the_status() {
    tokio::join!(
        async { undisturbed("liveness-exits-0", probed("livenessProbe", &trap(0))).await.by_itself(0) },
        async { undisturbed("startup-exits-0", probed("startupProbe", &trap(0))).await.by_itself(0) },
        async { undisturbed("liveness-exits-9", probed("livenessProbe", &trap(9))).await.by_itself(9) },
        async {
            let ended = undisturbed("liveness-kills", probed("livenessProbe", DEAF)).await;
            ended.after("deaf").all_done(DoneReason::NonzeroExit, 137);
        },
        async {
            // A pod without another container that goes on is ended as a whole, within the pod's grace period: the
            // kubelet does not use that of the probe (`computePodActions`, `KillPod`).
            let mut pod = probed("livenessProbe", DEAF);
            pod["spec"]["containers"][0]["livenessProbe"]["terminationGracePeriodSeconds"] = json!(3600);
            let ended = undisturbed("liveness-grace", pod).await;
            ended.after("deaf").all_done(DoneReason::NonzeroExit, 137);
        },
        async {
            // The hook takes all of the grace period; SIGTERM comes with the two seconds that the kubelet then adds.
            let mut pod = probed("livenessProbe", &trap(5));
            pod["spec"]["containers"][0]["lifecycle"] =
                json!({ "preStop": { "exec": { "command": ["sleep", "3600"] } } });
            undisturbed("liveness-hook-hangs", pod).await.by_itself(5);
        },
    );
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_readiness_probe_that_fails_changes_nothing() {
    let unready = |code| probed("readinessProbe", &format!("sleep 4; {}", end(code)));
    tokio::join!(async { undisturbed("unready-exits-0", unready(0)).await.by_itself(0) }, async {
        undisturbed("unready-exits-3", unready(3)).await.by_itself(3)
    },);
}
