//! Lives of pods, as a kubelet, a scheduler and an API server cause them together.
//!
//! Every status is written at the time of its change. So these lives lack the one case in which more observations make
//! the answer stricter: a kubelet is slow to report an end from before the deletion, and an object in between shows the
//! deletion with the container still running. A wait that saw that object decides by it ("unfinished under the cause").
//! A wait that missed it decides by the timestamps, and is right.

use podwait_core::PodSnapshot;
use podwait_sim::{EventType, Life, Terminated, container, pod};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

/// One of the states of the pod that the API server stored in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Moment {
    pub(super) at: Duration,
    pub(super) deleted: bool,
    pub(super) pod: PodSnapshot,
}

/// The plan of a life.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    restart_policy: &'static str,
    /// Another container, whose name sorts before the target's.
    proxy: bool,
    /// A native sidecar.
    sidecar: bool,
    finalizer: bool,
    start: Start,
    /// Ends before the last one, if the policy restarts the container.
    crashes: Vec<i32>,
    end: End,
    afterwards: Afterwards,
    /// The times between the steps, repeated. Steps without time between them are one write.
    pauses: Vec<u64>,
}

#[derive(Clone, Debug)]
enum Start {
    Plain,
    Unschedulable,
    /// How often the pull of the image fails, and the messages of the attempts, repeated.
    Pulls(usize, &'static [&'static str]),
    BadConfig,
    Rejected,
    InitSucceeds,
    InitFails(i32),
}

#[derive(Clone, Debug)]
enum End {
    Never,
    /// All at once, with the phase.
    Finishes(i32),
    /// The container first, the phase later.
    StepFirst(Terminated),
    /// The phase first, as no kubelet does any more, but some providers do.
    PhaseFirst(i32),
    /// The phase, and never a record.
    PhaseOnly(&'static str),
    /// The real code, and then a made-up one.
    Forgotten(i32),
    /// The kubelet ends the pod: record, phase, reason and condition in one write.
    EndedByKubelet(&'static str, i32),
    /// The same if every process exits 0 on SIGTERM: only the condition shows the cause.
    SurvivesKubelet,
    NodeLost,
    GarbageCollected,
}

#[derive(Clone, Debug)]
enum Afterwards {
    Stays,
    Deleted { grace: i64 },
    DeletedByApi { disruption: &'static str, grace: i64 },
    Forced,
    Recreated,
}

impl Plan {
    /// All stored states.
    pub(super) fn moments(&self) -> Vec<Moment> {
        let events = self.life().events().expect("a life that the API server accepts");
        let mut moments: Vec<Moment> = Vec::new();
        for (at, event) in events {
            let json = serde_json::to_vec(&*event.object).expect("JSON");
            let pod = podwait_wire::pod(podwait_wire::Encoding::Json, &json).expect("a pod").snapshot;
            let deleted = event.kind == EventType::Deleted;
            let same_write =
                |last: &Moment| !deleted && !last.deleted && last.at == at && last.pod.uid == pod.uid;
            if moments.last().is_some_and(same_write) {
                moments.pop();
            }
            moments.push(Moment { at, deleted, pod });
        }
        moments
    }

    pub(super) fn never_restarts(&self) -> bool {
        self.restart_policy == "Never"
    }

    fn pod(&self) -> serde_json::Value {
        let names: &[&str] = if self.proxy { &["step", "istio-proxy"] } else { &["step"] };
        let mut pod = pod("ci", "p", names);
        pod["spec"]["restartPolicy"] = json!(self.restart_policy);
        let mut init = Vec::new();
        if matches!(self.start, Start::InitSucceeds | Start::InitFails(_)) {
            init.push(container("clone"));
        }
        if self.sidecar {
            let mut sidecar = container("cache");
            sidecar["restartPolicy"] = json!("Always");
            init.push(sidecar);
        }
        if !init.is_empty() {
            pod["spec"]["initContainers"] = json!(init);
        }
        if self.finalizer {
            pod["metadata"]["finalizers"] = json!(["ci.example.com/hold"]);
        }
        pod
    }

    fn life(&self) -> Life {
        let mut pauses = self.pauses.iter().copied().cycle();
        let mut pause = move || Duration::from_millis(pauses.next().unwrap_or(1000));
        let life = Life::of(self.pod());
        if let Start::Rejected = self.start {
            return life.after(pause()).scheduled("n").after(pause()).failed("OutOfcpu", "no room");
        }
        let life = self.begin(life, &mut pause);
        if let Start::InitFails(code) = self.start {
            let life = life.after(pause()).started("clone").after(pause());
            return life.terminated("clone", Terminated::exit(code)).after(pause()).phase("Failed");
        }
        let mut life = life.after(pause()).running();
        for code in self.crashes.iter().filter(|code| self.restart_policy == "Always" || **code != 0) {
            if self.restart_policy == "Never" {
                break;
            }
            life = life.after(pause()).terminated("step", Terminated::exit(*code)).after(pause());
            life = life.waiting("step", "CrashLoopBackOff", "").after(pause()).started("step");
        }
        if let Afterwards::DeletedByApi { disruption, grace } = self.afterwards {
            // A step may end before, during or after the disruption.
            life = life.after(pause()).disruption_target(disruption, "").after(pause()).delete(grace);
        }
        let life = self.end(life, &mut pause);
        self.go(life, &mut pause)
    }

    fn begin(&self, life: Life, pause: &mut impl FnMut() -> Duration) -> Life {
        let life = match self.start {
            Start::Unschedulable => life.after(pause()).unschedulable("no nodes"),
            Start::Plain | Start::Pulls(..) | Start::BadConfig | Start::Rejected => life,
            Start::InitSucceeds | Start::InitFails(_) => life,
        };
        let life = life.after(pause()).scheduled("n").after(pause()).containers_creating();
        match self.start {
            Start::Pulls(times, says) => (0..times).fold(life, |life, time| {
                let says = says[(time / 2) % says.len()];
                let life = life.after(pause());
                match time % 4 {
                    0 | 2 => life.waiting("step", "ErrImagePull", says),
                    1 => life.waiting("step", "ImagePullBackOff", "Back-off pulling image \"a\""),
                    _ => {
                        let message = format!("Back-off pulling image \"a\": ErrImagePull: {says}");
                        life.waiting("step", "ImagePullBackOff", &message)
                    }
                }
            }),
            Start::BadConfig => {
                life.after(pause()).waiting("step", "CreateContainerConfigError", "no secret")
            }
            Start::Plain | Start::Unschedulable | Start::Rejected => life,
            Start::InitSucceeds | Start::InitFails(_) => life,
        }
    }

    fn end(&self, life: Life, pause: &mut impl FnMut() -> Duration) -> Life {
        let life = life.after(pause());
        let none = Duration::ZERO;
        match &self.end {
            End::Never => life,
            End::Finishes(code) => life.finished(*code),
            End::StepFirst(how) => {
                let life = life.terminated("step", how.clone());
                if self.restart_policy == "Never" { life.after(pause()).finished(0) } else { life }
            }
            End::PhaseFirst(code) => {
                life.phase(if *code == 0 { "Succeeded" } else { "Failed" }).after(pause()).finished(*code)
            }
            End::PhaseOnly(phase) => life.phase(phase),
            End::Forgotten(code) => {
                let life = life.terminated("step", Terminated::exit(*code)).after(pause());
                life.terminated("step", Terminated::unknown()).after(none).phase("Failed")
            }
            End::EndedByKubelet(reason, code) => {
                let life = life.finished(*code).after(none).failed(reason, "so it was");
                if *reason == "DeadlineExceeded" {
                    return life;
                }
                life.after(none).disruption_target("TerminationByKubelet", "")
            }
            End::SurvivesKubelet => {
                life.finished(0).after(none).disruption_target("TerminationByKubelet", "")
            }
            End::NodeLost => life.merge(json!({ "status": { "reason": "NodeLost" } })),
            End::GarbageCollected => life
                .phase("Failed")
                .after(none)
                .disruption_target("DeletionByPodGC", "")
                .after(none)
                .delete(0),
        }
    }

    fn go(&self, life: Life, pause: &mut impl FnMut() -> Duration) -> Life {
        let life = match self.afterwards {
            Afterwards::Stays => return life,
            Afterwards::Deleted { grace } => life.after(pause()).delete(grace),
            Afterwards::DeletedByApi { .. } => life,
            Afterwards::Forced => life.after(pause()).delete(0),
            Afterwards::Recreated => {
                let life = life.after(pause()).removed().after(pause());
                let life = if self.finalizer { life.finalizer_removed("ci.example.com/hold") } else { life };
                return life.after(pause()).created(pod("ci", "p", &["step"])).after(pause()).running();
            }
        };
        // The kubelet stops the running containers, and publishes their ends before it removes the pod.
        let life = if matches!(self.afterwards, Afterwards::Forced) && !self.finalizer {
            life
        } else {
            life.after(pause()).finished(0)
        };
        let life = life.after(pause()).removed();
        if self.finalizer { life.after(pause()).finalizer_removed("ci.example.com/hold") } else { life }
    }
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let policy = prop_oneof![4 => Just("Never"), 1 => Just("OnFailure"), 1 => Just("Always")];
    let pauses =
        prop::collection::vec(prop_oneof![1 => Just(0), 2 => 1..1000_u64, 4 => 1000..9000_u64], 1..7);
    let crashes = prop::collection::vec(prop_oneof![Just(0), Just(1), Just(42)], 0..3);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (policy, flags, start(), crashes, end(), afterwards(), pauses).prop_map(
        |(restart_policy, (proxy, sidecar, finalizer), start, crashes, end, afterwards, pauses)| Plan {
            restart_policy,
            proxy,
            sidecar,
            finalizer,
            start,
            crashes,
            end,
            afterwards,
            pauses,
        },
    )
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        4 => Just(Start::Plain),
        1 => Just(Start::Unschedulable),
        2 => (1..9_usize, attempts()).prop_map(|(times, attempts)| Start::Pulls(times, attempts)),
        1 => Just(Start::BadConfig),
        1 => Just(Start::Rejected),
        1 => Just(Start::InitSucceeds),
        1 => code().prop_map(Start::InitFails),
    ]
}

/// The messages of the attempts to pull, repeated.
fn attempts() -> impl Strategy<Value = &'static [&'static str]> {
    const LIMITED: &str = "429 Too Many Requests";
    const REFUSED: &str = "failed to resolve reference \"r/a:1\": r/a:1: not found";
    const DENIED: &str = "pull access denied, repository does not exist or may require authorization";
    prop_oneof![
        Just(&[LIMITED][..]),
        Just(&[REFUSED][..]),
        Just(&[REFUSED, DENIED][..]),
        Just(&[DENIED, LIMITED][..]),
        Just(&[LIMITED, REFUSED][..]),
        Just(&[REFUSED, ""][..]),
    ]
}

fn end() -> impl Strategy<Value = End> {
    let how = prop_oneof![
        code().prop_map(Terminated::exit),
        Just(Terminated::oom_killed()),
        Just(Terminated::because(0, "OOMKilled")),
        Just(Terminated::because(128, "StartError")),
        Just(Terminated::because(255, "Unknown")),
        Just(Terminated::unknown()),
    ];
    let reason =
        prop_oneof![Just("Evicted"), Just("Preempting"), Just("Terminated"), Just("DeadlineExceeded")];
    prop_oneof![
        1 => Just(End::Never),
        3 => code().prop_map(End::Finishes),
        3 => how.prop_map(End::StepFirst),
        2 => code().prop_map(End::PhaseFirst),
        1 => prop_oneof![Just("Succeeded"), Just("Failed"), Just("Unknown")].prop_map(End::PhaseOnly),
        1 => code().prop_map(End::Forgotten),
        2 => (reason, code()).prop_map(|(reason, code)| End::EndedByKubelet(reason, code)),
        2 => Just(End::SurvivesKubelet),
        1 => Just(End::NodeLost),
        1 => Just(End::GarbageCollected),
    ]
}

fn afterwards() -> impl Strategy<Value = Afterwards> {
    let grace = || prop_oneof![Just(0), Just(1), Just(5), Just(30)];
    let disruption = prop_oneof![
        Just("EvictionByEvictionAPI"),
        Just("PreemptionByScheduler"),
        Just("DeletionByTaintManager"),
    ];
    prop_oneof![
        2 => Just(Afterwards::Stays),
        3 => grace().prop_map(|grace| Afterwards::Deleted { grace }),
        2 => (disruption, grace())
            .prop_map(|(disruption, grace)| Afterwards::DeletedByApi { disruption, grace }),
        1 => Just(Afterwards::Forced),
        1 => Just(Afterwards::Recreated),
    ]
}

fn code() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(0), 2 => 1..=3_i32, 1 => Just(137), 1 => any::<i32>()]
}
