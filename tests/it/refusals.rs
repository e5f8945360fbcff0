//! Whose word a refusal is: the API server's about this request, or that of something on the way.

use podwait::{FailReason, Hub, Policy, Scope, wait};
use podwait_sim::{Cluster, Fault, FaultBody, Life, Terminated, Verb, pod};
use serde_json::{Value, json};
use std::time::Duration;

/// The codes that end a wait, or have no budget, where the API server says so.
const CODES: [u16; 6] = [400, 405, 406, 410, 415, 422];

fn refusal(code: u16, body: FaultBody) -> Fault {
    Fault::Status { code, retry_after: None, body }
}

fn page(code: u16) -> Fault {
    refusal(code, FaultBody::Text(String::from("<html><body>no such page</body></html>")))
}

/// A `Status` of this code; `changes` are merged into it.
fn status(code: u16, changes: &Value) -> Fault {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": "BadRequest", "message": "so it is",
    });
    for (field, value) in changes.as_object().into_iter().flatten() {
        status[field] = value.clone();
    }
    refusal(code, FaultBody::Json(status))
}

/// `ci/p`, which exits 7 after ten seconds.
fn cluster() -> Cluster {
    let cluster = Cluster::new();
    let life = Life::of(pod("ci", "p", &["step"])).scheduled("node-1").running();
    life.after(Duration::from_secs(10)).terminated("step", Terminated::exit(7)).spawn(&cluster);
    cluster
}

/// The answers of a wait by a watch, by polls and in a hub, where the first three requests of each verb are refused so.
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
    let watched = wait(refused().client(), "ci", "p").await;
    let polled = wait(refused().client(), "ci", "p").poll().await;
    let shared = Hub::new(refused().client(), Scope::namespace("ci")).wait("ci", "p").await;
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
async fn a_status_about_something_else_ends_no_wait() {
    let others = [
        json!({"details": {"kind": "nodes", "name": "p"}}),
        json!({"details": {"kind": "pods", "name": "q"}}),
        json!({"details": {"kind": "Deployment"}}),
        json!({"details": {"name": "q"}}),
        json!({"apiVersion": "v2"}),
        json!({"kind": "Failure"}),
        // A cache that keeps bodies and not their codes.
        json!({"code": 404}),
    ];
    for other in others {
        for code in CODES {
            assert_eq!(waits(&status(code, &other)).await, [Ok(7); 3], "{code} {other}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_api_server_s_own_word_ends_a_wait() {
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
            let cluster = cluster();
            cluster.faults().push(Verb::Get, status(code, &own));
            let failure = wait(cluster.client(), "ci", "p").await.expect_err("a rejection");
            assert_eq!(failure.reason, FailReason::ApiRejected, "{code} {own}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_for_ever_use_up_the_budget_of_an_outage() {
    for code in CODES {
        let cluster = cluster();
        cluster.faults().rule(move |_| Some(page(code)));
        let policy = Policy::builder().api_error_budget(Duration::from_secs(30)).build().expect("a policy");
        let failure = wait(cluster.client(), "ci", "p").policy(policy).await.expect_err("no answer");
        assert_eq!(failure.reason, FailReason::ApiUnavailable, "{code}");
    }
}

/// A refusal may have nothing to say.
#[tokio::test(start_paused = true)]
async fn no_sentence_ends_where_a_reason_should_be() {
    for message in [json!(""), json!(" \n\t "), json!(null)] {
        for reason in [json!(""), json!(null), json!("Forbidden")] {
            let cluster = cluster();
            let fault = status(403, &json!({"message": message, "reason": reason}));
            cluster.faults().rule(move |_| Some(fault.clone()));
            let failure = podwait::check_access(&cluster.client(), "ci", "p").await.expect_err("a refusal");
            assert!(!failure.message.trim().is_empty(), "{message} {reason}: {failure:?}");
            let failure = wait(cluster.client(), "ci", "p").await.expect_err("a refusal").message;
            assert!(!failure.trim_end().ends_with(':') && !failure.contains("()"), "{failure}");
        }
    }
}
