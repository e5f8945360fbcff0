//! Resources that are changed while the step runs, and limits of the whole pod.

use super::restarts::counting;
use super::{GREEDY, ON_SIGNAL, STEP, add, end, order, scenario, shell, step_with};
use kube::api::{Patch, PatchParams};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Scratch, Waiters};
use serde_json::{Value, json};

/// A script whose process takes 30 MiB for a moment.
const TAKES_30_MIB: &str = "dd if=/dev/zero of=/dev/null bs=30M count=1";

fn limits(resource: &str, amount: &str) -> Value {
    json!({ "requests": { resource: amount }, "limits": { resource: amount } })
}

/// Changes the resources of the step, and waits until the kubelet reports them as those that it has.
async fn resize(cluster: &Scratch, resource: &str, amount: &str) {
    let containers = json!([{ "name": "step", "resources": limits(resource, amount) }]);
    let patch = Patch::Strategic(json!({ "spec": { "containers": containers } }));
    let resized = cluster.pods().patch_subresource("resize", "step", &PatchParams::default(), &patch).await;
    resized.expect("the pod is resized");
    cluster.wait_until_limited("step", resource, amount).await;
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn resized_while_it_runs() {
    let resized = async |name: &str, script: &str, [resource, before, after]: [&str; 3]| {
        let script = format!("{ON_SIGNAL}; {script}");
        let pod = step_with(&script, |container| container["resources"] = limits(resource, before));
        scenario(name, Waiters::default(), pod, async |cluster, uid| {
            cluster.wait_until_running("step").await;
            resize(cluster, resource, after).await;
            order(&format!("runtime signal {uid} step SIGUSR1")).await;
        })
        .await
    };
    tokio::join!(
        async {
            let script = format!("{TAKES_30_MIB} && {}", end(3));
            let ended = resized("resized-up", &script, ["memory", "12Mi", "64Mi"]).await;
            ended.by_itself(3);
        },
        async {
            let script = format!("echo greedy >/truth/end; {TAKES_30_MIB}; exit $?");
            let ended = resized("resized-down", &script, ["memory", "64Mi", "12Mi"]).await;
            ended.after("greedy");
            ended.done_as(&[DoneReason::OomKilled, DoneReason::NonzeroExit], 137);
        },
        async { resized("resized-cpu", &end(4), ["cpu", "500m", "250m"]).await.by_itself(4) },
        async {
            // The kubelet stops it and starts it again, also if it exits 0 then.
            let script = format!(
                "[ $n = 1 ] && {{ trap 'exit 0' TERM; echo begun; sleep 3600 & wait; }}; sleep 1; {}",
                end(0)
            );
            let mut pod = step_with(&counting("step", &script), |container| {
                container["resources"] = limits("memory", "12Mi");
                container["resizePolicy"] =
                    json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }]);
            });
            pod["spec"]["restartPolicy"] = json!("OnFailure");
            let ended = scenario("resized-by-restart", Waiters::default(), pod, async |cluster, _| {
                cluster.wait_until_running("step").await;
                resize(cluster, "memory", "64Mi").await;
            });
            ended.await.by_run(1, 0);
        },
    );
}

/// A limit of the pod is that of a cgroup around those of its containers (`PodLevelResources`).
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_memory_limit_of_the_pod() {
    let limited = async |name: &str, script: &str, other: &str| {
        let mut pod = step_with(&format!("{ON_SIGNAL}; {script}"), |_| {});
        pod["spec"]["resources"] = json!({ "limits": { "memory": "24Mi" } });
        add(&mut pod["spec"]["containers"], shell("other", other));
        scenario(name, STEP, pod, async |cluster, uid| {
            cluster.wait_until_running("step").await;
            order(&format!("runtime signal {uid} step SIGUSR1")).await;
        })
        .await
    };
    let of_child = |code| format!("sh -c '{GREEDY}'; sleep 3; {}", end(code));
    tokio::join!(
        async {
            let ended = limited("pod-oom", &format!("echo greedy >/truth/end; {GREEDY}"), "sleep 20").await;
            ended.after("greedy");
            ended.done_as(&[DoneReason::OomKilled, DoneReason::NonzeroExit], 137);
        },
        async {
            let ended = limited("pod-oom-of-a-child", &of_child(0), "sleep 20").await;
            ended.after("0").all_fail(&[FailReason::OomKilled], Some(0), 221);
        },
        async {
            let greedy = format!("sleep 5; {GREEDY}");
            // With cgroups of version 1 the kernel notifies every container of the pod.
            let ended = limited("pod-oom-of-another", &format!("sleep 10; {}", end(0)), &greedy).await;
            ended.after("0").all_fail(&[FailReason::OomKilled], Some(0), 221);
        },
    );
}
