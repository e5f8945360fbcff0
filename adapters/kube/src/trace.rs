//! Traces: one wait as JSON Lines, format version 1.

use crate::decode::{DecodeError, Pod, PodView};
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use bytes::Bytes;
use podwait_core::Instant;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// Whom a trace is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// The pod's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The pod's name.
    #[serde(default)]
    pub pod: String,
    /// The container; `None` for the pod's only regular one.
    #[serde(default)]
    pub container: Option<String>,
    /// The uid that the pod must have, if the caller knew.
    #[serde(default)]
    pub uid: Option<String>,
}

/// One event of a trace as it is written, without what depends on its kind.
#[derive(Deserialize)]
struct EventView<'a> {
    at_ms: Instant,
    event: std::borrow::Cow<'a, str>,
    #[serde(default)]
    via: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    op: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, borrow)]
    pod: Option<&'a RawValue>,
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    retry_after_s: Option<u64>,
    #[serde(default)]
    message: Option<String>,
}

/// Why some text is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// No JSON, or a field of a wrong type.
    #[error("not an event: {0}")]
    Json(#[from] serde_json::Error),
    /// The pod in it cannot be read.
    #[error("{0}")]
    Pod(#[from] DecodeError),
    /// A field that this kind of event must have.
    #[error("an event {event:?} without {field:?}")]
    Missing {
        /// The kind of event.
        event: String,
        /// The field.
        field: &'static str,
    },
    /// A kind of event that this version does not know.
    #[error("unknown event {0:?}")]
    Unknown(String),
}

/// Reads one event: when, and what.
///
/// # Errors
/// See [`EventError`].
pub fn read_event(json: &str) -> Result<(Instant, Observed), EventError> {
    let view: EventView<'_> = serde_json::from_str(json)?;
    let via = match view.via.as_deref().or(view.op.as_deref()) {
        Some("watch") => Via::Watch,
        Some("list") => Via::List,
        Some(_) | None => Via::Get,
    };
    let missing = |field| EventError::Missing { event: view.event.to_string(), field };
    let pod = || -> Result<ObservedPod, EventError> {
        let json = view.pod.ok_or_else(|| missing("pod"))?.get();
        let pod: Pod = serde_json::from_str::<PodView>(json)?.try_into()?;
        Ok(ObservedPod { via, pod: Box::new(pod), json: Bytes::copy_from_slice(json.as_bytes()) })
    };
    let observed = match &*view.event {
        "snapshot" => Observed::Pod(pod()?),
        "deleted" => Observed::Deleted(pod()?),
        "not_found" => Observed::NotFound(via),
        "api_error" => Observed::ApiError(ApiFailure {
            via,
            code: view.code.ok_or_else(|| missing("code"))?,
            retry_after: view.retry_after_s.map(Duration::from_secs),
            message: view.message.unwrap_or_default(),
        }),
        "tick" => Observed::Silence,
        "cancel" => Observed::Cancelled,
        unknown => return Err(EventError::Unknown(unknown.to_owned())),
    };
    Ok((view.at_ms, observed))
}
