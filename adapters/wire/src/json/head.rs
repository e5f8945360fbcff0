//! The head of an object, without reading the rest.

use super::describe;
use super::values::Text;
use crate::error::FieldError;
use crate::head::Head;
use alloc::borrow::Cow;
use core::fmt::{self, Formatter};
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};

/// Reads an object up to the end of `metadata`, or of the three fields in it.
pub(crate) fn head(json: &[u8]) -> Result<Head<'_>, FieldError> {
    let mut head = None;
    let read = HeadSeed(&mut head).deserialize(&mut serde_json::Deserializer::from_slice(json));
    match (head, read) {
        (Some(head), _) => Ok(head),
        (None, Ok(())) => Ok(Head::default()),
        (None, Err(error)) => Err(describe(json, &error)),
    }
}

/// Reads the head of an object. When the head is complete, reading stops with an error that means nothing: serde has no
/// other way to stop.
pub(super) struct HeadSeed<'s, 'de>(pub(super) &'s mut Option<Head<'de>>);

/// Stops reading.
fn stop<T, E: Error>() -> Result<T, E> {
    Err(E::custom(""))
}

impl<'de> DeserializeSeed<'de> for HeadSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HeadSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            if name == "metadata" {
                let metadata = map.next_value_seed(MetadataSeed(self.0))?;
                *self.0 = Some(metadata);
                return stop();
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Reads `metadata`. If all three fields are there, the head is stored as soon as they are; otherwise it is returned at
/// the end.
struct MetadataSeed<'s, 'de>(&'s mut Option<Head<'de>>);

impl<'de> DeserializeSeed<'de> for MetadataSeed<'_, 'de> {
    type Value = Head<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for MetadataSeed<'_, 'de> {
    type Value = Head<'de>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Head::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut namespace, mut name, mut version) = (None, None, None);
        while let Some(Text(field)) = map.next_key()? {
            let (slot, label): (&mut Option<Cow<'de, str>>, _) = match &*field {
                "namespace" => (&mut namespace, "namespace"),
                "name" => (&mut name, "name"),
                "resourceVersion" => (&mut version, "resourceVersion"),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let Text(text) = map.next_value()?;
            if slot.replace(text).is_some() {
                return Err(A::Error::duplicate_field(label));
            }
            if let (Some(namespace), Some(name), Some(resource_version)) = (&namespace, &name, &version) {
                let (namespace, name) = (namespace.clone(), name.clone());
                *self.0 = Some(Head { namespace, name, resource_version: resource_version.clone() });
                return stop();
            }
        }
        Ok(Head {
            namespace: namespace.unwrap_or_default(),
            name: name.unwrap_or_default(),
            resource_version: version.unwrap_or_default(),
        })
    }
}
