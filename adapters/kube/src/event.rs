//! Temporary.
use crate::decode::DecodeError;
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

pub(crate) struct Envelope<'a> {
    pub(crate) kind: EventKind,
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) resource_version: Cow<'a, str>,
    pub(crate) object: &'a [u8],
}

#[derive(Deserialize)]
struct EventView<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectView<'a> {
    #[serde(borrow)]
    metadata: MetaView<'a>,
}
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct MetaView<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
}

pub(crate) fn envelope(line: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let view: EventView<'_> = serde_json::from_slice(line)?;
    let kind = match &*view.r#type {
        "ADDED" => EventKind::Added,
        "MODIFIED" => EventKind::Modified,
        "DELETED" => EventKind::Deleted,
        "BOOKMARK" => EventKind::Bookmark,
        "ERROR" => EventKind::Error,
        other => return Err(DecodeError::Kind(other.to_owned())),
    };
    let meta = if kind == EventKind::Error {
        MetaView::default()
    } else {
        serde_json::from_str::<ObjectView<'_>>(view.object.get())?.metadata
    };
    Ok(Envelope {
        kind,
        namespace: meta.namespace,
        name: meta.name,
        resource_version: meta.resource_version,
        object: view.object.get().as_bytes(),
    })
}

#[derive(Default)]
pub(crate) struct ListItems {
    all: Vec<u8>,
    done: Option<std::collections::VecDeque<bytes::Bytes>>,
    meta: ListMeta,
}
#[derive(Default, Clone)]
pub(crate) struct ListMeta {
    pub(crate) resource_version: String,
    pub(crate) r#continue: String,
}
impl ListItems {
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.all.extend_from_slice(data)
    }
    pub(crate) fn next_item(&mut self) -> Result<Option<bytes::Bytes>, DecodeError> {
        if self.done.is_none() {
            #[derive(Deserialize)]
            struct L<'a> {
                #[serde(borrow)]
                metadata: M<'a>,
                #[serde(borrow)]
                items: Option<Vec<&'a serde_json::value::RawValue>>,
            }
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct M<'a> {
                #[serde(borrow)]
                resource_version: Cow<'a, str>,
                #[serde(borrow, default)]
                r#continue: Cow<'a, str>,
            }
            let Ok(l) = serde_json::from_slice::<L<'_>>(&self.all) else { return Ok(None) };
            self.meta = ListMeta {
                resource_version: l.metadata.resource_version.into(),
                r#continue: l.metadata.r#continue.into(),
            };
            self.done = Some(
                l.items
                    .unwrap_or_default()
                    .iter()
                    .map(|r| bytes::Bytes::copy_from_slice(r.get().as_bytes()))
                    .collect(),
            );
        }
        Ok(self.done.as_mut().and_then(|d| d.pop_front()))
    }
    pub(crate) fn finish(self) -> Result<ListMeta, DecodeError> {
        if self.done.is_none() {
            return Err(DecodeError::Missing("items"));
        }
        Ok(self.meta)
    }
}

pub(crate) struct ItemName<'a> {
    pub(crate) namespace: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) resource_version: Cow<'a, str>,
}
pub(crate) fn name_of(item: &[u8]) -> Result<ItemName<'_>, DecodeError> {
    let meta = serde_json::from_slice::<ObjectView<'_>>(item)?.metadata;
    Ok(ItemName { namespace: meta.namespace, name: meta.name, resource_version: meta.resource_version })
}
