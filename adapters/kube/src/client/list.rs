//! A LIST of the pods of a scope that holds only one item at a time.

use super::{CALL_TIMEOUT, Calls, failure, json_request, root_cause, timed_out, unreadable};
use http_body_util::BodyExt;
use podwait_core::Instant as Time;
use podwait_hub::{PageLimits, Request, Scope, Selection};
use podwait_wire::{ApiFailure, DecodeError, Encoding, Item, ListItems, Via};
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How many pods one page has: some megabytes, which an API server prepares within a second.
const PAGE: u32 = 500;

/// How long a page may take while bytes arrive: a slow connection is allowed, one that never finishes is not.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// Average time between the beginnings of two pages: nothing else limits the rate here.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

impl Calls {
    /// Lists the pods of a scope as JSON, and passes each item to `each` when it arrives.
    pub(crate) async fn list(
        &self,
        scope: &Scope,
        mut each: impl FnMut(&Item<'_>) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        let began = Instant::now();
        let (mut limits, mut pages, mut token) = (PageLimits::new(Time::ZERO), 0_u32, None);
        loop {
            sleep_until(began + PAGE_PAUSE.saturating_mul(pages)).await;
            pages += 1;
            let request = Request::List { selection: Selection::of_scope(scope), token, limit: PAGE };
            let get = json_request(Via::List, &request)?;
            let mut body = self.open(Via::List, get, CALL_TIMEOUT).await?;
            let (mut items, page_began) = (ListItems::new(Encoding::Json), Instant::now());
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
