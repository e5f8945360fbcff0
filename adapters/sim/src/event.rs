//! Changes, as the log keeps them and watches send them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// One change in the cluster's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventType,
    /// The resourceVersion of the change.
    pub revision: u64,
    /// When, since the cluster began.
    pub at: Duration,
    /// The object after the change; for a deletion the last stored one, with `revision`.
    pub object: Arc<Value>,
    /// The object before the change. A selector needs it to detect that the object no longer matches.
    pub(crate) previous: Option<Arc<Value>>,
}

/// The type of a change in a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// ADDED
    Added,
    /// MODIFIED
    Modified,
    /// DELETED
    Deleted,
}

impl EventType {
    /// The type as it is sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}
