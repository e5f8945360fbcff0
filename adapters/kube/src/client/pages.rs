//! All items of a LIST at once, for those who list seldom.

use crate::client::{CALL_TIMEOUT, Calls, failure, root_cause, timed_out};
use crate::selection::Selection;
use crate::source::{ApiFailure, Via};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

/// Longest page that is read, in bytes.
const LONGEST: usize = 64 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageView {
    metadata: MetaView,
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetaView {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// The JSON of each item.
pub(crate) async fn all_items(
    calls: &Calls,
    selection: &Selection,
) -> Result<Vec<Box<RawValue>>, ApiFailure> {
    let (mut all, mut next) = (Vec::new(), None);
    loop {
        let page = calls.clone().list(selection.clone(), next).await?;
        let read = timeout(CALL_TIMEOUT * 6, Limited::new(page, LONGEST).collect()).await;
        let read = read.map_err(|_| timed_out(Via::List))?;
        let json = read.map_err(|error| failure(Via::List, 0, root_cause(&*error)))?.to_bytes();
        let page: PageView = serde_json::from_slice(&json).map_err(|error| unreadable(&error))?;
        all.extend(page.items.unwrap_or_default());
        next = page.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            return Ok(all);
        }
    }
}

pub(crate) fn unreadable(error: &dyn std::fmt::Display) -> ApiFailure {
    failure(Via::List, 0, format!("unreadable list: {error}"))
}
