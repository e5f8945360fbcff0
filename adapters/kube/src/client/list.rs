//! A LIST of the pods of a scope that holds only one item at a time.

use super::answers::response_head;
use super::{CALL_TIMEOUT, Calls, Client, failure, get_request, root_cause, timed_out, unreadable};
use http_body_util::BodyExt;
use podwait_core::Instant as Time;
use podwait_hub::{PageLimits, Request, Scope, Selection, is_dns_subdomain};
use podwait_wire::{ACCEPT, ApiFailure, DecodeError, Encoding, Item, ListItems, Via};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How many pods one page has: some megabytes, which an API server prepares within a second.
const PAGE: u32 = 500;

/// How long a page may take while bytes arrive: a slow connection is allowed, one that never finishes is not.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Average time between the beginnings of two pages: nothing else limits the rate here.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

/// Most pods that [`pods`] returns, and most pages of its LIST.
const MOST_PODS: usize = 50_000;
const MOST_PAGES: u32 = 2 * MOST_PODS as u32 / PAGE;

/// A pod that [`pods`] has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedPod {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Lists the pods of a scope, in the API server's order: for a program that knows its pods only by a label, for instance
/// the successor of one that crashed. A wait with [`Wait::uid`](crate::Wait::uid) is then for this pod alone.
///
/// Needs `list` on `pods`. The result is a state of the past when it arrives: pods may come and go since.
///
/// # Errors
/// The API server does not list the pods, the response cannot be read, or there are more than 50,000 pods.
pub async fn pods(client: &Client, scope: &Scope) -> Result<Vec<ListedPod>, ApiFailure> {
    let mut found = Vec::new();
    Calls::new(client.clone())
        .list(scope, ACCEPT, MOST_PAGES, |item| {
            let pod =
                item.pod().map_err(|error| unreadable(Via::List, format!("unreadable item: {error}")))?;
            let is_elsewhere =
                scope.namespace.as_ref().is_some_and(|namespace| **namespace != *pod.namespace);
            if is_elsewhere || !is_dns_subdomain(&pod.name) {
                let (namespace, name) = (pod.namespace, pod.name);
                return Err(unreadable(Via::List, format!("the LIST has an item {namespace:?}/{name:?}")));
            }
            if found.len() == MOST_PODS {
                return Err(unreadable(
                    Via::List,
                    format!("there are more than {MOST_PODS} pods; use a narrower label selector"),
                ));
            }
            found.push(ListedPod { namespace: pod.namespace, name: pod.name, uid: pod.snapshot.uid });
            Ok(())
        })
        .await?;
    Ok(found)
}

impl Calls {
    /// Lists the pods of a scope, in the form of this `Accept` and over at most so many pages (or as many as
    /// [`PageLimits`] allows), and passes each item to `each` when it arrives.
    pub(crate) async fn list(
        &self,
        scope: &Scope,
        accept: &'static str,
        most_pages: u32,
        mut each: impl FnMut(&Item<'_>) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        let began = Instant::now();
        let (mut limits, mut pages, mut token) = (PageLimits::new(Time::ZERO), 0_u32, None);
        loop {
            sleep_until(began + PAGE_PAUSE.saturating_mul(pages)).await;
            if pages == most_pages {
                return Err(unreadable(Via::List, format!("the LIST has no end within {most_pages} pages")));
            }
            pages += 1;
            let request = Request::List { selection: Selection::of_scope(scope), token, limit: PAGE };
            let get = get_request(Via::List, &request, accept)?;
            let (head, mut body) = self.open(Via::List, get, CALL_TIMEOUT).await?.into_parts();
            let encoding = response_head(head.status.as_u16(), &head.headers).content_type;
            let encoding = encoding.and_then(Encoding::of_content_type).unwrap_or(Encoding::Json);
            let (mut items, page_began) = (ListItems::new(encoding), Instant::now());
            loop {
                let end = (Instant::now() + CALL_TIMEOUT).min(page_began + PAGE_TIMEOUT);
                let frame = match timeout_at(end, body.frame()).await {
                    Err(_) => return Err(timed_out(Via::List)),
                    Ok(Some(Err(error))) => return Err(failure(Via::List, 0, root_cause(&error))),
                    Ok(None) => break,
                    Ok(Some(Ok(frame))) => frame,
                };
                let Ok(piece) = frame.into_data() else { continue };
                limits.progress(Time::ZERO.after(began.elapsed()), piece.len())?;
                let mut piece = &*piece;
                while let Some(item) = items.next_item(&mut piece).map_err(no_list)? {
                    each(&item)?;
                }
            }
            let next = items.finish().map_err(no_list)?.next;
            if next.is_empty() {
                return Ok(());
            }
            limits.turn_to(&next)?;
            token = Some(next);
        }
    }
}

fn no_list(error: DecodeError) -> ApiFailure {
    unreadable(Via::List, format!("unreadable list: {error}"))
}
