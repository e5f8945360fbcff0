//! What a LIST brings, and what it means not to be in it.

use super::heard::set_key;
use super::{BETWEEN_LISTS, Feed, LONGEST_REST};
use crate::client::failure;
use crate::decode::{DecodeError, decode};
use crate::envelope::head;
use crate::listing::Listed;
use crate::source::{Observed, ObservedPod, Via};
use crate::table::{Match, number};
use crate::watch::{From, Watch};
use bytes::Bytes;
use std::borrow::Borrow;
use std::time::Duration;
use tokio::time::Instant;

impl Feed {
    /// Takes what a LIST brings.
    pub(super) fn listed(&mut self, listed: Listed) {
        match listed {
            Listed::Item(json) => {
                if let Err(error) = self.take_item(&json) {
                    // Nobody can say whom it is about, and so of nobody that he is not there.
                    let failure = failure(Via::List, 0, format!("unreadable item of a list: {error}"));
                    self.listed(Listed::Failed(failure));
                }
            }
            Listed::More => {}
            Listed::All(version) => {
                let number = number(&version);
                self.miss(number);
                if !self.watch.is_on() {
                    self.set_watch(Watch::Wanted(From::Version(version)));
                }
                self.finish_list();
            }
            Listed::Failed(failure) => {
                self.finish_list();
                if self.watch.is_on() {
                    // It was to save GETs: those go on.
                    if let Some(time) = failure.retry_after {
                        self.budget.hold(time);
                    }
                } else if failure.code == 410 {
                    // A page that came too late. From the start.
                    self.lose_watch(failure);
                } else {
                    // Nobody knows anything without it, so nobody is spared the first failure either.
                    self.failed = self.failed.max(1);
                    self.lose_watch(failure);
                }
            }
        }
    }

    fn finish_list(&mut self) {
        self.waits.lock().is_listing = false;
        if let Some(list) = self.list.take() {
            let (shortest, times) = BETWEEN_LISTS;
            let rest = list.began.elapsed().saturating_mul(times).clamp(shortest, LONGEST_REST);
            self.next_list = Instant::now() + rest;
        }
    }

    fn take_item(&mut self, json: &Bytes) -> Result<(), DecodeError> {
        let head = head(json)?;
        set_key(&mut self.key, &head);
        let mut table = self.waits.lock();
        let lists = table.lists;
        let Some(waited) = table.get_mut(&self.key) else { return Ok(()) };
        waited.listed = lists;
        waited.matches = Match::Yes;
        if waited.version > Some(number(&head.resource_version)) {
            // The watch or a GET was faster.
            return Ok(());
        }
        let observed = match decode(json) {
            Ok(pod) => Observed::Pod(ObservedPod { via: Via::List, pod: Box::new(pod), json: json.clone() }),
            Err(error) => {
                Observed::ApiError(failure(Via::List, 0, format!("unreadable item of a list: {error}")))
            }
        };
        table.deliver(&self.key, observed);
        Ok(())
    }

    /// Tells whoever waits for a pod that was not in the LIST, if that means something.
    fn miss(&mut self, version: u64) {
        let is_whole = self.selection.is_whole();
        let mut table = self.waits.lock();
        let lists = table.lists;
        for pod in table.names() {
            let Some(waited) = table.get_mut(pod.borrow()) else { continue };
            if waited.listed == lists {
                continue;
            }
            let was_there = waited.came < lists;
            // Versions that are no numbers cannot be compared.
            let is_newer = waited.version.is_some_and(|seen| seen > version || version == u64::MAX);
            if was_there && is_whole && !is_newer {
                table.miss(&pod, Via::List);
                continue;
            }
            if was_there && !is_newer && waited.matches != Match::No {
                waited.matches = Match::No;
                table.forget_read(pod.borrow());
            }
            table.ask(&pod, Duration::ZERO);
        }
    }
}
