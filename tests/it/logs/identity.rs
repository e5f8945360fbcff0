//! Logs of a pod with a namesake.

use super::{Collected, running, secs};
use podwait::{FailReason, Hub, Logs, Policy, Scope, wait};
use podwait_sim::{Cluster, Fault, Life, Verb, pod};
use podwait_tests::client_of;
use tokio::time::{Instant, sleep};

/// The uid of `ci/p`.
fn uid(cluster: &Cluster) -> String {
    let pod = cluster.get("ci", "p").expect("the pod is there");
    pod["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

fn theirs() -> Life {
    Life::of(pod("ci", "p", &["step"])).scheduled("node-1").running().writes("step", "theirs\n")
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_of_a_namesake_that_exists_first() {
    for poll in [false, true] {
        let cluster = Cluster::new();
        theirs().spawn(&cluster);
        sleep(secs(1)).await;
        let policy = Policy::builder().start_deadline(secs(20)).build().expect("a policy");
        let wait = wait(client_of(&cluster), "ci", "p").uid("ours").policy(policy);
        let (wait, logs) = if poll { wait.poll() } else { wait }.logs(Logs::of_all());
        let (exit, collected) = tokio::join!(wait, Collected::all(logs));
        assert!(exit.is_err() && collected.texts.is_empty() && collected.gaps.is_empty(), "{collected:?}");
        assert_eq!(cluster.requests().log, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_of_a_namesake_that_replaces_the_pod() {
    for way in ["poll", "watch", "hub", "outside of the hub's labels"] {
        let cluster = Cluster::new();
        let life = running().writes("step", "ours\n").after(secs(40)).delete(0);
        life.created(pod("ci", "p", &["step"]))
            .scheduled("node-1")
            .running()
            .writes("step", "theirs\n")
            .after(secs(90))
            .finished(0)
            .spawn(&cluster);
        sleep(secs(2)).await;
        let of_hub = |scope| Hub::new(client_of(&cluster), scope).wait("ci", "p");
        let wait = match way {
            "poll" => wait(client_of(&cluster), "ci", "p").poll(),
            "watch" => wait(client_of(&cluster), "ci", "p"),
            "hub" => of_hub(Scope::namespace("ci")),
            _ => of_hub(Scope::namespace("ci").labels("app=other")),
        };
        if way == "watch" {
            // The watch breaks, and the history of that time is compacted.
            cluster.faults().push(Verb::Watch, Fault::CutIn(secs(20)));
            let start = Instant::now();
            cluster.faults().rule(move |request| {
                let is_down = request.verb != Verb::Log && (20..60).contains(&start.elapsed().as_secs());
                is_down.then(|| Fault::status(503))
            });
            let cluster = cluster.clone();
            tokio::spawn(async move {
                sleep(secs(55)).await;
                cluster.compact(cluster.revision());
            });
        }
        let (wait, logs) = wait.logs(Logs::of_target());
        let (exit, collected) = tokio::join!(wait, Collected::all(logs));
        let reason = exit.expect_err("our pod was deleted").reason;
        assert!(matches!(reason, FailReason::PodReplaced | FailReason::PodDeleted), "{way}: {reason}");
        collected.is("step", 1, "ours\n");
        assert_eq!(collected.texts.len(), 1, "{way}: {collected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn logs_so_far_of_a_namesake_are_not_read() {
    let cluster = Cluster::new();
    theirs().spawn(&cluster);
    sleep(secs(1)).await;
    for logs in [Logs::of_target(), Logs::of_all()] {
        let asked = wait(client_of(&cluster), "ci", "p").uid("ours").logs_so_far(logs.clone());
        let Err(failure) = asked.await else { panic!("the pod with this uid does not exist") };
        assert_ne!(failure.reason, FailReason::ApiUnavailable, "{failure}");
        let asked = wait(client_of(&cluster), "ci", "p").uid(uid(&cluster)).logs_so_far(logs);
        let Ok(theirs) = asked.await else { panic!("it is there") };
        Collected::all(theirs).await.is_only("theirs\n");
    }
    assert!(cluster.requests().get < 20, "{:?}", cluster.requests());
}
