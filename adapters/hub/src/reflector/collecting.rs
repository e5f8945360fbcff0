//! The objects of a scope as a whole, for a wait on all of them.

use super::{Collection, Event, Reflector};
use crate::failure::{ApiFailure, Via};
use crate::lane::Lanes;
use crate::name::Scope;
use crate::observed::{Collected, Object};
use crate::rate::RateLimiter;
use crate::shared::{Service, Shared};
use crate::table::pop;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    /// For all objects of a scope, which begin to come at once: one LIST and one watch, with this many requests per second and a
    /// burst of twice as many. Each [`next_collected`](Self::next_collected) is to be taken before the next input.
    ///
    /// If the API server refuses the scope, that is delivered as a failure, and the scope is tried again every minute.
    #[must_use]
    pub fn of_collection(now: Instant, scope: Scope, requests_per_second: u32) -> Self {
        let rate = || RateLimiter::per_second(requests_per_second);
        let mut shared = Shared::new(scope);
        shared.service = Service::Running;
        shared.link.rest(now);
        let collection = Collection { deliveries: VecDeque::new(), wants_list: false };
        let reflector = Self::new(Some(Box::new(shared)), Lanes::new(rate(), rate()));
        Self { collection: Some(Box::new(collection)), ..reflector }
    }

    /// The next delivery of the scope as a whole.
    pub fn next_collected(&mut self) -> Option<Collected<O>> {
        pop(&mut self.collection.as_mut()?.deliveries)
    }

    /// Wants a LIST beside the watch: something may be missing. It begins after a rest that is as long as the last LIST took.
    pub fn list_again(&mut self) {
        if let Some(collection) = &mut self.collection {
            collection.wants_list = true;
        }
    }

    pub(super) fn wants_list(&self) -> bool {
        self.collection.as_ref().is_some_and(|collection| collection.wants_list)
    }

    pub(super) fn has_collected(&self) -> bool {
        self.collection.as_ref().is_some_and(|collection| !collection.deliveries.is_empty())
    }

    /// An object for which there is no wait.
    pub(super) fn collect(&mut self, via: Via, event: Event, read: impl FnOnce() -> Result<O, ApiFailure>) {
        let Some(collection) = &mut self.collection else { return };
        collection.deliveries.push_back(match (read(), event) {
            (Ok(object), Event::Deleted) => Collected::Deleted(object),
            (Ok(object), Event::State | Event::Bookmark | Event::Listed) => Collected::Object(via, object),
            (Err(failure), _) => Collected::Failed(Self::unreadable("object of the scope", failure)),
        });
    }

    pub(super) fn list_begins(&mut self) {
        if let Some(collection) = &mut self.collection {
            collection.wants_list = false;
            collection.deliveries.push_back(Collected::ListBegins);
        }
    }

    pub(super) fn list_ends(&mut self) {
        if let Some(collection) = &mut self.collection {
            collection.deliveries.push_back(Collected::ListEnds);
        }
    }

    pub(super) fn fail_collection(&mut self, failure: &ApiFailure) {
        if let Some(collection) = &mut self.collection {
            collection.deliveries.push_back(Collected::Failed(failure.clone()));
        }
    }
}
