//! The answer to a LIST, item by item while it comes.

#[cfg(test)]
mod tests;

use crate::wire::decode::DecodeError;
use crate::wire::json::{Cursor, JsonError, Nesting, Result};
use crate::wire::lines::LONGEST;
use bytes::{Buf, Bytes, BytesMut};

/// Splits the answer to a LIST into its items without reading them, and holds no more than one item and what came with it.
///
/// Items of a LIST have no `kind`. Of the list itself only `kind` and `metadata` are read, before the items or after them.
#[derive(Debug, Default)]
pub struct ListItems {
    buffer: BytesMut,
    place: Place,
    /// In the object or list at the start of the buffer.
    nesting: Nesting,
    /// How much of the value at the start of the buffer was searched for its end, so that no byte is looked at again for
    /// each piece that comes.
    searched: usize,
    /// What was searched of a string ends in a backslash that escapes what comes next.
    is_escaped: bool,
    /// How many bytes were looked at for an end.
    #[cfg(test)]
    looked_at: usize,
    /// How much was taken before the buffer's start.
    taken: usize,
    items: usize,
    kind: Option<String>,
    metadata: Option<Metadata>,
    has_items: bool,
}

/// What a LIST says beside its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// `kind`, `PodList` for pods; empty when absent. An answer of another kind has no pods, but says nothing about them.
    pub kind: String,
    /// `metadata.resourceVersion`, where a watch begins; empty when absent.
    pub resource_version: String,
    /// `metadata.continue`, for the next page; empty on the last one.
    pub next: String,
}

#[derive(Debug, Default)]
struct Metadata {
    resource_version: Option<String>,
    next: Option<String>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// A field or the end.
    FirstField,
    Field,
    /// The colon after that field's name.
    Colon(Field),
    Value(Field),
    AfterField,
    /// An item or the end of the items.
    FirstItem,
    Item,
    AfterItem,
    End,
}

/// Which field's value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Kind,
    Metadata,
    Items,
    Other,
}

impl ListItems {
    /// Takes the next part of the answer, however it was cut.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next item, if all of it has come. To be called until there is none before more is pushed.
    ///
    /// # Errors
    /// The answer is no list, or a value in it is longer than 8 MiB. It cannot go on from there.
    pub fn next_item(&mut self) -> Result<Option<Bytes>, DecodeError> {
        while let Some(byte) = self.peek() {
            match (self.place, byte) {
                (Place::Start, b'{') => self.take(Place::FirstField),
                (Place::FirstField | Place::AfterField, b'}') => self.take(Place::End),
                (Place::AfterField, b',') => self.take(Place::Field),
                (Place::FirstField | Place::Field, b'"') => {
                    if !self.name()? {
                        break;
                    }
                }
                (Place::Colon(field), b':') => self.take(Place::Value(field)),
                (Place::Colon(_), byte) => {
                    return Err(JsonError::found("expected a colon", Some(byte), self.taken).into());
                }
                (Place::Value(Field::Items), b'[') => {
                    self.is_first_items()?;
                    self.take(Place::FirstItem);
                }
                (Place::Value(field), _) => {
                    if !self.field(field)? {
                        break;
                    }
                }
                (Place::FirstItem | Place::AfterItem, b']') => self.take(Place::AfterField),
                (Place::AfterItem, b',') => self.take(Place::Item),
                (Place::FirstItem | Place::Item, b'{') => {
                    let Some(length) = self.value()? else { break };
                    self.place = Place::AfterItem;
                    self.items += 1;
                    return Ok(Some(self.split(length)));
                }
                (Place::Start | Place::FirstField | Place::Field | Place::AfterField, byte) => {
                    return Err(JsonError::found("expected a list's fields", Some(byte), self.taken).into());
                }
                (Place::FirstItem | Place::Item | Place::AfterItem, byte) => {
                    let error = JsonError::found("expected an object", Some(byte), self.taken);
                    return Err(error.in_element(self.items).in_field(b"items").into());
                }
                (Place::End, _) => {
                    return Err(JsonError::new("something follows the end", self.taken).into());
                }
            }
        }
        Ok(None)
    }

    /// What the list says of itself, once the answer has ended.
    ///
    /// # Errors
    /// The answer ended before the list did, or there are items left in it, or it never had any: that is no empty list.
    pub fn finish(mut self) -> Result<ListMeta, DecodeError> {
        if self.place != Place::End || self.peek().is_some() {
            return Err(JsonError::new("ends in the middle", self.taken + self.buffer.len()).into());
        }
        if !self.has_items {
            return Err(DecodeError::Missing("items"));
        }
        let metadata = self.metadata.unwrap_or_default();
        Ok(ListMeta {
            kind: self.kind.unwrap_or_default(),
            resource_version: metadata.resource_version.unwrap_or_default(),
            next: metadata.next.unwrap_or_default(),
        })
    }

    /// Reads a field's name; whether all of it was there.
    fn name(&mut self) -> Result<bool, DecodeError> {
        let Some(end) = self.value()? else { return Ok(false) };
        let field = match &*Cursor::new(&self.buffer).text()? {
            "kind" => Field::Kind,
            "metadata" => Field::Metadata,
            "items" => Field::Items,
            _ => Field::Other,
        };
        self.split(end);
        self.place = Place::Colon(field);
        Ok(true)
    }

    /// Reads the value of a field, if it is no list of items; whether all of it was there.
    fn field(&mut self, field: Field) -> Result<bool, DecodeError> {
        let Some(end) = self.value()? else { return Ok(false) };
        let value = self.split(end);
        let mut json = Cursor::new(&value);
        match field {
            Field::Kind => {
                json.fill(&mut self.kind, Cursor::owned).map_err(|error| error.in_field(b"kind"))?
            }
            Field::Metadata => json
                .fill(&mut self.metadata, |json| json.or_default(Metadata::read))
                .map_err(|error| error.in_field(b"metadata"))?,
            Field::Items => {
                self.is_first_items()?;
                json.each(|json| json.skip().map(drop)).map_err(|error| error.in_field(b"items"))?;
            }
            Field::Other => drop(json.skip()?),
        }
        json.end()?;
        self.place = Place::AfterField;
        Ok(true)
    }

    fn is_first_items(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.has_items, true) {
            return Err(JsonError::new("is there twice", self.taken).in_field(b"items"));
        }
        Ok(())
    }

    /// Where the value at the start of the buffer ends, if its end has come.
    fn value(&mut self) -> Result<Option<usize>> {
        let from = self.searched;
        self.searched = self.buffer.len();
        #[cfg(test)]
        {
            self.looked_at += self.buffer.len() - from;
        }
        let end = match self.buffer[0] {
            b'{' | b'[' => self.nesting.end(&self.buffer[from..]),
            b'"' => self.end_of_string(from),
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r');
                self.buffer[from..].iter().position(is_end)
            }
        };
        self.bounded(end.map(|length| from + length))
    }

    /// Where the string at the start of the buffer ends, counted from `from`, up to which it was searched.
    fn end_of_string(&mut self, from: usize) -> Option<usize> {
        let start = from.max(1);
        let is_escaped = &mut self.is_escaped;
        let is_end = |byte: &u8| {
            let is_end = *byte == b'"' && !*is_escaped;
            *is_escaped = *byte == b'\\' && !*is_escaped;
            is_end
        };
        let end = self.buffer.get(start..)?.iter().position(is_end)?;
        Some(start + end + 1 - from)
    }

    fn bounded(&self, end: Option<usize>) -> Result<Option<usize>> {
        if end.unwrap_or(self.buffer.len()) > LONGEST {
            return Err(JsonError::new("a value is longer than 8 MiB", self.taken));
        }
        Ok(end)
    }

    /// The next byte that is no white space; what is before it is dropped.
    fn peek(&mut self) -> Option<u8> {
        let start = self.after_space(0).unwrap_or(self.buffer.len());
        self.taken += start;
        self.buffer.advance(start);
        self.buffer.first().copied()
    }

    fn after_space(&self, start: usize) -> Option<usize> {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        self.buffer.get(start..)?.iter().position(|byte| !is_space(byte)).map(|length| start + length)
    }

    fn take(&mut self, place: Place) {
        self.split(1);
        self.place = place;
    }

    /// Takes the start of the buffer away.
    fn split(&mut self, length: usize) -> Bytes {
        self.nesting = Nesting::default();
        (self.searched, self.is_escaped) = (0, false);
        self.taken += length;
        self.buffer.split_to(length).freeze()
    }
}

impl Metadata {
    fn read(json: &mut Cursor<'_>) -> Result<Self> {
        let mut read = Self::default();
        json.object(|json, name| match name {
            b"resourceVersion" => json.fill(&mut read.resource_version, Cursor::owned),
            b"continue" => json.fill(&mut read.next, Cursor::owned),
            _ => json.skip().map(drop),
        })?;
        Ok(read)
    }
}
