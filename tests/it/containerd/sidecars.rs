//! Native sidecars, which end after the step, in the reverse of their order.

use super::{STEP, end, scenario, shell, step, trap};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::Scratch;
use serde_json::{Value, json};

/// A native sidecar that does this on SIGTERM.
fn sidecar(name: &str, on_term: &str) -> Value {
    let mut container = shell(name, &format!("trap '{on_term}' TERM; sleep 3600 & wait"));
    container["restartPolicy"] = json!("Always");
    container
}

/// One that adds its name to the truth.
fn writing(name: &str) -> Value {
    sidecar(name, &format!("sleep 1; echo {name} >>/truth/end; exit 9"))
}

/// A pod of this step and these native sidecars.
fn beside(script: &str, sidecars: &[Value]) -> Value {
    let mut pod = step(script);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(8);
    pod["spec"]["initContainers"] = json!(sidecars);
    pod
}

/// The answer comes with the end of the step, and what the sidecars do after it decides nothing.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn native_sidecars_end_after_the_step() {
    let until_over = async |cluster: &Scratch, _: &str| cluster.wait_until_over("step").await;
    let ends = |code| format!("sleep 2; {}", end(code));
    tokio::join!(
        async {
            let pod = beside(&ends(6), &[writing("first"), writing("second")]);
            let ended = scenario("native-sidecar", STEP, pod, until_over).await;
            ended.after("6\nsecond\nfirst").all_done(DoneReason::NonzeroExit, 6);
        },
        async {
            // The hook runs before SIGTERM.
            let mut proxy = writing("proxy");
            let hook = json!({ "exec": { "command": ["sh", "-c", "echo hook >>/truth/end"] } });
            proxy["lifecycle"] = json!({ "preStop": hook });
            let ended =
                scenario("native-sidecar-with-hook", STEP, beside(&ends(0), &[proxy]), until_over).await;
            ended.after("0\nhook\nproxy").all_done(DoneReason::Completed, 0);
        },
        async {
            // It is killed when the grace period is over, with 137, which fails neither the pod nor the wait.
            let pod = beside(&ends(0), &[sidecar("deaf", "")]);
            let ended = scenario("native-sidecar-deaf", STEP, pod, until_over).await;
            ended.after("0").all_done(DoneReason::Completed, 0);
        },
        async {
            // It is started again while the step runs.
            let mut failing = shell("proxy", "sleep 1; exit 5");
            failing["restartPolicy"] = json!("Always");
            let script = format!("sleep 6; {}", end(7));
            let ended = scenario("native-sidecar-fails", STEP, beside(&script, &[failing]), until_over).await;
            ended.by_itself(7);
        },
        async {
            let pod = beside(&trap(4), &[writing("first"), writing("second")]);
            let ended = scenario("native-sidecar-deleted", STEP, pod, async |cluster, _| {
                cluster.wait_until_running("step").await;
                cluster.delete("step", 8).await;
            });
            // The answer comes when the pod is gone, after all of them.
            ended.await.after("4\nsecond\nfirst").watchers_fail(&[FailReason::PodDeleted], Some(4));
        },
    );
}
