//! One event of a watch.

use crate::encoding::Encoding;
use crate::error::DecodeError;
use crate::failure::ApiFailure;
use crate::head::Head;
use crate::job::Job;
use crate::pod::Pod;
use crate::protobuf::envelope;
use crate::protobuf::event::WatchEvent;
use crate::{json, protobuf};

/// The annotation of the bookmark that ends the initial events of a streaming list (KEP-3157).
pub(crate) const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One event of a watch, decoded only as far as needed to know its pod.
///
/// Errors in the rest are found by [`Event::pod`].
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// `type`
    pub kind: EventKind,
    /// The head of the object; empty for an `ERROR` and for an event of an unknown type.
    pub head: Head<'a>,
    encoding: Encoding,
    /// In JSON the whole frame, in protobuf the object with its envelope.
    bytes: &'a [u8],
}

/// The type of a watch event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `ADDED`
    Added,
    /// `MODIFIED`
    Modified,
    /// `DELETED`
    Deleted,
    /// `BOOKMARK`: the object has only a resourceVersion.
    Bookmark,
    /// `ERROR`: the object is a `Status`, see [`Event::failure`].
    Error,
    /// A type that this version does not know.
    Unrecognized,
}

impl EventKind {
    pub(crate) fn of(name: &[u8]) -> Self {
        match name {
            b"ADDED" => Self::Added,
            b"MODIFIED" => Self::Modified,
            b"DELETED" => Self::Deleted,
            b"BOOKMARK" => Self::Bookmark,
            b"ERROR" => Self::Error,
            _ => Self::Unrecognized,
        }
    }

    /// Whether the object is a pod. A `Status` is not one, whatever its metadata say.
    pub(crate) const fn has_pod(self) -> bool {
        match self {
            Self::Added | Self::Modified | Self::Deleted | Self::Bookmark => true,
            Self::Error | Self::Unrecognized => false,
        }
    }
}

impl<'a> Event<'a> {
    /// Reads a frame of a watch. The event borrows from the frame.
    ///
    /// # Errors
    /// The part that was read is not in that encoding, has a field of a wrong type, has a field twice, or ends without
    /// the type or the object. In protobuf also: the object is neither a `Pod` nor a `Job`.
    pub fn read(encoding: Encoding, frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (kind, head, bytes) = match encoding {
            Encoding::Json => {
                let (kind, head) = json::event::event(frame)?;
                (kind, head, frame)
            }
            Encoding::Protobuf => {
                let event = WatchEvent::read(frame)?;
                let kind = EventKind::of(event.r#type);
                let head = if kind.has_pod() { envelope::head(event.object)? } else { Head::default() };
                (kind, head, event.object)
            }
        };
        Ok(Self { kind, head, encoding, bytes })
    }

    /// Reads the pod.
    ///
    /// # Errors
    /// As [`pod`](crate::pod()) for the object. In JSON also: the line has a second type or object, or text after its
    /// end.
    pub fn pod(&self) -> Result<Pod, DecodeError> {
        match self.encoding {
            Encoding::Json => json::event::pod(self.bytes),
            Encoding::Protobuf => envelope::pod(self.bytes),
        }
    }

    /// Reads the Job, in a watch of Jobs.
    ///
    /// # Errors
    /// As for [`Event::pod`].
    pub fn job(&self) -> Result<Job, DecodeError> {
        match self.encoding {
            Encoding::Json => json::event::job(self.bytes),
            Encoding::Protobuf => envelope::job(self.bytes),
        }
    }

    /// The object's bytes, which [`pod`](crate::pod()) can read: in protobuf with the envelope.
    ///
    /// # Errors
    /// The line of JSON is no event.
    pub fn object(&self) -> Result<&'a [u8], DecodeError> {
        match self.encoding {
            Encoding::Json => json::event::object(self.bytes),
            Encoding::Protobuf => Ok(self.bytes),
        }
    }

    /// The failure that an `ERROR` reports. If the object is no `Status`, the failure has no code.
    #[must_use]
    pub fn failure(&self) -> ApiFailure {
        let status = match self.encoding {
            Encoding::Json => json::event::status(self.bytes),
            Encoding::Protobuf => protobuf::status_of(self.bytes),
        };
        status.unwrap_or_default().into_watch_failure()
    }

    /// Whether this is the bookmark that ends the initial events of a streaming list (`sendInitialEvents`, KEP-3157).
    ///
    /// # Errors
    /// The object cannot be read.
    pub fn ends_initial_events(&self) -> Result<bool, DecodeError> {
        match (self.kind, self.encoding) {
            (EventKind::Bookmark, Encoding::Json) => json::event::ends_initial_events(self.bytes),
            (EventKind::Bookmark, Encoding::Protobuf) => {
                let object = envelope::Envelope::read(self.bytes)?.of_known_kind()?;
                Ok(protobuf::event::ends_initial_events(object)?)
            }
            _ => Ok(false),
        }
    }
}
