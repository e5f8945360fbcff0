//! Whom an object is about, without reading the rest of it.

#[cfg(test)]
mod tests;

use crate::wire::decode::{DecodeError, Pod, ReadPod, Spare};
use crate::wire::json::{Cursor, Result};
use std::borrow::Cow;
use std::ops::ControlFlow;

/// Whom an object is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// `metadata.namespace`; empty when absent.
    pub namespace: Cow<'a, str>,
    /// `metadata.name`; empty when absent.
    pub name: Cow<'a, str>,
    /// `metadata.resourceVersion`; empty when absent.
    pub resource_version: Cow<'a, str>,
}

/// One line of a watch, as far as it must be read to know whom it is about.
///
/// The API server writes the type before the object, and the name at its start, so that most of the line is not looked at;
/// whatever is wrong with the rest is found by [`Envelope::pod`]. Any other order does as well, and takes longer.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// `type`
    pub kind: EventKind<'a>,
    /// Of the object; empty for an `ERROR` and for an event of unknown type.
    pub head: Head<'a>,
    line: &'a [u8],
}

/// The type of a watch event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// `ADDED`
    Added,
    /// `MODIFIED`
    Modified,
    /// `DELETED`
    Deleted,
    /// `BOOKMARK`: of the object there is only the resourceVersion.
    Bookmark,
    /// `ERROR`: the object is a `Status`.
    Error,
    /// A type that this version does not know.
    Other(Cow<'a, str>),
}

/// Reads one line of a watch, as far as needed.
///
/// # Errors
/// What was read is no JSON, has a field of a wrong type, or ends without the type or the object.
pub fn envelope(line: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let mut json = Cursor::new(line);
    let (mut kind, mut early, mut object) = (None, None, None);
    let all = json.object_until(|json, name| {
        match name {
            b"type" => json.fill(&mut kind, |json| json.text().map(EventKind::of))?,
            b"object" => {
                if let Some(kind) = &kind {
                    json.fill(&mut early, |json| Head::of_event(kind, json))?;
                    return Ok(ControlFlow::Break(()));
                }
                json.fill(&mut object, Cursor::skip)?;
            }
            _ => drop(json.skip()?),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if all.is_continue() {
        json.end()?;
    }
    let kind = kind.ok_or(DecodeError::Missing("type"))?;
    let head = match (early, object) {
        (Some(head), _) => head,
        (None, Some(object)) => {
            Head::of_event(&kind, &mut Cursor::new(object)).map_err(|error| error.in_field(b"object"))?
        }
        (None, None) => return Err(DecodeError::Missing("object")),
    };
    Ok(Envelope { kind, head, line })
}

/// Reads whom an object is about: an item of a LIST, or the answer to a GET.
///
/// # Errors
/// What was read is no JSON, or has a field of a wrong type.
pub fn head(object: &[u8]) -> Result<Head<'_>, DecodeError> {
    Ok(Head::read(&mut Cursor::new(object))?)
}

impl<'a> Envelope<'a> {
    /// Reads the whole line: the pod, and its bytes in the line.
    ///
    /// # Errors
    /// As [`decode`](crate::decode) for the object. The line has a second type or object, or something after its end.
    pub fn pod(&self) -> Result<(Pod, &'a [u8]), DecodeError> {
        self.pod_with(&mut Spare::default())
    }

    /// The same, in memory that was used before.
    ///
    /// # Errors
    /// The same.
    pub fn pod_with(&self, spare: &mut Spare) -> Result<(Pod, &'a [u8]), DecodeError> {
        let (read, object) = self.object_by(|json| ReadPod::read(json, spare))?;
        Ok((read.pod()?, object))
    }

    /// The object's bytes.
    ///
    /// # Errors
    /// The line is no JSON, has a second type or object, or something after its end.
    pub fn object(&self) -> Result<&'a [u8], DecodeError> {
        self.object_by(Cursor::skip).map(|(_, object)| object)
    }

    /// Reads the whole line, and the object in it by `read`.
    fn object_by<T>(
        &self,
        mut read: impl FnMut(&mut Cursor<'a>) -> Result<T>,
    ) -> Result<(T, &'a [u8]), DecodeError> {
        let mut json = Cursor::whole(self.line)?;
        let (mut kind, mut object) = (None, None);
        json.object(|json, name| match name {
            b"type" => json.fill(&mut kind, Cursor::skip),
            b"object" => json.fill(&mut object, |json| json.span(&mut read)),
            _ => json.skip().map(drop),
        })?;
        json.end()?;
        object.ok_or(DecodeError::Missing("object"))
    }
}

impl<'a> EventKind<'a> {
    fn of(name: Cow<'a, str>) -> Self {
        match &*name {
            "ADDED" => Self::Added,
            "MODIFIED" => Self::Modified,
            "DELETED" => Self::Deleted,
            "BOOKMARK" => Self::Bookmark,
            "ERROR" => Self::Error,
            _ => Self::Other(name),
        }
    }
}

impl<'a> Head<'a> {
    /// A `Status` is not about a pod, whatever its metadata say.
    fn of_event(kind: &EventKind<'_>, json: &mut Cursor<'a>) -> Result<Self> {
        match kind {
            EventKind::Added | EventKind::Modified | EventKind::Deleted | EventKind::Bookmark => {
                Self::read(json)
            }
            EventKind::Error | EventKind::Other(_) => Ok(Self::default()),
        }
    }

    /// Reads up to what is looked for, or else to the end of the metadata.
    fn read(json: &mut Cursor<'a>) -> Result<Self> {
        let mut head = Self::default();
        let _ = json.object_until(|json, name| match name {
            b"metadata" => {
                head = json.or_default(Self::read_metadata)?;
                Ok(ControlFlow::Break(()))
            }
            _ => json.skip().map(|_| ControlFlow::Continue(())),
        })?;
        Ok(head)
    }

    fn read_metadata(json: &mut Cursor<'a>) -> Result<Self> {
        let (mut namespace, mut name, mut version) = (None, None, None);
        let _ = json.object_until(|json, field| {
            match field {
                b"namespace" => json.fill(&mut namespace, Cursor::text)?,
                b"name" => json.fill(&mut name, Cursor::text)?,
                b"resourceVersion" => json.fill(&mut version, Cursor::text)?,
                _ => drop(json.skip()?),
            }
            let is_complete = namespace.is_some() && name.is_some() && version.is_some();
            Ok(if is_complete { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(Self {
            namespace: namespace.unwrap_or_default(),
            name: name.unwrap_or_default(),
            resource_version: version.unwrap_or_default(),
        })
    }
}
