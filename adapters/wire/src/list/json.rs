//! A list in JSON: brackets are counted to find the end of an item.

mod value;

use super::ListMeta;
use crate::error::{DecodeError, FieldError, Within};
use crate::frames::LONGEST_OBJECT;
use crate::held::Held;
use crate::json::{self, Object, Text};
use crate::kind::Kind;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use serde::Deserialize;
use serde::de::IgnoredAny;
use value::Value;

/// Items of a list have no `kind`. Of the list itself `kind`, `apiVersion` and `metadata` are read, before the items or after.
#[derive(Debug)]
pub(super) struct ListItems {
    of: Kind,
    held: Held,
    place: Place,
    /// The value that is under way.
    value: Value,
    /// The number of bytes consumed.
    taken: usize,
    items: usize,
    kind: Option<String>,
    api_version: Option<String>,
    metadata: Option<ListMeta>,
    has_items: bool,
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
    ApiVersion,
    Metadata,
    Items,
    Other,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetadataView<'a> {
    #[serde(borrow)]
    resource_version: Text<'a>,
    r#continue: Text<'a>,
}

impl ListItems {
    pub(super) fn new(of: Kind) -> Self {
        Self {
            of,
            held: Held::default(),
            place: Place::default(),
            value: Value::default(),
            taken: 0,
            items: 0,
            kind: None,
            api_version: None,
            metadata: None,
            has_items: false,
        }
    }

    pub(super) fn next_item<'s, 'p: 's>(
        &'s mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<&'s [u8]>, DecodeError> {
        while let Some(byte) = self.peek(piece) {
            match (self.place, byte) {
                (Place::Start, b'{') => self.take(piece, Place::FirstField),
                (Place::FirstField | Place::AfterField, b'}') => self.take(piece, Place::End),
                (Place::AfterField, b',') => self.take(piece, Place::Field),
                (Place::FirstField | Place::Field, b'"') => {
                    let Some(length) = self.measure(piece)? else { return Ok(None) };
                    let name = self.held.take(piece, length).unwrap_or_default();
                    self.place = Place::Colon(Field::of(name)?);
                }
                (Place::Colon(field), b':') => self.take(piece, Place::Value(field)),
                (Place::Value(Field::Items), b'[') => {
                    self.begin_items()?;
                    self.take(piece, Place::FirstItem);
                }
                (Place::Value(field), _) => {
                    if !self.field(piece, field)? {
                        return Ok(None);
                    }
                }
                (Place::FirstItem | Place::AfterItem, b']') => self.take(piece, Place::AfterField),
                (Place::AfterItem, b',') => self.take(piece, Place::Item),
                (Place::FirstItem | Place::Item, b'{') => {
                    let Some(length) = self.measure(piece)? else { return Ok(None) };
                    self.place = Place::AfterItem;
                    self.items += 1;
                    return Ok(self.held.take(piece, length));
                }
                (Place::Start | Place::FirstField | Place::Field | Place::AfterField, _) => {
                    return Err(self.error("", "expected a list's fields").into());
                }
                (Place::Colon(_), _) => return Err(self.error("", "expected a colon").into()),
                (Place::FirstItem | Place::Item | Place::AfterItem, _) => {
                    return Err(self.error(&format!("items[{}]", self.items), "expected an object").into());
                }
                (Place::End, _) => return Err(self.error("", "something follows the end").into()),
            }
        }
        Ok(None)
    }

    pub(super) fn finish(self) -> Result<ListMeta, DecodeError> {
        if self.place != Place::End {
            return Err(self.error("", "ends in the middle").into());
        }
        if !self.has_items {
            return Err(DecodeError::Missing("items"));
        }
        Ok(self.metadata.unwrap_or_default())
    }

    /// Reads the value of a field other than the items. Returns whether the value was complete.
    fn field(&mut self, piece: &mut &[u8], field: Field) -> Result<bool, DecodeError> {
        let Some(length) = self.measure(piece)? else { return Ok(false) };
        let value = self.held.take(piece, length).unwrap_or_default();
        let mut is_again = false;
        match field {
            Field::Kind => {
                is_again = self.kind.replace(read::<Text<'_>>(value, "kind")?.into_owned()).is_some()
            }
            Field::ApiVersion => {
                let version = read::<Text<'_>>(value, "apiVersion")?.into_owned();
                is_again = self.api_version.replace(version).is_some();
            }
            Field::Metadata => {
                let view = read::<Option<Object<MetadataView<'_>>>>(value, "metadata")?.unwrap_or_default().0;
                let (resource_version, next) =
                    (view.resource_version.into_owned(), view.r#continue.into_owned());
                is_again = self.metadata.replace(ListMeta { resource_version, next }).is_some();
            }
            Field::Items if value == b"null" => self.begin_items()?,
            Field::Items => return Err(self.error("items", "expected a list").into()),
            Field::Other => drop(json::read::<IgnoredAny>(value)?),
        }
        if is_again {
            return Err(self.error(field.name(), "is there twice").into());
        }
        let (kind, version) = (self.kind.as_deref(), self.api_version.as_deref());
        DecodeError::check_kind(self.of, kind.unwrap_or_default(), version.unwrap_or_default())?;
        self.place = Place::AfterField;
        Ok(true)
    }

    fn begin_items(&mut self) -> Result<(), FieldError> {
        if core::mem::replace(&mut self.has_items, true) {
            return Err(self.error("items", "is there twice"));
        }
        Ok(())
    }

    /// The length of the next value, if it is complete. Otherwise its bytes so far are held.
    fn measure(&mut self, piece: &mut &[u8]) -> Result<Option<usize>, DecodeError> {
        let end = self.value.end(piece);
        let length = self.held.len() + end.unwrap_or(piece.len());
        if length > LONGEST_OBJECT {
            return Err(DecodeError::TooLong);
        }
        if end.is_none() {
            self.held.fill(piece, usize::MAX);
            return Ok(None);
        }
        self.taken += length;
        Ok(Some(length))
    }

    /// The first byte of the next token, if the piece has one. White space before it is dropped.
    fn peek(&mut self, piece: &mut &[u8]) -> Option<u8> {
        if let Some(first) = self.held.bytes().first() {
            return (!piece.is_empty()).then_some(*first);
        }
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        let space = piece.iter().take_while(|byte| is_space(byte)).count();
        self.taken += space;
        *piece = &piece[space..];
        piece.first().copied()
    }

    /// Drops one byte.
    fn take(&mut self, piece: &mut &[u8], place: Place) {
        *piece = &piece[1..];
        self.taken += 1;
        self.place = place;
    }

    #[cold]
    fn error(&self, path: &str, problem: &'static str) -> FieldError {
        FieldError::at(path, Cow::Borrowed(problem), self.taken)
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

impl Field {
    /// Reads a field's name, which may be escaped.
    fn of(name: &[u8]) -> Result<Self, FieldError> {
        let Text(name) = json::read(name)?;
        Ok(match &*name {
            "kind" => Self::Kind,
            "apiVersion" => Self::ApiVersion,
            "metadata" => Self::Metadata,
            "items" => Self::Items,
            _ => Self::Other,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::ApiVersion => "apiVersion",
            Self::Metadata => "metadata",
            Self::Items => "items",
            Self::Other => "",
        }
    }
}

/// Reads the value of a field.
fn read<'a, T: Deserialize<'a>>(value: &'a [u8], field: &'static str) -> Result<T, FieldError> {
    json::read(value).within(field)
}
