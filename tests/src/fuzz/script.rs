//! Machine against model: any sequence of observations of a pod in any states.

use crate::duel::Duel;
use crate::explore::Seen;
use crate::model::{Config, Goal};
use arbitrary::{Arbitrary, Unstructured};
use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Instant, OnGone, OnMissingTerminated, Phase,
    PodSnapshot, RestartAction, RestartPolicy, RestartRule, Terminated, Timestamp, WaitMachine,
};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait that is played: at every step the model examines the whole history.
const LONGEST: usize = 24;

/// Messages of a kubelet about an image: a back-off, the message of an attempt, and both.
const BACK_OFF: &str = "Back-off pulling image \"r/a:1\"";
const LIMITED: &str = "unexpected status code https://r/v2/a/manifests/1: 429 Too Many Requests";
const REFUSED: &str = "failed to resolve reference \"r/a:1\": r/a:1: not found";
const REFUSED_BEFORE: &str =
    "Back-off pulling image \"r/a:1\": ErrImagePull: manifest unknown: manifest unknown";
const LIMITED_BEFORE: &str =
    "Back-off pulling image \"r/a:1\": ErrImagePull: denied: denied: 429 Too Many Requests";

/// A policy, a target, and observations.
#[derive(Arbitrary, Debug)]
struct Script {
    infer: bool,
    evidence: bool,
    settle: bool,
    deadline: bool,
    no_start_deadline: bool,
    skew: bool,
    jitter: bool,
    uid: bool,
    target: u8,
    steps: Vec<Move>,
}

/// One observation, and the time since the last one.
#[derive(Arbitrary, Debug)]
struct Move {
    time: u8,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Pod(PodChoice),
    SameAgain,
    Deleted(PodChoice),
    NotFound,
    Error { code: u8, retry_after: Option<u8> },
    Tick,
    Cancel,
}

/// A pod. Each part is one of a few values that matter to the rules.
#[derive(Arbitrary, Clone, Debug)]
struct PodChoice {
    other_uid: bool,
    version: u8,
    phase: u8,
    reason: u8,
    restart_policy: u8,
    deletion: Option<(u8, u8)>,
    generations: u8,
    disruption: Option<(u8, u8, bool)>,
    step: StatusChoice,
    sidecar: Option<StatusChoice>,
    init: Option<StatusChoice>,
    rule: Option<(u8, bool, u8)>,
}

#[derive(Arbitrary, Clone, Debug)]
struct StatusChoice {
    missing: bool,
    state: u8,
    code: u8,
    reason: u8,
    finished: Option<u8>,
    restarts: u8,
    last: Option<(u8, u8)>,
    policy: u8,
}

/// Plays the bytes as a wait on the machine, on the model, and on a machine that is saved and restored at every step.
///
/// # Panics
/// A finding: they disagree, or an invariant is broken.
pub fn machine(data: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let (config, goal) = (script.config(), script.goal());
    let policy = Arc::new(config.policy());
    let mut now = 0u64;
    let mut moves: Vec<(Instant, Seen)> = Vec::new();
    for one in script.steps.iter().take(LONGEST) {
        now += pick(
            one.time,
            &[0, 1, 100, 200, 1000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000],
        );
        // Sometimes the time goes back.
        let at = if one.time == u8::MAX { now / 2 } else { now };
        let seen = one.what.seen(moves.len(), moves.iter().rev().map(|(_, seen)| seen));
        moves.push((Instant::from_millis(at), seen));
    }
    let mut duel = Duel::new(&config, &goal, &policy);
    let mut restored = goal.machine(Arc::clone(&policy));
    for (index, (at, seen)) in moves.iter().enumerate() {
        if let Err(complaint) = duel.step(*at, seen.as_input()) {
            panic!("{complaint}\n  at step {index} of {:#?}\n  {config:?}", &moves[..=index]);
        }
        let saved = restored.save();
        restored = WaitMachine::restore(saved).expect("a saved wait can be restored");
        assert_eq!(
            Some(&restored.handle(*at, seen.as_input())),
            duel.decision(),
            "restored, at step {index} of {moves:#?}"
        );
    }
    if let Err(complaint) = duel.check_ticks_alone() {
        panic!("{complaint}\n  after {moves:#?}\n  {config:?}");
    }
}

impl Script {
    fn config(&self) -> Config {
        // All values are different, and none is a sum of the time steps, so that no two timers expire at once.
        let millis = Duration::from_millis;
        Config {
            on_missing_terminated: if self.infer {
                OnMissingTerminated::Infer
            } else {
                OnMissingTerminated::Fail
            },
            gone_grace: if self.target / 5 % 2 == 1 { millis(3019) } else { Duration::ZERO },
            on_gone: if self.evidence { OnGone::Evidence } else { OnGone::AssumeSuccess },
            settle: self.settle.then_some(millis(2003)),
            deadline: self.deadline.then_some(millis(400_009)),
            start_deadline: (!self.no_start_deadline).then_some(millis(600_011)),
            clock_skew: if self.skew { Duration::from_secs(1) } else { Duration::ZERO },
            jitter_seed: self.jitter.then_some(7),
            absent_grace: millis(10_037),
            image_pull_grace: millis(60_041),
            config_error_grace: millis(60_073),
            unknown_grace: millis(120_097),
            api_error_budget: millis(300_149),
            auth_error_budget: millis(60_251),
            ..Config::default()
        }
    }

    fn goal(&self) -> Goal {
        let container = match self.target % 5 {
            0 => None,
            1 => Some("init"),
            2 => Some("sidecar"),
            _ => Some("step"),
        };
        Goal { container: container.map(str::to_owned), uid: self.uid.then(|| String::from("ours")) }
    }
}

impl What {
    fn seen<'a>(&self, index: usize, mut before: impl Iterator<Item = &'a Seen>) -> Seen {
        match self {
            Self::Pod(pod) if pod.version % 16 >= 8 => Seen::Read(pod.snapshot(index)),
            Self::Pod(pod) => Seen::Pod(pod.snapshot(index)),
            Self::SameAgain => before
                .find(|seen| matches!(seen, Seen::Pod(_) | Seen::Read(_)))
                .cloned()
                .unwrap_or(Seen::Tick),
            Self::Deleted(pod) => Seen::Deleted(pod.snapshot(index)),
            Self::NotFound => Seen::NotFound,
            Self::Error { code, retry_after } => Seen::Error {
                code: pick(*code, &[0, 429, 500, 503, 410, 401, 403, 404, 400, 409]),
                // These bits of the byte do not choose the code.
                is_status: *code < 150,
                retry_after: retry_after.map(u64::from),
            },
            Self::Tick => Seen::Tick,
            Self::Cancel => Seen::Cancel,
        }
    }
}

impl PodChoice {
    fn snapshot(&self, index: usize) -> PodSnapshot {
        let version = match self.version % 8 {
            0 => String::from("5"),
            1 => String::from("not-a-number"),
            // Newer than all before, as in nearly all cases.
            _ => (100 + index).to_string(),
        };
        let (timestamp, grace) = self.deletion.map_or((None, None), |(at, grace)| {
            (Some(time(at)), pick(grace, &[Some(30), Some(0), Some(1), Some(5), None]))
        });
        let status = |name: &str, choice: &StatusChoice| (!choice.missing).then(|| choice.status(name));
        let container = |name: &str, choice: Option<&StatusChoice>| Container {
            name: name.to_owned(),
            restart_policy: choice
                .and_then(|choice| {
                    let own = [None, None, Some(RestartPolicy::Always), Some(RestartPolicy::OnFailure)];
                    pick(choice.policy, &own)
                })
                // The API server accepts rules only if the container has its own policy.
                .or_else(|| self.rule.filter(|_| name != "init").map(|_| RestartPolicy::Never)),
            restart_policy_rules: self.rule.filter(|_| name != "init").into_iter().map(rule).collect(),
        };
        let sidecar = self.sidecar.as_ref();
        let init = self.init.as_ref();
        PodSnapshot {
            uid: String::from(if self.other_uid { "other" } else { "ours" }),
            resource_version: version,
            generation: pick(self.generations, &[0, 1, 2, 2]),
            observed_generation: pick(self.generations, &[0, 1, 1, 2]),
            deletion_timestamp: timestamp,
            deletion_grace_period_seconds: grace,
            restart_policy: pick(
                self.restart_policy,
                &[RestartPolicy::Never, RestartPolicy::OnFailure, RestartPolicy::Always],
            ),
            termination_grace_period_seconds: Some(30),
            containers: std::iter::once(container("step", Some(&self.step)))
                .chain(sidecar.map(|_| container("aux", None)))
                .collect(),
            init_containers: init.iter().map(|choice| container("init", Some(*choice))).collect(),
            phase: pick(
                self.phase,
                &[
                    Phase::Running,
                    Phase::Pending,
                    Phase::Succeeded,
                    Phase::Failed,
                    Phase::Unknown,
                    Phase::Unrecognized,
                ],
            ),
            reason: pick(
                self.reason,
                &["", "", "", "Evicted", "NodeLost", "DeadlineExceeded", "OutOfcpu", "Terminated", "Novel"],
            )
            .to_owned(),
            disruption_target: self.disruption.map(|(reason, at, is_true)| Condition {
                is_true,
                reason: pick(reason, &["EvictionByEvictionAPI", "TerminationByKubelet", "DeletionByPodGC"])
                    .to_owned(),
                message: String::new(),
                last_transition_time: (at != 0).then(|| time(at)),
            }),
            container_statuses: status("step", &self.step)
                .into_iter()
                .chain(sidecar.and_then(|choice| status("aux", choice)))
                .collect(),
            init_container_statuses: init.and_then(|choice| status("init", choice)).into_iter().collect(),
            ..PodSnapshot::default()
        }
    }
}

impl StatusChoice {
    fn status(&self, name: &str) -> ContainerStatus {
        let record = |code: u8, reason: u8| Terminated {
            exit_code: pick(code, &[0, 1, 137, 255, -137, 42]),
            reason: pick(
                reason,
                &[
                    "Completed",
                    "Error",
                    "OOMKilled",
                    "ContainerStatusUnknown",
                    "Unknown",
                    "StartError",
                    "RestartingAllContainers",
                    "Terminated",
                    "NotFound",
                    "",
                ],
            )
            .to_owned(),
            finished_at: self.finished.map(time),
            // A container ends once: another end has another container id. A made-up record has no id.
            container_id: match (reason % 10, code % 6) {
                (3, _) | (4, 3) => String::new(),
                (reason, code) => format!("c{}-{code}-{reason}", self.restarts % 3),
            },
            ..Terminated::default()
        };
        let state = match self.state % 5 {
            0 => Some(ContainerState::Running),
            1 | 2 => Some(ContainerState::Terminated(record(self.code, self.reason))),
            3 => Some(ContainerState::Waiting {
                reason: pick(
                    self.reason,
                    &[
                        "ContainerCreating",
                        "ErrImagePull",
                        "ImagePullBackOff",
                        "InvalidImageName",
                        "CreateContainerConfigError",
                        "CrashLoopBackOff",
                        "RestartingAllContainers",
                        "",
                    ],
                )
                .to_owned(),
                message: pick(self.code, &["", BACK_OFF, LIMITED, REFUSED, REFUSED_BEFORE, LIMITED_BEFORE])
                    .to_owned(),
            }),
            _ => None,
        };
        ContainerStatus {
            name: name.to_owned(),
            restart_count: i32::from(self.restarts % 3),
            state,
            last_terminated: self.last.map(|(code, reason)| record(code, reason)),
            ..ContainerStatus::default()
        }
    }
}

fn rule((action, negated, code): (u8, bool, u8)) -> RestartRule {
    RestartRule {
        action: pick(
            action,
            &[RestartAction::Restart, RestartAction::RestartAllContainers, RestartAction::Unrecognized],
        ),
        negated,
        exit_codes: vec![pick(code, &[0, 1, 42])],
    }
}

/// A time within four minutes of cluster time.
fn time(at: u8) -> Timestamp {
    Timestamp(1_767_225_600 + i64::from(at))
}

fn pick<T: Clone>(choice: u8, from: &[T]) -> T {
    from[usize::from(choice) % from.len()].clone()
}
