//! A list in protobuf: an envelope with a `PodList`, whose fields are read as they arrive.

use super::ListMeta;
use crate::error::{DecodeError, FieldError, Within};
use crate::frames::LONGEST_OBJECT;
use crate::held::Held;
use crate::kind::Kind;
use crate::protobuf::envelope::{MAGIC, TypeMeta, check_content_encoding, check_content_type};
use crate::protobuf::fields::{self, Fields, Varint, WireType};
use alloc::string::String;

/// The API server writes the kind first, then the list (`Unknown.MarshalToWriter`), in it the metadata and then the items
/// (`streamingEncodeList` of k8s.io/apimachinery). Any other order works too.
#[derive(Debug)]
pub(super) struct ListItems {
    of: Kind,
    held: Held,
    place: Place,
    message: Message,
    /// Which fields of the envelope were seen.
    seen: [bool; 5],
    metadata: Option<ListMeta>,
}

/// The message whose fields are being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Message {
    #[default]
    Envelope,
    /// The `PodList`, with the number of its remaining bytes.
    List { left: u64 },
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// `k8s\0`
    #[default]
    Magic,
    Tag(Varint),
    /// The length of this field.
    Length(u32, Varint),
    /// The value of this field, with its length.
    Value(u32, usize),
    /// A number that is not read.
    Number(Varint),
    /// A value that is not read, with the number of its remaining bytes.
    Skip(u64),
}

impl ListItems {
    pub(super) fn new(of: Kind) -> Self {
        Self {
            of,
            held: Held::default(),
            place: Place::default(),
            message: Message::default(),
            seen: [false; 5],
            metadata: None,
        }
    }

    pub(super) fn next_item<'s, 'p: 's>(
        &'s mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<&'s [u8]>, DecodeError> {
        loop {
            match self.place {
                Place::Magic => {
                    let Some(magic) = self.held.take(piece, MAGIC.len()) else { return Ok(None) };
                    if magic != MAGIC {
                        return Err(FieldError::new("does not begin with k8s\\0").into());
                    }
                    self.place = Place::Tag(Varint::default());
                }
                Place::Tag(mut varint) => {
                    let Some(byte) = self.byte(piece)? else { return Ok(None) };
                    let tag = varint.push(byte)?;
                    self.place = match tag.map(fields::tag).transpose()? {
                        None => Place::Tag(varint),
                        Some((number, WireType::Bytes)) => Place::Length(number, Varint::default()),
                        Some((number, _)) if self.is_read(number) => {
                            return Err(FieldError::new("expected bytes, found a number").into());
                        }
                        Some((_, WireType::Varint)) => Place::Number(Varint::default()),
                        Some((_, WireType::Fixed(length))) => self.skip(length)?,
                    };
                }
                Place::Number(mut varint) => {
                    let Some(byte) = self.byte(piece)? else { return Ok(None) };
                    self.place = match varint.push(byte)? {
                        None => Place::Number(varint),
                        Some(_) => Place::Tag(Varint::default()),
                    };
                }
                Place::Length(number, mut varint) => {
                    let Some(byte) = self.byte(piece)? else { return Ok(None) };
                    self.place = match varint.push(byte)? {
                        None => Place::Length(number, varint),
                        Some(length) => self.begin(number, length)?,
                    };
                }
                Place::Value(2, length) if self.message != Message::Envelope => {
                    if self.held.len() + piece.len() >= length {
                        self.place = Place::Tag(Varint::default());
                    }
                    return Ok(self.held.take(piece, length));
                }
                Place::Value(number, length) => {
                    let Some(value) = self.held.take(piece, length) else { return Ok(None) };
                    match self.message {
                        Message::Envelope => envelope_field(self.of, number, value)?,
                        Message::List { .. } => self.metadata = Some(list_meta(value).within("metadata")?),
                    }
                    self.place = Place::Tag(Varint::default());
                }
                Place::Skip(length) => {
                    let here = piece.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                    *piece = &piece[here..];
                    let left = length - here as u64;
                    self.place = if left == 0 { Place::Tag(Varint::default()) } else { Place::Skip(left) };
                    if left > 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }

    pub(super) fn finish(self) -> Result<ListMeta, DecodeError> {
        let is_whole = match (self.place, self.message) {
            (Place::Tag(varint), Message::Envelope) => !varint.is_begun(),
            (Place::Tag(varint), Message::List { left }) => left == 0 && !varint.is_begun(),
            _ => false,
        };
        if !is_whole {
            return Err(FieldError::new("ends in the middle").into());
        }
        // The message of the list is field 2.
        if !self.seen[2] {
            return Err(FieldError::new("has no object").into());
        }
        Ok(self.metadata.unwrap_or_default())
    }

    /// The next byte of a number, if it has arrived. Leaves the list at its end.
    fn byte(&mut self, piece: &mut &[u8]) -> Result<Option<u8>, DecodeError> {
        if let (Message::List { left: 0 }, Place::Tag(varint)) = (self.message, self.place) {
            if varint.is_begun() {
                return Err(FieldError::new("ends in the middle").into());
            }
            self.message = Message::Envelope;
        }
        let Some((byte, rest)) = piece.split_first() else { return Ok(None) };
        self.leave(1)?;
        *piece = rest;
        Ok(Some(*byte))
    }

    /// Marks this many bytes of the list as read.
    fn leave(&mut self, length: u64) -> Result<(), FieldError> {
        if let Message::List { left } = &mut self.message {
            *left = left.checked_sub(length).ok_or_else(|| FieldError::new("ends in the middle"))?;
        }
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<Place, FieldError> {
        self.leave(length)?;
        Ok(Place::Skip(length))
    }

    /// Whether a field of the message is read.
    fn is_read(&self, number: u32) -> bool {
        match self.message {
            Message::Envelope => (1..=4).contains(&number),
            Message::List { .. } => matches!(number, 1 | 2),
        }
    }

    /// What follows a field's length.
    fn begin(&mut self, number: u32, length: u64) -> Result<Place, DecodeError> {
        if !self.is_read(number) {
            return Ok(self.skip(length)?);
        }
        let is_again = match (self.message, number) {
            (Message::Envelope, _) => {
                let seen = self.seen.get_mut(number as usize).map(|seen| core::mem::replace(seen, true));
                seen.unwrap_or_default()
            }
            (Message::List { .. }, 1) => self.metadata.is_some(),
            (Message::List { .. }, _) => false,
        };
        if is_again {
            return Err(FieldError::new("has a field twice").into());
        }
        if (self.message, number) == (Message::Envelope, 2) {
            self.message = Message::List { left: length };
            return Ok(Place::Tag(Varint::default()));
        }
        self.leave(length)?;
        match usize::try_from(length) {
            Ok(length @ ..=LONGEST_OBJECT) => Ok(Place::Value(number, length)),
            Ok(_) | Err(_) => Err(DecodeError::TooLong),
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

/// Checks a field of the envelope.
fn envelope_field(of: Kind, number: u32, value: &[u8]) -> Result<(), DecodeError> {
    match number {
        1 => {
            let read = TypeMeta::read(Fields(value)).within("typeMeta")?;
            read.check(of)
        }
        3 => Ok(check_content_encoding(value)?),
        _ => Ok(check_content_type(value)?),
    }
}

/// `metav1.ListMeta`
fn list_meta(message: &[u8]) -> Result<ListMeta, FieldError> {
    let (mut resource_version, mut next) = (String::new(), String::new());
    Fields(message).each(|seen, field| match field.number {
        2 => seen.text(field, &mut resource_version).within("resourceVersion"),
        3 => seen.text(field, &mut next).within("continue"),
        _ => Ok(()),
    })?;
    Ok(ListMeta { resource_version, next })
}
