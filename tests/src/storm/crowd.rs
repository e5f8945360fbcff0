//! Many waits at once, through a long outage: the load on the API server after the outage.

use crate::storm::way::Way;
use crate::storm::wire::Wire;
use podwait::{Hub, Policy, Scope};
use podwait_sim::{Cluster, Fault, Life, pod};
use std::time::Duration;
use tokio::task::JoinSet;

/// Many waits for pods that run through an outage and exit some time after it.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// The number of waits.
    pub waits: u64,
    /// How long the API server does not respond.
    pub outage: Duration,
    /// Whether each wait has a seed for its jitter.
    pub jitter: bool,
    /// The way of waiting. A hub is shared by all waits.
    pub way: Way,
}

/// The load on the API server.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// Waits with the true answer.
    pub right: u64,
    /// Requests in each second of the run.
    pub seconds: Vec<u64>,
    /// The most requests in any 10 ms after the end of the outage.
    pub peak: u64,
    /// The second in which the outage ends.
    pub back: usize,
}

/// When the outage begins.
const BEGIN: Duration = Duration::from_secs(60);

impl Crowd {
    /// Runs the waits.
    ///
    /// # Panics
    /// There is no runtime.
    #[must_use]
    pub fn run(self) -> Meeting {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(self.play())
    }

    async fn play(self) -> Meeting {
        let (wire, cluster) = (Wire::new(), Cluster::new());
        let (start, end) = (wire.start(), BEGIN + self.outage);
        cluster.faults().rule(move |request| {
            let now = start.elapsed();
            let watches = request.verb == podwait_sim::Verb::Watch;
            match BEGIN.checked_sub(now) {
                // All open connections break at the same time.
                Some(left) => watches.then_some(Fault::ResetIn(left)),
                None => (now < end).then_some(Fault::Reset),
            }
        });
        let hub = (self.way == Way::Hub).then(|| Hub::new(wire.client(&cluster), Scope::namespace("ci")));
        let mut waits = JoinSet::new();
        for n in 0..self.waits {
            let name = format!("p-{n}");
            let exit_at = end + Duration::from_secs(120) + Duration::from_millis(n * 50);
            Life::of(pod("ci", &name, &["step"]))
                .scheduled("node-1")
                .running()
                .after(exit_at)
                .finished(i32::from(n % 2 == 1))
                .spawn(&cluster);
            let policy = Policy::builder().api_error_budget(self.outage + Duration::from_secs(300));
            let policy = policy.jitter_seed(self.jitter.then_some(n)).build().expect("a policy");
            let wait = match &hub {
                Some(hub) => hub.wait("ci", &name),
                None => self.way.wait(wire.client(&cluster), "ci", &name),
            };
            waits.spawn(async move {
                // Steps do not all begin at once.
                tokio::time::sleep(Duration::from_millis(n * 97)).await;
                let outcome = wait.policy(policy).await;
                outcome.is_ok_and(|exit| exit.code == i32::from(n % 2 == 1))
            });
        }
        let right = waits.join_all().await.into_iter().filter(|is_right| *is_right).count();
        let requests = wire.ledger().requests;
        let mut seconds = vec![0; requests.last().map_or(0, |at| index(at.as_secs())) + 1];
        let mut slots = std::collections::BTreeMap::<u128, u64>::new();
        for at in requests {
            seconds[index(at.as_secs())] += 1;
            if at >= end {
                *slots.entry(at.as_millis() / 10).or_default() += 1;
            }
        }
        let peak = slots.values().max().copied().unwrap_or(0);
        Meeting { right: right as u64, seconds, peak, back: index(end.as_secs()) }
    }
}

fn index(second: u64) -> usize {
    usize::try_from(second).expect("a short run")
}

impl Meeting {
    /// The most requests in any second of the outage except the first, in which every connection breaks.
    #[must_use]
    pub fn during(&self) -> u64 {
        let begin = index(BEGIN.as_secs()) + 1;
        self.seconds[begin..self.back].iter().max().copied().unwrap_or(0)
    }

    /// The most requests in any of the first ten seconds after the outage.
    #[must_use]
    pub fn afterwards(&self) -> u64 {
        self.seconds[self.back..].iter().take(10).max().copied().unwrap_or(0)
    }
}
