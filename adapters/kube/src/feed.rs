//! What feeds the waits: one LIST and one watch for all of them, and GETs where those do not tell.
//!
//! The same for one pod by its name, where a GET takes the place of the LIST.

use crate::budget::Budget;
use crate::client::{Calls, StatusView, failure};
use crate::decode::decode;
use crate::event::{EventKind, envelope};
use crate::listing::{List, Listed};
use crate::mailbox::Notice;
use crate::selection::{PodName, Scope, Selection};
use crate::source::{ApiFailure, Observed, ObservedPod, Via};
use crate::waits::{Service, Waits, number};
use crate::watch::{From, News, Watch};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long to do without a watch after one that failed; it doubles with each that fails as well.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// How long at most, and at once if the server refuses to watch at all.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(60);

/// GETs at once: enough for the usual budget while the server takes a second for each.
const GETS_AT_ONCE: usize = 16;

/// When so many urgent reads are queued, one LIST is less work for the server.
const LIST_WORTH: usize = 50;

/// Shortest time between two LISTs that take the place of GETs, and how many times as long as the last one took.
const BETWEEN_LISTS: (Duration, u32) = (Duration::from_secs(1), 10);

/// Before the first LIST: those who come together share it.
const GATHER: Duration = Duration::from_millis(10);

/// How far behind a GET a watch may be before it counts as dead.
const LAG: Duration = Duration::from_secs(5);

/// Feeds the waits, as long as it is polled.
pub(crate) struct Feed {
    waits: Arc<Waits>,
    calls: Calls,
    selection: Selection,
    budget: Arc<Budget>,
    watch: Watch,
    may_watch: bool,
    list: Option<List>,
    next_list: Instant,
    gets: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// The time that the budget gave for the next request.
    slot: Option<Instant>,
    /// Watches, and LISTs for them, that failed in a row.
    failed: u32,
    /// The server does not know any more what has happened since the pod's last change.
    has_expired: bool,
    /// A GET has found this resourceVersion: the time by which the watch should have come there.
    ahead: Option<(Instant, u64)>,
    scratch: String,
}

/// A GET's answer, with the turn that the pod was in when it was sent.
struct Answer {
    pod: PodName,
    turn: u64,
    observed: Observed,
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
        Self { may_watch, ..Self::new(client, waits, Selection::Pod(pod), budget) }
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
            may_watch: true,
            list: None,
            next_list: Instant::now() + GATHER,
            gets: FuturesUnordered::new(),
            slot: None,
            failed: 0,
            has_expired: false,
            ahead: None,
            scratch: String::new(),
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
            self.resume();
        }
        if wake.is_due(self.ahead.map(|(at, _)| at)) {
            let (_, version) = self.ahead.take().unwrap_or((now, 0));
            if self.watch.reached().is_some_and(|reached| number(reached) < version) {
                self.resume();
            }
        }
        loop {
            let what = self.what_is_due(&mut wake);
            let Some(what) = what else { break };
            let slot = *self.slot.get_or_insert_with(|| self.budget.reserve());
            if !wake.is_due(Some(self.budget.not_before(slot))) {
                break;
            }
            self.slot = None;
            match what {
                Call::Watch => self.watch.open(&self.calls, &self.selection),
                Call::List => {
                    self.waits.lock().begin_list();
                    self.list = Some(List::begin(&self.calls, &self.selection));
                }
                Call::Get => self.send_get(),
            }
        }
        wake.next
    }

    /// The next call to be made.
    fn what_is_due(&self, wake: &mut Wake) -> Option<Call> {
        if let Watch::Wanted(_) = self.watch {
            return Some(Call::Watch);
        }
        if let Selection::Pods(scope) = &self.selection
            && self.list.is_none()
        {
            let due = match &self.watch {
                Watch::None { until } => Some((*until).max(self.next_list)),
                Watch::Wanted(_) | Watch::Opening(..) | Watch::Open(..) => {
                    let table = self.waits.lock();
                    let is_worth = match scope.is_whole() {
                        true => table.urgent > LIST_WORTH,
                        // Whether the selector matches is for the server to say.
                        false => table.has_unlisted,
                    };
                    is_worth.then_some(self.next_list)
                }
            };
            if wake.is_due(due) {
                return Some(Call::List);
            }
        }
        // What a LIST is about to bring need not be read.
        let may_get = self.list.is_none() && self.gets.len() < GETS_AT_ONCE;
        (may_get && self.waits.lock().has_reads()).then_some(Call::Get)
    }

    fn send_get(&mut self) {
        let Some((pod, turn)) = self.waits.lock().send_read() else { return };
        let calls = self.calls.clone();
        self.gets.push(Box::pin(async move {
            let observed = calls.get(pod.clone()).await;
            Answer { pod, turn, observed }
        }));
    }

    /// Takes what the watch brings.
    fn hear(&mut self, news: News) {
        match news {
            News::Line(line) => {
                if let Err(failure) = self.take(&line) {
                    self.lose_watch(failure);
                }
            }
            News::Over => self.resume(),
            News::Failed(failure) => self.lose_watch(failure),
        }
    }

    /// Takes one event.
    fn take(&mut self, line: &Bytes) -> Result<(), ApiFailure> {
        let event = envelope(line)
            .map_err(|error| failure(Via::Watch, 0, format!("unreadable watch event: {error}")))?;
        if event.kind == EventKind::Error {
            let status = serde_json::from_slice::<StatusView>(event.object);
            return Err(status.unwrap_or_default().into_failure());
        }
        if let Selection::Pod(pod) = &self.selection
            && (event.kind == EventKind::Bookmark || *event.name != *pod.name())
        {
            // The place in history that it names is not kept: what is compared with a GET is the pod's own version.
            return Ok(());
        }
        self.failed = 0;
        self.watch.has_reached(&event.resource_version);
        if event.kind == EventKind::Bookmark {
            return Ok(());
        }
        self.scratch.clear();
        self.scratch.extend([&*event.namespace, "/", &*event.name]);
        let mut table = self.waits.lock();
        let Some(waited) = table.get_mut(&self.scratch) else { return Ok(()) };
        let observed = match decode(event.object) {
            Ok(pod) => {
                let json = line.slice_ref(event.object);
                ObservedPod { via: Via::Watch, pod: Box::new(pod), json }
            }
            Err(error) => {
                // Not the watch's fault, and none of the other waits' business.
                let failure = failure(Via::Watch, 0, format!("unreadable watch event: {error}"));
                table.deliver(&self.scratch, Observed::ApiError(failure));
                return Ok(());
            }
        };
        if event.kind != EventKind::Deleted {
            waited.is_selected = true;
            waited.doubted = None;
            table.deliver(&self.scratch, Observed::Pod(observed));
        } else if is_whole(&self.selection) {
            table.deliver(&self.scratch, Observed::Deleted(observed));
        } else {
            // It may only have lost its label.
            waited.doubted = Some(observed);
            waited.is_selected = false;
            waited.turn += 1;
            let pod = PodName::new(&event.namespace, &event.name);
            table.drop_read(&self.scratch);
            table.ask(&pod, Duration::ZERO);
        }
        Ok(())
    }

    /// Goes on from where the watch was.
    fn resume(&mut self) {
        match &self.selection {
            Selection::Pods(_) => {
                let reached = self.watch.reached().unwrap_or_default().to_owned();
                self.set_watch(Watch::Wanted(From::Version(reached)));
            }
            // A GET tells as much, and more surely.
            Selection::Pod(pod) => {
                let pod = pod.clone();
                self.set_watch(Watch::none());
                self.waits.lock().ask(&pod, Duration::ZERO);
            }
        }
    }

    /// Does without a watch for a while. The failure is worth telling unless the server simply will not watch: whether
    /// it lets us read is for the GETs to find out.
    fn lose_watch(&mut self, failure: ApiFailure) {
        let failed = self.failed;
        self.has_expired = failure.code == 410;
        self.failed = failed.saturating_add(1);
        let will_not = matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422);
        let is_shared = matches!(self.selection, Selection::Pods(_));
        if is_shared {
            if let Some(time) = failure.retry_after {
                self.budget.hold(time);
            } else if failed == 0 && !will_not && failure.code != 410 && self.watch.reached().is_some() {
                // A hiccup, as a load balancer has them. What was missed comes with the next watch.
                return self.resume();
            }
            if will_not {
                return self.refuse(failure);
            }
        }
        let rest = match failed {
            _ if will_not => LONGEST_REST,
            // The first failure may be a mere hiccup, and a 410 is no failure: the machine paces those.
            0 => Duration::ZERO,
            failed => SHORTEST_REST.saturating_mul(1 << (failed - 1).min(6)).min(LONGEST_REST),
        };
        self.set_watch(Watch::None { until: Instant::now() + rest });
        if will_not {
            self.waits.lock().notify_all(Notice::Changed);
        } else if !(is_shared && failure.code == 410) {
            self.waits.lock().fail_all(&failure);
        }
    }

    /// The server will not let us watch all of these pods.
    fn refuse(&mut self, failure: ApiFailure) {
        let until = Instant::now() + LONGEST_REST;
        self.waits.lock().close(Service::Refused(failure, until));
    }

    fn set_watch(&mut self, watch: Watch) {
        self.ahead = None;
        self.watch = watch;
        self.waits.lock().is_watching = self.watch.is_on();
    }

    /// Takes what a LIST brings.
    fn listed(&mut self, listed: Listed) {
        match listed {
            Listed::Item(json) => self.take_item(&json),
            Listed::All(version) => {
                self.finish_list();
                self.miss(number(&version));
                if !self.watch.is_on() {
                    self.set_watch(Watch::Wanted(From::Version(version)));
                }
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
        if let Some(list) = self.list.take() {
            let (shortest, times) = BETWEEN_LISTS;
            self.next_list = Instant::now() + list.began.elapsed().saturating_mul(times).max(shortest);
        }
    }

    fn take_item(&mut self, json: &Bytes) {
        let Ok(name) = crate::event::name_of(json) else { return };
        self.scratch.clear();
        self.scratch.extend([&*name.namespace, "/", &*name.name]);
        let mut table = self.waits.lock();
        let lists = table.lists;
        let Some(waited) = table.get_mut(&self.scratch) else { return };
        waited.listed = lists;
        waited.is_selected = true;
        if waited.version > Some(number(&name.resource_version)) {
            // The watch or a GET was faster.
            return;
        }
        let observed = match decode(json) {
            Ok(pod) => Observed::Pod(ObservedPod { via: Via::List, pod: Box::new(pod), json: json.clone() }),
            Err(error) => {
                Observed::ApiError(failure(Via::List, 0, format!("unreadable item of a list: {error}")))
            }
        };
        table.deliver(&self.scratch, observed);
    }

    /// Tells whoever waits for a pod that was not in the LIST, if that means something.
    fn miss(&mut self, version: u64) {
        let is_watching = self.watch.is_on();
        let is_whole = is_whole(&self.selection);
        let mut table = self.waits.lock();
        let lists = table.lists;
        for pod in table.names() {
            let Some(waited) = table.get_mut(as_key(&pod)) else { continue };
            if waited.listed == lists {
                continue;
            }
            let was_there = waited.came < lists;
            // Versions that are no numbers cannot be compared.
            let is_newer = waited.version.is_some_and(|seen| seen > version || version == u64::MAX);
            let is_known = waited.version.is_some();
            if !was_there || !is_whole || is_newer {
                table.ask(&pod, Duration::ZERO);
            } else if is_known && is_watching {
                // The watch has its last words, and if not, a GET.
                table.ask(&pod, LAG);
            } else {
                table.deliver(as_key(&pod), Observed::NotFound(Via::List));
            }
        }
    }

    /// Takes a GET's answer.
    fn answered(&mut self, answer: Answer) {
        let Answer { pod, turn, observed } = answer;
        let key = as_key(&pod);
        let mut table = self.waits.lock();
        let Some(waited) = table.get_mut(key) else { return };
        if waited.turn != turn {
            // Something else was faster, and this is old.
            return;
        }
        let doubted = match observed {
            Observed::Pod(_) | Observed::NotFound(_) => waited.doubted.take(),
            Observed::ApiError(_) | Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => None,
        };
        match (&self.selection, &observed) {
            (Selection::Pod(_), Observed::Pod(found)) => {
                let version = found.pod.snapshot.resource_version.clone();
                table.deliver(key, observed);
                drop(table);
                self.watch_from(version);
            }
            (Selection::Pod(_), Observed::NotFound(_)) => {
                table.deliver(key, observed);
                drop(table);
                self.set_watch(Watch::none());
            }
            (Selection::Pods(_), Observed::Pod(found)) => {
                let version = number(&found.pod.snapshot.resource_version);
                let gone = doubted.filter(|gone| gone.pod.snapshot.uid != found.pod.snapshot.uid);
                let is_watched = table.is_watched(key);
                if let Some(gone) = gone {
                    table.deliver(key, Observed::Deleted(gone));
                }
                table.deliver(key, observed);
                drop(table);
                if is_watched {
                    self.compare(version);
                }
            }
            (Selection::Pods(_), Observed::NotFound(_)) => {
                let gone = doubted.map_or(observed, Observed::Deleted);
                table.deliver(key, gone);
            }
            (_, Observed::ApiError(failure)) => {
                if let (Selection::Pods(_), Some(time)) = (&self.selection, failure.retry_after) {
                    self.budget.hold(time);
                }
                table.deliver(key, observed);
            }
            (_, Observed::Deleted(_) | Observed::Silence | Observed::Cancelled) => table.drop_read(key),
        }
    }

    /// Watches one pod from where a GET found it, unless the watch is there already.
    fn watch_from(&mut self, version: String) {
        let is_due = match &self.watch {
            Watch::None { until } => *until <= Instant::now(),
            watch @ (Watch::Wanted(_) | Watch::Opening(..) | Watch::Open(..)) => {
                watch.reached() != Some(&version)
            }
        };
        if self.may_watch && is_due {
            // An API server that was started since the pod's last change, or has seen many changes of other pods since, will
            // never watch from there again (`getAllEventsSinceLocked` of its watch cache).
            let from = match std::mem::take(&mut self.has_expired) {
                true => From::Any(version),
                false => From::Version(version),
            };
            self.set_watch(Watch::Wanted(from));
        }
    }

    /// Remembers that a GET has found a resourceVersion to which the watch has not come yet.
    fn compare(&mut self, version: u64) {
        if self.ahead.is_none() && self.watch.reached().is_some_and(|reached| number(reached) < version) {
            self.ahead = Some((Instant::now() + LAG, version));
        }
    }
}

enum Call {
    Watch,
    List,
    Get,
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

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn next_of(list: &mut Option<List>) -> Listed {
    match list {
        Some(list) => list.next().await,
        None => std::future::pending().await,
    }
}

fn as_key(pod: &PodName) -> &str {
    pod.borrow()
}

/// Whether a pod that is not listed is not there, and a DELETED is a deletion.
fn is_whole(selection: &Selection) -> bool {
    match selection {
        Selection::Pod(_) => true,
        Selection::Pods(scope) => scope.is_whole(),
    }
}
