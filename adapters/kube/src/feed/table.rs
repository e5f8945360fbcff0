//! The pods that are waited for, what is known of them and of the watch, and who is told.

#[cfg(test)]
pub(crate) mod tests;

use crate::feed::mailbox::{Mailbox, Notice};
use crate::feed::reads::{Read, Reads};
use crate::selection::PodName;
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use bytes::Bytes;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Those who come together share a LIST: it waits for more until nobody has come for so long, but no longer than that.
const GATHER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// What a table keeps room for, however few there are.
const FEW: usize = 64;

/// What the waits and their feed share.
#[derive(Default)]
pub(crate) struct Table {
    /// The same run in the same order: nothing here is decided by chance.
    pods: HashMap<PodName, Waited, BuildHasherDefault<DefaultHasher>>,
    pub(crate) reads: Reads,
    /// What was delivered, and who came: never twice the same number.
    turns: u64,
    /// Whether events come, or are about to.
    pub(crate) is_watching: bool,
    /// Whether the API server has opened the watch through which they come.
    pub(crate) is_open: bool,
    /// Until when a watch that has ended as a matter of course is as good as open, since it is about to go on.
    pub(crate) goes_on_until: Option<Instant>,
    /// Whether the last call has failed.
    pub(crate) is_failing: bool,
    /// Until when the next call waits, since the API server does not want to be asked before, and what it said.
    pub(crate) held: Option<(Instant, ApiFailure)>,
    /// Somebody was told that nobody can say how things are, and no watch or LIST has said so since.
    pub(crate) is_behind: bool,
    /// Whether a LIST is under way, after which events come.
    pub(crate) is_listing: bool,
    /// Every pod in sight is watched, and not only those that a label selector matches.
    is_whole: bool,
    /// LISTs that have begun.
    pub(crate) lists: u64,
    /// The last turn before the newest of them.
    list_turn: u64,
    /// When the first and the last came of those who have come since the last one began.
    came: Option<(Instant, Instant)>,
    pub(crate) service: Service,
    /// Why the API server would not list or watch these pods when it was last asked, until it does.
    pub(crate) refusal: Option<ApiFailure>,
}

/// Whether somebody feeds the waits.
#[derive(Clone, Debug, Default)]
pub(crate) enum Service {
    #[default]
    Stopped,
    Running,
    /// The API server will not list or watch these pods; to be tried again at that time.
    Refused(Instant),
}

/// How a wait is told of its pod, if it does not ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fed {
    /// By events.
    ByWatch,
    /// By the LIST that is under way, and then by events.
    ByList,
    /// There is a watch, but as far as is known the pod is none of those that it is about.
    Apart,
    NotYet,
}

/// Whether a label selector matches a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Match {
    /// Nobody has asked.
    #[default]
    Unknown,
    Yes,
    /// Not when it was asked. If that changes the watch tells.
    No,
}

/// A pod that somebody waits for.
#[derive(Default)]
pub(crate) struct Waited {
    mailboxes: Vec<Arc<Mailbox>>,
    /// How many of them want the pod's JSON.
    raw: usize,
    read: Read,
    /// Changes with what is delivered, so that an answer that was overtaken is known as such.
    pub(crate) turn: u64,
    /// The resourceVersion of the pod when it was delivered last, as a [`number`], and its uid.
    pub(crate) version: Option<u64>,
    uid: String,
    /// The last thing that was delivered is an error.
    has_failed: bool,
    /// LISTs that had begun when the first wait came, and the last one that had the pod.
    pub(crate) came: u64,
    pub(crate) listed: u64,
    /// Whether the selector of the watch matches the pod.
    matches: Match,
    /// Whether it ever has.
    has_matched: bool,
    /// What a DELETED carried of which a GET must say whether it was a deletion.
    pub(crate) doubted: Option<ObservedPod>,
    /// What was found in the pod's place, and is kept back so that there is time to tell of its end.
    missed: Option<Missed>,
}

/// What is found in place of a pod that is gone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Missed {
    Nothing(Via),
    /// Another one of its name.
    Another(ObservedPod),
}

/// A resourceVersion as a number, which is what it is in every released API server; one that is none is newer than all.
pub(crate) fn number(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(u64::MAX)
}

pub(crate) fn version(pod: &ObservedPod) -> u64 {
    number(&pod.pod.snapshot.resource_version)
}

impl Table {
    pub(crate) fn new(is_whole: bool) -> Self {
        Self { is_whole, ..Self::default() }
    }

    /// Adds a wait. Whether the feed must be started.
    pub(crate) fn join(&mut self, pod: &PodName, mailbox: &Arc<Mailbox>, raw: bool) -> bool {
        let now = Instant::now();
        let is_up = match self.service {
            Service::Running => true,
            Service::Stopped => false,
            Service::Refused(until) if until <= now => false,
            Service::Refused(_) => {
                mailbox.notify(Notice::Closed);
                return false;
            }
        };
        self.service = Service::Running;
        self.turns += 1;
        let (came, turn) = (self.lists, self.turns);
        let new = || Waited { came, turn, ..Waited::default() };
        let waited = self.pods.entry(pod.clone()).or_insert_with(new);
        waited.mailboxes.push(Arc::clone(mailbox));
        waited.raw += usize::from(raw);
        let (first, _) = self.came.unwrap_or((now, now));
        self.came = Some((first, now));
        !is_up
    }

    /// Takes a wait out. Whether it was the last one.
    pub(crate) fn leave(&mut self, pod: &PodName, mailbox: &Arc<Mailbox>, raw: bool) -> bool {
        let Some(waited) = self.pods.get_mut(pod) else { return false };
        let others = waited.mailboxes.len();
        waited.mailboxes.retain(|other| !Arc::ptr_eq(other, mailbox));
        if waited.mailboxes.len() < others {
            waited.raw -= usize::from(raw);
        }
        if !waited.mailboxes.is_empty() {
            return false;
        }
        self.forget_read(pod.borrow());
        self.pods.remove(pod);
        let (length, room) = (self.pods.len(), self.pods.capacity());
        if room > FEW && length < room / 4 {
            // Ten thousand that are over leave nothing behind.
            self.pods.shrink_to(length * 2);
        }
        self.is_empty()
    }

    /// Whether a read of the pod is under way, and how else it is told of.
    pub(crate) fn state_of(&self, pod: &PodName) -> (bool, Fed) {
        let Some(waited) = self.pods.get(pod) else { return (false, Fed::NotYet) };
        let is_read = match waited.read {
            Read::None => false,
            Read::Queued(_) | Read::PutOff(_) | Read::Sent(_) => true,
        };
        let fed = match self.is_watched(pod.borrow()) {
            true => Fed::ByWatch,
            false if self.is_listing => Fed::ByList,
            false if self.is_watching => Fed::Apart,
            false => Fed::NotYet,
        };
        (is_read, fed)
    }

    /// Whether a pod that was told in this turn was told after the newest LIST had begun, so that the LIST may show an older
    /// state of it.
    pub(crate) const fn is_since_list(&self, turn: u64) -> bool {
        turn > self.list_turn
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Waited> {
        self.pods.get_mut(name)
    }

    /// Whether events come for the pod.
    pub(crate) fn is_watched(&self, name: &str) -> bool {
        let matches = |waited: &Waited| self.is_whole || waited.matches == Match::Yes;
        self.is_watching && self.pods.get(name).is_some_and(matches)
    }

    /// Whether a pod's read only waits for its turn, while the API server answers and the watch would tell of a change.
    pub(crate) fn is_in_turn(&self, pod: &PodName) -> bool {
        let goes_on = || self.goes_on_until.is_some_and(|until| Instant::now() < until);
        let tells = self.is_watched(pod.borrow()) && (self.is_open || goes_on());
        let is_well = tells && !self.is_failing && self.held.is_none();
        is_well && self.pods.get(pod).is_some_and(|waited| matches!(waited.read, Read::Queued(_)))
    }

    /// The failure that keeps a pod's read from being sent, with the time that is left of its `Retry-After`.
    pub(crate) fn held_by(&self, pod: &PodName) -> Option<ApiFailure> {
        let (until, failure) = self.held.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        let is_queued = self.pods.get(pod).is_some_and(|waited| matches!(waited.read, Read::Queued(_)));
        (is_queued && !left.is_zero()).then(|| ApiFailure { retry_after: Some(left), ..failure.clone() })
    }

    pub(crate) fn begin_list(&mut self) {
        self.lists += 1;
        self.list_turn = self.turns;
        self.is_listing = true;
        self.came = None;
    }

    /// When those who have come since the last LIST began may have one, as far as they are concerned.
    pub(crate) fn gathered(&self) -> Option<Instant> {
        let (lull, longest) = GATHER;
        self.came.map(|(first, last)| (last + lull).min(first + longest))
    }

    pub(crate) fn names(&self) -> Vec<PodName> {
        self.pods.keys().cloned().collect()
    }

    /// Puts a read in the queue. Whether there was none.
    pub(crate) fn ask(&mut self, pod: &PodName, patience: Duration) -> bool {
        let Some(waited) = self.pods.get_mut(pod) else { return false };
        let Read::None = waited.read else { return false };
        // A LIST that does not have the pod says no more of it than that the selector does not match it.
        let would_be_listed = self.is_whole || waited.matches != Match::No;
        waited.read = self.reads.ask(pod, patience, would_be_listed);
        true
    }

    /// Takes the next read to be sent: the pod, its turn, and whether it is to be asked first whether the selector of the
    /// watch matches the pod.
    pub(crate) fn send_read(&mut self) -> Option<(PodName, u64, bool)> {
        let pod = self.reads.next()?;
        let waited = self.pods.get_mut(&pod)?;
        let is_question = !self.is_whole && self.is_watching && waited.matches == Match::Unknown;
        waited.read = Read::Sent(is_question);
        Some((pod, waited.turn, is_question))
    }

    /// A pod of which something was kept back until now, and what.
    pub(crate) fn next_missed(&mut self, now: Instant) -> Option<(PodName, Missed)> {
        let pod = self.reads.next_put_off(now)?;
        let missed = self.let_go(pod.borrow())?;
        Some((pod, missed))
    }

    /// What is kept back of the pod, no longer.
    pub(crate) fn let_go(&mut self, name: &str) -> Option<Missed> {
        let missed = self.pods.get_mut(name)?.missed.take()?;
        self.forget_read(name);
        Some(missed)
    }

    /// Whatever read of the pod is under way is old by now.
    pub(crate) fn forget_read(&mut self, name: &str) {
        let Some(waited) = self.pods.get_mut(name) else { return };
        self.turns += 1;
        waited.turn = self.turns;
        self.reads.forget(&std::mem::take(&mut waited.read));
    }

    /// Takes note that the selector of the watch does not match the pod, so that it is to be read.
    pub(crate) fn stray(&mut self, pod: &PodName) {
        let name: &str = pod.borrow();
        let Some(waited) = self.pods.get_mut(name) else { return };
        waited.matches = Match::No;
        // It is being read, or was not there when it was.
        if let Read::Sent(false) | Read::PutOff(_) = waited.read {
            return;
        }
        // What was queued for a LIST waits in vain, and a question that is under way may be from before.
        self.forget_read(name);
        self.ask(pod, Duration::ZERO);
    }

    /// Whether it is kept back that the pod was not found, and nobody looks again yet.
    pub(crate) fn is_held_back(&self, pod: &PodName) -> bool {
        let is_put_off = |waited: &Waited| matches!(waited.read, Read::PutOff(_));
        self.pods.get(pod).is_some_and(is_put_off)
    }

    /// What is kept back of the pod.
    pub(crate) fn in_hand(&self, pod: &PodName) -> Option<Observed> {
        let waited = self.pods.get(pod)?;
        Some(match (waited.missed.as_ref()?, &waited.doubted) {
            (_, Some(doubted)) => Observed::Deleted(doubted.clone()),
            (Missed::Nothing(via), None) => Observed::NotFound(*via),
            (Missed::Another(found), None) => Observed::Pod(found.clone()),
        })
    }

    /// Keeps back that a pod was not found, if the watch of these pods may tell how it ended: that has so long to do so. The
    /// resourceVersion at which the pod was seen last.
    ///
    /// # Errors
    /// What is not to be kept back.
    pub(crate) fn hold_back(
        &mut self,
        pod: &PodName,
        mut missed: Missed,
        last_words: Duration,
    ) -> Result<u64, Missed> {
        let is_whole = self.is_whole;
        let may_be = |waited: &&Waited| waited.missed.is_none() && (is_whole || waited.has_matched);
        let version = self.pods.get(pod).filter(may_be).and_then(|waited| waited.version);
        let Some(version) = version else { return Err(missed) };
        self.forget_read(pod.borrow());
        if let Some(waited) = self.pods.get_mut(pod) {
            if let Missed::Another(found) = &mut missed
                && waited.raw == 0
            {
                // The text of a whole pod, or of a page of them.
                found.json = Bytes::new();
            }
            waited.missed = Some(missed);
            waited.read = self.reads.put_off(pod, Instant::now() + last_words);
        }
        Ok(version)
    }

    /// Tells everybody who waits for the pod. A read of it that is under way is old by then.
    pub(crate) fn deliver(&mut self, name: &str, mut observed: Observed) {
        if observed.is_good_read() || !self.pods.get(name).is_some_and(Waited::is_missed) {
            // What is kept back is told at its time, whatever fails meanwhile.
            self.forget_read(name);
        }
        let Some(waited) = self.pods.get_mut(name) else { return };
        let mut before = None;
        match &observed {
            Observed::Pod(pod) => {
                // Another one of the name is there, so the one before is not. What is older than a DELETED settles nothing.
                let is_settled = |gone: &mut ObservedPod| version(gone) <= version(pod);
                let is_other = |gone: &ObservedPod| gone.pod.snapshot.uid != pod.pod.snapshot.uid;
                before = waited.doubted.take_if(is_settled).filter(is_other).map(Observed::Deleted);
            }
            Observed::NotFound(_) => {
                observed = waited.doubted.take().map_or(observed, Observed::Deleted);
            }
            Observed::Deleted(_) => waited.doubted = None,
            Observed::ApiError(_) | Observed::Silence | Observed::Cancelled => {
                return waited.tell(observed);
            }
        }
        waited.missed = None;
        before.into_iter().for_each(|before| waited.tell(before));
        waited.tell(observed);
    }

    /// Tells everybody who waits for a pod that was not found how it was before.
    pub(crate) fn recall(&mut self, name: &str, pod: ObservedPod) {
        let Some(waited) = self.pods.get_mut(name) else { return };
        if waited.is_another(&pod) {
            // So much for that one.
            self.deliver(name, Observed::Pod(pod));
        } else {
            waited.tell(Observed::Pod(pod));
        }
    }

    /// Tells everybody that a call on behalf of all has failed. Reads go on, and a pod that is being read hears of that read: it
    /// may find the server well, and a budget must not run out on the watch's failure in that moment.
    pub(crate) fn fail_all(&mut self, failure: &ApiFailure) {
        self.is_behind = true;
        for waited in self.pods.values_mut().filter(|waited| !matches!(waited.read, Read::Sent(_))) {
            waited.has_failed = true;
            for mailbox in &waited.mailboxes {
                mailbox.deliver(Observed::ApiError(failure.clone()));
            }
        }
    }

    pub(crate) fn notify_all(&self, notice: Notice) {
        for mailbox in self.pods.values().flat_map(|waited| &waited.mailboxes) {
            mailbox.notify(notice);
        }
    }

    /// Sends everybody away, with what was kept back.
    pub(crate) fn close(&mut self, service: Service) {
        let kept: Vec<_> =
            self.pods.keys().filter_map(|pod| Some((pod.clone(), self.in_hand(pod)?))).collect();
        for (pod, observed) in kept {
            self.deliver(pod.borrow(), observed);
        }
        self.notify_all(Notice::Closed);
        let Self { is_whole, lists, turns, .. } = *self;
        let refusal = self.refusal.take();
        *self = Self { service, is_whole, lists, turns, refusal, ..Self::default() };
    }
}

impl Waited {
    /// Takes note that the selector of the watch matches the pod.
    pub(crate) fn matched(&mut self) {
        (self.matches, self.has_matched) = (Match::Yes, true);
    }

    /// Whether the pod was told at this resourceVersion, or a later one. Nobody knows of one that is no number.
    pub(crate) fn has_heard_of(&self, version: u64) -> bool {
        version < u64::MAX && self.version >= Some(version)
    }

    /// Whether that resourceVersion is newer than all that came of the pod.
    pub(crate) fn is_news(&self, version: u64) -> bool {
        self.version.max(self.doubted.as_ref().map(self::version)) < Some(version)
    }

    /// Whether an answer of that resourceVersion, which something else has overtaken, is worth delivering: it is newer, or an
    /// error has overtaken it and it shows that the API server does answer.
    pub(crate) fn is_worth(&self, version: u64) -> bool {
        self.is_news(version) || (self.has_failed && self.version == Some(version))
    }

    /// Whether that resourceVersion is older than what came of the pod.
    pub(crate) fn is_ahead_of(&self, version: u64) -> bool {
        self.version > Some(version)
    }

    /// Whether the pod was not found, and its last words are awaited.
    pub(crate) const fn is_missed(&self) -> bool {
        self.missed.is_some()
    }

    /// Whether that is another pod of the name than the one that was seen before.
    pub(crate) fn is_another(&self, found: &ObservedPod) -> bool {
        self.version.is_some() && self.uid != found.pod.snapshot.uid
    }

    fn tell(&mut self, mut observed: Observed) {
        self.has_failed = matches!(observed, Observed::ApiError(_));
        if let Observed::Pod(pod) | Observed::Deleted(pod) = &mut observed {
            self.version = Some(version(pod));
            if self.uid != pod.pod.snapshot.uid {
                self.uid.clone_from(&pod.pod.snapshot.uid);
            }
            if self.raw == 0 {
                // The text of a whole pod, or of a page of them.
                pod.json = Bytes::new();
            }
        }
        let Some((last, others)) = self.mailboxes.split_last() else { return };
        for mailbox in others {
            mailbox.deliver(observed.clone());
        }
        last.deliver(observed);
    }
}
