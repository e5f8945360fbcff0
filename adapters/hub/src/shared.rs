//! The LIST and the watch of a scope, and their health.

use crate::failure::ApiFailure;
use crate::link::{Link, SHORTEST_REST};
use crate::lister::Lister;
use crate::name::{Scope, Selection};
use crate::probe::Probe;
use podwait_core::Instant;

/// How many refusals in a row are tolerated from a server that has allowed the watch before: a server that is starting
/// may not know its rights and resources yet.
pub(crate) const REFUSALS: u32 = 4;

/// Whether the scope is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Service {
    /// No wait needs it.
    #[default]
    Idle,
    Running,
    /// The API server refuses the scope; to be tried again at that time.
    Refused(Instant),
}

/// The LIST and the watch of a scope.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) scope: Scope,
    pub(crate) selection: Selection,
    pub(crate) link: Link,
    pub(crate) lister: Lister,
    pub(crate) probe: Probe,
    /// The number of missed pods that need this probe.
    pub(crate) missed: usize,
    pub(crate) health: Health,
    pub(crate) service: Service,
    /// The last request was a page: if the LIST is slow, a read comes next.
    pub(crate) was_page: bool,
    /// How many refusals in a row are still tolerated.
    pub(crate) forgiven: u32,
    /// When a LIST was last made because the store had gone back.
    pub(crate) listed_anew: Option<Instant>,
    /// The API server's last refusal to list or watch these pods, until it allows that.
    pub(crate) refusal: Option<ApiFailure>,
}

/// How much is known about pods without news.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    /// The last call has failed.
    pub(crate) is_failing: bool,
    /// The last read of a pod has failed.
    pub(crate) has_failed_reads: bool,
    /// A wait has received that the state of its pod is unknown, and no watch or LIST has shown the present state
    /// since.
    pub(crate) is_behind: bool,
    /// Until when a watch that ended normally counts as open, because it is about to be resumed.
    goes_on_until: Option<Instant>,
}

impl Health {
    /// A watch or a LIST has shown the present state.
    pub(crate) const fn is_current(&mut self) {
        (self.is_behind, self.is_failing) = (false, false);
    }

    /// The watch has ended normally.
    pub(crate) fn ends_in_order(&mut self, now: Instant) {
        self.is_behind = false;
        self.goes_on_until = Some(now.after(SHORTEST_REST));
    }

    /// Whether a watch that is not open is about to be resumed.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        self.goes_on_until.is_some_and(|until| now < until)
    }
}

impl Shared {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            selection: Selection::of_scope(&scope),
            scope,
            link: Link::down(Instant::ZERO),
            lister: Lister::default(),
            probe: Probe::Off,
            missed: 0,
            health: Health::default(),
            service: Service::Idle,
            was_page: false,
            forgiven: 0,
            listed_anew: None,
            refusal: None,
        }
    }

    /// The state before the first wait, except for what is known about the API server.
    pub(crate) fn stop(&mut self, service: Service) {
        let mut lister = Lister::default();
        lister.count = self.lister.count;
        let fresh = Self::new(self.scope.clone());
        *self = Self { lister, service, refusal: self.refusal.take(), ..fresh };
    }

    /// Whether the scope serves pods of that namespace now, or may.
    pub(crate) fn serves(&self, now: Instant, namespace: &str) -> bool {
        let is_refused = matches!(self.service, Service::Refused(until) if now < until);
        self.scope.includes(namespace) && !is_refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_ended_normally_goes_on_for_a_second() {
        let at = Instant::from_millis;
        let mut health = Health { is_behind: true, ..Health::default() };
        assert!(!health.goes_on(at(10)));
        health.ends_in_order(at(10));
        assert!(!health.is_behind && health.goes_on(at(1_009)) && !health.goes_on(at(1_010)));
    }
}
