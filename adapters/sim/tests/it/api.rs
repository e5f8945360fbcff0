//! GET, LIST, POST, and requests that do not concern pods.

use podwait_sim::{Cluster, pod};
use serde_json::json;

use crate::wire::{get, send};

#[tokio::test(start_paused = true)]
async fn a_missing_pod_is_a_proper_404_status() {
    let answer = get(&Cluster::new().client(), "/api/v1/namespaces/ci/pods/x").await;
    assert_eq!(answer.code, 404);
    assert_eq!(
        answer.json(),
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "pods \"x\" not found",
            "reason": "NotFound",
            "details": { "name": "x", "kind": "pods" },
            "code": 404,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn kube_reads_the_404() {
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::default_namespaced(Cluster::new().client());
    let error = pods.get("x").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.is_not_found()));
}

#[tokio::test(start_paused = true)]
async fn a_stored_pod_has_what_the_api_server_adds() {
    let cluster = Cluster::new();
    let created =
        cluster.create(json!({ "metadata": { "name": "a" }, "spec": {}, "status": { "phase": "Failed" } }));
    let got = get(&cluster.client(), "/api/v1/namespaces/default/pods/a").await.json();
    assert_eq!(got, *created.unwrap());
    assert_eq!(
        got,
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "a",
                "namespace": "default",
                "uid": "00000000-0000-4000-8000-000000000001",
                "resourceVersion": "2",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "generation": 1,
            },
            "spec": { "restartPolicy": "Always", "terminationGracePeriodSeconds": 30 },
            "status": { "phase": "Pending", "qosClass": "BestEffort" },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn list_selects_by_namespace_field_and_label() {
    let cluster = Cluster::new();
    for (namespace, name, tier) in [("ci", "a", "x"), ("ci", "b", "y"), ("other", "a", "x")] {
        let mut pod = pod(namespace, name, &["step"]);
        pod["metadata"]["labels"]["tier"] = json!(tier);
        cluster.create(pod).unwrap();
    }
    let client = cluster.client();
    for (uri, expected) in [
        ("/api/v1/pods", vec!["ci/a", "ci/b", "other/a"]),
        ("/api/v1/namespaces/ci/pods?&", vec!["ci/a", "ci/b"]),
        ("/api/v1/namespaces/ci/pods?&fieldSelector=metadata.name%3Db", vec!["ci/b"]),
        ("/api/v1/pods?fieldSelector=metadata.namespace%21%3Dci,status.phase=Pending", vec!["other/a"]),
        ("/api/v1/pods?labelSelector=tier%3Dx,ci.example.com/step", vec!["ci/a", "other/a"]),
        ("/api/v1/pods?labelSelector=tier!=x", vec!["ci/b"]),
        ("/api/v1/pods?labelSelector=!tier", vec![]),
    ] {
        let list = get(&client, uri).await.json();
        assert_eq!((&list["kind"], &list["metadata"]["resourceVersion"]), (&json!("PodList"), &json!("4")));
        let items = list["items"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let found = items.map(|pod| &pod["metadata"]);
        let found: Vec<_> = found.map(|m| text(&m["namespace"]) + "/" + &text(&m["name"])).collect();
        assert_eq!(found, expected, "{uri}");
    }
    assert_eq!(get(&client, "/api/v1/pods?fieldSelector=spec.hat%3Dx").await.code, 400);
    assert_eq!(cluster.requests().list, 8);
}

#[tokio::test(start_paused = true)]
async fn post_creates_once() {
    let cluster = Cluster::new();
    let client = cluster.client();
    let body = pod("ci", "a", &["step"]).to_string();
    let answer = send(&client, "POST", "/api/v1/namespaces/ci/pods", &body).await;
    assert_eq!(answer.code, 201);
    assert_eq!(answer.json(), *cluster.get("ci", "a").unwrap());
    let again = send(&client, "POST", "/api/v1/namespaces/ci/pods", &body).await;
    assert_eq!((again.code, &again.json()["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(send(&client, "POST", "/api/v1/namespaces/elsewhere/pods", &body).await.code, 400);
    assert_eq!(send(&client, "POST", "/api/v1/namespaces/ci/pods", "{").await.code, 400);
    let nameless = r#"{"metadata":{},"spec":{}}"#;
    assert_eq!(send(&client, "POST", "/api/v1/namespaces/ci/pods", nameless).await.code, 422);
}

#[tokio::test(start_paused = true)]
async fn requests_that_do_not_concern_pods() {
    let client = Cluster::new().client();
    let unknown = get(&client, "/api/v1/nodes").await;
    assert_eq!((unknown.code, unknown.body.as_str()), (404, "404 page not found\n"));
    assert_eq!(unknown.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(get(&client, "/version").await.json()["major"], "1");
    assert_eq!(get(&client, "/readyz").await.body, "ok");
    assert_eq!(send(&client, "PUT", "/api/v1/namespaces/ci/pods/a", "").await.code, 405);
}

#[test]
fn without_a_difference_there_is_no_write() {
    let cluster = Cluster::new();
    cluster.create(pod("ci", "a", &["step"])).unwrap();
    let before = cluster.revision();
    cluster.update_status("ci", "a", |pod| pod["metadata"]["uid"] = json!("forged")).unwrap();
    assert_eq!(cluster.revision(), before);
    let after = cluster.update_status("ci", "a", |pod| pod["status"]["phase"] = json!("Running")).unwrap();
    assert_eq!(after["metadata"]["resourceVersion"], (before + 1).to_string());
}

#[tokio::test(start_paused = true)]
async fn all_pages_of_a_list_show_the_same_revision() {
    let cluster = Cluster::new();
    for name in ["a", "b", "c", "d", "e"] {
        cluster.create(pod("ci", name, &["step"])).unwrap();
    }
    let names = |page: &serde_json::Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let client = cluster.client();
    let list = async |query: &str| get(&client, &format!("/api/v1/namespaces/ci/pods?limit=2{query}")).await;
    let first = list("").await.json();
    assert_eq!(
        (names(&first), &first["metadata"]["resourceVersion"]),
        (vec!["a".into(), "b".into()], &json!("6"))
    );
    cluster.remove("ci", "d").unwrap();
    cluster.create(pod("ci", "z", &["step"])).unwrap();
    let second = list(&format!("&continue={}", first["metadata"]["continue"].as_str().unwrap())).await.json();
    assert_eq!(
        (names(&second), &second["metadata"]["resourceVersion"]),
        (vec!["c".into(), "d".into()], &json!("6"))
    );
    cluster.compact(cluster.revision());
    let third = list(&format!("&continue={}", second["metadata"]["continue"].as_str().unwrap())).await;
    assert_eq!(third.code, 410);
}

#[tokio::test(start_paused = true)]
async fn a_response_has_the_encoding_that_its_request_prefers() {
    let cluster = Cluster::new();
    cluster.create(pod("ci", "a", &["step"])).unwrap();
    let content_type = async |uri: &str, accept: &str| {
        let request = http::Request::get(uri).header("accept", accept);
        let request = request.body(kube::client::Body::empty()).unwrap();
        let response = cluster.client().send(request).await.unwrap();
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap().to_owned())
    };
    let (json, protobuf) = ("application/json", "application/vnd.kubernetes.protobuf");
    let both = "application/vnd.kubernetes.protobuf, application/json;q=0.9";
    for (uri, code, in_protobuf) in [
        ("/api/v1/namespaces/ci/pods/a", 200, protobuf),
        ("/api/v1/namespaces/ci/pods/b", 404, protobuf),
        ("/api/v1/namespaces/ci/pods", 200, protobuf),
        ("/api/v1/pods?watch=true", 200, "application/vnd.kubernetes.protobuf;stream=watch"),
        ("/api/v1/pods?watch=true&resourceVersion=x", 400, protobuf),
        ("/version", 200, json),
    ] {
        for (accept, expected) in [(json, json), ("*/*", json), (protobuf, in_protobuf), (both, in_protobuf)]
        {
            assert_eq!(content_type(uri, accept).await, (code, expected.to_owned()), "{uri} {accept}");
        }
    }
    assert_eq!(content_type("/api/v1/pods", "text/html").await, (406, json.to_owned()));
    cluster.faults().refuse_protobuf();
    assert_eq!(content_type("/api/v1/pods", both).await, (200, json.to_owned()));
    assert_eq!(content_type("/api/v1/pods", protobuf).await, (406, json.to_owned()));
    cluster.faults().clear();
    assert_eq!(content_type("/api/v1/pods", both).await, (200, protobuf.to_owned()));
}
