//! The API server and its store go away and come back. Alone on the cluster, since everybody would notice.

use super::{Waiters, step};
use podwait::DoneReason;
use podwait_tests::cluster::{Scratch, alone, own_cluster, pause};

#[tokio::test]
async fn an_outage_changes_no_answer() {
    let Some(own) = own_cluster() else { return };
    let _node = super::disruptions::NODE_IN_USE.lock().await;
    let _alone = alone().await;
    for (name, orders) in [
        // Watches end in the middle, connections are refused.
        ("apiserver-killed", &["kill apiserver", "start apiserver"][..]),
        // Connections stay open and nothing comes.
        ("apiserver-paused", &["pause apiserver", "resume apiserver"]),
        ("etcd-killed", &["kill etcd", "start etcd"]),
        // What a watch would go on from is gone.
        ("compacted", &["compact", "kill apiserver", "start apiserver", "compact"]),
    ] {
        let scratch = Scratch::in_outages(name).await.expect("a cluster");
        let life = async {
            pause(300).await;
            scratch.create_pod(&step("sleep 4; exit 5")).await;
            scratch.wait_until_running("step").await;
            for order in orders {
                own.order(order).await;
                pause(3000).await;
            }
            own.order("ready 60").await;
        };
        let waiters = Waiters::default();
        let (answers, ()) = tokio::join!(waiters.wait(&scratch, "step"), life);
        answers.all_done(DoneReason::NonzeroExit, 5);
        answers.agree_with_the_runtime(scratch.namespace(), "step");
        answers.keep_recording(name);
        scratch.remove().await;
    }
}
