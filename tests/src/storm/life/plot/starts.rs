//! Steps that start late, beside others, or never.

use super::{code, ends, exit, failing_code, lone, running, stopped, work};
use crate::storm::dice::Dice;
use crate::storm::truth::{Answer, STEP, ShownBy, Truth};
use podwait::{DoneReason, FailReason};
use podwait_sim::{Life, Terminated, container, pod};
use serde_json::json;
use std::time::Duration;

pub(super) fn beside_a_sidecar(life: Life, dice: &mut Dice) -> (Life, Truth) {
    const PROXY: &str = "istio-proxy";
    let code = code(dice);
    let life = running(life, pod("ci", "p", &[STEP, PROXY]), dice);
    let life = match dice.below(3) {
        // The sidecar fails first; then the pod fails, whatever the step does.
        0 => {
            let life = work(life.terminated(PROXY, Terminated::exit(9)), dice);
            life.terminated(STEP, Terminated::exit(code)).after(dice.time(300, 1500)).finished(code)
        }
        // The sidecar never ends.
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
    let truth = stopped(&[FailReason::InitContainerFailed], ShownBy::Phase("Failed"));
    (life.after(dice.time(300, 1500)).phase("Failed"), truth)
}

pub(super) fn with_a_start_error(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let (code, reason) = dice.pick(&[(128, "StartError"), (127, "ContainerCannotRun")]);
    let life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    let life = life.after(dice.time(200, 5000)).terminated(STEP, Terminated::because(code, reason));
    let right = vec![Answer::Exit(code, DoneReason::StartError)];
    (life.after(dice.time(300, 1500)).phase("Failed"), Truth { right, ..exit(code) })
}

/// The hindrances of a step's start: the waiting reasons with their messages, in order.
type Hindrance = &'static [(&'static str, &'static str)];

/// The registry has no such image: the messages of the kubelet's attempts, and of the back-off between them.
const REFUSED: Hindrance = &[
    (
        "ErrImagePull",
        "rpc error: code = NotFound desc = failed to pull and unpack image \"registry.example/step:1\": failed to resolve \
         reference \"registry.example/step:1\": registry.example/step:1: not found",
    ),
    ("ImagePullBackOff", "Back-off pulling image \"registry.example/step:1\""),
];

/// The registry limits the rate.
const LIMITED: Hindrance = &[
    (
        "ErrImagePull",
        "failed to pull and unpack image \"registry.example/step:1\": failed to copy: httpReadSeeker: failed open: \
         unexpected status code https://registry.example/v2/step/manifests/1: 429 Too Many Requests",
    ),
    (
        "ImagePullBackOff",
        "Back-off pulling image \"registry.example/step:1\": ErrImagePull: toomanyrequests: rate exceeded",
    ),
];

/// A Secret is missing.
const CONFIG: Hindrance = &[("CreateContainerConfigError", "secret \"token\" not found")];

/// The kubelet cannot start the step for this time, for these reasons in turn.
fn hindered<'a>(
    life: Life,
    dice: &mut Dice,
    by: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
    mut time: Duration,
) -> Life {
    let mut life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    life = life.after(dice.time(200, 3000));
    for (reason, message) in by {
        life = life.waiting(STEP, reason, message);
        let pause = dice.time(500, 15_000).min(time);
        time = time.saturating_sub(pause);
        life = life.after(pause);
        if time.is_zero() {
            break;
        }
    }
    life.after(time)
}

/// The image cannot be pulled for longer than the policy allows.
pub(super) fn without_an_image(life: Life, dice: &mut Dice) -> (Life, Truth) {
    if dice.chance(25) {
        let invalid: Hindrance = &[("InvalidImageName", "couldn't parse image name")];
        let life = hindered(life, dice, invalid.iter().cycle(), Duration::from_secs(1));
        return (life, stopped(&[FailReason::InvalidImageName], ShownBy::Anything));
    }
    // A second refusal is decided at once, but a wait may miss it.
    let by = dice.pick(&[REFUSED, LIMITED]);
    never(life, dice, by, FailReason::ImagePull, Duration::from_secs(120))
}

/// The Secret is missing for longer than the policy allows.
pub(super) fn without_its_secret(life: Life, dice: &mut Dice) -> (Life, Truth) {
    never(life, dice, CONFIG, FailReason::ContainerConfigError, Duration::from_secs(60))
}

fn never(
    life: Life,
    dice: &mut Dice,
    by: Hindrance,
    reason: FailReason,
    patience: Duration,
) -> (Life, Truth) {
    let life = hindered(life, dice, by.iter().cycle(), Duration::from_secs(300));
    (life, Truth { patience, ..stopped(&[reason], ShownBy::Anything) })
}

/// The image cannot be pulled, for less time than the policy allows.
pub(super) fn with_a_late_image(life: Life, dice: &mut Dice) -> (Life, Truth) {
    if dice.chance(50) {
        // The registry refuses one attempt. The back-off stands while the second attempt pulls the image.
        return late(life, dice, REFUSED, 110_000);
    }
    late(life, dice, LIMITED.iter().cycle(), 110_000)
}

/// The Secret is created in time.
pub(super) fn with_a_late_secret(life: Life, dice: &mut Dice) -> (Life, Truth) {
    late(life, dice, CONFIG.iter().cycle(), 50_000)
}

fn late<'a>(
    life: Life,
    dice: &mut Dice,
    by: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
    longest: u64,
) -> (Life, Truth) {
    let code = code(dice);
    let time = dice.time(1000, longest);
    let life = work(hindered(life, dice, by, time).running(), dice);
    (ends(life, code, dice), exit(code))
}

pub(super) fn unscheduled(life: Life) -> (Life, Truth) {
    let life = life.created(lone()).unschedulable("0/3 nodes are available: 3 Insufficient cpu.");
    let truth = stopped(&[FailReason::StartTimeout], ShownBy::Anything);
    (life, Truth { patience: Duration::from_secs(600), ..truth })
}

pub(super) fn rejected(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let reason = dice.pick(&["OutOfcpu", "OutOfpods", "NodeAffinity", "UnexpectedAdmissionError"]);
    let life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").after(dice.time(1, 2000));
    let truth = stopped(&[FailReason::RejectedByNode], ShownBy::Cause);
    (life.failed(reason, "Pod was rejected"), truth)
}
