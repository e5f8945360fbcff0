//! A line of a watch.

use super::describe;
use super::head::{HeadSeed, head};
use super::job::JobView;
use super::pod::PodView;
use super::values::{Object, Text};
use crate::error::{DecodeError, Within};
use crate::event::{EventKind, INITIAL_EVENTS_END};
use crate::head::Head;
use crate::job::Job;
use crate::pod::Pod;
use crate::status::Status;
use alloc::collections::BTreeMap;
use core::fmt::{self, Formatter};
use serde::Deserialize;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Reads a line up to the head of its object.
///
/// The API server writes the type before the object, and the name at the start of the object, so most of the line is
/// not read. Any other order works too, but takes longer.
pub(crate) fn event(line: &[u8]) -> Result<(EventKind, Head<'_>), DecodeError> {
    let mut found = Found::default();
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = EventSeed(&mut found).deserialize(&mut json).and_then(|()| json.end());
    let kind = found.kind.map(|Text(kind)| EventKind::of(kind.as_bytes()));
    if let (Some(kind), Some(head)) = (kind, found.early) {
        return Ok((kind, head));
    }
    read.map_err(|error| describe(line, &error))?;
    let kind = kind.ok_or(DecodeError::Missing("type"))?;
    let object = found.object.ok_or(DecodeError::Missing("object"))?;
    let head = if kind.has_pod() { head(object.get().as_bytes()).within("object")? } else { Head::default() };
    Ok((kind, head))
}

/// Reads the whole line, and the pod in it.
pub(crate) fn pod(line: &[u8]) -> Result<Pod, DecodeError> {
    read::<Object<PodView<'_>>>(line)?.0.pod()
}

/// Reads the whole line, and the Job in it.
pub(crate) fn job(line: &[u8]) -> Result<Job, DecodeError> {
    read::<Object<JobView<'_>>>(line)?.0.job()
}

/// Reads the whole line, and the object's text in it.
pub(crate) fn object(line: &[u8]) -> Result<&[u8], DecodeError> {
    Ok(read::<&RawValue>(line)?.get().as_bytes())
}

/// Reads the whole line, and the `Status` in it.
pub(crate) fn status(line: &[u8]) -> Option<Status<'_>> {
    read::<Object<Status<'_>>>(line).ok().map(|Object(status)| status)
}

/// Whether the annotations say that all initial pods were sent.
pub(crate) fn ends_initial_events(line: &[u8]) -> Result<bool, DecodeError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct View<'a> {
        #[serde(borrow)]
        metadata: Option<Object<Metadata<'a>>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Metadata<'a> {
        #[serde(borrow)]
        annotations: Option<BTreeMap<alloc::borrow::Cow<'a, str>, Text<'a>>>,
    }
    let Object(view) = read::<Object<View<'_>>>(line)?;
    let annotations = view.metadata.and_then(|Object(metadata)| metadata.annotations).unwrap_or_default();
    Ok(annotations.get(INITIAL_EVENTS_END).is_some_and(|Text(value)| value == "true"))
}

/// Reads the whole line, and the object in it.
fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, DecodeError> {
    #[derive(Deserialize)]
    struct Line<'a, T> {
        #[expect(dead_code, reason = "it was read with the head; here it must only be there once")]
        #[serde(borrow)]
        r#type: Text<'a>,
        object: T,
    }
    Ok(super::read::<Object<Line<'a, T>>>(line)?.0.object)
}

#[derive(Default)]
struct Found<'de> {
    kind: Option<Text<'de>>,
    /// The head of an object after the type.
    early: Option<Head<'de>>,
    /// An object before the type, or one of a type without a pod.
    object: Option<&'de RawValue>,
}

struct EventSeed<'s, 'de>(&'s mut Found<'de>);

impl<'de> DeserializeSeed<'de> for EventSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EventSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let found = self.0;
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "type" => {
                    if found.kind.replace(map.next_value()?).is_some() {
                        return Err(A::Error::duplicate_field("type"));
                    }
                }
                "object" => {
                    if found.object.is_some() {
                        return Err(A::Error::duplicate_field("object"));
                    }
                    if found.kind.as_ref().is_some_and(|Text(kind)| EventKind::of(kind.as_bytes()).has_pod())
                    {
                        map.next_value_seed(HeadSeed(&mut found.early))?;
                        // The object has none of the fields, so its head is the default.
                        found.early = Some(Head::default());
                        return Err(A::Error::custom(""));
                    }
                    found.object = Some(map.next_value()?);
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}
