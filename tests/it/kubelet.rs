//! Waits for steps on a real kubelet, in every way at once; the truth is the journal of the container's runtime.
//!
//! The scenarios of one test run side by side, since most of them wait for a kubelet's backoff, and on each runtime of the
//! cluster. What a runtime cannot play, or what has its own text in `tests/it/containerd`, says so at its place. With
//! `PODWAIT_RECORD=1` the recordings go to `tests/recordings`.

mod commands;
mod deletions;
mod disruptions;
mod holds;
mod images;
pub(crate) mod lines;
mod logs;
mod mixtures;
mod nodes;
mod outages;
mod preemption;
mod restarts;
mod rights;
mod servers;
mod steps;

use nodes::{Node, RUNTIMES, Runtime, on_each};
use podwait_tests::cluster::{Answers, Cluster, Scratch, Waiters};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A pod with the container `step`, which runs this script in a shell. [`Node::place`] chooses its node.
fn step(script: &str) -> Value {
    json!({
        "metadata": { "name": "step" },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "containers": [shell("step", script)],
        },
    })
}

/// A container that runs this script in a shell.
fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "busybox:1", "command": ["sh", "-c", script] })
}

/// `step` with its object changed.
fn step_with(script: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = step(script);
    change(&mut pod);
    pod
}

/// A script that runs for an hour, and ends with this code on SIGTERM. It writes a line when it is ready for that.
fn trap(code: i32) -> String {
    format!("trap 'exit {code}' TERM; echo begun; sleep 3600 & wait")
}

/// Ends a running step with a [`trap`] now, as if by itself: the kubelet cannot observe the cause.
async fn end(own: &Cluster, uid: &str) {
    own.order(&format!("runtime signal {uid} step SIGTERM")).await;
}

/// How many scenarios may begin at once. A missing pod has to appear within ten seconds of a wait's beginning, also on a
/// machine with much else to do.
static BEGINNINGS: Semaphore = Semaphore::const_new(4);

/// Creates the pod `step` on this node, in a new namespace, and waits for it while `life` changes it. `name` is the name of
/// the recording, without the runtime's.
async fn scenario(
    node: Node,
    name: &str,
    waiters: Waiters,
    pod: Value,
    life: impl AsyncFnOnce(&Scratch),
) -> Answers {
    let name = node.named(name);
    let beginning = BEGINNINGS.acquire().await.expect("it is never closed");
    let scratch = Scratch::new(&name).await;
    let create_and_live = async {
        // Long enough that most waits begin before the pod, so that the recording is complete. Later changes wait for
        // all waits: see `wait_until_running`.
        podwait_tests::cluster::pause(300).await;
        node.create(&scratch, pod).await;
        drop(beginning);
        life(&scratch).await;
    };
    let (answers, ()) = tokio::join!(waiters.wait(&scratch, "step"), create_and_live);
    answers.agree_with_the_runtime(scratch.namespace(), waiters.container.unwrap_or("step")).await;
    answers.keep_recording(&name);
    crate::containerd::keep_status(&name, &scratch).await;
    scratch.remove().await;
    answers
}

/// A scenario without any disturbance of the step.
async fn undisturbed(node: Node, name: &str, waiters: Waiters, pod: Value) -> Answers {
    scenario(node, name, waiters, pod, async |_| {}).await
}

/// A namespace in which `life` has already changed this pod, for late waits.
async fn late(node: Node, name: &str, pod: Value, life: impl AsyncFnOnce(&Scratch)) -> Scratch {
    let scratch = Scratch::new(&node.named(name)).await;
    node.create(&scratch, pod).await;
    life(&scratch).await;
    scratch
}
