use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

/// The items and the metadata of an answer in these parts.
fn split(encoding: Encoding, parts: &[&[u8]]) -> Result<(Vec<Vec<u8>>, ListMeta), String> {
    let mut list = ListItems::new(encoding);
    let mut items = Vec::new();
    for part in parts {
        let mut part = *part;
        while let Some(item) = list.next_item(&mut part).map_err(|error| error.to_string())? {
            items.push(item.bytes().to_vec());
        }
        assert!(part.is_empty());
    }
    Ok((items, list.finish().map_err(|error| error.to_string())?))
}

const LIST: &str = r#" {"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"77","continue":"a\"\u0062","x":[{}]},
    "items":[{"metadata":{"name":"a","labels":{"]":"\"}\\"}}} , {} ,{"a":[[{"b":"\\\""}]]}],"more":[1,"]"],"n":-1.5e3,"t":true} "#;

#[test]
fn the_items_are_the_same_wherever_the_answer_is_cut() {
    let expected: Vec<Vec<u8>> =
        [r#"{"metadata":{"name":"a","labels":{"]":"\"}\\"}}}"#, "{}", r#"{"a":[[{"b":"\\\""}]]}"#]
            .map(|item| item.as_bytes().to_vec())
            .into();
    let meta = ListMeta { resource_version: "77".into(), next: "a\"b".into() };
    let list = LIST.as_bytes();
    let check =
        |parts: &[&[u8]]| assert_eq!(split(Encoding::Json, parts), Ok((expected.clone(), meta.clone())));
    check(&[list]);
    check(&list.chunks(1).collect::<Vec<_>>());
    for first in 0..=list.len() {
        for second in first..=list.len() {
            check(&[&list[..first], &list[first..second], &list[second..]]);
        }
    }
}

#[test]
fn an_answer_that_ends_anywhere_before_its_end_is_no_list() {
    let list = LIST.trim_end().as_bytes();
    for cut in 0..list.len() {
        assert!(split(Encoding::Json, &[&list[..cut]]).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_metadata_may_come_after_the_items_and_the_items_may_be_null() {
    for items in ["[]", "null", "[ ]"] {
        let list = format!(
            r#"{{"items":{items},"metadata":{{"resourceVersion":"5","continue":null}},"kind":"PodList"}}"#
        );
        let meta = ListMeta { resource_version: "5".into(), next: "".into() };
        assert_eq!(split(Encoding::Json, &[list.as_bytes()]), Ok((vec![], meta)));
    }
    assert_eq!(
        split(Encoding::Json, &[br#"{"items":[],"metadata":null}"#]),
        Ok((vec![], ListMeta::default()))
    );
}

#[test]
fn what_is_no_list_is_none() {
    for (json, expected) in [
        ("", "ends in the middle"),
        ("[]", "expected a list's fields"),
        ("{}", "items is missing"),
        (r#"{"kind":"Status","metadata":{}}"#, "not a PodList but a Status"),
        (r#"{"items":[],"kind":"NodeList"}"#, "not a PodList but a NodeList"),
        (r#"{"kind":"PodList","apiVersion":"v2","items":[]}"#, "not a PodList but a PodList of v2"),
        (r#"{"items":{}}"#, "items: expected a list"),
        (r#"{"items":5}"#, "items: expected a list"),
        (r#"{"items":"x"}"#, "items: expected a list"),
        (r#"{"items":[{},5]}"#, "items[1]: expected an object"),
        (r#"{"items":[{},]}"#, "items[1]: expected an object"),
        (r#"{"items":[,{}]}"#, "items[0]: expected an object"),
        (r#"{"items":[{}{}]}"#, "items[1]: expected an object"),
        (r#"{"items":[],"items":[]}"#, "items: is there twice"),
        (r#"{"items":null,"items":[]}"#, "items: is there twice"),
        (r#"{"items":[],"kind":"PodList","kind":"PodList"}"#, "kind: is there twice"),
        (r#"{"items":[],"kind":1}"#, "kind: invalid type: integer `1`, expected a string"),
        (
            r#"{"items":[],"metadata":{"continue":1}}"#,
            "metadata.continue: invalid type: integer `1`, expected a string",
        ),
        (r#"{"items":[],"metadata":{},"metadata":{}}"#, "metadata: is there twice"),
        (r#"{"items":[],}"#, "expected a list's fields"),
        (r#"{"items" []}"#, "expected a colon"),
        (r#"{"a":nope,"items":[]}"#, "expected ident"),
        (r#"{"items":[]}x"#, "something follows the end"),
        (r#"{"items":[]} {}"#, "something follows the end"),
    ] {
        let error = split(Encoding::Json, &[json.as_bytes()]).expect_err(json);
        assert!(error.contains(expected), "{json}: {error}");
    }
}

/// `k8s\0` and an envelope with these fields and this list.
fn envelope(before: &[u8], list: &[u8], after: &[u8]) -> Vec<u8> {
    let length = u8::try_from(list.len()).expect("a short list");
    [b"k8s\0", before, &[0x12, length], list, after].concat()
}

#[test]
fn a_list_in_protobuf_is_checked_as_it_comes() {
    const KIND: &[u8] = b"\x0a\x0d\x0a\x02v1\x12\x07PodList";
    let list = b"\x0a\x06\x12\x01\x37\x1a\x01n\x12\x02ab\x18\x05\x12\x00";
    let meta = ListMeta { resource_version: "7".into(), next: "n".into() };
    let items = vec![b"ab".to_vec(), vec![]];
    let whole = envelope(KIND, list, b"\x1a\0\x22\0");
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let parts = [&whole[..first], &whole[first..second], &whole[second..]];
            assert_eq!(
                split(Encoding::Protobuf, &parts),
                Ok((items.clone(), meta.clone())),
                "{first} {second}"
            );
        }
    }
    // The kind may come after the list, which may be empty.
    assert_eq!(split(Encoding::Protobuf, &[&envelope(b"", list, KIND)]), Ok((items, meta)));
    assert_eq!(split(Encoding::Protobuf, &[&envelope(KIND, b"", b"")]), Ok((vec![], ListMeta::default())));
    for (bytes, expected) in [
        (b"".to_vec(), "ends in the middle"),
        (b"k8s\x01".to_vec(), "does not begin with k8s"),
        (b"k8s\0".to_vec(), "has no object"),
        (envelope(b"", list, b"\x0a\x06\x12\x04Node"), "not a PodList but a Node"),
        (envelope(KIND, list, b"\x1a\x04gzip"), "contentEncoding: is of an unknown encoding"),
        (envelope(KIND, list, b"\x22\x10application/json"), "contentType: is not protobuf"),
        (envelope(KIND, list, b"\x12\x00"), "has a field twice"),
        (envelope(KIND, list, KIND), "has a field twice"),
        (envelope(KIND, b"\x0a\0\x0a\0", b""), "has a field twice"),
        (envelope(KIND, b"\x12\x05ab", b""), "ends in the middle"),
        (envelope(KIND, b"\x12", b""), "ends in the middle"),
        (envelope(KIND, b"\x12\x80", b""), "ends in the middle"),
        (envelope(KIND, b"\x80", b"\x01"), "ends in the middle"),
        (envelope(KIND, b"\x1d\x01\x02", b""), "ends in the middle"),
        (envelope(KIND, b"\x10\x02", b""), "expected bytes, found a number"),
        (envelope(KIND, b"\x13", b""), "has a group"),
        (envelope(KIND, b"\x17", b""), "has a field of an unknown type"),
        (envelope(KIND, b"\x02", b""), "has a field with an invalid number"),
        (
            envelope(KIND, b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b""),
            "has a number that is too long",
        ),
        (envelope(KIND, b"\x0a\x02\x12\x05", b""), "metadata: ends in the middle"),
        ([&whole[..], b"\x28"].concat(), "ends in the middle"),
        ([&whole[..], b"\x08"].concat(), "expected bytes, found a number"),
    ] {
        for parts in [vec![&*bytes], bytes.chunks(1).collect()] {
            let error = split(Encoding::Protobuf, &parts).expect_err(expected);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}

#[test]
fn a_large_list_takes_no_more_memory_than_an_item() {
    let item = [b"{\"a\":\"", &[b'x'; 10_000][..], b"\"}"].concat();
    let mut list = ListItems::new(Encoding::Json);
    let mut start: &[u8] = br#"{"items":["#;
    assert!(list.next_item(&mut start).expect("a list").is_none());
    for index in 0..1000 {
        let part = [if index == 0 { b"" } else { &b","[..] }, &item].concat();
        let (mut first, mut second) = part.split_at(5000);
        assert!(list.next_item(&mut first).expect("a list").is_none());
        assert!(list.next_item(&mut second).expect("a list").is_some());
    }
    let capacity = match &list.0 {
        Splitter::Json(items) => items.capacity(),
        Splitter::Protobuf(items) => items.capacity(),
    };
    assert!(capacity < 1 << 16, "{capacity}");
}
