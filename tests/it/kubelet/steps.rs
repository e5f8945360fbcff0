//! Steps that end by themselves, alone or beside others.

use super::{Node, Runtime, on_each, scenario, shell, step, step_with, undisturbed};
use futures_util::future::join_all;
use podwait::{DoneReason, FailReason, Hub, Scope, wait};
use podwait_tests::cli::run;
use podwait_tests::cluster::{Scratch, Waiters, own_cluster};
use serde_json::json;
use std::future::IntoFuture;
use std::time::Instant;

const STEP: Waiters = Waiters { container: Some("step"), context: None, options: &[], policy: None };

async fn exits(node: Node, name: &str, script: &str, reason: DoneReason, code: i32) {
    let answers = undisturbed(node, name, Waiters::default(), step(script)).await;
    answers.all_done(reason, code);
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn every_code_is_that_of_the_step() {
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            exits(node, "exit-0", "exit 0", DoneReason::Completed, 0),
            exits(node, "exit-1", "sleep 1; exit 1", DoneReason::NonzeroExit, 1),
            exits(node, "exit-3", "sleep 1; exit 3", DoneReason::NonzeroExit, 3),
            // A step may itself exit with the codes of an OOM kill or of a deletion.
            exits(node, "exit-137", "sleep 1; exit 137", DoneReason::NonzeroExit, 137),
            exits(node, "exit-143", "sleep 1; exit 143", DoneReason::NonzeroExit, 143),
            exits(node, "exit-255", "sleep 1; exit 255", DoneReason::NonzeroExit, 255),
            async {
                let answers =
                    scenario(node, "killed", Waiters::default(), step("sleep 3600"), async |cluster| {
                        let uid = cluster.wait_until_running("step").await;
                        own_cluster().order(&format!("runtime signal {uid} step SIGKILL")).await;
                    });
                answers.await.all_done(DoneReason::NonzeroExit, 137);
            },
        );
    })
    .await;
}

/// `tests/it/containerd` has its own ways to end like this: memory limits, starts that fail, shims that are killed.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn what_only_our_own_runtime_does_on_request() {
    let node = Runtime::Processes.steady();
    tokio::join!(
        async {
            let answers = scenario(node, "oom", Waiters::default(), step("sleep 3600"), async |cluster| {
                let uid = cluster.wait_until_running("step").await;
                own_cluster().order(&format!("runtime oom {uid} step")).await;
            });
            answers.await.all_done(DoneReason::OomKilled, 137);
        },
        async {
            let pod = step_with("", |pod| {
                pod["spec"]["containers"][0]["command"] = json!(["/no/such/program"]);
            });
            let answers = undisturbed(node, "start-error", Waiters::default(), pod).await;
            answers.all_done(DoneReason::StartError, 128);
        },
        async {
            let answers = scenario(node, "lost", Waiters::default(), step("sleep 3600"), async |cluster| {
                let uid = cluster.wait_until_running("step").await;
                own_cluster().order(&format!("runtime lose {uid} step")).await;
            });
            answers.await.all_fail(&[FailReason::ContainerStatusUnknown], Some(137), 220);
        },
    );
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn others_in_the_pod_decide_nothing() {
    let beside = |sidecar: &str, script: &str| {
        step_with(script, |pod| {
            let sidecar = shell("a-proxy", sidecar);
            pod["spec"]["containers"].as_array_mut().expect("a list").insert(0, sidecar);
        })
    };
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                // The pod is Running for as long as the sidecar runs.
                let pod = beside("sleep 3600", "sleep 1; exit 4");
                let answers = undisturbed(node, "sidecar-never-ends", STEP, pod).await;
                answers.all_done(DoneReason::NonzeroExit, 4);
            },
            async {
                let pod = beside("exit 9", "sleep 3; exit 0");
                let answers = undisturbed(node, "sidecar-fails", STEP, pod).await;
                answers.all_done(DoneReason::Completed, 0);
            },
            async {
                let pod = beside("exit 0", "sleep 3; exit 5");
                let answers = undisturbed(node, "sidecar-ends-first", STEP, pod).await;
                answers.all_done(DoneReason::NonzeroExit, 5);
            },
            async {
                let pod = step_with("sleep 1; exit 6", |pod| {
                    let mut sidecar = shell("proxy", "trap 'sleep 2; exit 0' TERM; sleep 3600 & wait");
                    sidecar["restartPolicy"] = json!("Always");
                    pod["spec"]["initContainers"] = json!([sidecar]);
                });
                let answers = undisturbed(node, "native-sidecar-outlives", STEP, pod).await;
                answers.all_done(DoneReason::NonzeroExit, 6);
            },
            async {
                let pod = step_with("exit 0", |pod| {
                    pod["spec"]["initContainers"] = json!([shell("clone", "sleep 1; exit 9")]);
                });
                let answers = undisturbed(node, "init-fails", Waiters::default(), pod).await;
                answers.all_fail(&[FailReason::InitContainerFailed], Some(9), 221);
            },
            async {
                let clone = Waiters { container: Some("clone"), ..Waiters::default() };
                let pod = step_with("sleep 2; exit 3", |pod| {
                    pod["spec"]["initContainers"] = json!([shell("clone", "sleep 1; exit 0")]);
                });
                let answers = undisturbed(node, "init-is-the-step", clone, pod).await;
                answers.all_done(DoneReason::Completed, 0);
            },
        );
    })
    .await;
}

/// Real steps of one second each, many at a time: `PODWAIT_STEPS` of them on each runtime, by default 100 processes and 25
/// containers, which take much more of the machine.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn steps_side_by_side_without_one_wrong_answer() {
    const AT_ONCE: usize = 25;
    on_each(Runtime::steady, async |node| {
        let usual = match node.runtime {
            Runtime::Processes => 100,
            Runtime::Containerd => 25,
        };
        steps(node, "crowd", number("PODWAIT_STEPS", usual), AT_ONCE).await;
    })
    .await;
}

/// The same one after the other: `PODWAIT_ROW` of them on each runtime, by default 10.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn steps_in_a_row_without_one_wrong_answer() {
    let total = number("PODWAIT_ROW", 10);
    on_each(Runtime::steady, async |node| steps(node, "row", total, 1).await).await;
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |n| n.parse().expect("a number of steps"))
}

/// There are three waits for each step: with its own watch, in a hub for all steps, and by the command.
async fn steps(node: Node, word: &str, total: usize, at_once: usize) {
    let own = own_cluster();
    podwait_tests::cli::podwait();
    let begin = Instant::now();
    let kubeconfig = own.kubeconfig.to_str().expect("a readable path");
    let scratch = Scratch::new(&node.named(word)).await;
    let hub = Hub::new(scratch.client(), Scope::namespace(scratch.namespace()));
    let step = async |number: usize| {
        let (name, code) = (format!("step-{number}"), i32::try_from(number % 7).expect("small"));
        let pod = step_with(&format!("sleep 1; exit {code}"), |pod| pod["metadata"]["name"] = json!(name));
        let uid = node.create(&scratch, pod).await.metadata.uid.expect("a pod has a uid");
        let command = ["wait", &name, "-n", scratch.namespace(), "--kubeconfig", kubeconfig];
        let (watched, shared, command) = tokio::join!(
            wait(scratch.client(), scratch.namespace(), &name).into_future(),
            hub.wait(scratch.namespace(), &name).into_future(),
            run(&command),
        );
        for exit in [watched, shared] {
            let exit = exit.unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
            assert_eq!(exit.code, code, "{name}: {exit:?}");
        }
        assert_eq!(command.status, Some(code), "{name}: {command:?}");
        scratch.delete(&name, 0).await;
        (uid, code)
    };
    let mut answers = Vec::new();
    for first in (0..total).step_by(at_once) {
        answers.extend(join_all((first..total.min(first + at_once)).map(step)).await);
    }
    drop(hub);
    scratch.remove().await;
    for (uid, code) in &answers {
        let end = own.last_end(|end| end.uid == *uid, |end| end.exit_code == *code).await;
        assert_eq!(end.map(|end| end.exit_code), Some(*code), "{uid}: the runtime has another code");
    }
    println!(
        "{:?}: {} of {total} steps, {at_once} at a time: own code, {:.0?}",
        node.runtime,
        answers.len(),
        begin.elapsed()
    );
    assert_eq!(answers.len(), total);
}
