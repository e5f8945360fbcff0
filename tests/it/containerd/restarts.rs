//! Steps that the kubelet starts again, by the policy of the pod or of the container, or by restart rules.

use super::{Ended, GREEDY, add, end, little_memory, shell, step_with, undisturbed, undisturbed_step};
use serde_json::{Value, json};

/// A script before which the file of this name counts the runs from 1.
pub(super) fn counting(name: &str, script: &str) -> String {
    format!("n=$(($(cat /truth/{name} 2>/dev/null || echo 0) + 1)); echo $n >/truth/{name}; {script}")
}

/// The rule that these codes cause this.
fn rule(action: &str, code: i32) -> Value {
    json!([{ "action": action, "exitCodes": { "operator": "In", "values": [code] } }])
}

impl Ended {
    /// Asserts that the last run wrote this code, and that all waits found it as that of the run after so many restarts.
    #[track_caller]
    pub(super) fn by_run(&self, restarts: i32, code: i32) {
        self.by_itself(code);
        let run = self.answers.watched.as_ref().map(|exit| exit.restart_count);
        assert_eq!(run, Ok(restarts), "{:#?}", self.answers);
    }
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn only_the_last_run_counts() {
    let again = |rule: Value, script: &str| {
        step_with(&counting("step", script), |container| {
            container["restartPolicy"] = json!("Never");
            container["restartPolicyRules"] = rule;
        })
    };
    tokio::join!(
        async {
            let mut pod = step_with(&counting("step", &format!("[ $n = 1 ] && exit 9; {}", end(0))), |_| {});
            pod["spec"]["restartPolicy"] = json!("OnFailure");
            undisturbed("on-failure", pod).await.by_run(1, 0);
        },
        async {
            let mut pod = step_with(&counting("step", &end(2)), |container| {
                container["restartPolicy"] = json!("Never");
            });
            pod["spec"]["restartPolicy"] = json!("OnFailure");
            undisturbed("container-never", pod).await.by_run(0, 2);
        },
        async {
            let script = format!("[ $n = 1 ] && exit 42; {}", end(3));
            undisturbed("restart-rules", again(rule("Restart", 42), &script)).await.by_run(1, 3);
        },
        async {
            // The rule of an OOM kill is about its code, and not about its reason.
            let script = format!("[ $n = 1 ] && {{ sleep 3; {GREEDY}; }}; {}", end(4));
            let mut pod = again(rule("Restart", 137), &script);
            little_memory(&mut pod["spec"]["containers"][0]);
            undisturbed("restart-rule-after-oom", pod).await.by_run(1, 4);
        },
    );
}

/// A pod of `step` and of `other`, which counts its runs and causes the restart of all containers when it exits with 42
/// (KEP-5532).
fn restarted_by_other(step: &str, other: &str) -> Value {
    let mut pod = step_with(&counting("step", step), |container| container["restartPolicy"] = json!("Never"));
    let mut other = shell("other", &counting("other", other));
    other["restartPolicy"] = json!("Never");
    other["restartPolicyRules"] = rule("RestartAllContainers", 42);
    add(&mut pod["spec"]["containers"], other);
    pod
}

/// A restart of all containers is no end of the step, not even if it had exited 0 before.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_restart_of_all_containers_is_no_end() {
    let once = "[ $n = 1 ] || exit 0; sleep 3; exit 42";
    tokio::join!(
        async {
            let step = format!("[ $n = 1 ] && sleep 3600; sleep 1; {}", end(5));
            let ended = undisturbed_step("all-restart-running", restarted_by_other(&step, once)).await;
            ended.by_run(1, 5);
            assert!(ended.answers.trace.contains("RestartingAllContainers"), "{:#?}", ended.answers);
        },
        async {
            // Its exit 0 is published for two seconds.
            let step = format!("[ $n = 1 ] && exit 0; sleep 1; {}", end(6));
            undisturbed_step("all-restart-ended", restarted_by_other(&step, once)).await.by_run(1, 6);
        },
        async {
            // Only the step has the rule.
            let step = format!("sleep 1; [ $n = 1 ] && exit 42; {}", end(7));
            let mut pod = restarted_by_other(&step, "sleep 3600");
            pod["spec"]["containers"][0]["restartPolicyRules"] = rule("RestartAllContainers", 42);
            pod["spec"]["containers"][1]["restartPolicyRules"] = json!(null);
            undisturbed_step("all-restart-by-step", pod).await.by_run(1, 7);
        },
        async {
            // Init containers and native sidecars run again, too.
            let step = format!("[ $n = 1 ] && sleep 3600; {}", end(8));
            let mut pod = restarted_by_other(&step, once);
            let mut proxy = shell("proxy", "trap 'exit 0' TERM; sleep 3600 & wait");
            proxy["restartPolicy"] = json!("Always");
            pod["spec"]["initContainers"] = json!([shell("clone", &counting("clone", "exit 0")), proxy]);
            undisturbed_step("all-restart-with-sidecar", pod).await.by_run(1, 8);
        },
    );
}
