//! Refusals of this request by the API server, and other responses that look like refusals.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::StreamBody;
use kube::client::Body;
use podwait::{ApiFailure, FailReason, Hold, Hub, Policy, Scope, wait};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Terminated, Verb, pod};
use podwait_tests::client_of;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// The codes that end a wait, or have no budget, if they come from the API server.
const CODES: [u16; 6] = [400, 405, 406, 410, 415, 422];

fn refusal(code: u16, body: FaultBody) -> Fault {
    Fault::Status { code, retry_after: None, body }
}

fn page(code: u16) -> Fault {
    refusal(code, FaultBody::Text(String::from("<html><body>no such page</body></html>")))
}

/// A `Status` with this code, in JSON and in the requested encoding; `changes` are merged into it.
fn status(code: u16, changes: &Value) -> [Fault; 2] {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": "BadRequest", "message": "so it is",
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        status[field] = value.clone();
    }
    [FaultBody::Json(status.clone()), FaultBody::Object(status)].map(|body| refusal(code, body))
}

/// `ci/p`, which exits 7 after ten seconds.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1").running();
    life.after(Duration::from_secs(10)).terminated("step", Terminated::exit(7)).spawn(&cluster);
    cluster
}

/// The answers of a wait by a watch, by polls and in a hub, if the first three requests of each verb have this fault.
async fn waits(fault: &Fault) -> [Result<i32, FailReason>; 3] {
    let refused = || {
        let cluster = cluster();
        for verb in [Verb::Get, Verb::List, Verb::Watch] {
            for _ in 0..3 {
                cluster.faults().push(verb, fault.clone());
            }
        }
        cluster
    };
    let watched = wait(client_of(&refused()), "ci", "p").await;
    let polled = wait(client_of(&refused()), "ci", "p").poll().await;
    let shared = Hub::new(client_of(&refused()), Scope::namespace("ci")).wait("ci", "p").await;
    [watched, polled, shared].map(|end| end.map(|exit| exit.code).map_err(|failure| failure.reason))
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_ends_no_wait_whatever_its_code() {
    for code in CODES {
        assert_eq!(waits(&page(code)).await, [Ok(7); 3], "{code}");
        assert_eq!(waits(&refusal(code, FaultBody::Json(json!({"error": "x"})))).await, [Ok(7); 3], "{code}");
        assert_eq!(waits(&refusal(code, FaultBody::Text(String::new()))).await, [Ok(7); 3], "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_about_another_request_ends_no_wait() {
    let others = [
        json!({"details": {"kind": "nodes", "name": "p"}}),
        json!({"details": {"kind": "pods", "name": "q"}}),
        json!({"details": {"kind": "Deployment"}}),
        json!({"details": {"name": "q"}}),
        json!({"apiVersion": "v2"}),
        json!({"kind": "Failure"}),
        // As from a cache that stores bodies without their codes.
        json!({"code": 404}),
    ];
    for other in others {
        for code in CODES {
            for fault in status(code, &other) {
                assert_eq!(waits(&fault).await, [Ok(7); 3], "{fault:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_api_server_ends_a_wait() {
    let ours = [
        json!({}),
        json!({"details": {}}),
        json!({"details": {"kind": "pods"}}),
        json!({"details": {"kind": "Pod", "name": "p"}}),
        json!({"details": {"kind": "GetOptions", "group": "meta.k8s.io"}}),
        json!({"code": null}),
    ];
    for own in ours {
        for code in CODES.into_iter().filter(|code| *code != 410) {
            for fault in status(code, &own) {
                let cluster = cluster();
                cluster.faults().push(Verb::Get, fault.clone());
                let failure = wait(client_of(&cluster), "ci", "p").await.expect_err("a rejection");
                assert_eq!(failure.reason, FailReason::ApiRejected, "{fault:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn endless_pages_use_up_the_budget_for_errors() {
    for code in CODES {
        let cluster = cluster();
        cluster.faults().rule(move |_| Some(page(code)));
        let policy = Policy::builder().api_error_budget(Duration::from_secs(30)).build().expect("a policy");
        let failure = wait(client_of(&cluster), "ci", "p").policy(policy).await.expect_err("no answer");
        assert_eq!(failure.reason, FailReason::ApiUnavailable, "{code}");
    }
}

/// A pod that has ended: `ci/p`, with these changes.
fn ended(code: i32, changes: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "namespace": "ci", "name": "p", "uid": "u", "resourceVersion": "7" },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": "step" }] },
        "status": {
            "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{ "name": "step", "restartCount": 0, "state": { "terminated": { "exitCode": code } } }],
        },
    });
    for (pointer, value) in changes.as_object().into_iter().flatten() {
        *pod.pointer_mut(pointer).expect("a field") = value.clone();
    }
    pod
}

/// A server whose first responses, and whose watches, have another object, with exit 0. After that it responds that
/// `ci/p` exited 7.
fn mixed_up(other: Value) -> podwait::Client {
    let left = Arc::new(AtomicUsize::new(3));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let uri = request.uri().to_string();
        let is_watch = uri.contains("watch=");
        let is_wrong = is_watch || left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let pod = if is_wrong { other.clone() } else { ended(7, &json!({})) };
        let text = match is_watch {
            true => ["MODIFIED", "DELETED"]
                .map(|kind| format!("{}\n", json!({ "type": kind, "object": pod })))
                .concat(),
            false if request.uri().path().ends_with("/pods") => {
                let metadata = json!({ "resourceVersion": "5" });
                json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": [pod] })
                    .to_string()
            }
            false => pod.to_string(),
        };
        async move {
            let first = stream::iter([Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(text)))]);
            let body = match is_watch {
                true => first.chain(stream::pending()).left_stream(),
                false => first.right_stream(),
            };
            Ok::<_, Infallible>(http::Response::new(StreamBody::new(body)))
        }
    });
    podwait::Client::from_service(service, "ci")
}

#[tokio::test(start_paused = true)]
async fn a_response_with_another_object_is_no_evidence_about_ours() {
    for other in [
        json!({ "/metadata/namespace": "other" }),
        json!({ "/metadata/name": "q" }),
        json!({ "/kind": "PodMetrics" }),
        json!({ "/apiVersion": "metrics.k8s.io/v1beta1" }),
    ] {
        let client = || mixed_up(ended(0, &other));
        let watched = wait(client(), "ci", "p").await;
        let polled = wait(client(), "ci", "p").poll().await;
        let shared = Hub::new(client(), Scope::namespace("ci")).wait("ci", "p").await;
        for end in [watched, polled, shared] {
            assert_eq!(end.map(|exit| exit.code).map_err(|failure| failure.reason), Ok(7), "{other}");
        }
    }
}

/// Code of a caller with errors of several kinds.
#[tokio::test(start_paused = true)]
async fn a_failure_of_a_call_works_with_the_question_mark_operator() {
    async fn release(hold: &Hold, client: &podwait::Client) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _: u32 = "5".parse()?;
        podwait::check_access(client, "ci", "p").await?;
        Ok(hold.release().await?)
    }
    let cluster = Cluster::new();
    let hold = Hold::of_created(client_of(&cluster), "ci", "p", "u");
    cluster.faults().rule(|_| Some(Fault::status(403)));
    let error = release(&hold, &client_of(&cluster)).await.expect_err("a refusal");
    assert!(error.to_string().contains("pods is forbidden"), "{error}");
    assert!(error.is::<ApiFailure>());
}

/// A refusal may have no message.
#[tokio::test(start_paused = true)]
async fn no_sentence_has_an_empty_cause() {
    for message in [json!(""), json!(" \n\t "), json!(null)] {
        for reason in [json!(""), json!(null), json!("Forbidden")] {
            for fault in status(403, &json!({"message": message, "reason": reason})) {
                let cluster = cluster();
                cluster.faults().rule(move |_| Some(fault.clone()));
                let failure = podwait::check_access(&client_of(&cluster), "ci", "p").await;
                let failure = failure.expect_err("a refusal");
                assert!(!failure.message.trim().is_empty(), "{message} {reason}: {failure:?}");
                let failure = wait(client_of(&cluster), "ci", "p").await.expect_err("a refusal").message;
                assert!(!failure.trim_end().ends_with(':') && !failure.contains("()"), "{failure}");
            }
        }
    }
}
