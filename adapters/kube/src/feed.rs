//! What feeds the waits: one LIST and one watch for all of them, and GETs where those do not tell.
//!
//! The same for one pod by its name, where a GET takes the place of the LIST.

mod answered;
pub(crate) mod budget;
mod heard;
mod last_words;
mod listed;
pub(crate) mod listing;
pub(crate) mod mailbox;
mod reads;
pub(crate) mod subscription;
pub(crate) mod table;
pub(crate) mod waits;
pub(crate) mod watch;

use crate::client::Calls;
use crate::selection::{PodName, Scope, Selection};
use crate::source::Observed;
use crate::wire::decode::Spare;
use budget::Budget;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use last_words::LastWords;
use listing::{Listed, Listing};
use std::sync::Arc;
use std::time::Duration;
use table::{Service, number};
use tokio::time::{Instant, sleep_until};
use waits::Waits;
use watch::Watch;

/// How long to do without a watch after one that failed; it doubles with each that fails as well.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// How long at most, and at once if the server refuses to watch at all.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(60);

/// GETs at once: enough for the usual budget while the server takes a second for each.
const GETS_AT_ONCE: usize = 16;

/// When so many urgent reads are queued, one LIST is less work for the server.
const LIST_WORTH: usize = 50;

/// How many times as long as a LIST took nobody LISTs again to spare GETs; before a watch it is as long again. Within the
/// shortest and the longest rest.
const TO_SPARE_GETS: u32 = 10;

/// How long a LIST may take before those who need a read are read by GETs meanwhile.
const SLOW_LIST: Duration = Duration::from_secs(10);

/// How many refusals in a row are taken for a passing trouble of a server that has let us watch: one that is being started
/// may not know its rights and resources yet.
const REFUSALS: u32 = 4;

/// How far behind a GET a watch may be before it counts as dead.
const LAG: Duration = Duration::from_secs(5);

/// How long a 404 is kept back while somebody may have the pod's last words.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Feeds the waits, as long as it is polled.
pub(crate) struct Feed {
    waits: Arc<Waits>,
    calls: Calls,
    selection: Selection,
    budget: Arc<Budget>,
    watch: Watch,
    /// The place that the watch before this one had reached, as a [`number`].
    left_at: u64,
    last_words: LastWords,
    may_watch: bool,
    list: Option<Listing>,
    /// When the last one was over, and how long it took.
    last_list: Option<(Instant, Duration)>,
    /// The last thing that was asked for is a page: where the LIST is slow a read comes next.
    was_page: bool,
    gets: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// The last of those has failed.
    has_failed_reads: bool,
    /// The time that the budget gave for the next request.
    slot: Option<Instant>,
    /// Watches, and LISTs for them, that failed in a row.
    failed: u32,
    /// The watch has said something that was not known where it began.
    has_news: bool,
    /// How many refusals in a row are to be forgiven.
    forgiven: u32,
    /// The server does not know any more what has happened since the pod's last change.
    has_expired: bool,
    /// When a LIST was last made because the store had gone back.
    listed_anew: Option<Instant>,
    /// A read was ahead of the watch: the time by which that should have come to this resourceVersion.
    ahead: Option<(Instant, u64)>,
    /// Scratch for the name of what comes in.
    key: String,
    /// Memory for the pods that come in.
    spare: Spare,
}

/// A read's answer, with the turn that the pod was in when it was sent.
struct Answer {
    pod: PodName,
    turn: u64,
    /// `None` if the selector of the watch does not match the pod.
    observed: Option<Observed>,
}

impl Feed {
    /// For one pod, which is watched by its name or only read.
    pub(crate) fn of_pod(
        client: kube::Client,
        waits: Arc<Waits>,
        pod: PodName,
        may_watch: bool,
        budget: Arc<Budget>,
    ) -> Self {
        Self { may_watch, ..Self::new(client, waits, Selection::Pod(pod, None), budget) }
    }

    /// For the pods of a scope.
    pub(crate) fn of_scope(
        client: kube::Client,
        waits: Arc<Waits>,
        scope: Scope,
        budget: Arc<Budget>,
    ) -> Self {
        Self::new(client, waits, Selection::Pods(scope), budget)
    }

    fn new(client: kube::Client, waits: Arc<Waits>, selection: Selection, budget: Arc<Budget>) -> Self {
        Self {
            waits,
            calls: Calls::new(client),
            selection,
            budget,
            watch: Watch::none(),
            left_at: 0,
            last_words: LastWords::none(),
            may_watch: true,
            list: None,
            last_list: None,
            was_page: false,
            gets: FuturesUnordered::new(),
            has_failed_reads: false,
            slot: None,
            failed: 0,
            has_news: false,
            forgiven: 0,
            has_expired: false,
            listed_anew: None,
            ahead: None,
            key: String::new(),
            spare: Spare::default(),
        }
    }

    /// Feeds them until nobody waits any more and nobody wants to go on, or until the server refuses.
    pub(crate) async fn run(mut self, goes_on: impl Fn() -> bool) {
        loop {
            if self.is_over(&goes_on) {
                return;
            }
            let wake = self.send_what_is_due();
            // What a watch has brought is better than what a read finds later, so it comes first; a socket that always has
            // something pauses by tokio's own rules.
            tokio::select! {
                biased;
                news = self.watch.next() => self.hear(news),
                news = self.last_words.next() => self.hear_last_words(news),
                listed = next_of(&mut self.list) => self.listed(listed),
                Some(answer) = self.gets.next() => self.answered(answer),
                () = self.waits.changed() => {}
                () = sleep_until_some(wake) => {}
            }
        }
    }

    fn is_over(&self, goes_on: &impl Fn() -> bool) -> bool {
        let mut table = self.waits.lock();
        match &table.service {
            Service::Running if table.is_empty() && !goes_on() => {
                table.close(Service::Stopped);
                true
            }
            Service::Running => false,
            Service::Stopped | Service::Refused(..) => true,
        }
    }

    /// Sends whatever is due and allowed by the budget. The time of the next thing that will be due by itself.
    fn send_what_is_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut wake = Wake { now, next: None };
        if wake.is_due(self.watch.end()) {
            self.renew();
        }
        if wake.is_due(self.ahead.map(|(at, _)| at)) {
            let (_, version) = self.ahead.take().unwrap_or((now, 0));
            if self.watch.reached().is_some_and(|reached| number(reached) < version) {
                self.renew();
            }
        }
        let missed_until = self.tell_all_missed(now);
        let _ = wake.is_due(missed_until) || wake.is_due(self.listen(now, missed_until.is_some()));
        loop {
            let what = self.what_is_due(&mut wake);
            let Some(what) = what else { break };
            let slot = *self.slot.get_or_insert_with(|| self.budget.reserve());
            let at = self.budget.not_before(slot);
            self.waits.lock().held = self.budget.held().filter(|(until, _)| *until > slot.max(now));
            if !wake.is_due(Some(at)) {
                break;
            }
            self.slot = None;
            self.was_page = matches!(what, Call::Page);
            match what {
                Call::Watch => self.open_watch(),
                Call::LastWords => self.open_last_words(),
                Call::List => {
                    self.waits.lock().begin_list();
                    self.list.insert(Listing::new(&self.calls, self.selection.clone())).ask();
                }
                Call::Page => self.list.iter_mut().for_each(Listing::ask),
                Call::Read => self.send_read(),
            }
        }
        wake.next
    }

    /// The next call to be made.
    fn what_is_due(&self, wake: &mut Wake) -> Option<Call> {
        if let Watch::Wanted(_) = self.watch {
            return Some(Call::Watch);
        }
        if self.last_words.is_wanted() {
            return Some(Call::LastWords);
        }
        let table = self.waits.lock();
        let mut may_read = self.gets.len() < GETS_AT_ONCE && !table.reads.is_empty();
        match (&self.selection, &self.list) {
            (Selection::Pod(..), _) => {}
            (Selection::Pods(_), None) => {
                let due = match &self.watch {
                    Watch::None { until } => Some(self.list_after(1).map_or(*until, |at| at.max(*until))),
                    Watch::Wanted(_) | Watch::Opening(..) | Watch::Open(..) => {
                        let is_worth = table.reads.listable() > LIST_WORTH;
                        is_worth.then(|| self.list_after(TO_SPARE_GETS).unwrap_or(wake.now))
                    }
                };
                if wake.is_due(due.map(|due| table.gathered().map_or(due, |gathered| gathered.max(due)))) {
                    return Some(Call::List);
                }
            }
            (Selection::Pods(_), Some(list)) => {
                // What a LIST is about to bring need not be read.
                may_read &= wake.is_due(Some(list.began + SLOW_LIST));
                if list.is_waiting() && !(may_read && self.was_page) {
                    return Some(Call::Page);
                }
            }
        }
        may_read.then_some(Call::Read)
    }

    /// When there may be another LIST, so many times as long after the last one as that took.
    fn list_after(&self, times: u32) -> Option<Instant> {
        let (over, took) = self.last_list?;
        Some(over + took.saturating_mul(times).clamp(SHORTEST_REST, LONGEST_REST))
    }

    /// Reads one pod: by a GET, or by asking first whether it is one of those that are watched.
    fn send_read(&mut self) {
        let Some((pod, turn, is_question)) = self.waits.lock().send_read() else { return };
        let calls = self.calls.clone();
        let question = is_question.then(|| self.selection.narrowed_to(pod.clone()));
        self.gets.push(Box::pin(async move {
            let observed = match question {
                Some(selection) => calls.find(selection, pod.clone()).await,
                None => Some(calls.get(pod.clone()).await),
            };
            Answer { pod, turn, observed }
        }));
    }
}

enum Call {
    Watch,
    LastWords,
    List,
    /// The next page of the LIST that is under way.
    Page,
    Read,
}

/// The earliest of the times at which something will be due.
struct Wake {
    now: Instant,
    next: Option<Instant>,
}

impl Wake {
    /// Whether that time has come; if not, it is remembered.
    fn is_due(&mut self, at: Option<Instant>) -> bool {
        let Some(at) = at else { return false };
        if at > self.now {
            self.next = Some(self.next.map_or(at, |next| next.min(at)));
        }
        at <= self.now
    }
}

/// Returns at that time, if ever.
pub(crate) async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn next_of(list: &mut Option<Listing>) -> Listed {
    match list {
        Some(list) => list.next().await,
        None => std::future::pending().await,
    }
}
