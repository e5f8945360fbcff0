//! The scripts of all kinds of lives.

mod ends;
mod later;
mod starts;

use super::Kind;
use crate::storm::dice::Dice;
use crate::storm::truth::{Answer, STEP, ShownBy, Truth};
use podwait::{DoneReason, FailReason};
use podwait_sim::{Life, Terminated, pod};
use std::time::Duration;

/// A life and its truth.
pub(super) struct Tale {
    pub(super) life: Life,
    pub(super) truth: Truth,
    pub(super) successor: Option<Truth>,
}

/// Draws a life of this kind, from the pod's creation on.
pub(super) fn script(kind: Kind, life: Life, dice: &mut Dice) -> Tale {
    if kind == Kind::Recreated {
        return ends::recreated(life, dice);
    }
    let (life, truth) = match kind {
        Kind::Exit => exits(life, dice),
        Kind::Sidecar => starts::beside_a_sidecar(life, dice),
        Kind::NativeSidecar => starts::beside_a_native_sidecar(life, dice),
        Kind::InitFails => starts::after_a_failed_init_container(life, dice),
        Kind::OutOfMemory => out_of_memory(life, dice),
        Kind::StartError => starts::with_a_start_error(life, dice),
        Kind::ImageRefused => starts::without_an_image(life, dice),
        Kind::ImagePulledLater => starts::with_a_late_image(life, dice),
        Kind::ConfigError => starts::without_its_secret(life, dice),
        Kind::ConfigCured => starts::with_a_late_secret(life, dice),
        Kind::Unschedulable => starts::unscheduled(life),
        Kind::Retries => retries(life, dice),
        Kind::RestartedUntilDeleted => restarted_until_deleted(life, dice),
        Kind::NoRecord => no_record(life, dice),
        Kind::MadeUp => made_up(life, dice),
        Kind::Deleted => ends::deleted(life, dice),
        Kind::DeletedAfterwards => ends::deleted_afterwards(life, dice),
        Kind::ForceDeleted => ends::force_deleted(life, dice),
        Kind::Evicted => ends::by_the_kubelet(life, dice, "Evicted", FailReason::Evicted),
        Kind::Disrupted => ends::disrupted(life, dice),
        Kind::Preempted => ends::by_the_kubelet(life, dice, "Preempting", FailReason::Disrupted),
        Kind::NodeShutdown => ends::by_the_kubelet(life, dice, "Terminated", FailReason::NodeShutdown),
        Kind::NodeLost => ends::node_lost(life, dice),
        Kind::Orphaned => ends::orphaned(life, dice),
        Kind::Rejected => starts::rejected(life, dice),
        Kind::Held => ends::held(life, dice),
        Kind::DeadlineExceeded => ends::past_its_deadline(life, dice),
        Kind::Gated => later::gated(life, dice),
        Kind::LongInit => later::after_a_long_init_container(life, dice),
        Kind::ImageRefusedForGood => later::refused_for_good(life, dice),
        Kind::ImageThereAtOnce => later::there_at_the_second_attempt(life, dice),
        Kind::RateLimited => later::rate_limited(life, dice),
        Kind::Provided => later::made_up_by_a_provider(life, dice),
        Kind::Restored => later::restored(life, dice),
        Kind::Recreated => unreachable!("handled above"),
    };
    Tale { life, truth, successor: None }
}

/// A pod with the step only.
fn lone() -> serde_json::Value {
    pod("ci", "p", &[STEP])
}

/// Adds the steps from the creation to the first running container, and some work.
fn running(life: Life, pod: serde_json::Value, dice: &mut Dice) -> Life {
    let life = life.created(pod).after(dice.time(0, 500));
    let life = match dice.below(10) {
        0 => life.unschedulable("0/3 nodes are available").after(dice.skewed_time(500, 60_000)),
        _ => life,
    };
    let life = life.scheduled("node-1").after(dice.time(0, 400)).containers_creating();
    work(life.after(dice.skewed_time(200, 10_000)).running(), dice)
}

/// The time between the start and the end of a step: mostly short, at most twenty minutes.
fn work(life: Life, dice: &mut Dice) -> Life {
    life.after(if dice.chance(80) { dice.skewed_time(200, 60_000) } else { dice.time(60_000, 1_200_000) })
}

fn code(dice: &mut Dice) -> i32 {
    dice.weighted(&[(8, 0), (3, 1), (3, 3), (2, 137), (2, 143), (1, 255), (1, -1), (1, i32::MAX)])
}

fn failing_code(dice: &mut Dice) -> i32 {
    dice.weighted(&[(3, 1), (3, 3), (2, 137), (2, 143)])
}

/// The exit code of a stopped container: it traps SIGTERM, or is killed by SIGTERM, or is killed after the grace
/// period.
fn code_on_sigterm(dice: &mut Dice) -> i32 {
    dice.weighted(&[(3, 0), (2, 143), (1, 137)])
}

/// The step ends by itself, with the record before, with or after the phase.
fn ends(life: Life, code: i32, dice: &mut Dice) -> Life {
    match dice.below(4) {
        0 => life.finished(code),
        1 => {
            let phase = if code == 0 { "Succeeded" } else { "Failed" };
            life.phase(phase).after(dice.skewed_time(100, 8000)).finished(code)
        }
        _ => life.terminated(STEP, Terminated::exit(code)).after(dice.time(300, 1500)).finished(code),
    }
}

/// The truth of a step that exits by itself.
fn exit(code: i32) -> Truth {
    let mut right = vec![Answer::Exit(code, DoneReason::NonzeroExit)];
    if code == 0 {
        right = vec![
            Answer::Exit(0, DoneReason::Completed),
            // If only the phase was observable, it proves the same.
            Answer::Exit(0, DoneReason::InferredFromPhase),
        ];
    }
    Truth { right, vague: Vec::new(), shown_by: ShownBy::Record(code), patience: Duration::from_secs(15) }
}

/// The truth of a step that did not end by itself.
fn stopped(reasons: &[FailReason], shown_by: ShownBy) -> Truth {
    let right = reasons.iter().map(|reason| Answer::Fail(*reason)).collect();
    Truth { right, vague: Vec::new(), shown_by, patience: Duration::from_secs(15) }
}

/// The pod is deleted after that, and a wait that is too late observes less than the truth.
fn gone(truth: Truth) -> Truth {
    let vague = vec![FailReason::PodDeleted, FailReason::PodNeverSeen, FailReason::TerminatedStateMissing];
    Truth { vague, ..truth }
}

fn exits(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let code = code(dice);
    let life = running(life, lone(), dice);
    (ends(life, code, dice), exit(code))
}

fn out_of_memory(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    let (how, truth) = if dice.chance(60) {
        let right = vec![Answer::Exit(137, DoneReason::OomKilled)];
        (Terminated::oom_killed(), Truth { right, ..exit(137) })
    } else {
        // kubernetes#131530: the kernel killed a child, and the parent exited 0.
        (Terminated::because(0, "OOMKilled"), stopped(&[FailReason::OomKilled], ShownBy::Record(0)))
    };
    (life.terminated(STEP, how).after(dice.time(300, 1500)).finished(0), truth)
}

fn retries(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let mut pod = lone();
    pod["spec"]["restartPolicy"] = "OnFailure".into();
    let mut life = running(life, pod, dice);
    for _ in 0..=dice.below(3) {
        life = crash(life, failing_code(dice), dice);
    }
    (ends(life, 0, dice), exit(0))
}

/// An attempt ends, and after a while there is another attempt.
fn crash(life: Life, code: i32, dice: &mut Dice) -> Life {
    let life = life.terminated(STEP, Terminated::exit(code)).after(dice.time(20, 1000));
    let life = life.waiting(STEP, "CrashLoopBackOff", "back-off 10s restarting failed container");
    work(life.after(dice.skewed_time(1000, 40_000)).started(STEP), dice)
}

fn restarted_until_deleted(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let mut pod = lone();
    let policy = dice.pick(&["Always", "OnFailure"]);
    pod["spec"]["restartPolicy"] = policy.into();
    let mut life = running(life, pod, dice);
    let mut truth = gone(stopped(&[FailReason::PodDeleted], ShownBy::Anything));
    for _ in 0..=dice.below(3) {
        let code = if policy == "Always" { code(dice) } else { failing_code(dice) };
        life = crash(life, code, dice);
        // A wait that saw no object after that end has a real exit, and the pod is gone (rule 9).
        if code != 0 {
            truth.right.push(Answer::Exit(code, DoneReason::NonzeroExit));
        }
    }
    (ends::delete(life, dice), truth)
}

fn no_record(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    if dice.chance(40) {
        return (
            life.phase("Failed"),
            stopped(&[FailReason::TerminatedStateMissing], ShownBy::Phase("Failed")),
        );
    }
    let life = life.phase("Succeeded");
    let truth = Truth { shown_by: ShownBy::Phase("Succeeded"), ..exit(0) };
    if dice.chance(60) {
        return (life, truth);
    }
    (life.after(dice.skewed_time(500, 60_000)).delete(None), gone(truth))
}

fn made_up(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let how = match dice.chance(70) {
        true => Terminated::unknown(),
        false => Terminated::because(255, "Unknown"),
    };
    let lost = |life: Life| {
        let terminated = podwait_sim::Step::Terminated { container: STEP.to_owned(), how: how.clone() };
        life.together([terminated, podwait_sim::Step::Phase("Failed".to_owned())])
    };
    let life = running(life, lone(), dice);
    if dice.chance(50) {
        return (lost(life), stopped(&[FailReason::ContainerStatusUnknown], ShownBy::Phase("Failed")));
    }
    let code = code(dice);
    let life = life.terminated(STEP, Terminated::exit(code)).after(dice.skewed_time(50, 60_000));
    let mut truth = Truth { vague: vec![FailReason::ContainerStatusUnknown], ..exit(code) };
    if code == 0 {
        // The pod is `Failed`, so a wait for the phase (policy `settle`) may doubt the 0.
        truth.right.push(Answer::Fail(FailReason::PhaseContradictsExitCode));
    }
    (lost(life), truth)
}
