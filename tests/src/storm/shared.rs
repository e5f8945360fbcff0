//! Many lives under one weather, with waits in one hub.

use crate::storm::dice::Dice;
use crate::storm::edition::Edition;
use crate::storm::life::{Kind, Story};
use crate::storm::way::Way;
use crate::storm::weather::Weather;
use crate::storm::wire::{Ledger, Wire};
use crate::storm::{Limits, Run, Storm, cluster, paused};
use podwait_sim::{Cluster, Event, Life};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// When all pods exist that exist from the beginning.
const BEGIN: Duration = Duration::from_millis(1);

/// The default of a hub.
const REQUESTS_PER_SECOND: u32 = 10;

/// A change of a pod's label, in addition to its life.
type Relabelling = (Duration, bool);

/// The complete log of a cluster, even if its history is compacted.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Event>>>);

impl Log {
    /// Adds all events since the last call.
    fn note(&self, cluster: &Cluster) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = log.last().map_or(0, |event| event.revision);
        log.extend(cluster.events().into_iter().filter(|event| event.revision > last));
    }

    /// The events of the pod with this name.
    fn of(&self, pod: &str) -> Vec<(Duration, Event)> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let events = log.iter().filter(|event| event.object["metadata"]["name"] == pod);
        events.map(|event| (event.at, event.clone())).collect()
    }
}

impl Storm {
    /// Runs the run of this seed with this many lives, each of which is judged by itself. In a hub with a label
    /// selector the way `outside` is for pods that the selector does not match.
    ///
    /// # Panics
    /// There is no runtime, or the API server refuses a step of a life.
    #[must_use]
    pub fn run_together(&self, seed: u64, lives: usize) -> Vec<Run> {
        let (mut dice, edition) = (Dice::new(seed), Edition::of(seed));
        let way = match self.way {
            Some(way @ (Way::Hub | Way::Labelled | Way::Outside)) => way,
            Some(Way::Watch | Way::Poll) | None => {
                dice.weighted(&[(4, Way::Hub), (5, Way::Labelled), (1, Way::Outside)])
            }
        };
        let kinds = Kind::drawn_together(edition);
        let drawn: Vec<_> =
            (0..lives).map(|_| (Limits::draw(&mut dice), Story::draw(&mut dice, &kinds))).collect();
        let moments: Vec<_> = drawn.iter().flat_map(|(_, story)| story.moments()).collect();
        let weather = Weather::draw(&mut dice, &moments, edition);
        let turn = Duration::from_secs(1) * u32::try_from(lives).expect("some lives") / REQUESTS_PER_SECOND;
        let mut runs: Vec<Run> = Vec::new();
        for (number, (limits, mut story)) in drawn.into_iter().enumerate() {
            let pod = format!("p-{number}");
            story.life = story.life.renamed(&pod);
            story.wait_at = story.wait_at.max(BEGIN);
            let way = if way == Way::Labelled && dice.chance(25) { Way::Outside } else { way };
            let run = Run::new(seed, pod, way, story, weather.clone(), limits);
            runs.push(Run { turn, ..run });
        }
        paused(self.play_together(&mut runs, way, dice));
        runs
    }

    async fn play_together(&self, runs: &mut [Run], way: Way, mut dice: Dice) {
        let (wire, cluster, log) = (Wire::new(), cluster(runs[0].seed), Log::default());
        let mut lives = JoinSet::new();
        for run in runs.iter() {
            let (life, ours) = (run.story.life.clone(), cluster.clone());
            lives.spawn(async move { life.run(&ours).await.expect("a life that the API server accepts") });
            if let Some((at, matches)) = relabelling(run, way, &mut dice) {
                let life = Life::existing("ci", &run.pod).after(at).merge(label(matches));
                let ours = cluster.clone();
                // There may be no such pod at that time.
                lives.spawn(async move { drop(life.run(&ours).await) });
            }
        }
        for at in runs[0].weather.compactions() {
            let (cluster, log) = (cluster.clone(), log.clone());
            tokio::spawn(async move {
                tokio::time::sleep(at).await;
                log.note(&cluster);
                cluster.compact(cluster.revision());
            });
        }
        cluster.faults().rule(runs[0].weather.rule(wire.start(), dice));
        tokio::time::sleep(BEGIN).await;
        for run in runs.iter().filter(|run| run.way == Way::Outside && way == Way::Labelled) {
            let life = Life::existing("ci", &run.pod).merge(label(false));
            // The pod may be created later, and then has the label.
            let _ = life.run(&cluster).await;
        }

        let hub = way.hub(wire.client(&cluster), "ci").expect("a way with a hub");
        let waits = runs.iter().map(|run| {
            let first = cluster.get("ci", &run.pod).filter(|_| run.story.knows_uid);
            let mut wait = hub.wait("ci", &run.pod);
            if let Some(uid) = first.as_ref().and_then(|pod| pod["metadata"]["uid"].as_str()) {
                wait = wait.uid(uid);
            }
            async {
                tokio::time::sleep_until(wire.start() + run.story.wait_at).await;
                self.wait(wait, run, &wire).await
            }
        });
        let outcomes = futures_util::future::join_all(waits).await;
        while lives.join_next().await.is_some() {}
        log.note(&cluster);
        let ledger = wire.ledger();
        for (run, outcome) in runs.iter_mut().zip(outcomes) {
            let arrivals = outcome.arrivals;
            run.take(outcome);
            run.story.history = log.of(&run.pod);
            run.ledger = ledger_of(&ledger, arrivals, run);
        }
    }
}

/// Whether and when the pod gets or loses the label of the hub.
fn relabelling(run: &Run, way: Way, dice: &mut Dice) -> Option<Relabelling> {
    let end = u64::try_from(run.story.end().as_millis()).unwrap_or(u64::MAX);
    (way == Way::Labelled && dice.chance(20)).then(|| (dice.time(0, end), dice.chance(50)))
}

fn label(matches: bool) -> serde_json::Value {
    let value = if matches { "ci-agent" } else { "nobody" };
    json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": value } } })
}

/// The part of a hub's ledger that concerns this run: the objects of its pod that arrived during its wait. Objects of a
/// probe do not count, since a probe is for other pods whose final state is missing.
fn ledger_of(ledger: &Ledger, arrivals: usize, run: &Run) -> Ledger {
    let is_then = |at: Duration| (run.story.wait_at..=run.answered_at).contains(&at);
    let is_own = |version: u64| run.story.history.iter().any(|(_, event)| event.revision == version);
    let is_about = |pod: &Option<String>| pod.as_ref().is_none_or(|pod| *pod == run.pod);
    let mut own = ledger.clone();
    own.objects.truncate(arrivals);
    own.objects.retain(|object| is_then(object.at) && is_own(object.version) && !object.is_recalled);
    own.absences.retain(|(at, pod)| is_then(*at) && is_about(pod));
    own
}
