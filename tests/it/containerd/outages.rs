//! containerd and its shims end or stand still while steps run. Each has the node for itself, since all containers notice.

use super::{NODE_IN_USE, disturbed, end, order, step, trap};
use podwait::{DoneReason, FailReason};
use podwait_tests::cluster::{CONTAINERD_NODE, Waiters, pause};

/// Gives an order to containerd itself.
async fn daemon(verb: &str) {
    order(&format!("containerd {CONTAINERD_NODE} {verb}")).await;
}

/// Its steps go on under their shims, which keep the codes.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn containerd_is_away_and_no_code_is_lost() {
    let _node = NODE_IN_USE.write().await;
    let runs_on =
        disturbed("restarted-while-it-runs", Waiters::default(), step(&trap(3)), async |cluster, uid| {
            cluster.wait_until_running("step").await;
            daemon("restart").await;
            order(&format!("runtime signal {uid} step SIGTERM")).await;
        });
    runs_on.await.by_itself(3);

    let script = format!("echo begun; sleep 2; {}", end(4));
    let ends = disturbed("away-while-it-ends", Waiters::default(), step(&script), async |cluster, _| {
        cluster.wait_until_running("step").await;
        daemon("kill").await;
        pause(4000).await;
        daemon("start").await;
    });
    ends.await.by_itself(4);

    let script = format!("echo begun; sleep 1; {}", end(5));
    let stands =
        disturbed("stands-still-while-it-ends", Waiters::default(), step(&script), async |cluster, _| {
            cluster.wait_until_running("step").await;
            daemon("pause").await;
            pause(3000).await;
            daemon("resume").await;
        });
    stands.await.by_itself(5);
}

/// If containerd sees it, nothing in the status differs from that of a step that exits with 255 by itself: the recording
/// `containerd-exit-255` is of one. If containerd is away as well, it later reports `Unknown`.
#[tokio::test]
#[cfg_attr(not(containerd), ignore = "needs PODWAIT_CLUSTER=containerd")]
async fn a_shim_that_is_killed_takes_the_code_along() {
    let _node = NODE_IN_USE.write().await;
    let ended = disturbed("shim-killed", Waiters::default(), step(&trap(0)), async |cluster, uid| {
        cluster.wait_until_running("step").await;
        order(&format!("runtime shim {uid} SIGKILL")).await;
    });
    ended.await.without_a_word().all_done(DoneReason::NonzeroExit, 255);

    let ended =
        disturbed("shim-killed-with-containerd", Waiters::default(), step(&trap(0)), async |cluster, uid| {
            cluster.wait_until_running("step").await;
            daemon("pause").await;
            order(&format!("runtime shim {uid} SIGKILL")).await;
            daemon("restart").await;
        });
    ended.await.without_a_word().all_fail(&[FailReason::ContainerStatusUnknown], Some(255), 220);
}
