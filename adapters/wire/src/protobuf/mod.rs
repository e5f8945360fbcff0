//! The protobuf encoding of Kubernetes.
//!
//! Messages are read directly, without generated code: fields that are not read are skipped by their length. Field
//! numbers are those of `generated.proto` in k8s.io/api/core/v1, k8s.io/api/batch/v1 and k8s.io/apimachinery/pkg/{runtime,apis/meta/v1},
//! v0.36. They never change: the same messages are in etcd.
//!
//! Stricter than proto2 on purpose. The API server's marshaller is generated (gogo/protobuf) and writes each singular
//! field once. So a duplicate singular field is an error, as in JSON; proto2 would take the last value or merge two
//! messages. Groups are an error, and so is an `int32` out of its range.

mod condition;
pub(crate) mod envelope;
pub(crate) mod event;
pub(crate) mod fields;
pub(crate) mod job;
mod metadata;
pub(crate) mod pod;
mod seen;
pub(crate) mod spec;
pub(crate) mod status;
#[cfg(test)]
mod tests;

use crate::error::{FieldError, Within};
use crate::json::{Object, Text};
use crate::status::{Cause, Details, Status};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use envelope::Envelope;
use fields::{Fields, Result};

/// Reads a `metav1.Status` in its envelope; `None` for any other object.
pub(crate) fn status_of(bytes: &[u8]) -> Option<Status<'_>> {
    let Envelope { type_meta, raw } = Envelope::read(bytes).ok()?;
    if type_meta.kind != b"Status" {
        return None;
    }
    let mut status = status(Fields(raw)).ok()?;
    status.kind = borrowed("Status");
    status.api_version = borrowed(core::str::from_utf8(type_meta.api_version).ok()?);
    Some(status)
}

fn borrowed(text: &str) -> Text<'_> {
    Text(Cow::Borrowed(text))
}

fn status(fields: Fields<'_>) -> Result<Status<'_>> {
    let (mut message, mut reason, mut code, mut details) = ("", "", 0, None);
    fields.each(|seen, field| match field.number {
        3 => seen.str(field, &mut message).within("message"),
        4 => seen.str(field, &mut reason).within("reason"),
        5 => seen.message(field, |fields| self::details(fields).map(|read| details = Some(read))),
        6 => seen.int32(field, &mut code).within("code"),
        _ => Ok(()),
    })?;
    let code = u16::try_from(code).map_err(|_| FieldError::new("is not an HTTP status")).within("code")?;
    Ok(Status {
        message: borrowed(message),
        reason: borrowed(reason),
        // If a field is absent, JSON omits it and protobuf has its default.
        code: (code != 0).then_some(code),
        details: details.map(Object),
        ..Status::default()
    })
}

fn details(fields: Fields<'_>) -> Result<Details<'_>> {
    let (mut name, mut kind, mut seconds, mut causes) = ("", "", 0, Vec::new());
    fields.each(|seen, field| match field.number {
        1 => seen.str(field, &mut name).within("name"),
        3 => seen.str(field, &mut kind).within("kind"),
        4 => {
            causes.push(cause(field.message()?)?);
            Ok(())
        }
        5 => seen.int32(field, &mut seconds).within("retryAfterSeconds"),
        _ => Ok(()),
    })?;
    let seconds =
        u64::try_from(seconds).map_err(|_| FieldError::new("is negative")).within("retryAfterSeconds")?;
    Ok(Details {
        name: borrowed(name),
        kind: borrowed(kind),
        retry_after_seconds: (seconds != 0).then_some(seconds),
        causes: Some(causes),
    })
}

fn cause(fields: Fields<'_>) -> Result<Object<Cause<'_>>> {
    let mut name = "";
    fields.each(|seen, field| match field.number {
        3 => seen.str(field, &mut name).within("field"),
        _ => Ok(()),
    })?;
    Ok(Object(Cause { field: borrowed(name) }))
}
