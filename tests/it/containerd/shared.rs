//! Pods with `shareProcessNamespace`, in which the step is not process 1 but a child of the sandbox's.

use super::{Ended, GREEDY, ON_SIGNAL, end, little_memory, order, scenario, step_with, undisturbed};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::Waiters;
use serde_json::{Value, json};

/// A step of this script in such a pod.
fn sharing(script: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = step_with(script, change);
    pod["spec"]["shareProcessNamespace"] = json!(true);
    pod
}

/// Sends this signal to the step when it runs.
async fn signalled(name: &str, pod: Value, signal: &str) -> Ended {
    scenario(name, Waiters::default(), pod, async |cluster, uid| {
        cluster.wait_until_running("step").await;
        order(&format!("runtime signal {uid} step {signal}")).await;
    })
    .await
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_step_that_is_not_process_1() {
    tokio::join!(
        async { undisturbed("shared-exit-3", sharing(&end(3), |_| {})).await.by_itself(3) },
        async {
            // Process 1 would have to handle SIGTERM to end by it.
            let pod = sharing("echo begun; echo waits >/truth/end; exec sleep 3600", |_| {});
            let ended = signalled("shared-terminated", pod, "SIGTERM").await;
            ended.after("waits").all_done(DoneReason::NonzeroExit, 143);
        },
        async {
            // Process 1 cannot kill itself.
            let pod = sharing("echo kill >/truth/end; kill -9 $$$$; exit 4", |_| {});
            let ended = undisturbed("shared-kills-itself", pod).await;
            ended.after("kill").all_done(DoneReason::NonzeroExit, 137);
        },
        async {
            let script = format!("{ON_SIGNAL}; echo greedy >/truth/end; {GREEDY}");
            let ended = signalled("shared-oom", sharing(&script, little_memory), "SIGUSR1").await;
            ended.after("greedy");
            ended.done_as(&[DoneReason::OomKilled, DoneReason::NonzeroExit], 137);
        },
        async {
            let script = format!("{ON_SIGNAL}; sh -c '{GREEDY}'; sleep 3; {}", end(0));
            let ended = signalled("shared-oom-of-a-child", sharing(&script, little_memory), "SIGUSR1").await;
            ended.after("0").all_fail(&[FailReason::OomKilled], Some(0), 221);
        },
        async {
            // The namespace goes on, and so the shim kills what is left.
            let script = format!("(sleep 3; echo survived >>/truth/end) & {}", end(5));
            let pod = sharing(&script, |_| {});
            let ended = scenario("shared-leaves-processes-behind", Waiters::default(), pod, async |_, _| {
                podwait_tests::cluster::pause(6000).await;
            });
            ended.await.by_itself(5);
        },
    );
}
