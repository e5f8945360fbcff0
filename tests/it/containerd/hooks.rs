//! Hooks that fail, and hooks that hang.

use super::{DEAF, Ended, end, scenario, step_with, trap, undisturbed};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::Waiters;
use serde_json::{Value, json};

/// A step of this script, with a hook that runs this in a shell.
fn hooked(script: &str, hook: &str, does: &str) -> Value {
    step_with(script, |container| {
        container["lifecycle"] = json!({ hook: { "exec": { "command": ["sh", "-c", does] } } });
    })
}

/// A preStop hook runs before SIGTERM, whatever comes of the hook.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_pre_stop_hook_decides_nothing() {
    let deleted = async |name: &str, pod: Value| -> Ended {
        let delete = async |cluster: &podwait_tests::cluster::Scratch, _: &str| {
            cluster.wait_until_running("step").await;
            cluster.delete("step", 3).await;
        };
        scenario(name, Waiters::default(), pod, delete).await
    };
    tokio::join!(
        async {
            // It takes all of the grace period; SIGTERM comes with the two seconds that the kubelet then adds.
            let ended = deleted("hook-hangs", hooked(&trap(4), "preStop", "sleep 3600")).await;
            ended.after("4").watchers_fail(&[FailReason::PodDeleted], Some(4));
        },
        async {
            let ended = deleted("hook-fails", hooked(&trap(5), "preStop", "false")).await;
            ended.after("5").watchers_fail(&[FailReason::PodDeleted], Some(5));
        },
        async {
            // The hook ends the step itself, which needs no SIGTERM then.
            let script = format!("trap '{}' USR1; echo begun; sleep 3600 & wait", end(6));
            let ended = deleted("hook-ends-it", hooked(&script, "preStop", "kill -USR1 1; sleep 1")).await;
            ended.after("6").watchers_fail(&[FailReason::PodDeleted], Some(6));
        },
    );
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_post_start_hook_that_fails_has_the_step_stopped() {
    tokio::join!(
        async {
            let pod = hooked(&trap(7), "postStart", "sleep 1; exit 1");
            undisturbed("post-start-fails", pod).await.by_itself(7);
        },
        async {
            let pod = hooked(&trap(0), "postStart", "sleep 1; exit 1");
            undisturbed("post-start-fails-exits-0", pod).await.by_itself(0);
        },
        async {
            let ended =
                undisturbed("post-start-fails-deaf", hooked(DEAF, "postStart", "sleep 1; exit 1")).await;
            ended.after("deaf").all_done(DoneReason::NonzeroExit, 137);
        },
        async {
            let pod = hooked(&trap(8), "postStart", "no-such-program");
            undisturbed("post-start-missing", pod).await.by_itself(8);
        },
        async {
            // The hook ends with process 1 of its namespace, which is the step.
            let pod = hooked(&format!("sleep 2; {}", end(9)), "postStart", "sleep 3600");
            undisturbed("post-start-hangs", pod).await.by_itself(9);
        },
    );
}
