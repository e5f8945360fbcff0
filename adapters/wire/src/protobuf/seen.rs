//! Fields that may occur only once.

use super::fields::{Field, Fields, Result};
use crate::error::FieldError;
use alloc::borrow::ToOwned;
use alloc::string::String;
use podwait_core::Timestamp;

/// Which singular fields of a message were seen.
#[derive(Debug, Default)]
pub(crate) struct Seen(u64);

impl Seen {
    /// The field, if it is the first of its number, which is below 64.
    #[inline]
    pub(crate) fn once<'a>(&mut self, field: Field<'a>) -> Result<Field<'a>> {
        let bit = 1 << (field.number & 63);
        if self.0 & bit != 0 {
            return Err(FieldError::new("is there twice"));
        }
        self.0 |= bit;
        Ok(field)
    }

    #[inline]
    pub(crate) fn text(&mut self, field: Field<'_>, into: &mut String) -> Result<()> {
        *into = self.once(field)?.text()?.to_owned();
        Ok(())
    }

    #[inline]
    pub(crate) fn bytes<'a>(&mut self, field: Field<'a>, into: &mut &'a [u8]) -> Result<()> {
        *into = self.once(field)?.bytes()?;
        Ok(())
    }

    #[inline]
    pub(crate) fn str<'a>(&mut self, field: Field<'a>, into: &mut &'a str) -> Result<()> {
        *into = self.once(field)?.text()?;
        Ok(())
    }

    #[inline]
    pub(crate) fn integer(&mut self, field: Field<'_>, into: &mut i64) -> Result<()> {
        *into = self.once(field)?.integer()?;
        Ok(())
    }

    #[inline]
    pub(crate) fn int32(&mut self, field: Field<'_>, into: &mut i32) -> Result<()> {
        *into = self.once(field)?.int32()?;
        Ok(())
    }

    #[inline]
    pub(crate) fn boolean(&mut self, field: Field<'_>, into: &mut bool) -> Result<()> {
        *into = self.once(field)?.integer()? != 0;
        Ok(())
    }

    #[inline]
    pub(crate) fn time(&mut self, field: Field<'_>, into: &mut Option<Timestamp>) -> Result<()> {
        *into = self.once(field)?.time()?;
        Ok(())
    }

    #[inline]
    pub(crate) fn message<'a>(
        &mut self,
        field: Field<'a>,
        read: impl FnOnce(Fields<'a>) -> Result<()>,
    ) -> Result<()> {
        read(self.once(field)?.message()?)
    }
}
