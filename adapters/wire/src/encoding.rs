//! The encodings of the API server's objects.

/// The value of the header `Accept` for GET, LIST and watch: protobuf, or else JSON.
///
/// The API server uses the first media type that it supports, by quality (`NegotiateMediaTypeOptions` of
/// k8s.io/apiserver/pkg/endpoints/handlers/negotiation). The parameter `stream=watch` is optional in a request for a
/// watch: a watch's answer has it in any case (see [`Encoding::of_content_type`]).
pub const ACCEPT: &str = "application/vnd.kubernetes.protobuf, application/json;q=0.9";

/// How an answer is encoded.
///
/// | | GET | LIST | watch |
/// |---|---|---|---|
/// | protobuf | `k8s\0`, then a `runtime.Unknown` with the `Pod` in it | the same with a `PodList` | frames: 4 bytes of length, big-endian, then a `WatchEvent`; its object is encoded as the answer to a GET |
/// | JSON | an object | an object | an object on each line |
///
/// Sources: `serializer/protobuf/protobuf.go` and `util/framer/framer.go` of k8s.io/apimachinery,
/// `endpoints/handlers/watch.go` of k8s.io/apiserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Encoding {
    /// The encoding of an answer with that header `Content-Type`; `None` if this crate cannot read it.
    ///
    /// Parameters do not count. A watch in protobuf has `;stream=watch`, one in JSON has no such parameter
    /// (`serveWatchHandler` of k8s.io/apiserver).
    #[must_use]
    pub fn of_content_type(value: &str) -> Option<Self> {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json].into_iter().find(|one| media_type.eq_ignore_ascii_case(one.media_type()))
    }

    /// The media type, without parameters.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_types_of_an_api_server_are_known() {
        for (value, expected) in [
            ("application/json", Some(Encoding::Json)),
            ("Application/JSON; charset=utf-8", Some(Encoding::Json)),
            ("application/vnd.kubernetes.protobuf", Some(Encoding::Protobuf)),
            ("application/vnd.kubernetes.protobuf;stream=watch", Some(Encoding::Protobuf)),
            (" application/vnd.kubernetes.protobuf ; stream=watch", Some(Encoding::Protobuf)),
            ("application/vnd.kubernetes.protobuf2", None),
            ("application/cbor-seq", None),
            ("application/yaml", None),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(Encoding::of_content_type(value), expected, "{value}");
        }
        assert!(ACCEPT.starts_with(Encoding::Protobuf.media_type()));
        assert!(ACCEPT.contains(Encoding::Json.media_type()));
    }
}
