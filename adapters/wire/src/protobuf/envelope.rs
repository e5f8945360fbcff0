//! The envelope of an object: `k8s\0` and a `runtime.Unknown`.

use super::fields::{Field, Fields, Result};
use crate::error::{DecodeError, FieldError, Within};
use crate::head::Head;
use crate::job::Job;
use crate::kind::Kind;
use crate::pod::Pod;
use alloc::borrow::Cow;
use alloc::string::String;

/// The first bytes of every object (`protoEncodingPrefix` of k8s.io/apimachinery).
pub(crate) const MAGIC: &[u8; 4] = b"k8s\0";

/// `runtime.Unknown`, which holds an object and its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) type_meta: TypeMeta<'a>,
    /// The object's own message.
    pub(crate) raw: &'a [u8],
}

/// `runtime.TypeMeta`
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TypeMeta<'a> {
    pub(crate) api_version: &'a [u8],
    pub(crate) kind: &'a [u8],
}

/// Reads a pod in its envelope.
pub(crate) fn pod(bytes: &[u8]) -> core::result::Result<Pod, DecodeError> {
    super::pod::pod(Envelope::read(bytes)?.of_kind(Kind::POD)?)
}

/// Reads a Job in its envelope.
pub(crate) fn job(bytes: &[u8]) -> core::result::Result<Job, DecodeError> {
    super::job::job(Envelope::read(bytes)?.of_kind(Kind::JOB)?)
}

/// Reads the head of a pod or a Job in an envelope.
pub(crate) fn head(bytes: &[u8]) -> core::result::Result<Head<'_>, DecodeError> {
    Ok(head_of(Envelope::read(bytes)?.of_known_kind()?)?)
}

/// Reads the head of a message, up to the last of the three fields.
pub(crate) fn head_of(pod: &[u8]) -> Result<Head<'_>> {
    let mut fields = Fields(pod);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            return metadata(field.message()?).within("metadata");
        }
    }
    Ok(Head::default())
}

fn metadata<'a>(mut fields: Fields<'a>) -> Result<Head<'a>> {
    let (mut namespace, mut name, mut version) = (None, None, None);
    while let Some(field) = fields.next()? {
        let (slot, label): (&mut Option<&'a str>, _) = match field.number {
            1 => (&mut name, "name"),
            3 => (&mut namespace, "namespace"),
            6 => (&mut version, "resourceVersion"),
            _ => continue,
        };
        if slot.replace(field.text().within(label)?).is_some() {
            return Err(FieldError::new("is there twice")).within(label);
        }
        if namespace.is_some() && name.is_some() && version.is_some() {
            break;
        }
    }
    let text = |text: Option<&'a str>| Cow::Borrowed(text.unwrap_or_default());
    Ok(Head { namespace: text(namespace), name: text(name), resource_version: text(version) })
}

impl<'a> Envelope<'a> {
    /// Reads the envelope, but not the object.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self> {
        let fields =
            bytes.strip_prefix(MAGIC).ok_or_else(|| FieldError::new("does not begin with k8s\\0"))?;
        let (mut type_meta, mut raw) = (TypeMeta::default(), None);
        Fields(fields).each(|seen, field| match field.number {
            1 => seen
                .message(field, |fields| TypeMeta::read(fields).map(|read| type_meta = read))
                .within("typeMeta"),
            2 => seen.once(field).and_then(Field::bytes).map(|bytes| raw = Some(bytes)).within("raw"),
            3 => check_content_encoding(seen.once(field).and_then(Field::bytes)?),
            4 => check_content_type(seen.once(field).and_then(Field::bytes)?),
            _ => Ok(()),
        })?;
        Ok(Self { type_meta, raw: raw.ok_or_else(|| FieldError::new("has no object"))? })
    }

    /// The object's message, if the object is of that kind and version.
    pub(crate) fn of_kind(self, kind: Kind) -> core::result::Result<&'a [u8], DecodeError> {
        self.type_meta.check(kind)?;
        Ok(self.raw)
    }

    /// The object's message, if the object is a pod or a Job.
    pub(crate) fn of_known_kind(self) -> core::result::Result<&'a [u8], DecodeError> {
        let kind = if self.type_meta.is(Kind::JOB) { Kind::JOB } else { Kind::POD };
        self.of_kind(kind)
    }
}

impl<'a> TypeMeta<'a> {
    pub(crate) fn read(fields: Fields<'a>) -> Result<Self> {
        let mut read = Self::default();
        fields.each(|seen, field| match field.number {
            1 => seen.bytes(field, &mut read.api_version).within("apiVersion"),
            2 => seen.bytes(field, &mut read.kind).within("kind"),
            _ => Ok(()),
        })?;
        Ok(read)
    }
}

impl TypeMeta<'_> {
    #[inline]
    fn is(&self, kind: Kind) -> bool {
        self.kind == kind.name.as_bytes() && self.api_version == kind.api_version.as_bytes()
    }

    /// Checks for that kind and version.
    #[inline]
    pub(crate) fn check(&self, kind: Kind) -> core::result::Result<(), DecodeError> {
        if self.is(kind) {
            return Ok(());
        }
        let [kind_found, version] = [self.kind, self.api_version].map(String::from_utf8_lossy);
        DecodeError::check_kind(kind, &kind_found, &version)
    }
}

/// The API server leaves it empty: the object is not compressed.
pub(crate) fn check_content_encoding(value: &[u8]) -> Result<()> {
    if value.is_empty() {
        Ok(())
    } else {
        Err(FieldError::new("is of an unknown encoding")).within("contentEncoding")
    }
}

/// The API server leaves it empty for protobuf, although the comment in `generated.proto` says that empty means JSON
/// (`NestedMarshalTo` of k8s.io/apimachinery).
pub(crate) fn check_content_type(value: &[u8]) -> Result<()> {
    if matches!(value, b"" | b"application/vnd.kubernetes.protobuf") {
        return Ok(());
    }
    Err(FieldError::new("is not protobuf")).within("contentType")
}
