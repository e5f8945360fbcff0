//! `podwait wait -l` against API servers whose LISTs have no end, or none that is right.

use super::assert_one_line;
use super::fake::{Fake, Reply};
use podwait_tests::cli::{Run, start};
use serde_json::{Value, json};

async fn wait(fake: &Fake) -> Run {
    start(&["wait", "-l", "a in (b,c),d!=e", "--kubeconfig", fake.kubeconfig()]).end().await
}

fn list(items: &Value, next: &str) -> Reply {
    Reply::Json(
        200,
        json!({ "kind": "PartialObjectMetadataList", "metadata": { "continue": next }, "items": items }),
    )
}

#[tokio::test]
async fn a_body_without_an_end_is_not_kept() {
    let fake = Fake::start(|_| Reply::Endless).await;
    assert_one_line(&wait(&fake).await, 232, "length limit exceeded");
    assert!(fake.sent() < 100 << 20, "{} bytes", fake.sent());
    assert!(
        fake.requests()[0].contains("labelSelector=a+in+%28b%2Cc%29%2Cd%21%3De"),
        "{:?}",
        fake.requests()
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for() {
    let fake = Fake::start(|_| Reply::Never).await;
    assert_one_line(&wait(&fake).await, 232, "no response within 10s");
}

#[tokio::test]
async fn pages_without_an_end_are_an_error() {
    let fake = Fake::start(|_| list(&json!([]), "more")).await;
    assert_one_line(&wait(&fake).await, 232, "a continue token was repeated");
    assert_eq!(fake.count("GET"), 2, "{:?}", fake.requests());

    let mut page = 0;
    let fake = Fake::start(move |_| {
        page += 1;
        list(&json!([]), &format!("page-{page}"))
    })
    .await;
    assert_one_line(&wait(&fake).await, 232, "the list does not end");
    assert!(fake.count("GET") < 1100, "{}", fake.count("GET"));
}

#[tokio::test]
async fn an_item_of_another_namespace_or_without_a_name_is_no_pod_of_ours() {
    for (namespace, name) in [("other", "a"), ("ci", "../x"), ("ci", "")] {
        let item = json!([{ "metadata": { "namespace": namespace, "name": name, "uid": "u-1" } }]);
        let fake = Fake::start(move |_| list(&item, "")).await;
        assert_one_line(&wait(&fake).await, 232, "the list has an item");
        assert_eq!(fake.count("GET"), 1, "{:?}", fake.requests());
    }
}
