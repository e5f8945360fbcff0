//! What a LIST brings, and what it means not to be in it.

use super::Feed;
use super::heard::set_key;
use crate::client::unreadable;
use crate::feed::listing::Listed;
use crate::feed::table::{Missed, Waited, number};
use crate::feed::watch::{From, Watch};
use crate::selection::PodName;
use crate::source::{Observed, ObservedPod, Via};
use crate::wire::decode::{DecodeError, decode_with};
use crate::wire::envelope::head;
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
                    let failure = unreadable(Via::List, format!("unreadable item of a list: {error}"));
                    self.listed(Listed::Failed(failure));
                }
            }
            Listed::More => {}
            Listed::All(version) => {
                let mut table = self.waits.lock();
                (table.is_behind, table.is_failing) = (false, false);
                drop(table);
                let number = number(&version);
                self.miss_all(number);
                if !self.watch.is_on() {
                    self.set_watch(Watch::Wanted(From::Version(version)));
                }
                self.finish_list();
            }
            Listed::Failed(failure) => {
                self.finish_list();
                self.waits.lock().is_failing = true;
                if self.watch.is_on() {
                    // It was to save GETs: those go on.
                    self.budget.heed(&failure);
                } else if failure.is_expired() {
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
            self.last_list = Some((Instant::now(), list.began.elapsed()));
        }
    }

    fn take_item(&mut self, json: &Bytes) -> Result<(), DecodeError> {
        let head = head(json)?;
        set_key(&mut self.key, &head);
        let mut table = self.waits.lock();
        let lists = table.lists;
        let Some(waited) = table.get_mut(&self.key) else { return Ok(()) };
        waited.listed = lists;
        waited.matched();
        let (is_older, turn) = (waited.is_ahead_of(number(&head.resource_version)), waited.turn);
        if is_older && table.is_since_list(turn) {
            // The watch or a GET was faster. If nothing was, the store has gone back, and this is how things are.
            return Ok(());
        }
        drop(table);
        let mut pod = self.waits.vacate(&mut self.spare);
        let observed = match decode_with(json, &mut self.spare) {
            Ok(read) => {
                *pod = read;
                Observed::Pod(ObservedPod { via: Via::List, pod, json: json.clone() })
            }
            Err(error) => {
                Observed::ApiError(unreadable(Via::List, format!("unreadable item of a list: {error}")))
            }
        };
        let is_another = |found| {
            self.waits.lock().get_mut(&self.key).is_some_and(|waited: &mut Waited| waited.is_another(found))
        };
        let is_another = matches!(&observed, Observed::Pod(found) if is_another(found));
        if is_another && let Observed::Pod(found) = observed {
            self.miss(&PodName::new(&head.namespace, &head.name), Missed::Another(found));
        } else {
            self.waits.lock().deliver(&self.key, observed);
        }
        Ok(())
    }

    /// Tells whoever waits for a pod that was not in the LIST, if that means something.
    fn miss_all(&mut self, version: u64) {
        let is_whole = self.selection.is_whole();
        let names = self.waits.lock().names();
        for pod in names {
            let mut table = self.waits.lock();
            let lists = table.lists;
            let Some(waited) = table.get_mut(pod.borrow()) else { continue };
            if waited.listed == lists {
                continue;
            }
            let was_there = waited.came < lists;
            // Versions that are no numbers cannot be compared.
            let is_newer = waited.version.is_some_and(|seen| seen > version || version == u64::MAX);
            match was_there && !is_newer {
                true if is_whole => {
                    drop(table);
                    self.miss(&pod, Missed::Nothing(Via::List));
                }
                true => table.stray(&pod),
                false => {
                    table.ask(&pod, Duration::ZERO);
                }
            }
        }
    }
}
