use super::*;
use serde_json::{Value, json};

/// The items and the rest, however the answer is cut.
fn split(parts: &[&[u8]]) -> Result<(Vec<Bytes>, ListMeta), String> {
    let mut list = ListItems::default();
    let mut items = Vec::new();
    for part in parts {
        list.push(part);
        while let Some(item) = list.next_item().map_err(|error| error.to_string())? {
            items.push(item);
        }
    }
    Ok((items, list.finish().map_err(|error| error.to_string())?))
}

const LIST: &str = r#" {"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"77","continue":"a\"\u0062","x":[{}]},
    "items":[{"metadata":{"name":"a","labels":{"]":"\"}\\"}}} , {} ,{"a":[[{"b":"\\\""}]]}],"more":[1,"]"],"n":-1.5e3,"t":true} "#;

#[test]
fn the_items_are_the_same_wherever_the_answer_is_cut() {
    let whole: Value = serde_json::from_str(LIST).expect("JSON");
    let meta = ListMeta { kind: "PodList".into(), resource_version: "77".into(), next: "a\"b".into() };
    let check = |parts: &[&[u8]]| {
        let (items, found) = split(parts).expect("a list");
        let items: Vec<Value> =
            items.iter().map(|item| serde_json::from_slice(item).expect("JSON")).collect();
        assert_eq!((json!(items), &found), (whole["items"].clone(), &meta));
    };
    let list = LIST.as_bytes();
    check(&[list]);
    check(&list.chunks(1).collect::<Vec<_>>());
    for first in 0..=list.len() {
        check(&[&list[..first], &list[first..]]);
        for second in first..=list.len() {
            check(&[&list[..first], &list[first..second], &list[second..]]);
        }
    }
}

#[test]
fn an_answer_that_ends_anywhere_before_its_end_is_no_list() {
    let list = LIST.trim_end().as_bytes();
    for cut in 0..list.len() {
        assert!(split(&[&list[..cut]]).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_metadata_may_come_after_the_items_and_the_items_may_be_null() {
    for items in ["[]", "null", "[ ]"] {
        let list = format!(
            r#"{{"items":{items},"metadata":{{"resourceVersion":"5","continue":null}},"kind":"PodList"}}"#
        );
        let (found, meta) = split(&[list.as_bytes()]).expect(&list);
        assert_eq!((found.len(), &*meta.resource_version, &*meta.next, &*meta.kind), (0, "5", "", "PodList"));
    }
    let (_, meta) = split(&[br#"{"items":[],"metadata":null}"#]).expect("a list");
    assert_eq!(meta, ListMeta::default());
}

#[test]
fn what_is_no_list_is_none() {
    for (json, expected) in [
        ("", "ends in the middle"),
        ("[]", "expected a list's fields, found a list"),
        ("{}", "items is missing"),
        (r#"{"kind":"Status","metadata":{}}"#, "items is missing"),
        (r#"{"items":{}}"#, "items: expected a list, found an object"),
        (r#"{"items":5}"#, "items: expected a list, found a number"),
        (r#"{"items":"x"}"#, "items: expected a list, found a string"),
        (r#"{"items":[{},5]}"#, "items[1]: expected an object, found a number"),
        (r#"{"items":[{},]}"#, "items[1]: expected an object"),
        (r#"{"items":[,{}]}"#, "items[0]: expected an object"),
        (r#"{"items":[{}{}]}"#, "items[1]: expected an object, found an object"),
        (r#"{"items":[],"items":[]}"#, "items: is there twice"),
        (r#"{"items":null,"items":[]}"#, "items: is there twice"),
        (r#"{"items":[],"kind":"a","kind":"b"}"#, "kind: is there twice"),
        (r#"{"items":[],"kind":1}"#, "kind: expected a string, found a number"),
        (r#"{"items":[],"metadata":{"continue":1}}"#, "metadata.continue: expected a string, found a number"),
        (r#"{"items":[],"metadata":{},"metadata":{}}"#, "metadata: is there twice"),
        (r#"{"items":[],}"#, "expected a list's fields"),
        (r#"{"items" []}"#, "expected a colon, found a list"),
        (r#"{"a":nope,"items":[]}"#, "expected a value, found something else"),
        (r#"{"items":[]}x"#, "something follows the end"),
        (r#"{"items":[]} {}"#, "something follows the end"),
    ] {
        let error = split(&[json.as_bytes()]).expect_err(json);
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn an_item_that_does_not_end_is_not_kept_for_ever() {
    let mut list = ListItems::default();
    list.push(br#"{"items":[{"a":""#);
    let part = vec![b'x'; 1 << 20];
    for pushed in 1.. {
        list.push(&part);
        match list.next_item() {
            Ok(item) => assert_eq!(item, None),
            Err(error) => {
                assert!(error.to_string().contains("a value is longer than 8 MiB"), "{error}");
                return assert_eq!(pushed, 8);
            }
        }
    }
}

/// A server may send a list a few bytes at a time.
#[test]
fn no_byte_is_looked_at_for_each_piece_that_comes() {
    let long = "x\\\"".repeat(1 << 16);
    let number = "1".repeat(1 << 16);
    for list in [
        format!(r#"{{"kind":"PodList","{long}":1,"items":[]}}"#),
        format!(r#"{{"{long}":"{long}","items":[]}}"#),
        format!(r#"{{"metadata":{{"continue":"{long}"}},"items":[{{"a":"{long}"}}]}}"#),
        format!(r#"{{"a":{number},"items":[]}}"#),
    ] {
        let mut items = ListItems::default();
        for piece in list.as_bytes().chunks(64) {
            items.push(piece);
            while items.next_item().expect("a list").is_some() {}
        }
        // Twice, for what came in the same piece as the end of the value before.
        assert!(items.looked_at < 2 * list.len(), "{} of {}", items.looked_at, list.len());
        items.finish().expect("a list");
    }
}

#[test]
fn a_large_list_takes_no_more_memory_than_an_item() {
    let mut list = ListItems::default();
    list.push(br#"{"items":["#);
    for index in 0..10_000 {
        list.push(if index == 0 { b"" } else { b"," });
        list.push(&[b"{\"a\":\"", &[b'x'; 10_000][..], b"\"}"].concat());
        assert!(list.next_item().expect("a list").is_some());
    }
    assert!(list.buffer.capacity() < 1 << 20, "{}", list.buffer.capacity());
}
