//! Kubernetes' protobuf, written from the JSON of the store.
//!
//! One table for each message has the number of each field of the JSON. The numbers are those of `generated.proto` in
//! k8s.io/api/core/v1 and k8s.io/apimachinery/pkg/{runtime,apis/meta/v1}, v0.36. The tables have the names and the
//! state of a pod; other fields of the JSON are left out.
//!
//! Fields are in the order of their numbers, and a field that is not a pointer in Go is written even if it is empty, as
//! by the API server's generated marshaller (gogo/protobuf). A value of a wrong type has no form in protobuf. It is
//! written as four bytes, a wire type that none of these fields has, so that a reader refuses the message as it refuses
//! the JSON.

use serde_json::Value;

use crate::clock;
use crate::store::text;

/// The first bytes of every object (`protoEncodingPrefix` of k8s.io/apimachinery).
const MAGIC: &[u8] = b"k8s\0";

/// The wire types of protobuf.
const VARINT: u32 = 0;
const BYTES: u32 = 2;
const FOUR_BYTES: u32 = 5;

/// An object in its envelope, a `runtime.Unknown`.
pub(crate) fn object(object: &Value) -> Vec<u8> {
    let kind = text(object, "/kind");
    let table = if kind == "Pod" { POD } else { STATUS };
    enveloped(text(object, "/apiVersion"), kind, &message(table, object))
}

/// A `PodList` in its envelope.
pub(crate) fn list<'a>(metadata: &Value, pods: impl Iterator<Item = &'a Value>) -> Vec<u8> {
    let mut list = Vec::new();
    write_bytes(1, &message(LIST_META, metadata), &mut list);
    for pod in pods {
        write_bytes(2, &message(POD, pod), &mut list);
    }
    enveloped("v1", "PodList", &list)
}

/// A `metav1.WatchEvent` after its length. The object alone has an envelope.
pub(crate) fn event(kind: &str, object: &Value) -> Vec<u8> {
    let (mut extension, mut event) = (Vec::new(), Vec::new());
    write_bytes(1, &self::object(object), &mut extension);
    write_bytes(1, kind.as_bytes(), &mut event);
    write_bytes(2, &extension, &mut event);
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &event].concat()
}

/// A message's fields, in the order of their numbers.
type Table = &'static [Field];

struct Field {
    /// The name in JSON. Without a name, the fields of the message are in the object around it in JSON.
    name: &'static str,
    number: u32,
    /// A pointer in Go: absent if JSON does not have the field.
    is_optional: bool,
    kind: Kind,
}

enum Kind {
    Text,
    Integer,
    Flag,
    /// `metav1.Time`; empty is the time 0 of Go, which in JSON is `null`.
    Time,
    Message(Table),
    List(&'static Self),
    /// A map of texts.
    Map,
}

const fn always(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, is_optional: false, kind }
}

const fn optional(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, is_optional: true, kind }
}

const POD: Table = &[
    always("metadata", 1, Kind::Message(OBJECT_META)),
    always("spec", 2, Kind::Message(POD_SPEC)),
    always("status", 3, Kind::Message(POD_STATUS)),
];

const OBJECT_META: Table = &[
    always("name", 1, Kind::Text),
    always("generateName", 2, Kind::Text),
    always("namespace", 3, Kind::Text),
    always("selfLink", 4, Kind::Text),
    always("uid", 5, Kind::Text),
    always("resourceVersion", 6, Kind::Text),
    always("generation", 7, Kind::Integer),
    always("creationTimestamp", 8, Kind::Time),
    optional("deletionTimestamp", 9, Kind::Time),
    optional("deletionGracePeriodSeconds", 10, Kind::Integer),
    always("labels", 11, Kind::Map),
    always("annotations", 12, Kind::Map),
    always("ownerReferences", 13, Kind::List(&Kind::Message(OWNER_REFERENCE))),
    always("finalizers", 14, Kind::List(&Kind::Text)),
];

const OWNER_REFERENCE: Table = &[
    always("kind", 1, Kind::Text),
    always("name", 3, Kind::Text),
    always("uid", 4, Kind::Text),
    always("apiVersion", 5, Kind::Text),
    optional("controller", 6, Kind::Flag),
    optional("blockOwnerDeletion", 7, Kind::Flag),
];

const POD_SPEC: Table = &[
    always("containers", 2, Kind::List(&Kind::Message(CONTAINER))),
    always("restartPolicy", 3, Kind::Text),
    optional("terminationGracePeriodSeconds", 4, Kind::Integer),
    optional("activeDeadlineSeconds", 5, Kind::Integer),
    always("serviceAccountName", 8, Kind::Text),
    always("nodeName", 10, Kind::Text),
    always("initContainers", 20, Kind::List(&Kind::Message(CONTAINER))),
    always("ephemeralContainers", 34, Kind::List(&Kind::Message(EPHEMERAL_CONTAINER))),
    always("schedulingGates", 38, Kind::List(&Kind::Message(SCHEDULING_GATE))),
];

const CONTAINER: Table = &[
    always("name", 1, Kind::Text),
    always("image", 2, Kind::Text),
    always("command", 3, Kind::List(&Kind::Text)),
    always("args", 4, Kind::List(&Kind::Text)),
    always("env", 7, Kind::List(&Kind::Message(ENVIRONMENT_VARIABLE))),
    always("imagePullPolicy", 14, Kind::Text),
    optional("restartPolicy", 24, Kind::Text),
    always("restartPolicyRules", 25, Kind::List(&Kind::Message(RESTART_RULE))),
];

/// `EphemeralContainerCommon` has the fields and numbers of a container, and in JSON no name.
const EPHEMERAL_CONTAINER: Table =
    &[always("", 1, Kind::Message(CONTAINER)), always("targetContainerName", 2, Kind::Text)];

const ENVIRONMENT_VARIABLE: Table = &[always("name", 1, Kind::Text), always("value", 2, Kind::Text)];

const RESTART_RULE: Table =
    &[always("action", 1, Kind::Text), optional("exitCodes", 2, Kind::Message(EXIT_CODES))];

const EXIT_CODES: Table =
    &[always("operator", 1, Kind::Text), always("values", 2, Kind::List(&Kind::Integer))];

const SCHEDULING_GATE: Table = &[always("name", 1, Kind::Text)];

const POD_STATUS: Table = &[
    always("phase", 1, Kind::Text),
    always("conditions", 2, Kind::List(&Kind::Message(CONDITION))),
    always("message", 3, Kind::Text),
    always("reason", 4, Kind::Text),
    always("hostIP", 5, Kind::Text),
    always("podIP", 6, Kind::Text),
    optional("startTime", 7, Kind::Time),
    always("containerStatuses", 8, Kind::List(&Kind::Message(CONTAINER_STATUS))),
    always("qosClass", 9, Kind::Text),
    always("initContainerStatuses", 10, Kind::List(&Kind::Message(CONTAINER_STATUS))),
    always("nominatedNodeName", 11, Kind::Text),
    always("ephemeralContainerStatuses", 13, Kind::List(&Kind::Message(CONTAINER_STATUS))),
    always("observedGeneration", 17, Kind::Integer),
];

const CONDITION: Table = &[
    always("type", 1, Kind::Text),
    always("status", 2, Kind::Text),
    always("lastProbeTime", 3, Kind::Time),
    always("lastTransitionTime", 4, Kind::Time),
    always("reason", 5, Kind::Text),
    always("message", 6, Kind::Text),
    always("observedGeneration", 7, Kind::Integer),
];

const CONTAINER_STATUS: Table = &[
    always("name", 1, Kind::Text),
    always("state", 2, Kind::Message(CONTAINER_STATE)),
    always("lastState", 3, Kind::Message(CONTAINER_STATE)),
    always("ready", 4, Kind::Flag),
    always("restartCount", 5, Kind::Integer),
    always("image", 6, Kind::Text),
    always("imageID", 7, Kind::Text),
    always("containerID", 8, Kind::Text),
    optional("started", 9, Kind::Flag),
];

const CONTAINER_STATE: Table = &[
    optional("waiting", 1, Kind::Message(WAITING)),
    optional("running", 2, Kind::Message(RUNNING)),
    optional("terminated", 3, Kind::Message(TERMINATED)),
];

const WAITING: Table = &[always("reason", 1, Kind::Text), always("message", 2, Kind::Text)];

const RUNNING: Table = &[always("startedAt", 1, Kind::Time)];

const TERMINATED: Table = &[
    // The API server always writes it, also in JSON. A record without it was damaged by a test, and is equally damaged
    // in protobuf.
    optional("exitCode", 1, Kind::Integer),
    always("signal", 2, Kind::Integer),
    always("reason", 3, Kind::Text),
    always("message", 4, Kind::Text),
    always("startedAt", 5, Kind::Time),
    always("finishedAt", 6, Kind::Time),
    always("containerID", 7, Kind::Text),
];

const LIST_META: Table = &[
    always("selfLink", 1, Kind::Text),
    always("resourceVersion", 2, Kind::Text),
    always("continue", 3, Kind::Text),
    optional("remainingItemCount", 4, Kind::Integer),
];

const STATUS: Table = &[
    always("metadata", 1, Kind::Message(LIST_META)),
    always("status", 2, Kind::Text),
    always("message", 3, Kind::Text),
    always("reason", 4, Kind::Text),
    optional("details", 5, Kind::Message(STATUS_DETAILS)),
    always("code", 6, Kind::Integer),
];

const STATUS_DETAILS: Table = &[
    always("name", 1, Kind::Text),
    always("group", 2, Kind::Text),
    always("kind", 3, Kind::Text),
    always("causes", 4, Kind::List(&Kind::Message(STATUS_CAUSE))),
    always("retryAfterSeconds", 5, Kind::Integer),
    always("uid", 6, Kind::Text),
];

const STATUS_CAUSE: Table =
    &[always("reason", 1, Kind::Text), always("message", 2, Kind::Text), always("field", 3, Kind::Text)];

fn enveloped(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let (mut type_meta, mut bytes) = (Vec::new(), MAGIC.to_vec());
    write_bytes(1, api_version.as_bytes(), &mut type_meta);
    write_bytes(2, kind.as_bytes(), &mut type_meta);
    write_bytes(1, &type_meta, &mut bytes);
    write_bytes(2, object, &mut bytes);
    // contentEncoding and contentType, which the API server leaves empty.
    write_bytes(3, b"", &mut bytes);
    write_bytes(4, b"", &mut bytes);
    bytes
}

fn message(table: Table, object: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in table {
        let value = match field.name {
            "" => object,
            name => object.get(name).unwrap_or(&Value::Null),
        };
        if !(field.is_optional && value.is_null()) {
            field.kind.write(field.number, value, &mut bytes);
        }
    }
    bytes
}

impl Kind {
    fn write(&self, number: u32, value: &Value, into: &mut Vec<u8>) {
        match (self, value) {
            (Self::Text | Self::Time, Value::Null) => write_bytes(number, b"", into),
            (Self::Text, Value::String(text)) => write_bytes(number, text.as_bytes(), into),
            (Self::Integer | Self::Flag, Value::Null) => write_integer(number, 0, into),
            (Self::Flag, Value::Bool(flag)) => write_integer(number, i64::from(*flag), into),
            (Self::Message(table), Value::Null | Value::Object(_)) => {
                write_bytes(number, &message(table, value), into);
            }
            (Self::List(_) | Self::Map, Value::Null) => {}
            (Self::List(kind), Value::Array(values)) => {
                for value in values {
                    kind.write(number, value, into);
                }
            }
            (Self::Map, Value::Object(entries)) => {
                for (key, value) in entries {
                    let mut entry = Vec::new();
                    Self::Text.write(1, &Value::from(key.as_str()), &mut entry);
                    Self::Text.write(2, value, &mut entry);
                    write_bytes(number, &entry, into);
                }
            }
            (Self::Integer, Value::Number(integer)) => match integer.as_i64() {
                Some(integer) => write_integer(number, integer, into),
                None => write_misfit(number, into),
            },
            (Self::Time, Value::String(time)) => match clock::seconds(time) {
                Some(seconds) => write_time(number, seconds, into),
                None => write_misfit(number, into),
            },
            _ => write_misfit(number, into),
        }
    }
}

/// Written for a value of a wrong type.
fn write_misfit(number: u32, into: &mut Vec<u8>) {
    write_tag(number, FOUR_BYTES, into);
    into.extend([0; 4]);
}

/// Seconds, and the nanoseconds that a `metav1.Time` does not have.
fn write_time(number: u32, seconds: i64, into: &mut Vec<u8>) {
    let mut timestamp = Vec::new();
    write_integer(1, seconds, &mut timestamp);
    write_integer(2, 0, &mut timestamp);
    write_bytes(number, &timestamp, into);
}

fn write_tag(number: u32, wire_type: u32, into: &mut Vec<u8>) {
    write_varint(u64::from(number << 3 | wire_type), into);
}

fn write_integer(number: u32, value: i64, into: &mut Vec<u8>) {
    write_tag(number, VARINT, into);
    write_varint(value.cast_unsigned(), into);
}

fn write_bytes(number: u32, bytes: &[u8], into: &mut Vec<u8>) {
    write_tag(number, BYTES, into);
    write_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

/// Seven bits in each byte, the lowest first. All bytes but the last have the eighth bit.
fn write_varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_is_written_with_its_empty_fields() {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired",
            "details": { "causes": [{ "field": "x" }] } });
        let meta_and_status = b"\x0a\x06\x0a\0\x12\0\x1a\0\x12\0";
        let message_and_reason = b"\x1a\0\x22\x07Expired";
        let details = b"\x2a\x13\x0a\0\x12\0\x1a\0\x22\x07\x0a\0\x12\0\x1a\x01x\x28\0\x32\0";
        let code = b"\x30\x9a\x03";
        let raw = [&meta_and_status[..], message_and_reason, details, code].concat();
        let length = [u8::try_from(raw.len()).unwrap()];
        let expected =
            [b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12", &length[..], &raw, b"\x1a\0\x22\0"].concat();
        assert_eq!(object(&status), expected);
    }

    #[test]
    fn numbers_have_minimal_length() {
        for (value, expected) in [
            (0, &b"\x08\0"[..]),
            (127, b"\x08\x7f"),
            (128, b"\x08\x80\x01"),
            (i64::MAX, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
            (-1, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            let mut bytes = Vec::new();
            Kind::Integer.write(1, &json!(value), &mut bytes);
            assert_eq!(bytes, expected, "{value}");
        }
    }

    #[test]
    fn an_event_follows_its_length_and_only_its_object_has_an_envelope() {
        let pod = json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "resourceVersion": "7" } });
        let (object, event) = (object(&pod), event("BOOKMARK", &pod));
        let (length, message) = event.split_first_chunk().unwrap();
        assert_eq!(usize::try_from(u32::from_be_bytes(*length)), Ok(message.len()));
        assert!(message.starts_with(b"\x0a\x08BOOKMARK\x12") && message.ends_with(&object));
        assert!(object.starts_with(b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12"));
    }

    #[test]
    fn the_fields_of_each_message_are_in_the_order_of_their_numbers() {
        fn check(table: Table) {
            assert!(table.is_sorted_by(|a, b| a.number < b.number), "{}", table[0].name);
            for field in table {
                match field.kind {
                    Kind::Message(table) | Kind::List(&Kind::Message(table)) => check(table),
                    Kind::Text | Kind::Integer | Kind::Flag | Kind::Time | Kind::List(_) | Kind::Map => {}
                }
            }
        }
        check(POD);
        check(STATUS);
    }
}
