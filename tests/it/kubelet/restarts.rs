//! Steps that the kubelet starts again.

use super::{Runtime, on_each, scenario, shell, step_with, trap, undisturbed};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{Answers, Waiters};
use serde_json::{Value, json};

/// A step with a volume that survives restarts, in which the file `n` counts the runs from 1.
fn counting(policy: &str, script: &str) -> Value {
    let count = "cd $PODWAIT_ROOT/data; n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n >n";
    step_with(&format!("{count}; {script}"), |pod| {
        pod["spec"]["restartPolicy"] = json!(policy);
        pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    })
}

#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn only_the_last_run_counts() {
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                let pod = counting("OnFailure", "test $n -ge 3");
                let answers = undisturbed(node, "on-failure", Waiters::default(), pod).await;
                answers.all_done(DoneReason::Completed, 0);
                assert_eq!(answers.watched.as_ref().map(|exit| exit.restart_count), Ok(2), "{answers:#?}");
            },
            async {
                // No end is the last one until the step is stopped.
                let pod = counting("Always", &format!("test $n -eq 1 && exit 0; {}", trap(0)));
                let answers = scenario(node, "always", Waiters::default(), pod, async |cluster| {
                    cluster.wait_until_restarted("step").await;
                    cluster.delete("step", 5).await;
                });
                answers.await.all_fail(&[FailReason::PodDeleted], Some(0), 220);
            },
            async {
                let mut pod = counting("Never", "sleep 1; test $n -ge 2 && exit 3; exit 42");
                pod["spec"]["containers"][0]["restartPolicy"] = json!("Never");
                pod["spec"]["containers"][0]["restartPolicyRules"] =
                    json!([{ "action": "Restart", "exitCodes": { "operator": "In", "values": [42] } }]);
                let answers = undisturbed(node, "restart-rules", Waiters::default(), pod).await;
                answers.all_done(DoneReason::NonzeroExit, 3);
            },
            async {
                let mut pod = counting("OnFailure", "exit 2");
                pod["spec"]["containers"][0]["restartPolicy"] = json!("Never");
                let answers = undisturbed(node, "container-never", Waiters::default(), pod).await;
                answers.all_done(DoneReason::NonzeroExit, 2);
            },
        );
    })
    .await;
}

/// A pod with the containers `step` and `other`, each of which counts its runs in `n` from 1. If the armed container
/// exits with 42, all containers are started again, whatever they do (KEP-5532).
fn restarting_all(step: &str, other: &str, armed: usize) -> Value {
    let script = |name: &str, script: &str| {
        let count = format!("n=$(($(cat {name} 2>/dev/null || echo 0) + 1)); echo $n >{name}");
        let mut container = shell(name, &format!("cd $PODWAIT_ROOT/data; {count}; {script}"));
        container["restartPolicy"] = json!("Never");
        container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
        container
    };
    step_with("", |pod| {
        pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
        pod["spec"]["containers"] = json!([script("step", step), script("other", other)]);
        pod["spec"]["containers"][armed]["restartPolicyRules"] = json!([
            { "action": "RestartAllContainers", "exitCodes": { "operator": "In", "values": [42] } },
        ]);
    })
}

/// A restart that another container causes is no end of the step, not even if the step had exited 0 before.
#[tokio::test]
#[cfg_attr(not(own_cluster), ignore = "needs PODWAIT_CLUSTER=go")]
async fn a_restart_of_all_containers_is_no_end() {
    let only_step = || Waiters { container: Some("step"), ..Waiters::default() };
    let again = |answers: &Answers, code| {
        answers.all_done(DoneReason::NonzeroExit, code);
        assert_eq!(answers.watched.as_ref().map(|exit| exit.restart_count), Ok(1), "{answers:#?}");
    };
    let once = "test $n -ge 2 && exit 0; sleep 3; exit 42";
    on_each(Runtime::steady, async |node| {
        tokio::join!(
            async {
                let pod = restarting_all("test $n -ge 2 && { sleep 2; exit 5; }; sleep 3600", once, 1);
                let answers = undisturbed(node, "all-restart-running", only_step(), pod).await;
                again(&answers, 5);
                assert!(answers.trace.contains("RestartingAllContainers"), "{answers:#?}");
            },
            async {
                // Its exit 0 is published for two seconds, and is not the final one.
                let pod = restarting_all("sleep 1; test $n -ge 2 && exit 6; exit 0", once, 1);
                let answers = undisturbed(node, "all-restart-ended", only_step(), pod).await;
                again(&answers, 6);
            },
            async {
                // The step itself is the armed container.
                let pod = restarting_all("sleep 1; test $n -ge 2 && exit 7; exit 42", "sleep 3600", 0);
                let answers = undisturbed(node, "all-restart-by-step", only_step(), pod).await;
                again(&answers, 7);
            },
        );
    })
    .await;
}
