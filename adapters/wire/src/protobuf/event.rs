//! `metav1.WatchEvent`.

use super::fields::{Field, Fields, Result};
use crate::error::{DecodeError, Within};

/// One event, its object in an envelope.
pub(crate) struct WatchEvent<'a> {
    pub(crate) r#type: &'a [u8],
    pub(crate) object: &'a [u8],
}

impl<'a> WatchEvent<'a> {
    /// Reads the message, which has no envelope of its own (`RawSerializer` of k8s.io/apimachinery).
    pub(crate) fn read(frame: &'a [u8]) -> core::result::Result<Self, DecodeError> {
        let (mut kind, mut object) = (None, None);
        Fields(frame).each(|seen, field| match field.number {
            1 => seen.once(field).and_then(Field::bytes).map(|name| kind = Some(name)).within("type"),
            2 => seen.message(field, |fields| raw(fields).map(|raw| object = raw)).within("object"),
            _ => Ok(()),
        })?;
        Ok(Self {
            r#type: kind.ok_or(DecodeError::Missing("type"))?,
            object: object.ok_or(DecodeError::Missing("object"))?,
        })
    }
}

/// `runtime.RawExtension`
fn raw(fields: Fields<'_>) -> Result<Option<&[u8]>> {
    let mut raw = None;
    fields.each(|seen, field| match field.number {
        1 => seen.once(field).and_then(Field::bytes).map(|bytes| raw = Some(bytes)).within("raw"),
        _ => Ok(()),
    })?;
    Ok(raw)
}

/// Whether a pod's annotations say that all initial pods were sent (`k8s.io/initial-events-end`, KEP-3157).
pub(crate) fn ends_initial_events(pod: &[u8]) -> Result<bool> {
    let mut is_end = false;
    Fields(pod).each(|seen, field| match field.number {
        1 => seen.message(field, |metadata| {
            metadata.each(|_, field| match field.number {
                12 => annotation(field.message()?).map(|found| is_end |= found),
                _ => Ok(()),
            })
        }),
        _ => Ok(()),
    })?;
    Ok(is_end)
}

fn annotation(fields: Fields<'_>) -> Result<bool> {
    let (mut key, mut value) = ("", "");
    fields.each(|seen, field| match field.number {
        1 => seen.str(field, &mut key),
        2 => seen.str(field, &mut value),
        _ => Ok(()),
    })?;
    Ok(key == crate::event::INITIAL_EVENTS_END && value == "true")
}
