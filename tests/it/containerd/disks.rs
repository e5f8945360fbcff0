//! Disks of the node that are full for a while. Each scenario has the node for itself.

use super::{NODE_IN_USE, STEP, add_folder, disturbed, end, order, shell, step, step_with};
use crate::kubelet::lines::rotation::{Numbers, REST};
use podwait::{Logs, wait};
use podwait_tests::cluster::{CONTAINERD_NODE, Scratch, Waiters, pause};
use serde_json::{Value, json};
use tokio::sync::Barrier;

async fn disk(name: &str, does: &str) {
    order(&format!("disk {CONTAINERD_NODE} {name} {does}")).await;
}

/// The disk with the images, the snapshots and all that containers write. What fails for a lack of room is tried again.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn no_room_for_images_and_containers() {
    const UNTIL_FULL: &str = "while ! [ -e /signs/full ]; do sleep 0.1; done";
    let _node = NODE_IN_USE.write().await;
    let signs = tempfile::tempdir().expect("a temporary folder");
    let until_sign = async |name: &str| {
        while !signs.path().join(name).exists() {
            pause(100).await;
        }
    };
    let together = Barrier::new(4);
    // Each scenario is in its place, then the disk becomes full, each shows what comes of it, then there is room again.
    let becomes_full = async || {
        if together.wait().await.is_leader() {
            disk("images", "fill").await;
            std::fs::write(signs.path().join("full"), "").expect("it is written");
        }
        until_sign("full").await;
    };
    let is_shown = async || {
        if together.wait().await.is_leader() {
            disk("images", "free").await;
        }
    };
    let with_signs = |mut pod: Value| {
        add_folder(&mut pod["spec"], "signs", signs.path());
        pod
    };
    // The kubelet begins with the step when the hook of the container before it has ended. The end of a container would not
    // be noticed on a full disk.
    let second = async |name: &str, mut pod: Value, reason: &str| {
        let mut first = shell("waits", "sleep 3600");
        let hook = format!("touch /signs/{name}; {UNTIL_FULL}");
        first["lifecycle"] = json!({ "postStart": { "exec": { "command": ["sh", "-c", hook] } } });
        pod["spec"]["containers"] = json!([first, pod["spec"]["containers"][0]]);
        disturbed(name, STEP, with_signs(pod), async |cluster, _| {
            until_sign(name).await;
            becomes_full().await;
            cluster.wait_until_waiting("step", reason).await;
            is_shown().await;
        })
        .await
    };
    tokio::join!(
        async {
            // What it cannot write is its own error. (A full tmpfs may have room for some more pages.) Its end is published when there is room again: containerd keeps the
            // record on this disk, too, and tries again until it can.
            let write = "dd if=/dev/zero of=/file bs=64k count=4096";
            let ends = format!("{write} && {{ {}; }}; touch /signs/ended; {}", end(0), end(28));
            let pod = with_signs(step(&format!("echo begun; {UNTIL_FULL}; {ends}")));
            let ended = disturbed("disk-full-for-the-step", Waiters::default(), pod, async |cluster, _| {
                cluster.wait_until_running("step").await;
                becomes_full().await;
                until_sign("ended").await;
                pause(3000).await;
                let pod = cluster.pods().get("step").await.expect("the pod is there");
                let phase = pod.status.and_then(|status| status.phase);
                assert_eq!(phase.as_deref(), Some("Running"), "containerd has no room for the record");
                is_shown().await;
            });
            ended.await.by_itself(28);
        },
        async {
            let pod = step_with(&end(3), |container| container["image"] = json!("disk-full:1"));
            second("disk-full-for-the-image", pod, "ErrImagePull").await.by_itself(3);
        },
        async {
            let pod = step(&end(5));
            second("disk-full-for-the-container", pod, "CreateContainerError").await.by_itself(5);
        },
        async {
            becomes_full().await;
            let ended =
                disturbed("disk-full-for-the-sandbox", Waiters::default(), step(&end(4)), async |_, _| {
                    // Nothing in the status shows that the lack of room is the cause, so there is nothing to wait for.
                    pause(3000).await;
                    is_shown().await;
                });
            ended.await.by_itself(4);
        },
    );
}

/// The disk with the logs. containerd drops a line that it cannot write, and goes on (`redirectLogs` in its
/// `cri/io/logger.go`): the end of the step is as ever, and its log lacks lines, of which no reader can know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn no_room_for_logs() {
    const LINES: usize = 600;
    let _node = NODE_IN_USE.write().await;
    let rest = "x".repeat(REST);
    let script = format!(
        "n=0; while [ $n -lt {LINES} ]; do printf '%010d{rest}\\n' $n; n=$((n + 1)); sleep 0.01; done; {}",
        end(7)
    );
    let life = async |cluster: &Scratch, _: &str| {
        cluster.wait_until_running("step").await;
        let (wait, stream) = wait(cluster.client(), cluster.namespace(), "step").logs(Logs::of_target());
        let fills = async {
            pause(1500).await;
            disk("logs", "fill").await;
            pause(2000).await;
            disk("logs", "free").await;
        };
        let (_, numbers, ()) = tokio::join!(wait, Numbers::all(stream), fills);
        let holes = numbers.holes(LINES);
        assert_eq!((holes.len(), &numbers.gaps), (1, &vec![]), "{numbers:?}");
        // The last line before may be cut anywhere, and the first one after it is then the rest of that line.
        assert!(numbers.broken <= 1, "{numbers:?}");
    };
    disturbed("log-disk-full", Waiters::default(), step(&script), life).await.by_itself(7);

    // A pod that begins then has to wait for room.
    let pod = step_with(&format!("echo last words; {}", end(8)), |container| {
        container["terminationMessagePolicy"] = json!("FallbackToLogsOnError");
    });
    let life = async |_: &Scratch, _: &str| {
        pause(6000).await;
        disk("logs", "free").await;
    };
    disk("logs", "fill").await;
    disturbed("log-disk-full-at-first", Waiters::default(), pod, life).await.by_itself(8);
}
