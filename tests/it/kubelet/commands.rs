//! The other functions of the command on real pods: `run`, jobs, several pods at once, and `--resume` after any number
//! of crashes.

use super::{Node, Runtime, end, on_each, step, step_with, trap};
use crate::cli::crashes::kill_until_it_ends;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, PostParams};
use podwait::FINALIZER;
use podwait_tests::cli::{Started, podwait, start};
use podwait_tests::cluster::{Cluster, Scratch, own_cluster, pause};
use podwait_tests::storm::dice::Dice;
use serde_json::{Value, json};
use tokio::process::Command;

/// Starts a command in this namespace.
fn begin(own: &Cluster, scratch: &Scratch, arguments: &[&str]) -> Started {
    let kubeconfig = own.kubeconfig.to_str().expect("a readable path");
    start(&[arguments, &["-n", scratch.namespace(), "--kubeconfig", kubeconfig]].concat())
}

/// Starts `podwait run` with a file that has this step.
fn begin_run(
    own: &Cluster,
    node: Node,
    scratch: &Scratch,
    script: &str,
) -> (Started, tempfile::NamedTempFile) {
    let mut pod = node.place(step(script));
    (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pod.to_string()).expect("it is written");
    let path = file.path().to_str().expect("a readable path");
    (begin(own, scratch, &["run", "-f", path]), file)
}

/// The only pod of the namespace, once it exists.
async fn only_pod(scratch: &Scratch) -> Pod {
    for _ in 0..300 {
        let pods = scratch.pods().list(&ListParams::default()).await.expect("pods are listed").items;
        assert!(pods.len() <= 1, "{pods:?}");
        if let Some(pod) = pods.into_iter().next() {
            return pod;
        }
        pause(200).await;
    }
    panic!("there is no pod")
}

async fn assert_empty(scratch: &Scratch) {
    for _ in 0..300 {
        if scratch.pods().list(&ListParams::default()).await.expect("pods are listed").items.is_empty() {
            return;
        }
        pause(200).await;
    }
    panic!("a pod is left")
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn run_creates_a_pod_returns_its_exit_code_and_cleans_up() {
    let own = own_cluster();
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                let scratch = Scratch::new(&node.named("run")).await;
                let (started, _file) = begin_run(own, node, &scratch, "seq 1000; sleep 1; echo hello");
                let pod = only_pod(&scratch).await.metadata;
                assert!(pod.name.is_some_and(|name| name.starts_with("step-") && name.len() > 5));
                assert_eq!(pod.finalizers, Some(vec![FINALIZER.to_owned()]));
                assert_eq!(pod.labels.expect("labels")["app.kubernetes.io/managed-by"], "podwait");
                let run = started.end().await;
                let written: String = (1..=1000).map(|number| format!("{number}\n")).collect();
                assert_eq!((run.status, run.stdout), (Some(0), written + "hello\n"), "{}", run.stderr);
                assert_empty(&scratch).await;
                scratch.remove().await;
            },
            async {
                let scratch = Scratch::new(&node.named("run-failed")).await;
                let (started, _file) = begin_run(own, node, &scratch, "echo no; exit 3");
                let run = started.end().await;
                assert_eq!((run.status, &*run.stdout), (Some(3), "no\n"), "{run:?}");
                assert!(run.stderr.contains("is kept"), "{run:?}");
                let left = only_pod(&scratch).await.metadata;
                assert_eq!(
                    (left.finalizers, left.deletion_timestamp),
                    (None, None),
                    "it exists, and is not held"
                );
                scratch.remove().await;
            },
            async {
                let scratch = Scratch::new(&node.named("run-stopped")).await;
                let script = "trap 'echo bye; exit 0' TERM; echo begun; sleep 3600 & wait";
                let (started, _file) = begin_run(own, node, &scratch, script);
                let name = only_pod(&scratch).await.metadata.name.expect("a name");
                let uid = scratch.wait_until_running(&name).await;
                started.signal("INT");
                let run = started.end().await;
                // The step was stopped and exited 0, which is no success.
                assert_eq!((run.status, &*run.stdout), (Some(223), "begun\nbye\n"), "{run:?}");
                assert!(
                    run.stderr.contains("stopping the pod") && run.stderr.contains("cancelled"),
                    "{run:?}"
                );
                assert_empty(&scratch).await;
                let end =
                    own.last_end(|end| end.uid == uid, |_| true).await.expect("the runtime saw its end");
                let is_stopped = end.stopped_by_kubelet || node.runtime == Runtime::Containerd;
                assert!(is_stopped && end.exit_code == 0, "{end:?}");
                scratch.remove().await;
            },
        );
    })
    .await;
}

/// Creates the Job `job`, whose pods run this script.
async fn create_job(node: Node, scratch: &Scratch, script: &str, spec: Value) {
    create_job_of(node, scratch, step(script), spec).await;
}

/// The same for pods like this one.
async fn create_job_of(node: Node, scratch: &Scratch, pod: Value, spec: Value) {
    let mut job = json!({ "metadata": { "name": "job" }, "spec": spec });
    job["spec"]["template"]["spec"] = node.place(pod)["spec"].clone();
    let job: Job = serde_json::from_value(job).expect("a Job");
    let jobs: Api<Job> = Api::namespaced(scratch.kube(), scratch.namespace());
    jobs.create(&PostParams::default(), &job).await.expect("the Job is created");
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_job_is_followed_to_its_verdict() {
    let own = own_cluster();
    let indexed = json!({ "completionMode": "Indexed", "completions": 3, "parallelism": 3 });
    let policy = json!({ "backoffLimit": 6, "podFailurePolicy": { "rules": [
        { "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } },
    ] } });
    let jobs = [
        ("job-complete", "sleep 1", json!({}), 0, "the job is complete"),
        ("job-indexed", "sleep 1", indexed, 0, "the job is complete"),
        ("job-failed", "exit 4", json!({ "backoffLimit": 1 }), 4, "BackoffLimitExceeded: "),
        ("job-policy", "exit 42", policy, 42, "PodFailurePolicy: "),
        ("job-deadline", "sleep 3600", json!({ "activeDeadlineSeconds": 3 }), 221, "DeadlineExceeded: "),
    ];
    on_each(Runtime::steady, async |node| {
        let all = jobs.each_ref().map(async |(name, script, spec, status, word)| {
            let scratch = Scratch::new(&node.named(name)).await;
            let waiting = begin(own, &scratch, &["wait", "job/job", "--timeout", "300s"]);
            create_job(node, &scratch, script, spec.clone()).await;
            let run = waiting.end().await;
            assert_eq!(run.status, Some(*status), "{name}: {run:?}");
            assert!(format!("{}{}", run.stdout, run.stderr).contains(word), "{name}: {word} in {run:?}");
            scratch.remove().await;
        });
        futures_util::future::join_all(all).await;
    })
    .await;
}

/// A Job shows nothing of what keeps its pods from starting.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_job_whose_pods_cannot_start_fails_as_they_would() {
    let (own, node) = (own_cluster(), Runtime::Processes.steady());
    tokio::join!(
        async {
            let scratch = Scratch::new("job-image").await;
            let waiting = begin(own, &scratch, &["wait", "job/job", "--image-pull-grace", "15s"]);
            let pod = step_with("exit 0", |pod| {
                pod["spec"]["containers"][0]["image"] = json!("refuse/step:1");
            });
            create_job_of(node, &scratch, pod, json!({})).await;
            let run = waiting.end().await;
            assert_eq!((run.status, &*run.stdout), (Some(221), "image_pull\n"), "{run:?}");
            assert!(run.stderr.contains("could not pull its image"), "{run:?}");
            scratch.remove().await;
        },
        async {
            let scratch = Scratch::new("job-unscheduled").await;
            let waiting = begin(own, &scratch, &["wait", "job/job", "--start-timeout", "10s"]);
            let pod = step_with("exit 0", |pod| {
                pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1000" } });
            });
            create_job_of(node, &scratch, pod, json!({})).await;
            let run = waiting.end().await;
            assert_eq!((run.status, &*run.stdout), (Some(222), "start_timeout\n"), "{run:?}");
            assert!(run.stderr.contains("Insufficient cpu"), "{run:?}");
            scratch.remove().await;
        }
    );
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn several_pods_are_awaited_at_once() {
    on_each(Runtime::steady, async |node| several(own_cluster(), node).await).await;
}

async fn several(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("several")).await;
    for (name, code) in [("a", 0), ("b", 6), ("c", 4)] {
        let pod = step_with(&trap(code), |pod| {
            pod["metadata"] = json!({ "name": name, "labels": { "which": "all" } });
        });
        node.create(&scratch, pod).await;
    }
    let named = begin(own, &scratch, &["wait", "pod/a", "pod/b", "c"]);
    let labelled = begin(own, &scratch, &["wait", "-l", "which=all"]);
    let any = begin(own, &scratch, &["wait", "a", "b", "c", "--any"]);
    let ns = scratch.namespace();
    // The pods end one after the other, so that the order is known.
    for name in ["a", "b", "c"] {
        let uid = scratch.wait_until_running(name).await;
        pause(2500).await;
        end(own, &uid).await;
    }
    let lines =
        [format!("{ns}/a completed 0"), format!("{ns}/b nonzero_exit 6"), format!("{ns}/c nonzero_exit 4")];
    for run in [named.end().await, labelled.end().await] {
        assert_eq!(run.status, Some(6), "{run:?}");
        assert!(run.stdout.lines().eq(lines.iter()), "{run:?}");
    }
    let any = any.end().await;
    assert_eq!((any.status, any.stdout.trim_end()), (Some(0), &*lines[0]), "{}", any.stderr);
    scratch.remove().await;
}

/// Ends the step. Removes its pod by force after more than a second, which is the precision of the object's times.
async fn end_and_force(own: &Cluster, scratch: &Scratch, name: &str) {
    let uid = scratch.wait_until_running(name).await;
    end(own, &uid).await;
    scratch.wait_until_ended(name).await;
    pause(2000).await;
    // A wait that has read the end may have released the pod, but it still exists.
    scratch.delete(name, 0).await;
}

/// After kill -9 at any time the answer is the same as without, and no pod is held any more.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_killed_command_has_the_same_answer() {
    on_each(Runtime::steady, async |node| crashes(own_cluster(), node).await).await;
}

async fn crashes(own: &Cluster, node: Node) {
    let scratch = Scratch::new(&node.named("crashes")).await;
    let podwait = podwait();
    let journals = tempfile::tempdir().expect("a folder");
    let stories: [(&str, &str, i32, &str); 4] = [
        ("succeeds", "sleep 5", 0, "completed 0"),
        ("fails", "sleep 5; exit 7", 7, "nonzero_exit 7"),
        ("forced", &trap(5), 5, "nonzero_exit 5"),
        ("stopped", &trap(0), 220, "pod_deleted"),
    ];
    let lanes = stories.into_iter().zip(0_u64..).map(async |((name, script, status, answer), lane)| {
        let pod = step_with(script, |pod| {
            pod["metadata"] = json!({ "name": name, "finalizers": [FINALIZER] });
        });
        let mut command = Command::new(podwait);
        command.args(["wait", name, "--hold", "-n", scratch.namespace(), "--kubeconfig"]);
        command.arg(&own.kubeconfig).arg("--resume").arg(journals.path().join(name));
        node.create(&scratch, pod).await;
        let life = async {
            if name == "stopped" {
                scratch.wait_until_running(name).await;
                scratch.delete(name, 5).await;
            } else if name == "forced" {
                end_and_force(own, &scratch, name).await;
            }
        };
        let mut dice = Dice::new(lane);
        let ((output, kills), ()) = tokio::join!(kill_until_it_ends(command, &mut dice, 400), life);
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert_eq!((output.status.code(), &*printed), (Some(status), answer), "{name}: {output:?}");
        let left = scratch.pods().get_opt(name).await.expect("an answer");
        let held = left.and_then(|pod| pod.metadata.finalizers);
        assert!(held.is_none_or(|held| held.is_empty()), "{name} is still held");
        kills
    });
    let kills: u32 = futures_util::future::join_all(lanes).await.into_iter().sum();
    println!("{:?}: {kills} kills", node.runtime);
    assert!(kills >= 20, "only {kills} kills");
    scratch.remove().await;
}
