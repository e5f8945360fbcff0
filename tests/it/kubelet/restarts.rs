//! Steps that the kubelet starts again.

use super::{scenario, step_with, undisturbed};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::Waiters;
use serde_json::{Value, json};

/// A step that runs in a volume that outlives it, in which `n` counts its runs from 1.
fn counting(policy: &str, script: &str) -> Value {
    let count = "cd $PODWAIT_ROOT/data; n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n >n";
    step_with(&format!("{count}; {script}"), |pod| {
        pod["spec"]["restartPolicy"] = json!(policy);
        pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    })
}

#[tokio::test]
async fn only_the_last_run_counts() {
    tokio::join!(
        async {
            let pod = counting("OnFailure", "test $n -ge 3");
            if let Some(answers) = undisturbed("on-failure", Waiters::default(), pod).await {
                answers.all_done(DoneReason::Completed, 0);
                assert_eq!(answers.watched.as_ref().map(|exit| exit.restart_count), Ok(2), "{answers:#?}");
            }
        },
        async {
            // Nothing that it says is its last word, until somebody stops it.
            let pod = counting("Always", "sleep 1; exit 0");
            let answers = scenario("always", Waiters::default(), pod, async |cluster| {
                cluster.wait_until_restarted("step").await;
                cluster.delete("step", 5).await;
            });
            if let Some(answers) = answers.await {
                answers.all_fail(&[FailReason::PodDeleted], Some(0), 220);
            }
        },
        async {
            let mut pod = counting("Never", "test $n -ge 2 && exit 3; exit 42");
            pod["spec"]["containers"][0]["restartPolicy"] = json!("Never");
            pod["spec"]["containers"][0]["restartPolicyRules"] =
                json!([{ "action": "Restart", "exitCodes": { "operator": "In", "values": [42] } }]);
            if let Some(answers) = undisturbed("restart-rules", Waiters::default(), pod).await {
                answers.all_done(DoneReason::NonzeroExit, 3);
            }
        },
        async {
            let mut pod = counting("OnFailure", "exit 2");
            pod["spec"]["containers"][0]["restartPolicy"] = json!("Never");
            if let Some(answers) = undisturbed("container-never", Waiters::default(), pod).await {
                answers.all_done(DoneReason::NonzeroExit, 2);
            }
        },
    );
}
