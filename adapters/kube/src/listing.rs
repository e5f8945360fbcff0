//! A LIST, page by page, item by item, without ever holding more than a page's item.

use crate::client::{CALL_TIMEOUT, Calls, failure, root_cause, timed_out};
use crate::list::ListItems;
use crate::selection::Selection;
use crate::source::{ApiFailure, Via};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use kube::client::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a page may take: a slow connection may, one that crawls for ever may not.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A LIST under way.
pub(crate) struct Listing {
    calls: Calls,
    selection: Selection,
    page: Page,
    /// When it began.
    pub(crate) began: Instant,
}

enum Page {
    Asked(BoxFuture<'static, Result<Body, ApiFailure>>),
    /// With the time when it began.
    Read(Body, ListItems, Instant),
}

/// What a LIST brings.
pub(crate) enum Listed {
    /// A pod's JSON.
    Item(Bytes),
    /// That was all, as of this resourceVersion.
    All(String),
    Failed(ApiFailure),
}

impl Listing {
    pub(crate) fn begin(calls: &Calls, selection: &Selection) -> Self {
        let first = calls.clone().list(selection.clone(), None);
        Self {
            calls: calls.clone(),
            selection: selection.clone(),
            page: Page::Asked(Box::pin(first)),
            began: Instant::now(),
        }
    }

    /// The next thing that it brings; nothing more after the last. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Listed {
        match self.step().await {
            Ok(listed) => listed,
            Err(failure) => Listed::Failed(failure),
        }
    }

    async fn step(&mut self) -> Result<Listed, ApiFailure> {
        loop {
            let (body, items, began) = match &mut self.page {
                Page::Asked(page) => {
                    let body = page.await?;
                    self.page = Page::Read(body, ListItems::default(), Instant::now());
                    continue;
                }
                Page::Read(body, items, began) => (body, items, *began),
            };
            let unreadable = |error: crate::decode::DecodeError| {
                failure(Via::List, 0, format!("unreadable list: {error}"))
            };
            if let Some(item) = items.next_item().map_err(unreadable)? {
                return Ok(Listed::Item(item));
            }
            let end = (Instant::now() + CALL_TIMEOUT).min(began + PAGE_TIMEOUT);
            match timeout_at(end, body.frame()).await {
                Err(_) => return Err(timed_out(Via::List)),
                Ok(Some(Err(error))) => return Err(failure(Via::List, 0, root_cause(&error))),
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        items.push(data);
                    }
                }
                Ok(None) => {
                    let meta = std::mem::take(items).finish().map_err(unreadable)?;
                    if meta.kind != "PodList" {
                        let kind = meta.kind;
                        return Err(failure(Via::List, 0, format!("asked for a PodList and got {kind:?}")));
                    }
                    if meta.next.is_empty() {
                        return Ok(Listed::All(meta.resource_version));
                    }
                    let next = self.calls.clone().list(self.selection.clone(), Some(meta.next));
                    self.page = Page::Asked(Box::pin(next));
                }
            }
        }
    }
}
