//! WATCH: the events, their order, and the end.

use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, WatchEvent, WatchParams};
use podwait_sim::{Cluster, pod};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::wire::{Stream, get};

const PODS: &str = "/api/v1/namespaces/ci/pods?&watch=true";

fn touch(cluster: &Cluster, name: &str) {
    cluster.update_status("ci", name, |pod| pod["status"]["message"] = json!(after(pod))).unwrap();
}

fn after(pod: &Value) -> String {
    format!("after {}", pod["metadata"]["resourceVersion"])
}

fn cluster_with(names: &[&str]) -> Cluster {
    let cluster = Cluster::new();
    for name in names {
        cluster.create(pod("ci", name, &["step"])).unwrap();
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn replays_the_log_from_a_resource_version_and_follows() {
    let cluster = cluster_with(&["a", "b"]);
    touch(&cluster, "a");
    let mut watch = Stream::open(&cluster.client(), &format!("{PODS}&resourceVersion=2")).await;
    assert_eq!(watch.brief().await, "ADDED b 3");
    assert_eq!(watch.brief().await, "MODIFIED a 4");
    touch(&cluster, "b");
    assert_eq!(watch.brief().await, "MODIFIED b 5");
}

#[tokio::test(start_paused = true)]
async fn without_a_resource_version_starts_with_existing_pods() {
    let cluster = cluster_with(&["a", "b"]);
    touch(&cluster, "a");
    for uri in [PODS.to_owned(), format!("{PODS}&resourceVersion=0")] {
        let mut watch = Stream::open(&cluster.client(), &uri).await;
        assert_eq!(watch.brief().await, "ADDED a 4");
        assert_eq!(watch.brief().await, "ADDED b 3");
        assert!(timeout(Duration::from_secs(9), watch.frame()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_selector_sends_all_events_of_that_pod_only() {
    let cluster = cluster_with(&["other"]);
    let uri = format!("{PODS}&fieldSelector=metadata.name%3Da&resourceVersion=2");
    let mut watch = Stream::open(&cluster.client(), &uri).await;
    cluster.create(pod("ci", "a", &["step"])).unwrap();
    touch(&cluster, "other");
    touch(&cluster, "a");
    cluster.remove("ci", "other").unwrap();
    let last = cluster.remove("ci", "a").unwrap();
    assert_eq!(watch.brief().await, "ADDED a 3");
    assert_eq!(watch.brief().await, "MODIFIED a 5");
    assert_eq!(watch.brief().await, "MODIFIED a 8");
    let (kind, object) = watch.event().await;
    assert_eq!((kind.as_str(), &object), ("DELETED", &*last));
    assert_eq!(object["metadata"]["resourceVersion"], "9");
    assert_eq!(object["status"]["message"], "after \"3\"");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_longer_matches_is_deleted_and_added_when_it_matches_again() {
    let cluster = cluster_with(&["a"]);
    let uri = format!("{PODS}&fieldSelector=status.phase%3DPending&resourceVersion=2");
    let mut watch = Stream::open(&cluster.client(), &uri).await;
    let set = |phase: &str| {
        cluster.update_status("ci", "a", |pod| pod["status"]["phase"] = json!(phase)).unwrap();
    };
    set("Running");
    set("Succeeded");
    set("Pending");
    let (kind, object) = watch.event().await;
    assert_eq!((kind.as_str(), &object["status"]["phase"]), ("DELETED", &json!("Pending")));
    assert_eq!(object["metadata"]["resourceVersion"], "3");
    assert_eq!(watch.brief().await, "ADDED a 5");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_hold_only_a_resource_version() {
    let cluster = cluster_with(&["a"]);
    let begin = Instant::now();
    let uri = format!("{PODS}&resourceVersion=2&allowWatchBookmarks=true");
    let mut watch = Stream::open(&cluster.client(), &uri).await;
    // This pod does not match, but the bookmark has its resourceVersion.
    cluster.create(pod("other", "b", &["step"])).unwrap();
    let (kind, object) = watch.event().await;
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(object, json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "resourceVersion": "3" } }));
    assert_eq!(begin.elapsed(), Duration::from_secs(60));
    assert_eq!(watch.brief().await, "BOOKMARK - 3");
    assert_eq!(begin.elapsed(), Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_watch_may_begin_with_a_list_whose_end_is_marked() {
    let cluster = cluster_with(&["a", "b"]);
    let uri =
        format!("{PODS}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let mut watch = Stream::open(&cluster.client(), &uri).await;
    assert_eq!([watch.brief().await, watch.brief().await], ["ADDED a 2", "ADDED b 3"]);
    let (kind, object) = watch.event().await;
    assert_eq!(kind, "BOOKMARK");
    let marked = json!({ "resourceVersion": "3", "annotations": { "k8s.io/initial-events-end": "true" } });
    assert_eq!(object["metadata"], marked);
    touch(&cluster, "a");
    assert_eq!(watch.brief().await, "MODIFIED a 4");
    for (query, part) in [
        ("&sendInitialEvents=true", "requires setting resourceVersionMatch"),
        ("&resourceVersionMatch=NotOlderThan", "forbidden for watch unless sendInitialEvents"),
    ] {
        let refused = get(&cluster.client(), &format!("{PODS}{query}")).await;
        assert!(refused.code == 422 && refused.body.contains(part), "{}", refused.body);
    }
    cluster.faults().refuse_watch_list();
    let refused = get(&cluster.client(), &uri).await;
    assert!(refused.code == 422 && refused.body.contains("WatchList feature gate"), "{}", refused.body);
}

#[tokio::test(start_paused = true)]
async fn kube_reads_every_kind_of_event() {
    let cluster = cluster_with(&["a", "b"]);
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "ci");
    let stream = pods.watch(&WatchParams::default(), "2").await.unwrap();
    let mut stream = std::pin::pin!(stream);
    let mut next = async || stream.try_next().await.unwrap().unwrap();
    assert!(matches!(next().await, WatchEvent::Added(_)));
    touch(&cluster, "a");
    assert!(matches!(next().await, WatchEvent::Modified(_)));
    assert!(matches!(next().await, WatchEvent::Bookmark(mark) if mark.metadata.resource_version == "4"));
    cluster.remove("ci", "b").unwrap();
    assert!(matches!(next().await, WatchEvent::Modified(_)));
    assert!(matches!(next().await, WatchEvent::Deleted(_)));

    cluster.compact(cluster.revision());
    let stream = pods.watch(&WatchParams::default(), "2").await.unwrap();
    let first = std::pin::pin!(stream).try_next().await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Error(status) if status.code == 410));
}

#[tokio::test(start_paused = true)]
async fn ends_cleanly_when_its_time_is_up() {
    let cluster = cluster_with(&["a"]);
    for (parameter, seconds) in [("&timeoutSeconds=7", 7), ("", 1800)] {
        let begin = Instant::now();
        let uri = format!("{PODS}&resourceVersion=2{parameter}");
        assert!(Stream::open(&cluster.client(), &uri).await.ended().await);
        assert_eq!(begin.elapsed(), Duration::from_secs(seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_before_the_compaction_gets_410_in_the_stream() {
    let cluster = cluster_with(&["a", "b", "c"]);
    cluster.compact(3);
    let client = cluster.client();
    let mut watch = Stream::open(&client, &format!("{PODS}&resourceVersion=2")).await;
    let (kind, status) = watch.event().await;
    assert_eq!(kind, "ERROR");
    assert_eq!((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")));
    assert_eq!(status["message"], "too old resource version: 2 (3)");
    assert!(watch.ended().await);

    let mut watch = Stream::open(&client, &format!("{PODS}&resourceVersion=3")).await;
    assert_eq!(watch.brief().await, "ADDED c 4");
}

#[tokio::test(start_paused = true)]
async fn a_malformed_resource_version_is_a_bad_request() {
    assert_eq!(get(&Cluster::new().client(), &format!("{PODS}&resourceVersion=x")).await.code, 400);
}

#[tokio::test(start_paused = true)]
async fn a_write_between_list_and_watch_is_not_lost() {
    let cluster = cluster_with(&["a"]);
    let client = cluster.client();
    let list = get(&client, "/api/v1/namespaces/ci/pods").await.json();
    touch(&cluster, "a");
    let from = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = Stream::open(&client, &format!("{PODS}&resourceVersion={from}")).await;
    touch(&cluster, "a");
    assert_eq!(watch.brief().await, "MODIFIED a 3");
    assert_eq!(watch.brief().await, "MODIFIED a 4");
}

/// Real threads in lockstep: no later write wakes the watch in any case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_wake_up_is_lost_between_threads() {
    const WRITES: u64 = 1000;
    let cluster = cluster_with(&["a"]);
    let mut watch = Stream::open(&cluster.client(), &format!("{PODS}&resourceVersion=2")).await;
    let (sender, received) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || received.iter().for_each(|()| touch(&cluster, "a")));
    let watching = async {
        for revision in 3..3 + WRITES {
            sender.send(()).unwrap();
            assert_eq!(watch.brief().await, format!("MODIFIED a {revision}"));
        }
    };
    timeout(Duration::from_secs(60), watching).await.expect("the watch missed a write");
    drop(sender);
    writer.join().unwrap();
}
