//! JSON or protobuf: which encoding a request accepts, and responses in that encoding.

use std::cmp::Reverse;

use bytes::Bytes;
use http::HeaderMap;
use http::header::ACCEPT;
use serde_json::Value;

use crate::protobuf;

/// How a response is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// All encodings, in the server's order of preference, which decides where a request has none.
pub(crate) const ALL: &[Encoding] = &[Encoding::Json, Encoding::Protobuf];

impl Encoding {
    /// The known encoding that the request accepts with the highest quality. JSON without an `Accept`, and `None` if
    /// the request accepts no known encoding (`NegotiateMediaTypeOptions` of k8s.io/apiserver). No parameter but the
    /// quality counts.
    pub(crate) fn negotiate(headers: &HeaderMap, known: &[Self]) -> Option<Self> {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut accepted: Vec<_> = values.flat_map(|value| value.split(',')).map(clause).collect();
        if accepted.is_empty() {
            return Some(Self::Json);
        }
        accepted.sort_by_key(|(_, quality)| Reverse(*quality));
        let is_meant = |range: &str, one: Self| {
            matches!(range, "*/*" | "application/*") || range.eq_ignore_ascii_case(one.media_type())
        };
        accepted.iter().find_map(|(range, _)| known.iter().copied().find(|one| is_meant(range, *one)))
    }

    /// The header `Content-Type` of an object.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The header `Content-Type` of a watch (`serveWatchHandler` of k8s.io/apiserver).
    pub(crate) const fn stream_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        }
    }

    /// A pod or a `Status`.
    pub(crate) fn object(self, object: &Value) -> Bytes {
        match self {
            Self::Json => Bytes::from(format!("{object}\n")),
            Self::Protobuf => Bytes::from(protobuf::object(object)),
        }
    }

    /// A `PodList`.
    pub(crate) fn list<'a>(self, metadata: &Value, pods: impl Iterator<Item = &'a Value>) -> Bytes {
        match self {
            Self::Json => {
                let items: Vec<String> = pods.map(item).collect();
                let items = items.join(",");
                Bytes::from(format!(
                    "{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{metadata},\"items\":[{items}]}}\n"
                ))
            }
            Self::Protobuf => Bytes::from(protobuf::list(metadata, pods)),
        }
    }

    /// One event of a watch: a line, or a frame after its length.
    pub(crate) fn event(self, kind: &str, object: &Value) -> Bytes {
        match self {
            Self::Json => Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")),
            Self::Protobuf => Bytes::from(protobuf::event(kind, object)),
        }
    }
}

/// A pod as an item of a list, without its type: the list has that once.
fn item(pod: &Value) -> String {
    let fields = pod.as_object().into_iter().flatten();
    let fields = fields.filter(|(field, _)| !matches!(field.as_str(), "kind" | "apiVersion"));
    let fields: Vec<String> = fields.map(|(field, value)| format!("\"{field}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A media range of an `Accept`, and its quality in thousandths.
fn clause(clause: &str) -> (&str, u32) {
    let mut parts = clause.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default();
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse::<f32>().ok());
    (range, (quality.unwrap_or(1.0) * 1000.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &[&'static str], known: &[Encoding]) -> Option<Encoding> {
        let values = accept.iter().map(|value| (ACCEPT, http::HeaderValue::from_static(value)));
        Encoding::negotiate(&values.collect(), known)
    }

    #[test]
    fn a_request_gets_the_encoding_that_it_prefers() {
        const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
        let (json, protobuf) = (Some(Encoding::Json), Some(Encoding::Protobuf));
        for (accept, expected, without_protobuf) in [
            (&[][..], json, json),
            (&["*/*"], json, json),
            (&["application/*"], json, json),
            (&["application/json"], json, json),
            (&["Application/JSON; charset=utf-8"], json, json),
            (&[PROTOBUF], protobuf, None),
            (&["application/vnd.kubernetes.protobuf;stream=watch"], protobuf, None),
            (&["application/vnd.kubernetes.protobuf, application/json;q=0.9"], protobuf, json),
            (&["application/json;q=0.9,application/vnd.kubernetes.protobuf"], protobuf, json),
            (&["application/json, application/vnd.kubernetes.protobuf"], json, json),
            (&["application/json;q=0.5", PROTOBUF], protobuf, json),
            (&["application/vnd.kubernetes.protobuf; q=0.1, */*; q=0.2"], json, json),
            (&["application/cbor, application/vnd.kubernetes.protobuf;q=0.3"], protobuf, None),
            (&["text/html"], None, None),
        ] {
            assert_eq!(negotiated(accept, ALL), expected, "{accept:?}");
            assert_eq!(negotiated(accept, &[Encoding::Json]), without_protobuf, "{accept:?}");
        }
    }
}
