//! Steps that containerd and runc cannot start.

use super::{end, step_with, undisturbed};
use podwait::{DoneReason, FailReason};
use serde_json::{Value, json};

/// A pod that runs this program.
fn program(path: &str) -> Value {
    step_with("", |container| container["command"] = json!([path]))
}

/// A start that fails, and what the sentence has to quote of the runtime. crun writes it a little differently.
async fn fails(name: &str, pod: Value, said: &str) {
    let ended = undisturbed(name, pod).await;
    ended.without_a_word().all_done(DoneReason::StartError, 128);
    assert!(ended.sentence().to_lowercase().contains(said), "{said} in {:#?}", ended.answers);
}

#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_command_that_cannot_be_started() {
    tokio::join!(
        fails("no-such-file", program("/no/such/program"), "no such file or directory"),
        fails("not-in-path", program("no-such-program"), "not found in $path"),
        fails("not-executable", program("/bin/not-executable"), "permission denied"),
        fails("a-folder", program("/etc"), "permission denied"),
        async {
            let pod = step_with(&end(0), |container| container["workingDir"] = json!("/etc/passwd"));
            fails("working-folder-is-a-file", pod, "not a directory").await;
        },
        async {
            // runc 1.1 makes one that is missing.
            let pod = step_with(&end(0), |container| container["workingDir"] = json!("/no/such/folder"));
            undisturbed("working-folder-is-missing", pod).await.by_itself(0);
        },
        async {
            // Volumes that are images (KEP-4639) need a field of CRI that containerd 1.6 does not have. It takes the volume
            // for a folder without a name.
            let mut pod = step_with(&end(0), |container| {
                container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
            });
            pod["spec"]["volumes"] = json!([{ "name": "data", "image": { "reference": "volume:1" } }]);
            let ended = undisturbed("image-volume", pod).await;
            ended.without_a_word().all_fail(&[FailReason::ContainerConfigError], None, 221);
        },
        async {
            // Not even a container is made. Beside the others, since it is waited for as long as the grace is.
            let pod = step_with(&end(0), |container| container["image"] = json!("unknown-user:1"));
            let ended = undisturbed("unknown-user", pod).await;
            ended.without_a_word().all_fail(&[FailReason::ContainerConfigError], None, 221);
        },
    );
}

/// runc 1.1 has already reported the start when the kernel refuses the program, and its own process then exits with 1.
/// In the pod's status this is the end of a step that exits with 1: the error is only in the container's log.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_program_that_the_kernel_refuses_looks_like_exit_1() {
    let refused = async |name: &str, path: &str| {
        let ended = undisturbed(name, program(path)).await;
        ended.without_a_word().all_done(DoneReason::NonzeroExit, 1);
    };
    tokio::join!(
        refused("wrong-format", "/bin/wrong-format"),
        refused("no-interpreter", "/bin/no-interpreter"),
    );
}
