use super::*;
use core::time::Duration;

fn read(method: &str, path: &str, code: u16, body: &str) -> Refusal {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let answer = Answer { code, body: body.as_bytes(), ..Answer::default() };
    Refusal::read(Via::Get, &Subject::of(method, path, query), &answer)
}

const POD: &str = "/api/v1/namespaces/ci/pods/p";

#[test]
fn the_subject_of_a_request_is_found() {
    for (path, query, resource, name) in [
        (POD, None, "pods", Some("p")),
        ("/api/v1/namespaces/ci/pods", None, "pods", None),
        ("/api/v1/pods", None, "pods", None),
        ("/api/v1/namespaces/ci", None, "namespaces", Some("ci")),
        ("/api/v1/namespaces/ci/pods/p/log", Some("follow=true"), "pods", Some("p")),
        ("/apis/batch/v1/namespaces/ci/jobs/j", None, "jobs", Some("j")),
        (
            "/api/v1/namespaces/ci/pods",
            Some("watch=1&fieldSelector=metadata.name%3Dp&x=1"),
            "pods",
            Some("p"),
        ),
        ("/api/v1/namespaces/ci/pods", Some("fieldSelector=metadata.name%3Dp"), "pods", Some("p")),
        ("", None, "", None),
        ("/", None, "", None),
    ] {
        let expected = Subject { is_read: true, resource: resource.into(), name: name.map(Into::into) };
        assert_eq!(Subject::of("GET", path, query), expected, "{path}");
    }
}

#[test]
fn only_a_status_about_the_request_is_one() {
    let page = "<html><body>no such page</body></html>";
    for (path, code, body, expected) in [
        (POD, 404, page, false),
        (POD, 404, "", false),
        (POD, 404, r#"{"error":"x"}"#, false),
        (POD, 400, r#"{"kind":"Status"}"#, true),
        (POD, 400, r#"{"kind":"Status","apiVersion":null,"code":null,"details":null,"reason":null}"#, true),
        (POD, 400, r#"{"kind":"Status","apiVersion":"v1","code":400,"details":{}}"#, true),
        (POD, 400, r#"{"kind":"Status","code":0}"#, true),
        (POD, 400, r#"{"kind":"Status","apiVersion":"v2"}"#, false),
        (POD, 400, r#"{"kind":"Failure"}"#, false),
        (POD, 400, r#"["Status"]"#, false),
        // A cache that stores bodies without their codes.
        (POD, 400, r#"{"kind":"Status","code":404}"#, false),
        (POD, 400, r#"{"kind":"Status","code":-1}"#, false),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"pods","name":"p"}}"#, true),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"Pod","name":"p"}}"#, true),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"pods/log","name":"p"}}"#, true),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"GetOptions","group":"meta.k8s.io"}}"#, true),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"nodes","name":"p"}}"#, false),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"pods","name":"q"}}"#, false),
        (POD, 400, r#"{"kind":"Status","details":{"kind":"Deployment"}}"#, false),
        (POD, 400, r#"{"kind":"Status","details":{"name":"q"}}"#, false),
        ("/api/v1/pods", 400, r#"{"kind":"Status","details":{"name":"q"}}"#, false),
    ] {
        assert_eq!(read("GET", path, code, body).failure.is_status, expected, "{path} {body}");
    }
    // An admission plugin may name any object.
    assert!(
        read("PATCH", POD, 403, r#"{"kind":"Status","details":{"kind":"nodes","name":"q"}}"#)
            .failure
            .is_status
    );
    assert!(!read("PATCH", POD, 403, page).failure.is_status);
}

#[test]
fn a_404_is_an_absence_only_of_what_it_names() {
    let status = |reason: &str, kind: &str, name: &str| {
        format!(
            r#"{{"kind":"Status","reason":"{reason}","code":404,"details":{{"kind":"{kind}","name":"{name}"}}}}"#
        )
    };
    let is_absence = |code, body: &str| read("GET", POD, code, body).is_absence_of("p");
    assert!(is_absence(404, &status("NotFound", "pods", "p")));
    assert!(!is_absence(410, &status("NotFound", "pods", "p")));
    assert!(!is_absence(404, &status("Unknown", "pods", "p")));
    assert!(!is_absence(404, &status("NotFound", "Pod", "p")));
    assert!(!is_absence(404, &status("NotFound", "namespaces", "ci")));
    assert!(!is_absence(404, &status("NotFound", "pods", "q")));
    assert!(!is_absence(404, r#"{"kind":"Status","reason":"NotFound","code":404}"#));
    assert!(!is_absence(404, ""));
    let job = read("GET", "/apis/batch/v1/namespaces/ci/jobs/j", 404, &status("NotFound", "jobs", "j"));
    assert!(job.is_absence_of_kind("jobs", "j") && !job.is_absence_of("j"));
    assert!(!Refusal::from(ApiFailure::new(Via::Get, 404, "")).is_absence_of("p"));
}

#[test]
fn the_message_is_the_status_s_or_else_http_s() {
    let message = |code, body: &str| read("GET", POD, code, body).failure.message;
    assert_eq!(message(403, r#"{"kind":"Status","message":"so\nit \u001bis"}"#), "so it \u{fffd}is");
    assert_eq!(message(403, r#"{"kind":"Status","message":" \n","reason":"Forbidden"}"#), "Forbidden");
    assert_eq!(message(403, r#"{"kind":"Status","message":null}"#), "HTTP status 403 Forbidden");
    assert_eq!(message(503, "<html>"), "HTTP status 503 Service Unavailable");
    assert_eq!(message(599, r#"{"message":"not a Status"}"#), "HTTP status 599");
    let long = format!(r#"{{"kind":"Status","message":"{}"}}"#, "x".repeat(1000));
    assert_eq!(message(403, &long).len(), 300);
    let longer = format!(r#"{{"kind":"Status","message":"{}"}}"#, "x".repeat(Refusal::LONGEST_BODY));
    assert_eq!(message(403, &longer), "HTTP status 403 Forbidden");
    assert_eq!(ApiFailure::new(Via::Get, 0, " ").message, "no reason was given");
}

#[test]
fn a_cause_names_its_field() {
    let body =
        r#"{"kind":"Status","details":{"causes":[{"field":"spec"},{"field":"metadata.finalizers"},{}]}}"#;
    let refusal = read("PATCH", POD, 422, body);
    assert!(refusal.is_about("metadata.finalizers") && !refusal.is_about("metadata"));
    assert!(!read("PATCH", POD, 422, "").is_about("spec"));
}

#[test]
fn the_header_counts_before_the_status() {
    let retry = |header, seconds: &str| {
        let body = format!(r#"{{"kind":"Status","details":{{"retryAfterSeconds":{seconds}}}}}"#);
        let answer = Answer { code: 429, retry_after: header, body: body.as_bytes(), ..Answer::default() };
        Refusal::read(Via::Get, &Subject::default(), &answer).failure.retry_after
    };
    assert_eq!(retry(Some("3"), "7"), Some(Duration::from_secs(3)));
    assert_eq!(retry(Some("soon"), "7"), Some(Duration::from_secs(7)));
    assert_eq!(retry(None, "7"), Some(Duration::from_secs(7)));
    assert_eq!(retry(None, "null"), None);
    assert_eq!(retry(None, "18446744073709551615"), Some(Duration::from_secs(86_400)));
}
