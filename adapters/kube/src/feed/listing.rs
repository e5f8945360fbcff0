//! A LIST, page by page, item by item, without ever holding more than a page's item.

use crate::client::{CALL_TIMEOUT, Calls, failure, root_cause, timed_out, unreadable};
use crate::selection::Selection;
use crate::source::{ApiFailure, Via};
use crate::wire::list::ListItems;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use kube::client::Body;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a page may take: a slow connection may, one that crawls for ever may not.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a LIST may take. After five minutes an API server has usually forgotten what the next page belongs to.
const LONGEST: Duration = Duration::from_secs(300);

/// How many pages a LIST may have: twenty times what the largest clusters need.
const MOST_PAGES: usize = 10_000;

/// How long a LIST may be, in bytes, over all its pages: more than the pods of the largest clusters.
const MOST_BYTES: u64 = 8 << 30;

/// Longest continue token that is sent on. It goes into a URL, which has room for 64 KiB.
const LONGEST_TOKEN: usize = 16 << 10;

/// Time from the beginning of a page to that of the next, on average, where nothing else limits the rate.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

/// A LIST under way.
pub(crate) struct Listing {
    calls: Calls,
    selection: Selection,
    page: Page,
    /// The continue tokens so far, as their hashes.
    tokens: HashSet<u64>,
    bytes: u64,
    /// When it began.
    pub(crate) began: Instant,
}

enum Page {
    /// To be asked for: the first, or that of a continue token.
    Wanted(Option<String>),
    Asked(BoxFuture<'static, Result<Body, ApiFailure>>),
    /// With the time when it began.
    Read(Body, ListItems, Instant),
}

/// What a LIST brings.
pub(crate) enum Listed {
    /// A pod's JSON.
    Item(Bytes),
    /// There is more, to be [asked for](Listing::ask).
    More,
    /// That was all, as of this resourceVersion.
    All(String),
    Failed(ApiFailure),
}

impl Listing {
    /// One of which the first page is to be asked for.
    pub(crate) fn new(calls: &Calls, selection: Selection) -> Self {
        Self {
            calls: calls.clone(),
            selection,
            page: Page::Wanted(None),
            tokens: HashSet::new(),
            bytes: 0,
            began: Instant::now(),
        }
    }

    /// Whether the next page is to be asked for.
    pub(crate) fn is_waiting(&self) -> bool {
        match self.page {
            Page::Wanted(_) => true,
            Page::Asked(_) | Page::Read(..) => false,
        }
    }

    /// Asks for the next page.
    pub(crate) fn ask(&mut self) {
        if let Page::Wanted(token) = &mut self.page {
            let page = self.calls.clone().list(self.selection.clone(), token.take());
            self.page = Page::Asked(Box::pin(page));
        }
    }

    /// The only pod that can be in it, by its JSON; `None` if it is not.
    pub(crate) async fn only(mut self) -> Result<Option<Bytes>, ApiFailure> {
        self.ask();
        let mut found = None;
        loop {
            match self.next().await {
                Listed::Item(item) => found = Some(item),
                Listed::More | Listed::All(_) => return Ok(found),
                Listed::Failed(failure) => return Err(failure),
            }
        }
    }

    /// Gives each item to `each` as it comes, so that no more is held than `each` keeps.
    pub(crate) async fn each(
        mut self,
        mut each: impl FnMut(&Bytes) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        let mut pages: u32 = 0;
        loop {
            if self.is_waiting() {
                sleep_until(self.began + PAGE_PAUSE.saturating_mul(pages)).await;
                pages += 1;
                self.ask();
            }
            match self.next().await {
                Listed::Item(item) => each(&item)?,
                Listed::More => {}
                Listed::All(_) => return Ok(()),
                Listed::Failed(failure) => return Err(failure),
            }
        }
    }

    /// The next thing that it brings; nothing more after the last, or while a page is to be asked for. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Listed {
        match self.step().await {
            Ok(listed) => listed,
            Err(failure) => Listed::Failed(failure),
        }
    }

    async fn step(&mut self) -> Result<Listed, ApiFailure> {
        loop {
            let (body, items, began) = match &mut self.page {
                Page::Wanted(_) => return std::future::pending().await,
                Page::Asked(page) => {
                    let body = page.await?;
                    self.page = Page::Read(body, ListItems::default(), Instant::now());
                    continue;
                }
                Page::Read(body, items, began) => (body, items, *began),
            };
            let no_list = |error: crate::wire::decode::DecodeError| {
                unreadable(Via::List, format!("unreadable list: {error}"))
            };
            if let Some(item) = items.next_item().map_err(no_list)? {
                return Ok(Listed::Item(item));
            }
            if self.began.elapsed() > LONGEST {
                return Err(failure(Via::List, 0, format!("it takes longer than {LONGEST:?}")));
            }
            let end = (Instant::now() + CALL_TIMEOUT).min(began + PAGE_TIMEOUT);
            match timeout_at(end, body.frame()).await {
                Err(_) => return Err(timed_out(Via::List)),
                Ok(Some(Err(error))) => return Err(failure(Via::List, 0, root_cause(&error))),
                Ok(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        self.bytes += data.len() as u64;
                        if self.bytes > MOST_BYTES {
                            return Err(unreadable(Via::List, "the list does not end"));
                        }
                        items.push(data);
                    }
                }
                Ok(None) => {
                    let meta = std::mem::take(items).finish().map_err(no_list)?;
                    if meta.kind != "PodList" {
                        let kind = meta.kind;
                        return Err(unreadable(Via::List, format!("asked for a PodList and got {kind:?}")));
                    }
                    if meta.next.is_empty() {
                        return Ok(Listed::All(meta.resource_version));
                    }
                    self.turn_to(&meta.next)?;
                    self.page = Page::Wanted(Some(meta.next));
                    return Ok(Listed::More);
                }
            }
        }
    }
    /// Whether there can be a page with this token: none leads in a circle, and there is an end to them.
    fn turn_to(&mut self, token: &str) -> Result<(), ApiFailure> {
        if token.len() > LONGEST_TOKEN {
            return Err(unreadable(Via::List, format!("a continue token of {} bytes", token.len())));
        }
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        if !self.tokens.insert(hasher.finish()) {
            return Err(unreadable(Via::List, "a continue token came twice, so the list would never end"));
        }
        if self.tokens.len() >= MOST_PAGES {
            return Err(unreadable(Via::List, format!("it has more than {MOST_PAGES} pages")));
        }
        Ok(())
    }
}
