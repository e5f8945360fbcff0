//! The fields of `metav1.ObjectMeta` that are read of every object.

use super::fields::{Field, Fields, Result};
use super::seen::Seen;
use crate::error::Within;
use alloc::string::String;
use podwait_core::Timestamp;

/// Where the fields are put.
pub(super) struct Metadata<'m> {
    pub(super) namespace: &'m mut String,
    pub(super) name: &'m mut String,
    pub(super) uid: &'m mut String,
    pub(super) resource_version: &'m mut String,
    pub(super) generation: &'m mut i64,
    pub(super) deletion_timestamp: &'m mut Option<Timestamp>,
}

impl Metadata<'_> {
    /// Reads the message; `other` reads the other fields of it.
    #[inline]
    pub(super) fn read<'a>(
        self,
        fields: Fields<'a>,
        mut other: impl FnMut(&mut Seen, Field<'a>) -> Result<()>,
    ) -> Result<()> {
        fields.each(|seen, field| match field.number {
            1 => seen.text(field, self.name).within("name"),
            3 => seen.text(field, self.namespace).within("namespace"),
            5 => seen.text(field, self.uid).within("uid"),
            6 => seen.text(field, self.resource_version).within("resourceVersion"),
            7 => seen.integer(field, self.generation).within("generation"),
            9 => seen.time(field, self.deletion_timestamp).within("deletionTimestamp"),
            _ => other(seen, field),
        })
    }
}
