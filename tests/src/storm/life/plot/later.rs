//! Lives of the second edition.

use super::{code, code_on_sigterm, ends, exit, gone, lone, stopped, work};
use crate::storm::dice::Dice;
use crate::storm::truth::{STEP, ShownBy, Truth};
use podwait::FailReason;
use podwait_sim::{Life, Step, Terminated, container};
use serde_json::json;
use std::time::Duration;

/// When the kubelet tries to pull an image, counted from its first attempt: its backoff is 10 s and doubles (`MaxImageBackOff`
/// and `imageBackOffPeriod` of pkg/kubelet/kubelet.go).
const ATTEMPTS: [u64; 6] = [0, 10, 30, 70, 150, 310];

pub(super) fn gated(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let mut pod = lone();
    pod["spec"]["schedulingGates"] = json!([{ "name": "example.com/quota" }]);
    let message = "Scheduling is blocked due to non-empty scheduling gates";
    let condition =
        json!({ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": message });
    let life = life.created(pod).merge(json!({ "status": { "conditions": [condition] } }));
    let life = life.after(dice.skewed_time(1000, 1_800_000));
    if dice.chance(20) {
        // The pod has no node, so it is removed at once.
        return (life.delete(0), gone(stopped(&[FailReason::PodDeleted], ShownBy::Anything)));
    }
    let code = code(dice);
    let life = life.merge(json!({ "spec": { "schedulingGates": null } })).after(dice.time(0, 3000));
    let life = life.scheduled("node-1").after(dice.time(0, 400)).containers_creating();
    let life = work(life.after(dice.skewed_time(200, 10_000)).running(), dice);
    (ends(life, code, dice), exit(code))
}

pub(super) fn after_a_long_init_container(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let mut pod = lone();
    pod["spec"]["initContainers"] = json!([container("clone")]);
    let life = life.created(pod).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    let life = life.after(dice.time(200, 5000)).started("clone").after(dice.time(60_000, 3_600_000));
    let life = life.terminated("clone", Terminated::exit(0)).after(dice.time(100, 3000));
    let code = code(dice);
    let life = work(life.running(), dice);
    (ends(life, code, dice), exit(code))
}

/// The kubelet's first `attempts` attempts to pull the image, each with this response of the registry.
fn pulls(life: Life, dice: &mut Dice, attempts: usize, message: &str) -> Life {
    let mut life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").containers_creating();
    life = life.after(dice.time(200, 3000));
    for (attempt, next) in ATTEMPTS.iter().zip(&ATTEMPTS[1..]).take(attempts) {
        let back_off =
            format!("Back-off pulling image \"registry.example.com/build:1\": ErrImagePull: {message}");
        // The pod's next sync publishes that, at most some seconds later.
        let pause = dice.time(200, 5000);
        life = life.waiting(STEP, "ErrImagePull", message).after(pause);
        life = life.waiting(STEP, "ImagePullBackOff", &back_off);
        life = life.after(Duration::from_secs(next - attempt).saturating_sub(pause));
    }
    life
}

/// A permanent refusal of a registry, as containerd reports it.
fn refusal(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "rpc error: code = NotFound desc = failed to pull and unpack image \"registry.example.com/build:1\": failed to resolve \
         reference \"registry.example.com/build:1\": registry.example.com/build:1: not found",
        "failed to pull and unpack image \"registry.example.com/build:1\": failed to resolve reference \
         \"registry.example.com/build:1\": pull access denied, repository does not exist or may require authorization: \
         server message: insufficient_scope: authorization failed",
    ])
}

pub(super) fn refused_for_good(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let message = refusal(dice);
    let life = pulls(life, dice, 5, message);
    let patience = Duration::from_secs(120);
    (life, Truth { patience, ..stopped(&[FailReason::ImagePull], ShownBy::Anything) })
}

fn pulled(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let code = code(dice);
    let life = work(life.after(dice.time(200, 4000)).running(), dice);
    (ends(life, code, dice), exit(code))
}

pub(super) fn there_at_the_second_attempt(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let message = refusal(dice);
    let life = pulls(life, dice, 1, message);
    pulled(life, dice)
}

pub(super) fn rate_limited(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let message = dice.pick(&[
        "failed to pull and unpack image \"docker.io/library/busybox:1.37\": failed to copy: httpReadSeeker: failed open: \
         unexpected status code https://registry-1.docker.io/v2/library/busybox/manifests/sha256:1: 429 Too Many Requests - Server \
         message: toomanyrequests: You have reached your unauthenticated pull rate limit.",
        "rpc error: code = Unavailable desc = error reading from server: EOF",
        "rpc error: code = DeadlineExceeded desc = failed to pull image: dial tcp: lookup registry.example.com: i/o timeout",
        "some day a registry says this",
    ]);
    let failed = usize::try_from(1 + dice.below(3)).unwrap_or(1);
    let life = pulls(life, dice, failed, message);
    pulled(life, dice)
}

pub(super) fn made_up_by_a_provider(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = super::running(life, lone(), dice);
    let code = dice.pick(&[-137, 0]);
    let how = Terminated { synthetic: true, ..Terminated::because(code, "NotFound") };
    let terminated = Step::Terminated { container: STEP.to_owned(), how };
    let phase = Step::Phase(if dice.chance(70) { "Failed" } else { "Succeeded" }.to_owned());
    let truth = stopped(&[FailReason::ContainerStatusUnknown], ShownBy::Anything);
    (life.together([terminated, phase]), truth)
}

/// How many objects are written between the backup and the restoration, so that the pod never reaches its earlier
/// resourceVersions again.
const WRITES: u64 = 1_000_000;

pub(super) fn restored(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = life.created(lone()).after(dice.time(0, 500)).scheduled("node-1").after(dice.time(0, 400));
    let life = if dice.chance(50) { life.containers_creating() } else { life };
    let life = life.backed_up().written_elsewhere(WRITES).after(dice.skewed_time(200, 10_000)).running();
    // The kubelet detects that its status is lost, and writes it again (`needsReconcile` of its status manager).
    let life = work(life, dice).restored().after(dice.time(20, 15_000)).running();
    let life = work(life, dice);
    let patience = Duration::from_secs(120 + 30);
    if dice.chance(25) {
        let life = life.delete(30).after(dice.time(20, 30_000)).finished(code_on_sigterm(dice));
        let life = life.after(dice.skewed_time(10, 3000)).removed();
        return (life, Truth { patience, ..gone(stopped(&[FailReason::PodDeleted], ShownBy::Anything)) });
    }
    let code = code(dice);
    (ends(life, code, dice), Truth { patience, ..exit(code) })
}
