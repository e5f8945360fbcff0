//! Long runs with many pods and every fault, each from a seed. `WALK_SEED=7` runs that seed alone and prints its log,
//! `WALK_SEEDS=100000` runs that many seeds.

use crate::promises::Promises;
use crate::server::{Answer, Outage, failure};
use crate::sim::Sim;
use crate::waiter::Decider;
use podwait_hub::{PodName, Scope, Via};
use std::rc::Rc;

/// The naive model takes part in one run of so many. `WALK_MODEL=1` is all of them.
const MODEL: u64 = if cfg!(debug_assertions) { 50 } else { 8 };

/// Names in the namespace of the scope; there is one more elsewhere.
const PODS: u64 = 6;

/// Marsaglia's xorshift, started from a seed that splitmix has stirred.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn flip(&mut self) -> bool {
        self.roll(2) == 0
    }
}

fn sim(dice: &mut Dice) -> Sim {
    let mut names: Vec<PodName> = (0..PODS).map(|pod| PodName::new("ci", &format!("pod{pod}"))).collect();
    names.push(PodName::new("elsewhere", "pod0"));
    let rate = [5, 20, 100][dice.roll(3) as usize];
    let namespace = dice.flip().then(|| "ci".into());
    let (scope, promises) = match dice.roll(3) {
        0 => (None, Promises::single(10 * PODS)),
        labels => {
            let labels = (labels == 2).then(|| "podwait".into());
            (Some((Scope { namespace, labels }, rate)), Promises::new(Some(rate)))
        }
    };
    let mut sim = Sim::new(scope, names.into(), promises);
    sim.weather.refuses_watch_list = dice.flip();
    sim.hands_over_late = dice.flip();
    sim
}

/// A write to the store.
fn write(sim: &mut Sim, dice: &mut Dice) {
    let name = dice.roll(PODS + 1) as usize;
    let Some(pod) = sim.world.pods[name].clone() else {
        return sim.world.create(name, dice.roll(4) > 0);
    };
    match dice.roll(9) {
        0..3 => sim.world.step_on(name),
        3 => sim.world.end(name),
        4 => sim.world.delete(name),
        5 => {
            sim.world.end(name);
            sim.world.delete(name);
        }
        6 => {
            sim.world.delete(name);
            sim.world.create(name, dice.flip());
        }
        7 => sim.world.label(name, !pod.is_labelled),
        _ => sim.world.write_elsewhere(dice.roll(50)),
    }
}

/// Waits come and go.
fn wait(sim: &mut Sim, dice: &mut Dice) {
    if sim.waiters.len() < 12 && dice.roll(4) > 0 {
        let name = dice.roll(PODS + 1) as usize;
        let decider = match dice.roll(8) {
            0 => Decider::machine(sim.world.uids(name).nth(dice.roll(3) as usize)),
            1..5 => Decider::machine(None),
            _ => Decider::simple(),
        };
        sim.join(name, dice.roll(6) > 0, decider);
    } else if !sim.waiters.is_empty() {
        sim.leave(dice.roll(sim.waiters.len() as u64) as usize);
    }
}

/// A fault of the existing connections.
fn stir(sim: &mut Sim, dice: &mut Dice) {
    sim.promises.stirred(sim.now);
    match dice.roll(8) {
        0 => sim.hand_watches(&Answer::Failed(failure(Via::Watch, 0, false))),
        1 => sim.hand_watches(&Answer::Ended),
        2 => sim.hand_watches(&Answer::Failed(failure(Via::Watch, 410, true))),
        3 => sim.mute(),
        4 => sim.bookmark(),
        5 => sim.garbles = true,
        6 => sim.world.compact(),
        _ if dice.roll(5) == 0 => {
            sim.world.restore(1 + dice.roll(4) as usize);
            sim.hand_watches(&Answer::Failed(failure(Via::Watch, 0, false)));
        }
        _ => {}
    }
}

/// The server changes.
fn turn(sim: &mut Sim, dice: &mut Dice) {
    if !sim.weather.is_fair() && dice.flip() {
        return sim.heal();
    }
    match dice.roll(12) {
        0 => sim.weather.outage = Outage::Refused,
        1 => {
            sim.weather.outage = Outage::Silent;
            sim.mute();
        }
        2 => sim.weather.outage = Outage::Failing,
        3 => sim.weather.outage = Outage::Proxy,
        4 => sim.weather.outage = Outage::Throttled(1 + dice.roll(40)),
        5 => sim.weather.refuses_scope = true,
        6 => sim.weather.refuses_watch = true,
        7 => sim.world.is_lagging = true,
        8 => sim.weather.events_take = 1 + dice.roll(3_000),
        9 => sim.weather.expires_in_stream = dice.flip(),
        10 => sim.weather.page = 1 + dice.roll(4) as usize,
        _ => sim.weather.answers_take = 1 + dice.roll(4_000),
    }
}

fn run(seed: u64, logs: bool) -> Sim {
    let mut dice = Dice::new(seed);
    let mut sim = sim(&mut dice);
    sim.log = logs.then(Vec::new);
    if !logs && !seed.is_multiple_of(number("WALK_MODEL").unwrap_or(MODEL)) {
        sim.reflector.compare_no_longer();
    }
    for _ in 0..300 {
        match dice.roll(20) {
            0..8 => write(&mut sim, &mut dice),
            8..11 => wait(&mut sim, &mut dice),
            11..13 => stir(&mut sim, &mut dice),
            13 => turn(&mut sim, &mut dice),
            _ => {}
        }
        sim.publish();
        let longest = [5, 100, 1_000, 5_000, 40_000][dice.roll(5) as usize];
        sim.run(1 + dice.roll(longest));
        if sim.promises.has_broken() {
            return sim;
        }
    }
    sim.finish();
    sim
}

/// A number in the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn long_runs_keep_every_promise() {
    let seeds = match (number("WALK_SEED"), number("WALK_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(if cfg!(debug_assertions) { 50 } else { 3_000 }),
    };
    let mut broken = std::collections::BTreeMap::new();
    for seed in seeds {
        let sim = run(seed, number("WALK_SEED").is_some());
        sim.log.iter().flatten().for_each(|line| println!("{line}"));
        if let Some((promise, details)) = sim.promises.broken {
            broken.entry(promise).or_insert_with(|| (0, seed, details)).0 += 1;
        }
    }
    for (promise, (times, seed, details)) in &broken {
        println!("{promise}: {times} times, first with WALK_SEED={seed}: {details}");
    }
    assert!(broken.is_empty(), "promises were broken");
}

#[test]
fn the_same_inputs_give_the_same_commands_and_deliveries() {
    for seed in 0..10 {
        let logs = [run(seed, true), run(seed, true)].map(|sim| Rc::new(sim.log));
        assert!(logs[0].as_ref().as_ref().is_some_and(|log| log.len() > 100));
        assert_eq!(logs[0], logs[1], "seed {seed}");
    }
}
