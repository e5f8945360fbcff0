//! Logs of a pod whose name another pod has, or gets.

use super::{Heard, running, secs};
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
async fn of_a_namesake_that_stands_there_first_nothing_is_read() {
    for poll in [false, true] {
        let cluster = Cluster::new();
        theirs().spawn(&cluster);
        sleep(secs(1)).await;
        let policy = Policy::builder().start_deadline(secs(20)).build().expect("a policy");
        let wait = wait(client_of(&cluster), "ci", "p").uid("ours").policy(policy);
        let (wait, logs) = if poll { wait.poll() } else { wait }.logs(Logs::of_all());
        let (exit, heard) = tokio::join!(wait, Heard::all(logs));
        assert!(exit.is_err() && heard.texts.is_empty() && heard.gaps.is_empty(), "{heard:?}");
        assert_eq!(cluster.requests().log, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_namesake_that_takes_its_place_nothing_is_read() {
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
            // The watch breaks, and what happened meanwhile is not in the history any more.
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
        let (exit, heard) = tokio::join!(wait, Heard::all(logs));
        let reason = exit.expect_err("ours was deleted").reason;
        assert!(matches!(reason, FailReason::PodReplaced | FailReason::PodDeleted), "{way}: {reason}");
        heard.is("step", 1, "ours\n");
        assert_eq!(heard.texts.len(), 1, "{way}: {heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_namesake_has_written_so_far_is_not_what_was_asked_for() {
    let cluster = Cluster::new();
    theirs().spawn(&cluster);
    sleep(secs(1)).await;
    for logs in [Logs::of_target(), Logs::of_all()] {
        let asked = wait(client_of(&cluster), "ci", "p").uid("ours").logs_so_far(logs.clone());
        let Err(failure) = asked.await else { panic!("the pod of this uid is not there") };
        assert_ne!(failure.reason, FailReason::ApiUnavailable, "{failure}");
        let asked = wait(client_of(&cluster), "ci", "p").uid(uid(&cluster)).logs_so_far(logs);
        let Ok(theirs) = asked.await else { panic!("it is there") };
        Heard::all(theirs).await.is_only("theirs\n");
    }
    assert!(cluster.requests().get < 20, "{:?}", cluster.requests());
}
