//! Steps that start late, beside others, or never.

use super::{code, ends, exit, failing_code, lone, running, stopped, work};
use crate::storm::dice::Dice;
use crate::storm::truth::{Answer, STEP, ToldBy, Truth};
use podwait::{DoneReason, FailReason};
use podwait_sim::{Life, Terminated, container, pod};
use serde_json::json;
use std::time::Duration;

pub(super) fn beside_a_sidecar(life: Life, dice: &mut Dice) -> (Life, Truth) {
    const PROXY: &str = "istio-proxy";
    let code = code(dice);
    let life = running(life, pod("ci", "p", &[STEP, PROXY]), dice);
    let life = match dice.below(3) {
        // It fails first; then the pod fails, whatever the step does.
        0 => {
            let life = work(life.terminated(PROXY, Terminated::exit(9)), dice);
            life.terminated(STEP, Terminated::exit(code)).after(dice.time(300, 1500)).finished(code)
        }
        // It never ends.
        1 => life.terminated(STEP, Terminated::exit(code)),
        _ => {
            let life = life.terminated(STEP, Terminated::exit(code)).after(dice.skewed_time(100, 60_000));
            let how = if dice.chance(50) { Terminated::exit(0) } else { Terminated::exit(9) };
            life.terminated(PROXY, how).after(dice.time(300, 1500)).finished(code)
        }
    };
    (life, exit(code))
}

pub(super) fn beside_a_native_sidecar(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let code = code(dice);
    let mut pod = lone();
    let mut sidecar = container("cache");
    sidecar["restartPolicy"] = json!("Always");
    pod["spec"]["initContainers"] = json!([sidecar]);
    let life = running(life, pod, dice).terminated(STEP, Terminated::exit(code));
    (life.after(dice.skewed_time(200, 30_000)).finished(code), exit(code))
}

pub(super) fn after_a_failed_init_container(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let mut pod = lone();
    pod["spec"]["initContainers"] = json!([container("clone")]);
    let life = life.created(pod).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    let life = life.after(dice.time(200, 5000)).started("clone").after(dice.skewed_time(200, 300_000));
    let life = life.terminated("clone", Terminated::exit(failing_code(dice)));
    let truth = stopped(&[FailReason::InitContainerFailed], ToldBy::Phase("Failed"));
    (life.after(dice.time(300, 1500)).phase("Failed"), truth)
}

pub(super) fn with_a_start_error(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let (code, reason) = dice.pick(&[(128, "StartError"), (127, "ContainerCannotRun")]);
    let life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    let life = life.after(dice.time(200, 5000)).terminated(STEP, Terminated::because(code, reason));
    let right = vec![Answer::Exit(code, DoneReason::StartError)];
    (life.after(dice.time(300, 1500)).phase("Failed"), Truth { right, ..exit(code) })
}

/// The kubelet cannot start the step, for one of these reasons after the other.
fn hindered(life: Life, dice: &mut Dice, reasons: &[&str], mut time: Duration) -> Life {
    let mut life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    life = life.after(dice.time(200, 3000));
    for reason in reasons.iter().cycle() {
        life = life.waiting(STEP, reason, "no such thing");
        let pause = dice.time(500, 15_000).min(time);
        time = time.saturating_sub(pause);
        life = life.after(pause);
        if time.is_zero() {
            break;
        }
    }
    life
}

/// Hindered for longer than the policy grants.
pub(super) fn never(life: Life, dice: &mut Dice, reasons: &[&str]) -> (Life, Truth) {
    let reason = match reasons {
        ["ErrImagePull", ..] if dice.chance(25) => {
            let life = hindered(life, dice, &["InvalidImageName"], Duration::from_secs(1));
            return (life, stopped(&[FailReason::InvalidImageName], ToldBy::Anything));
        }
        ["ErrImagePull", ..] => FailReason::ImagePull,
        _ => FailReason::ContainerConfigError,
    };
    let life = hindered(life, dice, reasons, Duration::from_secs(300));
    let patience = Duration::from_secs(60);
    (life, Truth { patience, ..stopped(&[reason], ToldBy::Anything) })
}

/// Hindered for less time than the policy grants.
pub(super) fn late(life: Life, dice: &mut Dice, reasons: &[&str]) -> (Life, Truth) {
    let code = code(dice);
    let time = dice.time(1000, 50_000);
    let life = work(hindered(life, dice, reasons, time).running(), dice);
    (ends(life, code, dice), exit(code))
}

pub(super) fn unscheduled(life: Life) -> (Life, Truth) {
    let life = life.created(lone()).unschedulable("0/3 nodes are available: 3 Insufficient cpu.");
    let truth = stopped(&[FailReason::StartTimeout], ToldBy::Anything);
    (life, Truth { patience: Duration::from_secs(600), ..truth })
}

pub(super) fn rejected(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let reason = dice.pick(&["OutOfcpu", "OutOfpods", "NodeAffinity", "UnexpectedAdmissionError"]);
    let life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").after(dice.time(1, 2000));
    let truth = stopped(&[FailReason::RejectedByNode], ToldBy::Cause);
    (life.failed(reason, "Pod was rejected"), truth)
}
