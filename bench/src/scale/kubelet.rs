//! How much sooner an answer from the container's record is than an answer from the pod's phase, with a real kubelet.

use super::wait::phase_is_terminal;
use super::{Delays, now, pod_name, seconds};
use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use podwait_tests::cluster::{self, config};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

/// The times at which the two waits for a pod answered.
struct Answers {
    pod: String,
    podwait: i128,
    phase: i128,
}

/// Runs `runs` steps of one second on a real kubelet, `at_once` at a time. Returns how long after the real end of each
/// step podwait answered, and `await_condition` on the phase.
///
/// # Errors
/// A pod is refused, or a wait fails.
///
/// # Panics
/// The cluster cannot be started.
pub async fn compare(runs: usize, at_once: usize) -> Result<String, Box<dyn Error>> {
    let (cluster, mut child) = cluster::start(&["--nodes", "1", "--max-pods", "400"]);
    let client = podwait::Client::from_config(config(&cluster.kubeconfig, None).await)?;
    let pods: Api<Pod> = Api::default_namespaced(client.as_kube().clone());
    let answers: Vec<Result<Answers, Box<dyn Error>>> = stream::iter(0..runs)
        .map(|number| step(&client, &pods, number))
        .buffer_unordered(at_once)
        .collect()
        .await;
    let exits = cluster.exits.as_ref().ok_or("the cluster has no journal")?;
    let ends = ends(exits)?;
    drop(child.stdin.take());
    child.wait()?;

    let mut columns: [Vec<f64>; 3] = Default::default();
    for answers in answers {
        let answers = answers?;
        let end =
            ends.get(&answers.pod).ok_or_else(|| format!("the runtime has no end of {}", answers.pod))?;
        for (column, (from, to)) in columns.iter_mut().zip([
            (*end, answers.podwait),
            (*end, answers.phase),
            (answers.podwait, answers.phase),
        ]) {
            column.push(seconds(to - from) * 1e3);
        }
    }
    Ok(table(runs, at_once, columns))
}

/// Runs one step, waits for it in both ways, and removes it.
async fn step(client: &podwait::Client, pods: &Api<Pod>, number: usize) -> Result<Answers, Box<dyn Error>> {
    let name = pod_name(number);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false,
            "containers": [{ "name": "step", "image": "busybox:1", "command": ["sleep", "1"] }],
        },
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let by_podwait = async {
        let exit = podwait::wait(client.clone(), "default", &name).container("step").await?;
        let at = now();
        if exit.code == 0 {
            Ok::<_, Box<dyn Error>>(at)
        } else {
            Err(format!("{name} exited {}", exit.code).into())
        }
    };
    let by_phase = async {
        await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod.is_some_and(phase_is_terminal)).await?;
        Ok::<_, Box<dyn Error>>(now())
    };
    let (podwait, phase) = tokio::try_join!(by_podwait, by_phase)?;
    let _ =
        pods.delete(&name, &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await;
    Ok(Answers { pod: name, podwait, phase })
}

/// The time at which each container ended, by the runtime's journal.
fn ends(journal: &Path) -> Result<HashMap<String, i128>, Box<dyn Error>> {
    let end = |line: &str| -> Result<(String, i128), Box<dyn Error>> {
        let exit: Value = serde_json::from_str(line)?;
        let text = |key: &str| exit[key].as_str().ok_or_else(|| format!("no {key} in {line}"));
        Ok((text("pod")?.to_owned(), text("finishedAt")?.parse::<Timestamp>()?.as_nanosecond()))
    };
    std::fs::read_to_string(journal)?.lines().map(end).collect()
}

fn table(runs: usize, at_once: usize, [podwait, phase, gain]: [Vec<f64>; 3]) -> String {
    let row = |what: &str, millis| {
        Delays::of(millis).map_or_else(String::new, |delays| {
            format!(
                "| {what} | {:.0} | {:.0} | {:.0} | {:.0} |\n",
                delays.p50, delays.p90, delays.p99, delays.max
            )
        })
    };
    format!(
        "{runs} steps of one second on a real kubelet, {at_once} at once; milliseconds.\n\n\
         | | p50 | p90 | p99 | max |\n|---|---:|---:|---:|---:|\n{}{}{}",
        row("from the container's end to podwait's answer", podwait),
        row("from the container's end to an answer by phase", phase),
        row("podwait's answer came sooner by", gain),
    )
}
