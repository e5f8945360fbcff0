//! What must hold once the server stays healthy, and after the last wait has left.

use crate::server::{Outage, Weather};
use crate::sim::Sim;
use crate::waiter::Waiter;

impl Sim {
    /// The server becomes healthy: every wait has to get the newest state, then the final one; then all waits leave.
    pub fn finish(&mut self) {
        self.heal();
        let pause = self.promises.paused_until.saturating_sub(self.now);
        self.run(pause + 46_000);
        self.check_newest("newest after the outage", false);
        self.run(110_000);
        self.check_newest("newest later", false);
        let patience = self.patience(true);
        self.each_pod(|sim, name| sim.world.step_on(name));
        self.run(patience);
        self.check_newest("newest by watch", true);
        self.run(46_000);
        self.check_newest("newest by poll", false);
        self.each_pod(|sim, name| sim.world.step_on(name));
        self.run(self.patience(false));
        self.check_newest("newest by the mended watch", true);
        let patience = self.patience(false);
        self.each_pod(|sim, name| {
            sim.world.end(name);
            sim.world.delete(name);
        });
        self.run(patience);
        if self.waiters.iter().any(|waiter| waiter.may_watch && matches!(waiter.last, Some(Some(_)))) {
            self.promises.broken("the end by watch", format!("{:?}", self.waiters));
        }
        self.run(46_000);
        self.check_clean();
    }

    /// How long a change may take to reach every wait that may watch. A half-open watch is noticed only by missing
    /// events, and a pod outside of the label selector is read every five seconds.
    fn patience(&self, is_first: bool) -> u64 {
        let mut streams = self.open.values().filter_map(|open| open.stream.as_ref());
        if streams.any(|stream| stream.is_muted) {
            // Then a read has shown what the watch did not. Only pods without the label are read often enough without a
            // watch.
            return if is_first { 46_000 } else { 6_000 };
        }
        if self.world.restored > 0 && is_first {
            return 46_000;
        }
        // If the watch of a hub with labels begins at a resourceVersion in the future, the hub does not learn that a
        // pod has the label.
        let has_labels =
            self.world.restored == 0 && self.world.pods.iter().flatten().all(|pod| pod.is_labelled);
        if has_labels { 1_000 } else { 6_000 }
    }

    fn each_pod(&mut self, with: impl Fn(&mut Self, usize)) {
        for name in 0..self.world.names.len() {
            if self.world.pods[name].is_some() {
                with(self, name);
            }
        }
        self.publish();
    }

    /// After this time with a healthy server every wait has received the newest state.
    pub fn check_newest(&mut self, promise: &'static str, may_watch: bool) {
        let of = |waiter: &&Waiter| waiter.may_watch || !may_watch;
        let stale = self
            .waiters
            .iter()
            .filter(of)
            .find(|waiter| waiter.last.as_ref() != Some(&self.world.pods[waiter.name]));
        if let Some(stale) = stale {
            let details =
                format!("{:?} has {:?}, there is {:?}", stale.id, stale.last, self.world.pods[stale.name]);
            self.break_promise(promise, details);
        }
    }

    /// After the last wait has left, nothing remains.
    pub fn check_clean(&mut self) {
        while !self.waiters.is_empty() {
            self.leave(0);
        }
        if !self.open.is_empty() {
            let details = format!("{:?}", self.open);
            self.break_promise("a request is left", details);
        }
        if let Some(wake) = self.reflector.poll(self.at()) {
            self.break_promise("an alarm is left", format!("{wake:?}"));
        }
        if self.reflector.next_command().is_some() {
            self.break_promise("a command is left", String::new());
        }
        let rest = format!("{:?}", self.reflector);
        if let Some(name) = self.world.names.iter().find(|name| rest.contains(&format!("{name:?}"))) {
            let details = format!("{name:?} in {rest}");
            self.break_promise("a pod is left", details);
        }
    }

    /// The server is healthy from now on.
    pub fn heal(&mut self) {
        if !self.weather.is_fair() || self.world.is_lagging {
            // A request that hangs times out after ten seconds.
            let is_silent = self.weather.outage == Outage::Silent;
            self.promises.stirred(self.now + if is_silent { 10_000 } else { 0 });
        }
        let Weather { page, refuses_watch_list, .. } = self.weather;
        self.weather = Weather { page, refuses_watch_list, ..Default::default() };
        self.world.is_lagging = false;
        self.world.catch_up();
        self.publish();
        self.note("the server is well".into());
    }
}
