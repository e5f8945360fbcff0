//! Memory of pods that were read before, for the next ones.

use super::Pod;
use crate::wire::json::{Cursor, Result};
use podwait_core::{Condition, Container, ContainerState, ContainerStatus, Terminated};
use std::borrow::Cow;

/// How many strings and lists are kept: those of a pod with a few containers, once or twice.
const STRINGS: usize = 64;
const LISTS: usize = 8;

/// Longer ones are not kept: a message of 30 KB is no reason to hold as much for ever.
const LONGEST_STRING: usize = 256;
const LONGEST_LIST: usize = 16;

/// Empty strings and lists with room, taken from pods that nobody needs any more. An agent reads the same few kinds of pods
/// all the time, so the next one finds what it needs here, and nothing is allocated for it.
#[derive(Debug, Default)]
pub struct Spare {
    strings: Vec<String>,
    containers: Vec<Vec<Container>>,
    statuses: Vec<Vec<ContainerStatus>>,
}

impl Spare {
    /// Reads a string; `null` is an empty one.
    pub(super) fn owned(&mut self, json: &mut Cursor<'_>) -> Result<String> {
        json.text().map(|text| self.own(text))
    }

    pub(super) fn own(&mut self, text: Cow<'_, str>) -> String {
        match text {
            Cow::Owned(text) => text,
            Cow::Borrowed("") => String::new(),
            Cow::Borrowed(text) => {
                let mut string = self.strings.pop().unwrap_or_default();
                string.push_str(text);
                string
            }
        }
    }

    /// Reads a list of containers; `null` is an empty one.
    pub(super) fn containers(
        &mut self,
        json: &mut Cursor<'_>,
        read: fn(&mut Cursor<'_>, &mut Self) -> Result<Container>,
    ) -> Result<Vec<Container>> {
        let list = self.containers.pop().unwrap_or_default();
        json.list_in(list, |json| read(json, self))
    }

    /// Reads a list of their statuses; `null` is an empty one.
    pub(super) fn statuses(
        &mut self,
        json: &mut Cursor<'_>,
        read: fn(&mut Cursor<'_>, &mut Self) -> Result<ContainerStatus>,
    ) -> Result<Vec<ContainerStatus>> {
        let list = self.statuses.pop().unwrap_or_default();
        json.list_in(list, |json| read(json, self))
    }

    /// Takes a pod apart that nobody needs any more.
    ///
    /// Last in, first out, and in the order in which the API server writes its fields, backwards: so the next pod of the kind
    /// finds strings of the right length.
    pub fn take_apart(&mut self, pod: Pod) {
        let Pod { namespace, name, snapshot } = pod;
        for list in [
            snapshot.ephemeral_container_statuses,
            snapshot.container_statuses,
            snapshot.init_container_statuses,
        ] {
            self.take_statuses(list);
        }
        self.take_strings([snapshot.reason, snapshot.message]);
        for condition in [snapshot.disruption_target, snapshot.pod_scheduled].into_iter().flatten() {
            let Condition { reason, message, .. } = condition;
            self.take_strings([message, reason]);
        }
        for mut list in [snapshot.ephemeral_containers, snapshot.containers, snapshot.init_containers] {
            for container in list.drain(..).rev() {
                self.take_string(container.name);
            }
            keep(&mut self.containers, list);
        }
        self.take_strings([snapshot.resource_version, snapshot.uid, namespace, name]);
    }

    fn take_statuses(&mut self, mut list: Vec<ContainerStatus>) {
        for status in list.drain(..).rev() {
            self.take_string(status.container_id);
            status.last_terminated.into_iter().for_each(|record| self.take_record(record));
            match status.state {
                Some(ContainerState::Terminated(record)) => self.take_record(record),
                Some(ContainerState::Waiting { reason, message }) => self.take_strings([message, reason]),
                Some(ContainerState::Running) | None => {}
            }
            self.take_string(status.name);
        }
        keep(&mut self.statuses, list);
    }

    fn take_record(&mut self, record: Terminated) {
        self.take_strings([record.container_id, record.message, record.reason]);
    }

    fn take_strings<const N: usize>(&mut self, strings: [String; N]) {
        strings.into_iter().for_each(|string| self.take_string(string));
    }

    fn take_string(&mut self, mut string: String) {
        let room = string.capacity();
        if room > 0 && room <= LONGEST_STRING && self.strings.len() < STRINGS {
            string.clear();
            self.strings.push(string);
        }
    }
}

/// Keeps an empty list.
fn keep<T>(lists: &mut Vec<Vec<T>>, list: Vec<T>) {
    let room = list.capacity();
    if room > 0 && room <= LONGEST_LIST && lists.len() < LISTS {
        lists.push(list);
    }
}
