//! The deletion of pods.

use std::time::Duration;

use podwait_sim::{Cluster, EventType, Life, Terminated, pod};
use serde_json::{Value, json};

use crate::wire::send;

const POD: &str = "/api/v1/namespaces/ci/pods/a";

/// The events of the deletion: type, resourceVersion, the second of deletionTimestamp, grace period, phase.
fn log(cluster: &Cluster, after: u64) -> Vec<String> {
    let events = cluster.events().into_iter().filter(|event| event.revision > after);
    let brief = |kind: EventType, pod: &Value| {
        let metadata = &pod["metadata"];
        let at = metadata["deletionTimestamp"].as_str().map_or("-", |at| &at[14..19]);
        let (kind, rv) = (kind.as_str(), metadata["resourceVersion"].as_str().unwrap());
        let (grace, phase) =
            (&metadata["deletionGracePeriodSeconds"], pod["status"]["phase"].as_str().unwrap());
        format!("{kind} {rv} at={at} grace={grace} {phase}")
    };
    events.map(|event| brief(event.kind, &event.object)).collect()
}

async fn running_pod() -> (Cluster, u64) {
    let cluster = Cluster::new();
    Life::of(pod("ci", "a", &["step"])).scheduled("node-1").running().run(&cluster).await.unwrap();
    let revision = cluster.revision();
    (cluster, revision)
}

#[tokio::test(start_paused = true)]
async fn a_graceful_deletion_ends_with_the_kubelets_delete() {
    let (cluster, before) = running_pod().await;
    tokio::time::advance(Duration::from_secs(10)).await;
    Life::existing("ci", "a")
        .delete(None)
        .after(Duration::from_secs(5))
        .terminated("step", Terminated::exit(143))
        .phase("Failed")
        .after(Duration::from_secs(1))
        .removed()
        .run(&cluster)
        .await
        .unwrap();
    assert_eq!(
        log(&cluster, before),
        [
            "MODIFIED 5 at=00:40 grace=30 Running",
            "MODIFIED 6 at=00:40 grace=30 Running",
            "MODIFIED 7 at=00:40 grace=30 Failed",
            "MODIFIED 8 at=00:16 grace=0 Failed",
            "DELETED 9 at=00:16 grace=0 Failed",
        ]
    );
    let last = cluster.events().pop().unwrap().object;
    assert_eq!(last["metadata"]["generation"], 2);
    assert_eq!(last["status"]["observedGeneration"], 2);
    assert_eq!(last["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 143);
    assert!(cluster.get("ci", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_force_deletion_writes_grace_0_and_leaves_a_running_container_behind() {
    let (cluster, before) = running_pod().await;
    cluster.request_deletion("ci", "a", 0).unwrap();
    assert_eq!(
        log(&cluster, before),
        ["MODIFIED 5 at=00:00 grace=0 Running", "DELETED 6 at=00:00 grace=0 Running"]
    );
}

#[tokio::test(start_paused = true)]
async fn unscheduled_and_terminal_pods_are_removed_at_once() {
    let unscheduled = Cluster::new();
    unscheduled.create(pod("ci", "a", &["step"])).unwrap();
    unscheduled.request_deletion("ci", "a", 30).unwrap();
    assert_eq!(
        log(&unscheduled, 2),
        ["MODIFIED 3 at=00:00 grace=0 Pending", "DELETED 4 at=00:00 grace=0 Pending"]
    );
    let (terminal, _) = running_pod().await;
    Life::existing("ci", "a").finished(0).delete(30).run(&terminal).await.unwrap();
    assert!(terminal.get("ci", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_can_only_shorten_the_grace_period() {
    let (cluster, before) = running_pod().await;
    cluster.request_deletion("ci", "a", 30).unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    cluster.request_deletion("ci", "a", 60).unwrap();
    cluster.request_deletion("ci", "a", None).unwrap();
    cluster.request_deletion("ci", "a", 25).unwrap();
    cluster.request_deletion("ci", "a", 10).unwrap();
    assert_eq!(
        log(&cluster, before),
        [
            "MODIFIED 5 at=00:30 grace=30 Running",
            "MODIFIED 6 at=00:25 grace=25 Running",
            // Ten seconds after the first request have passed: one second is left.
            "MODIFIED 7 at=00:20 grace=1 Running",
        ]
    );
    assert_eq!(cluster.get("ci", "a").unwrap()["metadata"]["generation"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_holds_the_object_until_it_is_removed() {
    let cluster = Cluster::new();
    let mut held = pod("ci", "a", &["step"]);
    held["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    cluster.create(held).unwrap();
    cluster.remove("ci", "a").unwrap();
    cluster.remove("ci", "a").unwrap();
    cluster.remove_finalizer("ci", "a", "example.com/a").unwrap();
    assert_eq!(cluster.get("ci", "a").unwrap()["metadata"]["finalizers"], json!(["example.com/b"]));
    cluster.remove_finalizer("ci", "a", "example.com/b").unwrap();
    assert_eq!(
        log(&cluster, 2),
        [
            "MODIFIED 3 at=00:00 grace=0 Pending",
            "MODIFIED 4 at=00:00 grace=0 Pending",
            "DELETED 5 at=00:00 grace=0 Pending",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_removed_early_does_not_end_the_grace_period() {
    let (cluster, _) = running_pod().await;
    cluster.update_status("ci", "a", |pod| pod["metadata"]["finalizers"] = json!(["example.com/a"])).unwrap();
    cluster.request_deletion("ci", "a", 30).unwrap();
    let pod = cluster.remove_finalizer("ci", "a", "example.com/a").unwrap();
    assert_eq!(pod["metadata"].get("finalizers"), None);
    cluster.remove("ci", "a").unwrap();
    assert!(cluster.get("ci", "a").is_none());
}

#[tokio::test(start_paused = true)]
async fn delete_over_http_reads_query_body_and_precondition() {
    let (cluster, _) = running_pod().await;
    let client = cluster.client();
    let stranger = r#"{"preconditions":{"uid":"someone-else"}}"#;
    let answer = send(&client, "DELETE", POD, stranger).await;
    assert_eq!((answer.code, &answer.json()["reason"]), (409, &json!("Conflict")));

    let answer = send(&client, "DELETE", POD, r#"{"gracePeriodSeconds":20}"#).await;
    assert_eq!((answer.code, &answer.json()["metadata"]["deletionGracePeriodSeconds"]), (200, &json!(20)));
    assert_eq!(answer.json(), *cluster.get("ci", "a").unwrap());

    let uid = answer.json()["metadata"]["uid"].clone();
    let own = json!({ "preconditions": { "uid": uid } }).to_string();
    assert_eq!(send(&client, "DELETE", &format!("{POD}?&gracePeriodSeconds=0"), &own).await.code, 200);
    assert_eq!(send(&client, "DELETE", POD, "").await.code, 404);
    assert_eq!(cluster.requests().delete, 4);
}
