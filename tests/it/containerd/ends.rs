//! Steps that end by themselves, or by what the kernel does to them.

use super::{end, order, scenario, step, step_with, trap, undisturbed};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Scratch, Waiters, pause};
use serde_json::{Value, json};

/// A script whose process takes memory until it is killed.
const GREEDY: &str = "a=x; while :; do a=$a$a; done";

/// A script that goes on when it is sent SIGUSR1.
const ON_SIGNAL: &str = "trap go=1 USR1; echo begun; while [ -z $go ]; do sleep 0.1; done";

/// A container that may have so little memory that it is soon killed for it.
fn little_memory(container: &mut Value) {
    container["resources"] = json!({ "limits": { "memory": "12Mi" } });
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn every_code_is_the_step_s_own() {
    tokio::join!(
        // What tells it from a shim that was killed? Other codes are played by `tests/it/kubelet`, on both runtimes.
        async { undisturbed("exit-255", step(&end(255))).await.by_itself(255) },
        async {
            // Without an end the recursion comes to the end of the stack: a real fault, also for process 1.
            let ended =
                undisturbed("segmentation-fault", step("echo fault >/truth/end; f() { f; }; f")).await;
            ended.after("fault").all_done(DoneReason::NonzeroExit, 139);
        },
        async {
            let ended = scenario("terminated", Waiters::default(), step(&trap(4)), async |cluster, uid| {
                cluster.wait_until_running("step").await;
                order(&format!("runtime signal {uid} step SIGTERM")).await;
            });
            ended.await.by_itself(4);
        },
        async {
            // What it leaves behind ends with it, since it is process 1.
            let pod = step(&format!("sleep 3600 & {}", end(5)));
            undisturbed("leaves-processes-behind", pod).await.by_itself(5);
        },
        async {
            let pod = step(&format!("exec >&- 2>&-; sleep 2; {}", end(6)));
            undisturbed("closes-its-output", pod).await.by_itself(6);
        },
        async {
            let pod = step(&format!("{ON_SIGNAL}; {}", end(8)));
            let ended = scenario("frozen", Waiters::default(), pod, async |cluster, uid| {
                cluster.wait_until_running("step").await;
                order(&format!("runtime freeze {uid} step")).await;
                // The process handles the signal when it runs again.
                order(&format!("runtime signal {uid} step SIGUSR1")).await;
                pause(4000).await;
                order(&format!("runtime thaw {uid} step")).await;
            });
            ended.await.by_itself(8);
        },
    );
}

/// The shim receives the kernel's notification beside the end of the container, and only after the container is known to
/// run. So what takes its memory at once may be `Error` or `Completed`, and later it is `OOMKilled`.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_memory_limit_that_the_kernel_enforces() {
    let later = async |name: &str, script: &str| {
        let pod = step_with(&format!("{ON_SIGNAL}; {script}"), little_memory);
        let life = async |cluster: &Scratch, uid: &str| {
            cluster.wait_until_running("step").await;
            order(&format!("runtime signal {uid} step SIGUSR1")).await;
        };
        scenario(name, Waiters::default(), pod, life).await
    };
    // The pause is for the notification.
    let of_child = |code| format!("sh -c '{GREEDY}'; sleep 3; {}", end(code));
    tokio::join!(
        async {
            let ended = later("oom", &format!("echo greedy >/truth/end; {GREEDY}")).await;
            ended.after("greedy");
            ended.done_as(&[DoneReason::OomKilled, DoneReason::NonzeroExit], 137);
        },
        async {
            let ended = later("oom-of-a-child-exits-0", &of_child(0)).await;
            ended.after("0").all_fail(&[FailReason::OomKilled], Some(0), 221);
        },
        async {
            let ended = later("oom-of-a-child-exits-3", &of_child(3)).await;
            ended.after("3").all_done(DoneReason::OomKilled, 3);
        },
        async {
            let pod = step_with(&format!("sh -c '{GREEDY}'; {}", end(4)), little_memory);
            let ended = undisturbed("oom-of-a-child-at-once", pod).await;
            ended.after("4");
            ended.done_as(&[DoneReason::OomKilled, DoneReason::NonzeroExit], 4);
        },
    );
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn the_last_words_come_with_the_code() {
    let says = |policy: &str, script: &str, code| {
        step_with(&format!("{script}; {}", end(code)), |container| {
            container["terminationMessagePolicy"] = json!(policy);
        })
    };
    tokio::join!(
        async {
            let pod = says("File", "echo to the file >/dev/termination-log", 3);
            let ended = undisturbed("message-of-the-file", pod).await;
            ended.by_itself(3);
            let message = ended.answers.watched.as_ref().map(|exit| exit.container_message.as_str());
            assert_eq!(message, Ok("to the file\n"));
        },
        async {
            let pod = says("FallbackToLogsOnError", "echo to the log", 4);
            let ended = undisturbed("message-of-the-log", pod).await;
            ended.by_itself(4);
            let message = ended.answers.watched.as_ref().map(|exit| exit.container_message.as_str());
            assert_eq!(message, Ok("to the log\n"));
        },
    );
}
