//! The items of a LIST, and the pods that are not in it.

use super::{Event, Head, Reflector};
use crate::call::{Purpose, RequestId};
use crate::failure::{ApiFailure, Via, is_refusal};
use crate::lane::Lane;
use crate::link::From;
use crate::lister::Page;
use crate::name::parse_resource_version;
use crate::observed::{Object, Observed};
use crate::own::Cause;
use crate::registry::PodId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use podwait_core::Instant;

impl<O: Object> Reflector<O> {
    /// An item of a page.
    pub(super) fn on_item(&mut self, head: Head<'_>, read: impl FnOnce() -> Result<O, ApiFailure>) {
        let Some(pod) = self.registry.find(head.namespace, head.name) else {
            return self.collect(Via::List, Event::State, read);
        };
        let Some(shared) = &self.shared else { return };
        let is_open = shared.link.is_open();
        let entry = &mut self.registry.pods[pod];
        entry.listed = shared.lister.count;
        let is_older = entry.version > Some(parse_resource_version(head.resource_version));
        // The watch or a GET was faster. If neither was, the store has gone back, and this is the present state.
        if !is_older || entry.generation <= shared.lister.generation {
            let observed = match read() {
                Ok(object) => Observed::Pod(Via::List, object),
                Err(failure) => Observed::Failed(Self::unreadable("item of a list", failure)),
            };
            self.deliver(pod, observed);
        }
        if let Some(entry) = self.registry.pods.get_mut(pod) {
            entry.matched();
        }
        self.cover(pod, is_open);
    }

    /// The end of a page.
    pub(super) fn on_page(&mut self, now: Instant, resource_version: &str, next: Option<String>) {
        let Some(shared) = &mut self.shared else { return };
        if let Some(token) = next {
            if let Err(failure) = shared.lister.turn_to(token) {
                self.lose_list(now, failure);
            }
            return;
        }
        self.complete_list(now, resource_version, false);
    }

    /// The end of a LIST at the beginning of a watch: the request becomes the watch of the scope.
    pub(super) fn on_listed(&mut self, now: Instant, id: RequestId, resource_version: &str) {
        self.calls.listed(id);
        self.complete_list(now, resource_version, true);
        let Some(shared) = &mut self.shared else { return };
        shared.link.sent(id);
        self.on_opened(now, &Purpose::SharedWatch);
    }

    fn complete_list(&mut self, now: Instant, resource_version: &str, is_stream: bool) {
        let Some(shared) = &mut self.shared else { return };
        shared.health.is_current();
        self.miss_all(now, parse_resource_version(resource_version));
        let Some(shared) = &mut self.shared else { return };
        if !shared.link.is_on() {
            shared.link.want(From::After(resource_version.into()));
        }
        shared.lister.complete(now, is_stream);
        self.list_ends();
    }

    /// A LIST at the beginning of a watch failed. If only the form of the request is refused, the LIST comes in pages
    /// at once: an API server that does not know such requests answers 422. A missing right also concerns the watch.
    pub(super) fn lose_stream(&mut self, now: Instant, failure: ApiFailure) {
        let Some(shared) = &mut self.shared else { return };
        if is_refusal(&failure) && failure.code != 403 {
            return shared.lister.refuse_streaming();
        }
        // After any failure but a missing right, the LIST comes in pages: where only watches fail, it succeeds, and no
        // budget runs meanwhile.
        if failure.code != 403 {
            shared.lister.lose_stream();
        }
        self.lose_list(now, failure);
    }

    /// The LIST failed.
    pub(super) fn lose_list(&mut self, now: Instant, failure: ApiFailure) {
        let Some(shared) = &mut self.shared else { return };
        if let Some(Page::Sent(id)) = shared.lister.listing.as_ref().map(|listing| listing.page.clone()) {
            self.calls.close(id);
        }
        shared.lister.finish(now);
        shared.health.is_failing = true;
        if shared.link.is_on() {
            // This LIST was to replace GETs: those continue.
            self.lanes[Lane::Shared].rate.heed(now, &failure);
            return self.fail_collection(&failure);
        }
        if !failure.is_expired() {
            // Without the LIST no state is known, so even the first failure is delivered. A page that comes too late
            // does not count.
            shared.link.fail_without();
        }
        self.lose_shared(now, failure);
    }

    /// Handles the pods that were not in the LIST, which has that resourceVersion.
    fn miss_all(&mut self, now: Instant, version: u64) {
        let Some(shared) = &self.shared else { return };
        let left_at = (!shared.link.is_on()).then(|| shared.link.place());
        let (lists, is_unfiltered) = (shared.lister.count, shared.scope.is_unfiltered());
        let pods = self.registry.pods.iter();
        let missing = pods.filter(|(_, entry)| entry.listed != lists);
        // The LIST is no evidence about a pod whose waits joined after the LIST began, or that was seen since. Versions that
        // are not numbers cannot be compared.
        let says = |entry: &crate::registry::Entry<O>| {
            let is_newer = entry.version.is_some_and(|seen| seen > version || version == u64::MAX);
            entry.came < lists && !is_newer
        };
        let missing: Vec<(PodId, bool)> = missing.map(|(pod, entry)| (pod, says(entry))).collect();
        for (pod, says) in missing {
            let entry = &mut self.registry.pods[pod];
            if let Some(own) = &entry.own {
                // The pod has a watch by name, so the selector need not match it.
                entry.has_matched = false;
                // If the scope was only refused before, a LIST without the pod shows the same as a GET, and sooner.
                let is_covered = is_unfiltered && matches!(own.cause, Cause::Refused { .. });
                if is_covered && says && entry.confirming == 0 {
                    self.deliver(pod, Observed::NotFound(Via::List));
                }
                continue;
            }
            entry.unlisted_at = left_at;
            let is_confirming = entry.confirming > 0;
            match says {
                true if !is_unfiltered => self.mark_unmatched(now, pod),
                _ if is_confirming => {}
                true => self.deliver(pod, Observed::NotFound(Via::List)),
                false => self.ask(now, pod, Duration::ZERO),
            }
        }
    }

    /// The failure for an object that cannot be read.
    pub(super) fn unreadable(what: &str, failure: ApiFailure) -> ApiFailure {
        ApiFailure::new(failure.via, failure.code, &format!("unreadable {what}: {}", failure.message))
    }
}
