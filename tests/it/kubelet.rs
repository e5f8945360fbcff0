//! Waits on steps that a real kubelet runs, in every way at once; what the container's runtime saw is the truth.
//!
//! The scenarios of one test run side by side, since most of them wait for a kubelet's backoff. With `PODWAIT_RECORD=1` the
//! recordings go to `tests/recordings`.

mod commands;
mod deletions;
mod disruptions;
mod holds;
mod images;
mod lines;
mod logs;
mod mixtures;
mod outages;
mod preemption;
mod restarts;
mod rights;
mod servers;
mod steps;

use podwait_tests::cluster::{Answers, Cluster, Scratch, Waiters};
use serde_json::{Value, json};

/// A pod of the container `step`, which runs this in a shell, on the node that nothing happens to.
fn step(script: &str) -> Value {
    json!({
        "metadata": { "name": "step" },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "nodeSelector": { "kubernetes.io/hostname": "node-1" },
            "containers": [shell("step", script)],
        },
    })
}

/// A container that runs this in a shell.
fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "busybox:1", "command": ["sh", "-c", script] })
}

/// `step` with its object changed.
fn step_with(script: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = step(script);
    change(&mut pod);
    pod
}

/// Runs the step for an hour, and ends with this code when it is asked to end. Says when it can be asked.
fn trap(code: i32) -> String {
    format!("trap 'exit {code}' TERM; echo begun; sleep 3600 & wait")
}

/// Lets a step that is a [`trap`] and runs end now, as if by itself: nobody but the runtime knows why.
async fn end(own: &Cluster, uid: &str) {
    own.order(&format!("runtime signal {uid} step SIGTERM")).await;
}

/// Waits for the pod `step`, which this creates in a namespace of its own, while `life` happens to it. The name is that of
/// the recording.
async fn scenario(name: &str, waiters: Waiters, pod: Value, life: impl AsyncFnOnce(&Scratch)) -> Answers {
    let scratch = Scratch::new(name).await;
    let create_and_live = async {
        // Long enough for most waits to be there first, which is what a recording shows best. All must be there for what
        // happens later: see `wait_until_running`.
        podwait_tests::cluster::pause(300).await;
        scratch.create_pod(&pod).await;
        life(&scratch).await;
    };
    let (answers, ()) = tokio::join!(waiters.wait(&scratch, "step"), create_and_live);
    answers.agree_with_the_runtime(scratch.namespace(), waiters.container.unwrap_or("step"));
    answers.keep_recording(name);
    scratch.remove().await;
    answers
}

/// A scenario in which nothing happens but the step itself.
async fn undisturbed(name: &str, waiters: Waiters, pod: Value) -> Answers {
    scenario(name, waiters, pod, async |_| {}).await
}

/// A namespace in which `life` has happened to this pod, for waits that come late.
async fn late(name: &str, pod: &Value, life: impl AsyncFnOnce(&Scratch)) -> Scratch {
    let scratch = Scratch::new(name).await;
    scratch.create_pod(pod).await;
    life(&scratch).await;
    scratch
}
