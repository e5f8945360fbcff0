//! The states of one watch: wanted, opening, open, down.

#[cfg(test)]
mod tests;

use crate::call::RequestId;
use crate::failure::ApiFailure;
use crate::name::{ResourceVersion, parse_resource_version};
use alloc::string::String;
use core::time::Duration;
use podwait_core::Instant;

/// How long the API server is asked to keep a watch open, in seconds: under the 5 minutes after which many proxies cut idle
/// connections.
pub(crate) const WATCH_SECONDS: u32 = 290;

/// The longest time a watch may be open: if it is open for longer than was asked of the server, its connection is dead.
const LONGEST: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// A watch that ends sooner than this counts as failed, whatever the reason for its end.
pub(crate) const SHORTEST: Duration = Duration::from_secs(1);

/// A watch that was open for this long worked, even without events: something on the way cuts idle connections.
const STOOD: Duration = Duration::from_secs(10);

/// How long to wait before the next watch after one that failed; the time doubles with each further failure.
pub(crate) const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The longest such time; it applies at once if the server refuses to watch.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(60);

/// The number of failures that count for a watch that breaks but delivers events: it is opened at least every four
/// seconds.
const MOST_WITH_NEWS: u32 = 3;

/// How long a watch may lag behind a read before the watch counts as dead.
pub(crate) const LAG: Duration = Duration::from_secs(5);

/// Where a watch begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// After this resourceVersion.
    After(ResourceVersion),
    /// With the objects as the API server's cache has them now (resourceVersion 0), which were at this one when they were read.
    Any(ResourceVersion),
}

impl From {
    /// The resourceVersion to ask for.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        match self {
            Self::After(version) => version,
            Self::Any(_) => "0",
        }
    }

    fn reached(&self) -> &str {
        let (Self::After(version) | Self::Any(version)) = self;
        version
    }
}

/// The state of a watch.
#[derive(Clone, Debug)]
enum State {
    /// There is no watch, and none may be opened before that time.
    Down { until: Instant },
    /// To be opened.
    Wanted(From),
    /// The answer is awaited.
    Opening { id: RequestId, from: From },
    /// Events come.
    Open { id: RequestId, reached: String, since: Instant, has_news: bool },
}

/// One watch of one selection.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    state: State,
    /// Watches that failed in a row, and LISTs for them.
    failed: u32,
    /// The resourceVersion that the previous watch had reached.
    left_at: u64,
    /// A read was ahead of the watch: the time by which the watch should have reached this resourceVersion.
    ahead: Option<(Instant, u64)>,
}

impl Link {
    /// No watch before `until`.
    pub(crate) const fn down(until: Instant) -> Self {
        Self { state: State::Down { until }, failed: 0, left_at: 0, ahead: None }
    }

    fn set(&mut self, state: State) {
        self.ahead = None;
        if let Some(reached) = self.reached() {
            self.left_at = parse_resource_version(reached);
        }
        self.state = state;
    }

    /// Requests a watch.
    pub(crate) fn want(&mut self, from: From) {
        self.set(State::Wanted(from));
    }

    /// Allows no watch before that time.
    pub(crate) fn rest(&mut self, until: Instant) {
        self.set(State::Down { until });
    }

    /// Requests a watch from the resourceVersion that the last one had reached.
    pub(crate) fn resume(&mut self) {
        let reached = self.reached().unwrap_or_default().into();
        self.set(State::Wanted(From::After(reached)));
    }

    /// Where the watch begins, if it is to be opened.
    pub(crate) const fn wanted(&self) -> Option<&From> {
        match &self.state {
            State::Wanted(from) => Some(from),
            State::Down { .. } | State::Opening { .. } | State::Open { .. } => None,
        }
    }

    /// The request for it was sent.
    pub(crate) fn sent(&mut self, id: RequestId) {
        if let State::Wanted(from) = &self.state {
            self.state = State::Opening { id, from: from.clone() };
        }
    }

    /// The API server has opened it.
    pub(crate) fn opened(&mut self, now: Instant) {
        if let State::Opening { id, from } = &self.state {
            let reached = from.reached().into();
            self.state = State::Open { id: *id, reached, since: now, has_news: false };
        }
    }

    /// The request of the watch; it has to be closed if the state changes before the request ended.
    pub(crate) const fn request(&self) -> Option<RequestId> {
        match &self.state {
            State::Opening { id, .. } | State::Open { id, .. } => Some(*id),
            State::Down { .. } | State::Wanted(_) => None,
        }
    }

    /// Whether the watch is open or opening.
    pub(crate) const fn is_on(&self) -> bool {
        !matches!(self.state, State::Down { .. })
    }

    /// Whether the API server has opened it.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Until when no watch may be opened, if there is none.
    pub(crate) const fn down_until(&self) -> Option<Instant> {
        match self.state {
            State::Down { until } => Some(until),
            State::Wanted(_) | State::Opening { .. } | State::Open { .. } => None,
        }
    }

    /// If there is no watch, one may be opened now.
    pub(crate) fn rest_no_longer(&mut self, now: Instant) {
        if let State::Down { until } = &mut self.state {
            *until = (*until).min(now);
        }
    }

    /// The resourceVersion that it has reached.
    pub(crate) fn reached(&self) -> Option<&str> {
        match &self.state {
            State::Down { .. } => None,
            State::Wanted(from) | State::Opening { from, .. } => Some(from.reached()),
            State::Open { reached, .. } => Some(reached),
        }
    }

    /// The resourceVersion up to which everything was delivered: that of this watch, or of the one before.
    pub(crate) fn place(&self) -> u64 {
        self.reached().map_or(self.left_at, parse_resource_version)
    }

    /// The watch delivered an object of this resourceVersion. `is_event` if it was no bookmark.
    pub(crate) fn has_reached(&mut self, version: &str, is_event: bool) {
        if let State::Open { reached, has_news, .. } = &mut self.state {
            *has_news |= is_event && parse_resource_version(version) > parse_resource_version(reached);
            reached.clear();
            reached.push_str(version);
        }
    }

    /// Whether the watch was open long enough to count as working; the limit is shorter if it delivered events. A watch
    /// that repeatedly delivers events and breaks at once is no better than one without events.
    fn has_stood(&self, now: Instant) -> bool {
        match &self.state {
            State::Open { since, has_news, .. } => {
                now.since(*since) >= if *has_news { SHORTEST } else { STOOD }
            }
            State::Down { .. } | State::Wanted(_) | State::Opening { .. } => false,
        }
    }

    /// Whether the watch was open long enough for its end to be a normal one.
    pub(crate) fn ends_in_order(&self, now: Instant) -> bool {
        matches!(&self.state, State::Open { since, .. } if now.since(*since) >= SHORTEST)
    }

    /// The watch ended normally.
    pub(crate) fn end(&mut self, now: Instant) {
        if self.has_stood(now) {
            self.failed = 0;
        }
    }

    /// The watch failed, or could not be opened. Returns how many had failed in a row before it.
    pub(crate) fn fail(&mut self, now: Instant) -> u32 {
        let has_news = matches!(self.state, State::Open { has_news: true, .. });
        let before = match self.has_stood(now) {
            true => 0,
            false if has_news => self.failed.min(MOST_WITH_NEWS),
            false => self.failed,
        };
        self.failed = before.saturating_add(1);
        before
    }

    /// A LIST for the watch failed: from now on each failure counts.
    pub(crate) fn fail_without(&mut self) {
        self.failed = self.failed.max(1);
    }

    /// A read had that resourceVersion, which the watch should reach soon.
    pub(crate) fn expect(&mut self, now: Instant, version: u64) {
        if self.ahead.is_none()
            && self.reached().is_some_and(|reached| parse_resource_version(reached) < version)
        {
            self.ahead = Some((now.after(LAG), version));
        }
    }

    /// When to check whether the watch is dead.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        let end = match &self.state {
            State::Open { since, .. } => Some(since.after(LONGEST)),
            State::Down { .. } | State::Wanted(_) | State::Opening { .. } => None,
        };
        [end, self.ahead.map(|(by, _)| by)].into_iter().flatten().min()
    }

    /// Whether the watch is dead: open for too long, or too far behind.
    pub(crate) fn is_dead(&mut self, now: Instant) -> bool {
        if let State::Open { since, .. } = &self.state
            && now >= since.after(LONGEST)
        {
            return true;
        }
        let Some((_, version)) = self.ahead.filter(|(by, _)| *by <= now) else { return false };
        self.ahead = None;
        self.reached().is_some_and(|reached| parse_resource_version(reached) < version)
    }
}

/// How long to wait before the next watch if `failed` watches had failed before this one.
pub(crate) fn rest_after(failed: u32) -> Duration {
    match failed {
        // The first failure may be a short interruption, and a 410 is no failure: the machine spaces the retries.
        0 => Duration::ZERO,
        failed => SHORTEST_REST.saturating_mul(1 << (failed - 1).min(6)).min(LONGEST_REST),
    }
}

/// The end of a watch without an error, as a failure if it came too soon.
pub(crate) fn early_end() -> ApiFailure {
    ApiFailure::new(crate::failure::Via::Watch, 0, "the stream ended")
}
