//! The answer to a LIST, split into items while it arrives.

mod json;
mod protobuf;
#[cfg(test)]
mod tests;

use crate::encoding::Encoding;
use crate::error::DecodeError;
use crate::head::Head;
use crate::job::Job;
use crate::kind::Kind;
use crate::pod::Pod;
use crate::protobuf::envelope;
use alloc::string::String;

/// Splits the answer to a LIST of pods or of Jobs into its items without decoding them. It holds at most one item, and only if
/// that was cut.
///
/// ```
/// use podwait_wire::{Encoding, ListItems};
///
/// let mut items = ListItems::new(Encoding::Json);
/// for mut piece in [&br#"{"kind":"PodList","metadata":{"resourceVersion":"77"},"items":[{"metada"#[..],
///                   br#"ta":{"name":"p","uid":"u"}}]}"#] {
///     while let Some(item) = items.next_item(&mut piece)? {
///         assert_eq!(item.head()?.name, "p");
///         assert_eq!(item.pod()?.snapshot.uid, "u");
///     }
/// }
/// assert_eq!(items.finish()?.resource_version, "77");
/// # Ok::<(), podwait_wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct ListItems(Splitter);

#[derive(Debug)]
enum Splitter {
    Json(json::ListItems),
    Protobuf(protobuf::ListItems),
}

/// The metadata of a LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// `metadata.resourceVersion`, where a watch begins; empty when absent.
    pub resource_version: String,
    /// `metadata.continue`, for the next page; empty on the last one.
    pub next: String,
}

/// One item of a LIST.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    encoding: Encoding,
    bytes: &'a [u8],
}

impl ListItems {
    /// A splitter for a LIST of pods in that encoding.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self::of(Kind::POD_LIST, encoding)
    }

    /// A splitter for a LIST of Jobs in that encoding.
    #[must_use]
    pub fn jobs(encoding: Encoding) -> Self {
        Self::of(Kind::JOB_LIST, encoding)
    }

    fn of(kind: Kind, encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Json => Splitter::Json(json::ListItems::new(kind)),
            Encoding::Protobuf => Splitter::Protobuf(protobuf::ListItems::new(kind)),
        })
    }

    /// Takes the next item from the start of the piece; `None` when the piece is used up.
    ///
    /// # Errors
    /// The answer is no list of that kind, or a value in it is longer than [`LONGEST_OBJECT`](crate::LONGEST_OBJECT). It
    /// cannot be read any further. Kind and version are checked as soon as they are known; JSON may have them after the
    /// items.
    pub fn next_item<'s, 'p: 's>(
        &'s mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<Item<'s>>, DecodeError> {
        let (encoding, bytes) = match &mut self.0 {
            Splitter::Json(items) => (Encoding::Json, items.next_item(piece)?),
            Splitter::Protobuf(items) => (Encoding::Protobuf, items.next_item(piece)?),
        };
        Ok(bytes.map(|bytes| Item { encoding, bytes }))
    }

    /// The metadata of the list, once the answer has ended.
    ///
    /// # Errors
    /// The answer ended before the list did, or is not a list of that kind. In JSON also: the field `items` is missing,
    /// which does not mean an empty list.
    pub fn finish(self) -> Result<ListMeta, DecodeError> {
        match self.0 {
            Splitter::Json(items) => items.finish(),
            Splitter::Protobuf(items) => items.finish(),
        }
    }
}

impl<'a> Item<'a> {
    /// Reads the head of the item.
    ///
    /// # Errors
    /// The part that was read is not in that encoding, has a field of a wrong type, or has a field twice.
    pub fn head(&self) -> Result<Head<'a>, DecodeError> {
        Ok(match self.encoding {
            Encoding::Json => crate::json::head::head(self.bytes)?,
            Encoding::Protobuf => envelope::head_of(self.bytes)?,
        })
    }

    /// Reads the pod.
    ///
    /// # Errors
    /// As [`pod`](crate::pod()).
    pub fn pod(&self) -> Result<Pod, DecodeError> {
        match self.encoding {
            Encoding::Json => crate::json::pod::pod(self.bytes),
            Encoding::Protobuf => crate::protobuf::pod::pod(self.bytes),
        }
    }

    /// Reads the Job, in a LIST of Jobs.
    ///
    /// # Errors
    /// As [`job`](crate::job()).
    pub fn job(&self) -> Result<Job, DecodeError> {
        match self.encoding {
            Encoding::Json => crate::json::job::job(self.bytes),
            Encoding::Protobuf => crate::protobuf::job::job(self.bytes),
        }
    }

    /// The item's bytes: an object of JSON, or a message without an envelope.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}
