//! Every sequence of a few moves.

use crate::moves::Move::{self, *};
use crate::moves::{Place, transcript};
use crate::random::number;
use crate::sim::Sim;
use std::collections::BTreeMap;

/// The naive model takes part in one of so many last moves of a sequence, and in all others.
const MODEL_LAST: u64 = if cfg!(debug_assertions) { 4 } else { 1 };

/// It takes part in what follows after one of so many sequences, because that takes it long. `WALK_MODEL=1` is all of them.
const MODEL_AFTER: u64 = if cfg!(debug_assertions) { 512 } else { 16 };

struct Walk<'a> {
    alphabet: &'a [Move],
    most: usize,
    /// The model takes part in what follows after one of so many sequences.
    model: u64,
    sequences: u64,
    /// Broken promises: how often, and the shortest sequence that leads to each.
    broken: BTreeMap<&'static str, (u64, Vec<Move>)>,
}

impl Walk<'_> {
    fn from(&mut self, sim: &Sim, path: &mut Vec<Move>, depth: usize) {
        for step in self.alphabet.iter().copied() {
            if !sim.may(step, self.most) {
                continue;
            }
            path.push(step);
            self.sequences += 1;
            let mut next = sim.clone();
            if depth == 1 && !self.sequences.is_multiple_of(self.model.min(MODEL_LAST)) {
                next.reflector.compare_no_longer();
            }
            next.go(step);
            let mut end = next.clone();
            if !self.sequences.is_multiple_of(self.model) {
                end.reflector.compare_no_longer();
            }
            if !end.promises.has_broken() {
                end.finish();
            }
            if let Some((promise, _)) = end.promises.broken {
                let (count, way) = self.broken.entry(promise).or_insert_with(|| (0, path.clone()));
                *count += 1;
                if path.len() < way.len() {
                    way.clone_from(path);
                }
            }
            if depth > 1 && !next.promises.has_broken() {
                self.from(&next, path, depth - 1);
            }
            path.pop();
        }
    }
}

/// All sequences of at most `depth` moves after a beginning.
fn walk(place: Place, beginning: &[Move], alphabet: &[Move], waits: usize, depth: usize) {
    let mut sim = place.sim();
    beginning.iter().for_each(|step| sim.go(*step));
    let model = number("WALK_MODEL").unwrap_or(MODEL_AFTER);
    let mut walk = Walk { alphabet, most: waits, model, sequences: 0, broken: BTreeMap::new() };
    let most = number("WALK_DEPTH").and_then(|depth| usize::try_from(depth).ok());
    let depth = most.unwrap_or(if cfg!(debug_assertions) { depth - 1 } else { depth });
    let mut path = beginning.to_vec();
    walk.from(&sim, &mut path, depth);
    println!("{place:?} {beginning:?}: {} sequences", walk.sequences);
    let Some((_, (_, shortest))) = walk.broken.iter().min_by_key(|(_, (_, way))| way.len()) else { return };
    let (log, broken) = transcript(place, shortest);
    println!("{}\n{broken:?}", log.join("\n"));
    for (promise, (count, way)) in &walk.broken {
        println!("{promise}: {count} times, first by {way:?}");
    }
    panic!("promises were broken");
}

/// The life of a pod, and faults of watches.
const WATCHES: [Move; 12] = [
    Change,
    EndDelete,
    Replace,
    Create,
    Cut,
    Close,
    Expire,
    Mute,
    Compact,
    SlowReads,
    Millis(400),
    Millis(31_000),
];
/// Faults of the server.
const OUTAGES: [Move; 12] = [
    Change,
    EndDelete,
    Down,
    Hang,
    Failing,
    Proxy,
    Throttle,
    Heal,
    Restore,
    Lag,
    Millis(4_000),
    Millis(31_000),
];
/// Labels and refusals.
const LABELS: [Move; 12] = [
    EndDelete,
    LabelLost,
    LabelGained,
    Change,
    Create,
    Refuse,
    RefuseWatch,
    Heal,
    Cut,
    SlowEvents,
    Compact,
    Millis(31_000),
];
/// Events of pods without a wait.
const STRANGERS: [Move; 12] =
    [Change, End, EndDelete, Stranger, Bookmark, Cut, Mute, Lag, Heal, Compact, Expire, Millis(31_000)];
/// Waits that come and leave.
const WAITS: [Move; 12] = [
    Join,
    JoinMachine,
    JoinPolled,
    Leave,
    Create,
    EndDelete,
    Delete,
    SlowReads,
    Cut,
    Mute,
    Millis(400),
    Millis(4_000),
];

macro_rules! walks {
    ($($name:ident: $place:ident $beginning:expr, $alphabet:expr, $most:literal, $depth:literal;)*) => {
        $(#[test]
        fn $name() {
            walk(Place::$place, &$beginning, &$alphabet, $most, $depth);
        })*
    };
}

walks! {
    own_watches: Own [Create, JoinMachine], WATCHES, 1, 5;
    own_outages: Own [Create, Join], OUTAGES, 1, 5;
    own_waits: Own [Create], WAITS, 2, 5;
    polled_watches: Own [Create, JoinPolled], WATCHES, 1, 4;
    polled_outages: Own [Create, JoinPolled], OUTAGES, 1, 4;
    hub_watches: Hub [Create, Join], WATCHES, 1, 5;
    hub_outages: Hub [Create, JoinMachine], OUTAGES, 1, 5;
    hub_labels: Hub [Create, Join], LABELS, 1, 5;
    hub_strangers: Hub [Create, Join], STRANGERS, 1, 5;
    labels_strangers: Labels [Create, JoinMachine], STRANGERS, 1, 5;
    hub_waits: Hub [Create], WAITS, 2, 5;
    labels_watches: Labels [Create, JoinMachine], WATCHES, 1, 5;
    labels_outages: Labels [Create, Join], OUTAGES, 1, 5;
    labels_labels: Labels [Create, Join], LABELS, 1, 5;
    labels_waits: Labels [Create], WAITS, 2, 5;
    labels_lost_watches: Labels [Create, Join, LabelLost], WATCHES, 1, 5;
    outside_watches: Outside [Create, Join], WATCHES, 1, 4;
    outside_outages: Outside [Create, Join], OUTAGES, 1, 4;
    two_waits: Labels [Create, Join, JoinMachine], LABELS, 2, 4;
    pages_watches: HubPages [Create, Join], WATCHES, 1, 4;
    pages_outages: HubPages [Create, JoinMachine], OUTAGES, 1, 4;
    pages_waits: HubPages [Create], WAITS, 2, 4;
    labels_pages_labels: LabelsPages [Create, Join], LABELS, 1, 4;
    labels_pages_watches: LabelsPages [Create, JoinMachine], WATCHES, 1, 4;
    polled_in_hub: Hub [Create, JoinPolled, Join], WATCHES, 2, 4;
}
