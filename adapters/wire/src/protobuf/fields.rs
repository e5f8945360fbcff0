//! The fields of a protobuf message, one after the other, borrowed.

use super::seen::Seen;
use crate::error::FieldError;
use crate::time;
use alloc::vec::Vec;
use podwait_core::Timestamp;

pub(crate) type Result<T> = core::result::Result<T, FieldError>;

/// The fields of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    value: Value<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes; no field that is read has this type.
    Fixed,
}

impl<'a> Fields<'a> {
    /// The next field; `None` at the end of the message.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>> {
        // The common forms: a tag of one or two bytes, and a length of up to three bytes or a number of one byte.
        let (tag, after) = match self.0 {
            [] => return Ok(None),
            [tag @ 8..0x80, after @ ..] => (u32::from(*tag), after),
            [low @ 0x80..=0xff, high @ 1..0x80, after @ ..] => {
                (u32::from(low & 0x7f) | u32::from(*high) << 7, after)
            }
            _ => return self.next_of_any_form(),
        };
        let (value, after) = match (tag & 7, after) {
            (2, after) => {
                let (length, after) = match after {
                    [length @ 0..0x80, after @ ..] => (usize::from(*length), after),
                    [low, high @ 0..0x80, after @ ..] => {
                        (usize::from(low & 0x7f) | usize::from(*high) << 7, after)
                    }
                    [low, middle, high @ 0..0x80, after @ ..] => {
                        let low = usize::from(low & 0x7f) | usize::from(middle & 0x7f) << 7;
                        (low | usize::from(*high) << 14, after)
                    }
                    _ => return self.next_of_any_form(),
                };
                let Some((bytes, after)) = after.split_at_checked(length) else { return cut_off() };
                (Value::Bytes(bytes), after)
            }
            (0, [value @ 0..0x80, after @ ..]) => (Value::Varint(u64::from(*value)), after),
            _ => return self.next_of_any_form(),
        };
        self.0 = after;
        Ok(Some(Field { number: tag >> 3, value }))
    }

    #[inline(never)]
    fn next_of_any_form(&mut self) -> Result<Option<Field<'a>>> {
        let (number, wire_type) = tag(self.varint()?)?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(self.varint()?),
            WireType::Bytes => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            WireType::Fixed(length) => self.take(length).map(|_| Value::Fixed)?,
        };
        Ok(Some(Field { number, value }))
    }

    /// Reads each field in turn.
    #[inline(always)]
    pub(crate) fn each(mut self, mut read: impl FnMut(&mut Seen, Field<'a>) -> Result<()>) -> Result<()> {
        let mut seen = Seen::default();
        while let Some(field) = self.next()? {
            read(&mut seen, field)?;
        }
        Ok(())
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let mut varint = Varint::default();
        while let [byte, rest @ ..] = self.0 {
            self.0 = rest;
            if let Some(value) = varint.push(*byte)? {
                return Ok(value);
            }
        }
        cut_off()
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
        let (taken, rest) = split.ok_or_else(|| FieldError::new("ends in the middle"))?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cold]
fn cut_off<T>() -> Result<T> {
    Err(FieldError::new("ends in the middle"))
}

/// A varint that arrives byte by byte.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Varint {
    value: u64,
    bits: u32,
}

impl Varint {
    /// Takes the next byte. Returns the value after the last one.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<u64>> {
        // Ten bytes have 70 bits, of which 64 count.
        if self.bits == 63 && byte > 1 {
            return Err(FieldError::new("has a number that is too long"));
        }
        self.value |= u64::from(byte & 0x7f) << self.bits;
        self.bits += 7;
        Ok((byte < 0x80).then_some(self.value))
    }

    pub(crate) const fn is_begun(self) -> bool {
        self.bits > 0
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    /// A length and that many bytes.
    Bytes,
    /// This many bytes.
    Fixed(u64),
}

/// A field's number and how its value is written.
#[inline]
pub(crate) fn tag(tag: u64) -> Result<(u32, WireType)> {
    let wire_type = match tag & 7 {
        0 => WireType::Varint,
        1 => WireType::Fixed(8),
        2 => WireType::Bytes,
        5 => WireType::Fixed(4),
        3 | 4 => return Err(FieldError::new("has a group")),
        _ => return Err(FieldError::new("has a field of an unknown type")),
    };
    match u32::try_from(tag >> 3) {
        Ok(number @ 1..0x2000_0000) => Ok((number, wire_type)),
        Ok(_) | Err(_) => Err(FieldError::new("has a field with an invalid number")),
    }
}

impl<'a> Field<'a> {
    #[inline]
    pub(crate) fn bytes(self) -> Result<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Varint(_) | Value::Fixed => Err(FieldError::new("expected bytes, found a number")),
        }
    }

    #[inline]
    pub(crate) fn message(self) -> Result<Fields<'a>> {
        self.bytes().map(Fields)
    }

    #[inline]
    pub(crate) fn text(self) -> Result<&'a str> {
        core::str::from_utf8(self.bytes()?).map_err(|_| FieldError::new("is not UTF-8"))
    }

    #[inline]
    pub(crate) fn integer(self) -> Result<i64> {
        match self.value {
            // Two's complement in 64 bits, `int32` included.
            Value::Varint(value) => Ok(value.cast_signed()),
            Value::Bytes(_) | Value::Fixed => Err(FieldError::new("expected an integer, found bytes")),
        }
    }

    #[inline]
    pub(crate) fn int32(self) -> Result<i32> {
        i32::try_from(self.integer()?).map_err(|_| FieldError::new("is out of an integer's range"))
    }

    /// `metav1.Time`. An empty message is the zero time, which is `null` in JSON (`time_proto.go` of apimachinery).
    /// Fractions of a second are dropped, as there; Kubernetes writes none.
    pub(crate) fn time(self) -> Result<Option<Timestamp>> {
        let fields = self.message()?;
        if fields.0.is_empty() {
            return Ok(None);
        }
        let mut seconds = 0;
        fields.each(|seen, field| match field.number {
            1 => seen.integer(field, &mut seconds),
            _ => Ok(()),
        })?;
        if !time::RANGE.contains(&seconds) {
            return Err(FieldError::new("is not a time"));
        }
        Ok(Some(Timestamp(seconds)))
    }

    /// Adds the elements of a repeated `int32`, packed or not.
    pub(crate) fn int32s(self, list: &mut Vec<i32>) -> Result<()> {
        let Value::Bytes(packed) = self.value else {
            list.push(self.int32()?);
            return Ok(());
        };
        let mut packed = Fields(packed);
        while !packed.0.is_empty() {
            let value = Value::Varint(packed.varint()?);
            list.push(Field { value, ..self }.int32()?);
        }
        Ok(())
    }
}
