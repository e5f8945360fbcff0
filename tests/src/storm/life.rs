//! Random lives of pods, each with its truth.

mod plot;

use crate::storm::dice::Dice;
use crate::storm::edition::Edition;
use crate::storm::truth::Truth;
use podwait_sim::{Event, Life};
use std::fmt;
use std::time::Duration;

/// Declares the kinds of lives by edition, each with its weight and its name in the table.
macro_rules! kinds {
    ($($edition:ident { $($(#[$doc:meta])+ $kind:ident: $weight:literal, $name:literal;)+ })+) => {
        /// A kind of life.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($($(#[$doc])+ $kind,)+)+
        }

        impl Kind {
            /// The kinds that this edition adds, with their weights.
            #[must_use]
            pub const fn new_in(edition: Edition) -> &'static [(u64, Self)] {
                match edition {
                    $(Edition::$edition => &[$(($weight, Self::$kind)),+],)+
                }
            }

            /// The name in the table.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Self::$kind => $name,)+)+
                }
            }
        }
    };
}

kinds! {
    First {
        /// The step exits by itself: 0, 1, 3, 137, 143 and others; record before, with or after the phase.
        Exit: 12, "exits by itself";
        /// A sidecar that sorts first fails, never ends, or ends later.
        Sidecar: 5, "sidecar";
        /// A native sidecar outlives the step.
        NativeSidecar: 3, "native sidecar";
        /// An init container fails for good.
        InitFails: 2, "init container fails";
        /// Killed for memory; also cases in which only a child was killed and the step exits 0.
        OutOfMemory: 3, "out of memory";
        /// The runtime cannot start the command.
        StartError: 2, "start error";
        /// The image is refused for ever, or its name is invalid.
        ImageRefused: 2, "image refused";
        /// The image is refused for a while.
        ImagePulledLater: 3, "image pulled later";
        /// A Secret is missing for ever.
        ConfigError: 2, "config error";
        /// A Secret is missing for a while.
        ConfigCured: 3, "config error cured";
        /// No node ever has room.
        Unschedulable: 1, "never scheduled";
        /// `restartPolicy: OnFailure`, several attempts, the last one succeeds.
        Retries: 4, "OnFailure";
        /// `restartPolicy: Always` or `OnFailure`, several attempts, then deleted while it runs.
        RestartedUntilDeleted: 3, "restarted, then deleted";
        /// A terminal phase without a record.
        NoRecord: 4, "record never comes";
        /// The code is made up, with or without a real one before.
        MadeUp: 4, "made-up code";
        /// Deleted while it runs; the step then exits 0, 137 or 143.
        Deleted: 8, "deleted while running";
        /// Deleted after the step had ended.
        DeletedAfterwards: 8, "deleted after its end";
        /// Deleted without a grace period, so that it is gone at once.
        ForceDeleted: 4, "force-deleted";
        /// Evicted by the kubelet; also cases in which every process exits 0 on SIGTERM and only the condition shows
        /// it.
        Evicted: 4, "evicted by the kubelet";
        /// The eviction API, preemption by the scheduler, a taint.
        Disrupted: 5, "API eviction, preemption, taint";
        /// Preempted by the kubelet for a critical pod.
        Preempted: 2, "preempted by the kubelet";
        /// The node shuts down.
        NodeShutdown: 3, "node shutdown";
        /// The node is lost; it comes back, or does not.
        NodeLost: 4, "node lost";
        /// The node is gone and the pod garbage collector takes the pod.
        Orphaned: 3, "orphan collected";
        /// A namesake replaces the pod, and succeeds.
        Recreated: 6, "name re-created";
        /// The kubelet refuses to run the pod.
        Rejected: 2, "rejected by the node";
        /// A finalizer keeps the deleted pod.
        Held: 4, "finalizer held";
        /// `activeDeadlineSeconds` runs out.
        DeadlineExceeded: 3, "activeDeadlineSeconds";
    }
    Second {
        /// Scheduling gates delay the pod for up to half an hour, or the pod is deleted meanwhile.
        Gated: 6, "scheduling gates";
        /// An init container runs for up to an hour.
        LongInit: 6, "long init container";
        /// The registry repeats that there is no such image, or that access to it is denied.
        ImageRefusedForGood: 5, "image refused for good";
        /// The registry reports that once, and then has the image.
        ImageThereAtOnce: 4, "image there at the second attempt";
        /// The registry limits the rate, and a later attempt gets the image.
        RateLimited: 6, "registry limits the rate";
        /// A provider that has lost the step makes up its record, in some lives with code 0.
        Provided: 4, "made up by a provider";
        /// The store is restored from a backup: resourceVersions are lower for good.
        Restored: 8, "store restored";
    }
}

impl Kind {
    /// The kinds of this edition, with their weights.
    #[must_use]
    pub fn drawn_in(edition: Edition) -> Vec<(u64, Self)> {
        let new = |edition| Self::new_in(edition).iter().copied();
        match edition {
            Edition::First => new(Edition::First).collect(),
            Edition::Second => new(Edition::First).chain(new(Edition::Second)).collect(),
        }
    }

    /// The same for many lives in one store, which is not restored.
    #[must_use]
    pub fn drawn_together(edition: Edition) -> Vec<(u64, Self)> {
        Self::drawn_in(edition).into_iter().filter(|(_, kind)| *kind != Self::Restored).collect()
    }
}

/// One life with its truth.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its kind.
    pub kind: Kind,
    /// The script.
    pub life: Life,
    /// Every object that the script stores, with the time since the run began.
    pub history: Vec<(Duration, Event)>,
    /// The truth about the first pod of this name.
    pub truth: Truth,
    /// The truth about the second pod, if there is one.
    pub successor: Option<Truth>,
    /// When the wait begins.
    pub wait_at: Duration,
    /// Whether the wait has the first pod's uid.
    pub knows_uid: bool,
}

impl Story {
    /// Draws a life of one of these kinds, by their weights.
    ///
    /// # Panics
    /// The API server refuses a step of the script.
    pub fn draw(dice: &mut Dice, kinds: &[(u64, Kind)]) -> Self {
        let kind = dice.weighted(kinds);
        // Most waits begin just after the creation of the pod; some begin before it, and some late.
        let (lead, knows_uid) = match dice.below(10) {
            0 => (dice.time(100, 8000), false),
            _ => (Duration::ZERO, dice.chance(60)),
        };
        let plot::Tale { life, truth, successor } =
            plot::script(kind, Life::existing("ci", "p").after(lead), dice);
        let history = life.clone().events().expect("a life that the API server accepts");
        let end = history.last().map_or(Duration::ZERO, |(at, _)| *at);
        let wait_at = match dice.below(8) {
            0 if lead.is_zero() => dice.time(0, u64::try_from(end.as_millis()).unwrap_or(0) + 30_000),
            _ if lead.is_zero() => dice.time(0, 500),
            _ => Duration::ZERO,
        };
        Self { kind, life, history, truth, successor, wait_at, knows_uid }
    }

    /// The times at which the pod changes or the wait begins, in order.
    #[must_use]
    pub fn moments(&self) -> Vec<Duration> {
        let mut moments: Vec<_> = self.history.iter().map(|(at, _)| *at).collect();
        moments.insert(0, self.wait_at);
        moments.sort_unstable();
        moments
    }

    /// The uid of the first pod.
    #[must_use]
    pub fn first_uid(&self) -> &str {
        self.history.first().map_or("", |(_, event)| uid(event))
    }

    /// Whether any object has a container that ended with this code.
    #[must_use]
    pub fn has_code(&self, code: i32) -> bool {
        let word = format!("\"exitCode\":{code},");
        self.history.iter().any(|(_, event)| event.object["status"].to_string().contains(&word))
    }

    /// The time of the pod's last change.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.history.last().map_or(Duration::ZERO, |(at, _)| *at)
    }
}

/// The uid of an object in the log.
pub(crate) fn uid(event: &Event) -> &str {
    event.object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The stored objects with their times.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid_known = if self.knows_uid { "knows" } else { "does not know" };
        writeln!(
            f,
            "life: {}; the wait begins at {:?} and {uid_known} the uid",
            self.kind.name(),
            self.wait_at
        )?;
        writeln!(f, "truth: {:?}", self.truth)?;
        if let Some(successor) = &self.successor {
            writeln!(f, "truth of the second pod: {successor:?}")?;
        }
        for (at, event) in &self.history {
            let pod = &event.object;
            let step = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
            let step =
                step.filter(|status| status["name"] == "step").map(|status| brief(&status["state"])).next();
            writeln!(
                f,
                "{:>9.3} s  {:>3} {:8} {}{}{} step={}{}{}",
                at.as_secs_f64(),
                event.revision,
                event.kind.as_str(),
                pod["status"]["phase"].as_str().unwrap_or_default(),
                mark(" reason=", &pod["status"]["reason"]),
                disruption(pod),
                step.unwrap_or_default(),
                mark(" deletion=", &pod["metadata"]["deletionTimestamp"]),
                mark(" grace=", &pod["metadata"]["deletionGracePeriodSeconds"]),
            )?;
        }
        Ok(())
    }
}

fn mark(name: &str, value: &serde_json::Value) -> String {
    if value.is_null() { String::new() } else { format!("{name}{value}") }
}

fn disruption(pod: &serde_json::Value) -> String {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut disruption = conditions.filter(|condition| condition["type"] == "DisruptionTarget");
    disruption.next().map(|condition| mark(" DisruptionTarget=", &condition["reason"])).unwrap_or_default()
}

/// The state of a container, without ids and times.
fn brief(state: &serde_json::Value) -> String {
    let Some((name, state)) = state.as_object().and_then(|state| state.iter().next()) else {
        return String::new();
    };
    format!("{name}{}{}", mark(" ", &state["exitCode"]), mark(" ", &state["reason"]))
}
