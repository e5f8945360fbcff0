//! `podwait wait -l` on API servers whose LISTs have no end, or invalid items.

use super::assert_one_line;
use super::fake::{Fake, Reply};
use podwait_tests::cli::{Run, start};
use serde_json::{Value, json};

async fn wait(fake: &Fake) -> Run {
    start(&["wait", "-l", "a in (b,c),d!=e", "--kubeconfig", fake.kubeconfig()]).end().await
}

fn list(items: &Value, next: &str) -> Reply {
    Reply::Json(200, json!({ "kind": "PodList", "metadata": { "continue": next }, "items": items }))
}

#[tokio::test]
async fn an_endless_body_is_not_stored() {
    let fake = Fake::start(|_| Reply::Endless).await;
    assert_one_line(&wait(&fake).await, 232, "unreadable list");
    assert!(fake.sent() < 100 << 20, "{} bytes", fake.sent());
    assert!(
        fake.requests()[0].contains("labelSelector=a+in+%28b%2Cc%29%2Cd%21%3De"),
        "{:?}",
        fake.requests()
    );
}

#[tokio::test]
async fn a_missing_response_is_an_error() {
    let fake = Fake::start(|_| Reply::Never).await;
    assert_one_line(&wait(&fake).await, 232, "no response within 10s");
}

#[tokio::test]
async fn endless_pages_are_an_error() {
    let fake = Fake::start(|_| list(&json!([]), "more")).await;
    assert_one_line(&wait(&fake).await, 232, "a continue token was repeated");
    assert_eq!(fake.count("GET"), 2, "{:?}", fake.requests());

    let mut page = 0;
    let fake = Fake::start(move |_| {
        page += 1;
        list(&json!([]), &format!("page-{page}"))
    })
    .await;
    assert_one_line(&wait(&fake).await, 232, "the LIST has no end within 200 pages");
    assert_eq!(fake.count("GET"), 200);
}

#[tokio::test]
async fn an_item_of_another_namespace_or_without_a_name_is_an_error() {
    for (namespace, name, words) in [
        ("other", "a", r#"the LIST has an item "other"/"a""#),
        ("ci", "../x", r#"the LIST has an item "ci"/"../x""#),
        ("ci", "", "unreadable item"),
    ] {
        let item = json!([{ "metadata": { "namespace": namespace, "name": name, "uid": "u-1" } }]);
        let fake = Fake::start(move |_| list(&item, "")).await;
        assert_one_line(&wait(&fake).await, 232, words);
        assert_eq!(fake.count("GET"), 1, "{:?}", fake.requests());
    }
}
