use super::*;

fn of<'a>(envelope: &'a Envelope<'_>) -> (&'a EventKind<'a>, &'a str, &'a str, &'a str) {
    let Head { namespace, name, resource_version } = &envelope.head;
    (&envelope.kind, namespace, name, resource_version)
}

#[test]
fn the_events_of_a_real_api_server_are_read_up_to_their_head() {
    for (line, name, version) in [
        (&include_bytes!("../../../benches/events/3k.json")[..], "step-3k", "375"),
        (include_bytes!("../../../benches/events/10k.json"), "step-10k", "441"),
        (include_bytes!("../../../benches/events/30k.json"), "step-30k", "443"),
    ] {
        let read = envelope(line).expect("an event");
        assert_eq!(of(&read), (&EventKind::Modified, "default", name, version));
        let head_only = &line[..300];
        assert_eq!(of(&envelope(head_only).expect("all that is needed")), of(&read));
        let (pod, object) = read.pod().expect("a pod");
        assert_eq!(pod, crate::decode(object).expect("the same pod"));
        assert_eq!(head(object).expect("an object"), read.head);
        assert_eq!(
            object,
            line[br#"{"type":"MODIFIED","object":"#.len()..].trim_ascii_end().strip_suffix(b"}").expect("}")
        );
    }
}

#[test]
fn the_fields_may_come_in_any_order_and_with_space() {
    let pod = r#"{"spec":{"a":["}"]},"metadata":{"uid":"u","resourceVersion":"7","labels":{"name":"x"},"name":"p","namespace":"n"}}"#;
    for line in [
        format!(r#"{{"type":"DELETED","object":{pod}}}"#),
        format!(r#"{{"object":{pod},"type":"DELETED"}}"#),
        format!(r#"{{"other":[1],"object":{pod},"more":null,"type":"DELETED","last":{{}}}}"#),
        format!(r#"{{"type":"DELETED","object":{pod},"after":"}}"}}"#),
        format!(" {{ \"type\" : \"DELETED\" ,\t\"object\" : {pod}\n}} \n"),
    ] {
        let read = envelope(line.as_bytes()).expect(&line);
        assert_eq!(of(&read), (&EventKind::Deleted, "n", "p", "7"), "{line}");
        assert_eq!(read.object().expect(&line), pod.as_bytes());
        let (decoded, bytes) = read.pod().expect(&line);
        assert_eq!((&*decoded.name, bytes), ("p", pod.as_bytes()));
    }
}

#[test]
fn a_bookmark_an_error_and_a_type_of_the_future_are_told_apart() {
    let bookmark = br#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"12746","creationTimestamp":null},"spec":{"containers":null},"status":{}}}"#;
    assert_eq!(of(&envelope(bookmark).expect("a bookmark")), (&EventKind::Bookmark, "", "", "12746"));
    for status in [r#"{"kind":"Status","metadata":{"name":5},"code":410}"#, "null", "[]"] {
        let line = format!(r#"{{"type":"ERROR","object":{status}}}"#);
        let read = envelope(line.as_bytes()).expect(&line);
        assert_eq!(of(&read), (&EventKind::Error, "", "", ""));
        assert_eq!(read.object().expect(&line), status.as_bytes());
    }
    let other = envelope(br#"{"type":"N\u0045W","object":1}"#).expect("an event");
    assert_eq!(other.kind, EventKind::Other("NEW".into()));
}

#[test]
fn escaped_names_are_read_and_wrong_ones_are_not() {
    let read =
        head(br#"{"metadata":{"name":"\u0070","namespace":"n\/","resourceVersion":null}}"#).expect("a head");
    assert_eq!((&*read.name, &*read.namespace, &*read.resource_version), ("p", "n/", ""));
    for (json, expected) in [
        (&br#"{"metadata":{"name":5}}"#[..], "metadata.name: expected a string, found a number"),
        (br#"{"metadata":{"name":"\ud800"}}"#, "metadata.name: has half of a surrogate pair"),
        (b"{\"metadata\":{\"name\":\"\xff\"}}", "metadata.name: is not UTF-8"),
        (br#"{"metadata":{"name":"a","name":"b"}}"#, "metadata.name: is there twice"),
        (br#"{"metadata":[]}"#, "metadata: expected an object, found a list"),
        (br#"{"metadata":{"name":"a""#, "metadata: expected a comma or the object's end, found the end"),
        (b"[]", "expected an object, found a list"),
    ] {
        let error = head(json).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(head(br#"{"metadata":null}"#).expect("no metadata"), Head::default());
    assert_eq!(head(b"{}").expect("no metadata"), Head::default());
}

#[test]
fn a_line_that_is_no_event_is_none() {
    for (line, expected) in [
        (r#"{"object":{}}"#, "type is missing"),
        (r#"{"type":"ADDED"}"#, "object is missing"),
        (r#"{"type":"ADDED","type":"ADDED","object":{}}"#, "type: is there twice"),
        (r#"{"object":{},"object":{},"type":"ADDED"}"#, "object: is there twice"),
        (r#"{"object":5,"type":"ADDED"}"#, "object: expected an object, found a number"),
        (r#"{"type":"ADDED","object":null}"#, "object: expected an object, found null"),
        (r#"{"object":{},"type":"ADDED"}}"#, "something follows the end"),
        ("", "expected an object, found the end"),
        ("not json", "expected an object, found null"),
    ] {
        let error = envelope(line.as_bytes()).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn what_the_head_does_not_show_is_found_with_the_pod() {
    let pod = r#"{"metadata":{"name":"p","namespace":"n","resourceVersion":"7","uid":"u"}}"#;
    for (tail, expected) in [
        ("", "expected a comma or the object's end, found the end"),
        (r#","type":"DELETED"}"#, "type: is there twice"),
        (r#","object":{}}"#, "object: is there twice"),
        ("}}", "something follows the end"),
    ] {
        let line = format!(r#"{{"type":"ADDED","object":{pod}{tail}"#);
        let read = envelope(line.as_bytes()).expect(&line);
        assert!(read.pod().expect_err(&line).to_string().contains(expected), "{line}");
        assert!(read.object().expect_err(&line).to_string().contains(expected), "{line}");
    }
}
