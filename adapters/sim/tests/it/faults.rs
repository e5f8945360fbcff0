//! Every fault, as a client observes it.

use std::time::Duration;

use podwait_sim::{Cluster, Fault, FaultBody, Verb, pod};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::wire::{Stream, get};

const POD: &str = "/api/v1/namespaces/ci/pods/a";
const WATCH: &str = "/api/v1/namespaces/ci/pods?&watch=1&resourceVersion=1";
const LONG: Duration = Duration::from_secs(3600);

/// Three events in the log.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        cluster.create(pod("ci", name, &["step"])).unwrap();
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn status_with_retry_after_hits_one_request() {
    let cluster = cluster();
    cluster.faults().push(Verb::Get, Fault::status(429).retry_after(3));
    let answer = get(&cluster.client(), POD).await;
    assert_eq!((answer.code, &answer.headers["retry-after"]), (429, &"3".parse().unwrap()));
    assert_eq!(answer.json()["reason"], "TooManyRequests");
    assert_eq!(answer.json()["details"]["retryAfterSeconds"], 3);
    assert_eq!(get(&cluster.client(), POD).await.code, 200);
    assert_eq!(cluster.requests().get, 2);
}

#[tokio::test(start_paused = true)]
async fn a_404_of_a_proxy_has_no_status() {
    let cluster = cluster();
    let (json, text) = (FaultBody::Json(json!({ "error": "x" })), FaultBody::Text("no".to_owned()));
    for body in [json, text] {
        cluster.faults().push(Verb::Get, Fault::Status { code: 404, retry_after: None, body });
    }
    assert_eq!(get(&cluster.client(), POD).await.body, "{\"error\":\"x\"}\n");
    let plain = get(&cluster.client(), POD).await;
    assert_eq!((plain.code, plain.body.as_str()), (404, "no"));
}

#[tokio::test(start_paused = true)]
async fn after_a_delay_the_response_has_the_later_state() {
    let cluster = cluster();
    cluster.faults().push(Verb::Get, Fault::Delay(Duration::from_secs(5)));
    let begin = Instant::now();
    let later = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        later.remove("ci", "a").unwrap();
    });
    assert_eq!(get(&cluster.client(), POD).await.code, 404);
    assert_eq!(begin.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_is_some_writes_behind() {
    let cluster = cluster();
    cluster.update_status("ci", "a", |pod| pod["status"]["phase"] = json!("Running")).unwrap();
    cluster.remove("ci", "a").unwrap();
    let client = cluster.client();
    // ADDED, MODIFIED, MODIFIED by the deletion, DELETED. There is no state older than the log.
    for (writes, revision) in [(1, "6"), (2, "5"), (3, "2"), (9, "2")] {
        cluster.faults().push(Verb::Get, Fault::Stale { writes });
        let answer = get(&client, POD).await;
        assert_eq!((answer.code, &answer.json()["metadata"]["resourceVersion"]), (200, &json!(revision)));
    }
    cluster.faults().push(Verb::Get, Fault::Stale { writes: 0 });
    assert_eq!(get(&client, POD).await.code, 404);
    cluster.compact(cluster.revision());
    cluster.faults().push(Verb::Get, Fault::Stale { writes: 1 });
    assert_eq!(get(&client, POD).await.code, 404);
}

#[tokio::test(start_paused = true)]
async fn hang_never_answers() {
    let cluster = cluster();
    cluster.faults().push(Verb::Get, Fault::Hang);
    let client = cluster.client();
    assert!(timeout(LONG, get(&client, POD)).await.is_err());
    assert_eq!(get(&client, POD).await.code, 200);
}

#[tokio::test(start_paused = true)]
async fn reset_is_a_transport_error() {
    let cluster = cluster();
    cluster.faults().push(Verb::Get, Fault::Reset);
    let request = http::Request::get(POD).body(kube::client::Body::empty()).unwrap();
    let error = cluster.client().send(request).await.unwrap_err();
    assert!(matches!(error, kube::Error::Service(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn cut_after_is_a_clean_end() {
    let cluster = cluster();
    cluster.faults().push(Verb::Watch, Fault::CutAfter { events: 2 });
    let mut watch = Stream::open(&cluster.client(), WATCH).await;
    assert_eq!(watch.brief().await, "ADDED a 2");
    assert_eq!(watch.brief().await, "ADDED b 3");
    assert!(watch.ended().await);
}

#[tokio::test(start_paused = true)]
async fn cut_mid_line_leaves_half_an_event() {
    let cluster = cluster();
    cluster.faults().push(Verb::Watch, Fault::CutMidLine { events: 1 });
    let mut watch = Stream::open(&cluster.client(), WATCH).await;
    assert_eq!(watch.brief().await, "ADDED a 2");
    let half = watch.frame().await.unwrap().unwrap();
    assert!(half.starts_with("{\"type\":\"ADDED\"") && !half.contains('\n'), "{half}");
    assert!(watch.ended().await);
}

#[tokio::test(start_paused = true)]
async fn reset_after_breaks_the_stream() {
    let cluster = cluster();
    cluster.faults().push(Verb::Watch, Fault::ResetAfter { events: 1 });
    let mut watch = Stream::open(&cluster.client(), WATCH).await;
    assert_eq!(watch.brief().await, "ADDED a 2");
    assert!(watch.frame().await.unwrap().unwrap_err().contains("reset"));
}

#[tokio::test(start_paused = true)]
async fn silent_after_is_a_half_open_connection() {
    let cluster = cluster();
    for events in [0, 2] {
        cluster.faults().push(Verb::Watch, Fault::SilentAfter { events });
        let mut watch = Stream::open(&cluster.client(), WATCH).await;
        for _ in 0..events {
            watch.brief().await;
        }
        assert!(timeout(LONG, watch.frame()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_end_break_or_become_silent_after_a_time() {
    let cluster = cluster();
    let time = Duration::from_secs(70);
    for fault in [Fault::CutIn(time), Fault::ResetIn(time), Fault::SilentIn(time)] {
        cluster.faults().push(Verb::Watch, fault.clone());
        let begin = Instant::now();
        let mut watch = Stream::open(&cluster.client(), WATCH).await;
        for seen in ["ADDED a 2", "ADDED b 3", "ADDED c 4"] {
            assert_eq!(watch.brief().await, seen);
        }
        let end = timeout(LONG, watch.frame()).await;
        if matches!(fault, Fault::SilentIn(_)) {
            assert!(end.is_err());
            continue;
        }
        if matches!(fault, Fault::CutIn(_)) {
            assert_eq!(end, Ok(None));
        } else {
            assert!(end.unwrap().unwrap().unwrap_err().contains("reset"));
        }
        assert_eq!(begin.elapsed(), time);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_before_its_fault_is_unchanged() {
    let cluster = cluster();
    let late = Duration::from_secs(70);
    let faults = [Fault::CutIn(late), Fault::ResetIn(late), Fault::SilentIn(late)];
    for fault in faults {
        cluster.faults().push(Verb::Watch, fault);
        let mut watch = Stream::open(&cluster.client(), &format!("{WATCH}&timeoutSeconds=7")).await;
        let end = async {
            while let Some(frame) = watch.frame().await {
                frame.unwrap();
            }
        };
        timeout(LONG, end).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn stream_faults_damage_plain_responses_too() {
    let cluster = cluster();
    cluster.faults().push(Verb::Get, Fault::CutMidLine { events: 0 });
    let answer = get(&cluster.client(), POD).await;
    assert_eq!(answer.code, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_rule_receives_requests_without_a_pushed_fault() {
    let cluster = cluster();
    let (seen, saw) = std::sync::mpsc::channel();
    cluster.faults().push(Verb::Get, Fault::status(503));
    cluster.faults().rule(move |request| {
        seen.send(request.clone()).unwrap();
        (request.name.as_deref() == Some("a")).then(|| Fault::status(500))
    });
    let client = cluster.client();
    assert_eq!(get(&client, POD).await.code, 503);
    assert_eq!(get(&client, POD).await.code, 500);
    assert_eq!(get(&client, "/api/v1/pods?&fieldSelector=metadata.name%3Da").await.code, 500);
    assert_eq!(get(&client, "/api/v1/namespaces/ci/pods/b").await.code, 200);
    let seen: Vec<_> = saw.try_iter().collect();
    let verbs: Vec<_> = seen.iter().map(|request| request.verb).collect();
    assert_eq!(verbs, [Verb::Get, Verb::List, Verb::Get]);
    assert_eq!((seen[1].namespace.as_deref(), seen[1].name.as_deref()), (None, Some("a")));
    assert_eq!(seen[1].uri, "/api/v1/pods?&fieldSelector=metadata.name%3Da");
    cluster.faults().clear();
    assert_eq!(get(&client, POD).await.code, 200);
    let counts = cluster.requests();
    assert_eq!((counts.get, counts.list, counts.watch), (4, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn delayed_events_keep_the_time_between_them() {
    let cluster = cluster();
    cluster.faults().push(Verb::Watch, Fault::Late(Duration::from_secs(3)));
    let begin = Instant::now();
    let mut stream = Stream::open(&cluster.client(), WATCH).await;
    let later = cluster.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        later.remove("ci", "a").unwrap();
    });
    let mut times = Vec::new();
    for _ in 0..5 {
        stream.brief().await;
        times.push(begin.elapsed().as_secs());
    }
    assert_eq!(times, [3, 3, 3, 4, 4]);
}
