//! What is known about the scope, its LIST and its watch.

use super::entries::{Call, Role, What};
use super::index::Topic;
use super::story::Story;
use podwait_hub::{ApiFailure, Event, From, Request, RequestId};

/// Waits that join at about the same time share a LIST: how long after the last one, and at most after the first one.
const GATHER: (u64, u64) = (50, 200);
/// The shortest and the longest rest of a watch, and the same for the gap between two LISTs.
pub const REST: (u64, u64) = (1_000, 60_000);
/// A watch that was open for this long has worked if it has sent events, and otherwise for this long.
const WORKED: (u64, u64) = (1_000, 10_000);
/// After a watch that has sent events, no more failures in a row are counted.
const WITH_EVENTS: u32 = 3;
/// How many refusals are tolerated from a server that has opened the watch.
const TOLERATED: usize = 4;
/// Longest time for which one `Retry-After` pauses the requests.
const PAUSE: u64 = 30_000;

/// Whether the scope is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Idle,
    Running,
    Refused(u64),
}

/// The watch of the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Wanted from there, and then opened.
    On(u64),
    /// There is none. A LIST may come after that time.
    Down(u64),
}

impl Link {
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On(_))
    }
}

/// Two kinds of requests, each with a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Scope,
    Pods,
}

/// Whether the server works but refuses the request.
pub fn is_refusal(failure: &ApiFailure) -> bool {
    [400, 403, 404, 405, 406, 415, 422].contains(&failure.code)
}

impl<'a> Story<'a> {
    /// Whether the scope has every pod of its namespaces.
    pub fn is_unfiltered(self) -> bool {
        self.setup.scope.as_ref().is_some_and(|scope| scope.labels.is_none())
    }

    /// Whether the namespace of the pod is in the scope.
    pub fn is_in_scope(self, pod: usize) -> bool {
        let namespace = self.setup.names[pod].namespace();
        let scope = self.setup.scope.as_ref();
        scope.is_some_and(|scope| scope.namespace.as_deref().is_none_or(|own| own == namespace))
    }

    /// Where the present service of the scope began, or the last one ended.
    pub fn service_since(self) -> usize {
        self.last(Topic::Scope, |what| matches!(what, What::Runs | What::Idle | What::Refused { .. }))
            .unwrap_or(0)
    }

    pub fn service(self) -> Service {
        match self.entries.get(self.service_since()).map(|entry| &entry.what) {
            Some(What::Runs) => Service::Running,
            Some(What::Refused { until }) => Service::Refused(*until),
            Some(_) | None => Service::Idle,
        }
    }

    /// The watch of the scope, or when there may be the next one.
    pub fn link(self) -> Link {
        let since = self.service_since();
        let decided = self.last(Topic::Scope, |what| matches!(what, What::Watch { .. } | What::List { .. }));
        match decided.filter(|place| *place >= since).map(|place| &self.entries[place].what) {
            Some(What::Watch { from }) => Link::On(*from),
            Some(What::List { from }) => Link::Down(*from),
            Some(_) | None => Link::Down(u64::MAX),
        }
    }

    /// The watch of the scope, if it is open.
    pub fn open_watch(self) -> Option<Call<'a>> {
        self.open(Role::Watch).filter(|call| call.opened.is_some())
    }

    /// Where the LIST under way began.
    pub fn listing(self) -> Option<usize> {
        let over = self.last(Topic::Scope, |what| matches!(what, What::Over { .. })).unwrap_or(0);
        let mut sent = self.about(Topic::Sent, over.max(self.service_since()));
        sent.find(|(_, what)| is_list(what)).map(|(place, _)| place)
    }

    /// Whether the LIST under way has had the pod.
    pub fn is_listed(self, pod: usize) -> bool {
        let Some(began) = self.listing() else { return false };
        self.about(Topic::Pod(pod), began).any(|(_, what)| {
            let Some((id, other, _)) = Self::object(what) else { return false };
            let is_item = matches!(what, What::Item { .. } | What::Event { event: Event::State, .. });
            let is_of_list = || {
                let call = self.call(id);
                call.is_some_and(|call| {
                    call.role == Role::Page || matches!(call.request, Request::WatchList { .. })
                })
            };
            other == pod && is_item && is_of_list()
        })
    }

    /// When the next LIST may begin, if one is wanted.
    pub fn list_from(self) -> Option<u64> {
        let Link::Down(from) = self.link() else { return None };
        if self.service() != Service::Running || self.listing().is_some() {
            return None;
        }
        let since = self.service_since();
        let over =
            self.last(Topic::Scope, |what| matches!(what, What::Over { .. })).filter(|over| *over >= since);
        let (mut gap, mut began) = (0, since);
        if let Some(over) = over
            && let What::Over { began: place } = self.entries[over].what
        {
            let took = self.at(over) - self.at(place);
            (gap, began) = (self.at(over) + took.clamp(REST.0, REST.1), place);
        }
        let came = self.about(Topic::Scope, began).filter(|(_, what)| matches!(what, What::Gather));
        let mut came = came.map(|(place, _)| self.at(place));
        let first = came.next();
        let last = came.next_back().or(first);
        let gathered = first.zip(last).map_or(0, |(first, last)| (last + GATHER.0).min(first + GATHER.1));
        Some(from.max(gap).max(gathered))
    }

    /// Whether the next LIST comes at the beginning of a watch: not after a refusal, nor for the LIST after one such
    /// request that broke off, nor after two such requests in a row.
    pub fn may_stream(self) -> bool {
        // The requests that broke off since the last one that was complete, and whether a LIST in pages came after them.
        let (mut broken, mut has_pages) = (0, false);
        for (_, what) in self.about(Topic::Scope, 0) {
            if let What::Pages = what {
                return false;
            } else if let What::Broken = what {
                (broken, has_pages) = (broken + 1, false);
            } else if let What::Whole { is_stream } = what {
                (broken, has_pages) = if *is_stream { (0, false) } else { (broken, true) };
            }
        }
        broken == 0 || (broken == 1 && has_pages)
    }

    /// The version that a watch has reached, and whether it has sent an event that was new.
    pub fn reached(self, call: Call<'_>) -> (u64, bool) {
        let (mut reached, mut has_news) = match call.request {
            Request::Watch { from: From::After(from) | From::Any(from), .. } => (number(from), false),
            Request::WatchList { .. } | Request::Get(_) | Request::List { .. } => (0, false),
        };
        let is_own = matches!(call.role, Role::OwnWatch(_));
        for (_, what) in self.about(Topic::Call(call.id), 0) {
            if let What::Listed { version, .. } = what {
                (reached, has_news) = (*version, false);
            } else if let What::Event { version, .. } = what {
                (reached, has_news) = (*version, has_news || *version > reached);
            } else if let What::Bookmark { version, .. } = what
                && !is_own
            {
                reached = *version;
            }
        }
        (reached, has_news)
    }

    /// The version up to which the watches and LISTs of the scope have shown everything.
    pub fn place(self) -> u64 {
        let decided = self.about(Topic::Scope, self.service_since()).rev().find_map(|(place, what)| {
            let What::Watch { from } = what else { return None };
            Some((place, *from))
        });
        let Some((decided, from)) = decided else { return 0 };
        // The watch since then, which may have begun with the LIST.
        let call = self.about(Topic::Sent, self.service_since()).rev().find_map(|(_, what)| {
            let What::Sent { id, .. } = what else { return None };
            self.call(*id).filter(|call| call.role == Role::Watch)
        });
        let last = call.and_then(|call| {
            self.about(Topic::Call(call.id), decided).rev().find_map(|(_, what)| {
                let (What::Event { version, .. } | What::Bookmark { version, .. }) = what else {
                    return None;
                };
                Some(*version)
            })
        });
        last.unwrap_or(from)
    }

    /// Whether a watch that ends now has worked.
    pub fn has_worked(self, call: Call<'_>) -> bool {
        let Some(opened) = call.opened else { return false };
        let (_, has_news) = self.reached(call);
        self.now() - opened >= if has_news { WORKED.0 } else { WORKED.1 }
    }

    /// Whether the end of a watch is a normal one.
    pub fn ends_in_order(self, call: Call<'_>) -> bool {
        call.opened.is_some_and(|opened| self.now() - opened >= WORKED.0)
    }

    /// How many watches have failed in a row, those of the scope with their LISTs, or those of one pod.
    pub fn failed(self, of: Option<usize>) -> u32 {
        let (role, since) = match of {
            None => (Role::Watch, self.service_since()),
            Some(pod) => (Role::OwnWatch(pod), self.alone_since(pod)),
        };
        let mut failed = 0;
        for (index, what) in self.about(Topic::Ends, since) {
            let (What::Failed { id, .. } | What::Ended { id } | What::Dead { id }) = what else { continue };
            // The story with this entry, but with the request under way.
            let story = self.before(index + 1);
            let Some(call) = story.call(*id) else { continue };
            let is_expired = matches!(what, What::Failed { failure, .. } if failure.is_expired());
            let is_normal = matches!(what, What::Dead { .. })
                || (matches!(what, What::Ended { .. }) && story.ends_in_order(call));
            if call.role == role {
                failed = match (story.has_worked(call), is_normal, story.reached(call).1) {
                    (true, true, _) => 0,
                    (false, true, _) => failed,
                    (true, false, _) => 1,
                    (false, false, true) => failed.min(WITH_EVENTS) + 1,
                    (false, false, false) => failed + 1,
                };
            } else if of.is_none() && matches!(call.role, Role::Page | Role::WatchList) {
                let is_form =
                    matches!(self.entries.get(index + 1).map(|entry| &entry.what), Some(What::Pages));
                if !is_form {
                    failed = failed.max(u32::from(!is_expired)) + 1;
                }
            }
        }
        failed
    }

    /// How many refusals are still tolerated.
    pub fn tolerance(self) -> usize {
        let since = self.service_since();
        let opened = self.about(Topic::Sent, since).rev().find_map(|(_, what)| {
            let What::Sent { id, .. } = what else { return None };
            self.call(*id).filter(|call| call.role == Role::Watch && call.opened.is_some())
        });
        let Some(opened) = opened else { return 0 };
        let tolerated = self.about(Topic::Scope, opened.sent);
        TOLERATED - tolerated.filter(|(_, what)| matches!(what, What::Tolerated)).count()
    }

    /// Whether a wait has received that the state of its pod is unknown, and nothing has shown the present state since.
    pub fn is_behind(self) -> bool {
        let since = self.service_since();
        self.last(Topic::Scope, |what| matches!(what, What::Behind | What::Current))
            .is_some_and(|place| place > since && matches!(self.entries[place].what, What::Behind))
    }

    /// Until when the requests of this kind are paused, and by which failure.
    pub fn pause(self, lane: Lane) -> Option<(u64, &'a ApiFailure)> {
        self.setup.rate?;
        let mut pause: Option<(u64, &ApiFailure)> = None;
        for (index, what) in self.about(Topic::Ends, 0) {
            let What::Failed { id, failure } = what else { continue };
            let Some(after) = failure.retry_after else { continue };
            let until = self.at(index) + (after.as_millis() as u64).min(PAUSE);
            if self.before(index).lane(*id) == Some(lane) && pause.is_none_or(|(before, _)| until > before) {
                pause = Some((until, failure));
            }
        }
        pause.filter(|(until, _)| *until > self.now())
    }

    /// How many requests of this kind may be sent now: the rate, with a burst of twice as many, and one for which a time
    /// was reserved before.
    pub fn room(self, lane: Lane) -> u64 {
        let Some(rate) = self.setup.rate else { return u64::MAX };
        let rate = if lane == Lane::Scope { rate } else { rate * 10 };
        let burst = 2_000 * rate + 1_000;
        let (mut level, mut at) = (burst, 0);
        for (index, what) in self.about(Topic::Sent, 0) {
            if let What::Sent { id, .. } = what
                && self.before(index + 1).lane(*id) == Some(lane)
            {
                level = (level + (self.at(index) - at) * rate).min(burst);
                (level, at) = (level.saturating_sub(1_000), self.at(index));
            }
        }
        (level + (self.now() - at) * rate).min(burst) / 1_000
    }

    /// The kind of a request.
    pub fn lane(self, id: RequestId) -> Option<Lane> {
        let lane = |is_alone| if is_alone { Lane::Pods } else { Lane::Scope };
        Some(match self.call(id)?.role {
            Role::Watch | Role::Probe | Role::Page | Role::WatchList => Lane::Scope,
            Role::OwnWatch(_) | Role::OwnProbe(_) => Lane::Pods,
            Role::Get(pod) | Role::Question(pod) => lane(self.alone(pod).is_some()),
        })
    }
}

/// Whether this is the first request of a LIST, or a page.
fn is_list(what: &What) -> bool {
    let What::Sent { request, .. } = what else { return false };
    match request {
        Request::WatchList { .. } => true,
        Request::List { selection, .. } => selection.pod.is_none(),
        Request::Get(_) | Request::Watch { .. } => false,
    }
}

/// How long to wait before the next watch if so many had failed before this one.
pub fn rest_after(failed: u32) -> u64 {
    if failed == 0 { 0 } else { (REST.0 << (failed - 1).min(6)).min(REST.1) }
}

pub fn number(version: &str) -> u64 {
    version.parse().expect("the versions of a walk are numbers")
}
