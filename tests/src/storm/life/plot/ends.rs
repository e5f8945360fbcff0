//! Steps with an outside cause of their end, and pods that are deleted.

use super::{Tale, code, code_on_sigterm, ends, exit, gone, lone, running, stopped, work};
use crate::storm::dice::Dice;
use crate::storm::truth::{STEP, ShownBy, Truth};
use podwait::FailReason;
use podwait_sim::{Life, Step, Terminated, pod};
use serde_json::json;
use std::time::Duration;

/// A client deletes the pod while the step runs. The kubelet stops the step, publishes its end, and removes the pod.
pub(super) fn delete(life: Life, dice: &mut Dice) -> Life {
    let grace = dice.pick(&[1_u16, 5, 30]);
    stop(life.delete(i64::from(grace)), u64::from(grace), dice).removed()
}

/// The kubelet stops the step within the grace period, in seconds.
fn stop(life: Life, grace: u64, dice: &mut Dice) -> Life {
    let code = code_on_sigterm(dice);
    let life = life.after(dice.time(20, grace * 1000));
    let life = match dice.below(3) {
        0 => life.terminated(STEP, Terminated::exit(code)).after(dice.time(100, 1500)).finished(code),
        _ => life.finished(code),
    };
    life.after(dice.skewed_time(10, 3000))
}

pub(super) fn deleted(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    (delete(life, dice), gone(stopped(&[FailReason::PodDeleted], ShownBy::Anything)))
}

pub(super) fn deleted_afterwards(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let code = code(dice);
    let pause = |dice: &mut Dice| dice.skewed_time(20, 120_000);
    let life = if dice.chance(60) {
        // The pod has ended, so it is removed at once.
        ends(running(life, lone(), dice), code, dice).after(pause(dice)).delete(None)
    } else {
        // A sidecar still runs, and must be stopped.
        let life = running(life, pod("ci", "p", &[STEP, "istio-proxy"]), dice);
        let life = life.terminated(STEP, Terminated::exit(code)).after(pause(dice)).delete(30);
        life.after(dice.time(20, 30_000)).finished(code).after(dice.skewed_time(10, 3000)).removed()
    };
    (life, gone(exit(code)))
}

pub(super) fn force_deleted(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice).delete(0);
    // The kubelet cannot publish anything afterwards.
    let life = life.after(dice.time(10, 2000)).finished(0);
    (life, gone(stopped(&[FailReason::PodDeleted], ShownBy::Anything)))
}

/// The kubelet ends the pod, and publishes all in one write: records, phase, reason, condition.
pub(super) fn by_the_kubelet(life: Life, dice: &mut Dice, reason: &str, cause: FailReason) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    let code = code_on_sigterm(dice);
    let ended = Step::Finished { exit_code: code };
    let failed = Step::Failed { reason: reason.to_owned(), message: String::from("so it was") };
    let by = String::from("TerminationByKubelet");
    let condition = Step::DisruptionTarget { reason: by, message: String::new() };
    // If every process exits 0 on SIGTERM, the pod has Succeeded, and only the condition shows the cause.
    let (life, truth) = if code == 0 {
        (life.together([ended, condition]), stopped(&[FailReason::Disrupted], ShownBy::Cause))
    } else {
        (life.together([ended, failed, condition]), stopped(&[cause], ShownBy::Cause))
    };
    if dice.chance(70) {
        return (life, truth);
    }
    (life.after(dice.skewed_time(500, 60_000)).delete(None), gone(truth))
}

pub(super) fn disrupted(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let reason = dice.pick(&["EvictionByEvictionAPI", "PreemptionByScheduler", "DeletionByTaintManager"]);
    let life = running(life, lone(), dice).disruption_target(reason, "for a greater good");
    let life = life.after(dice.time(0, 60)).delete(30);
    (stop(life, 30, dice).removed(), gone(stopped(&[FailReason::Disrupted], ShownBy::Cause)))
}

pub(super) fn node_lost(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    let lost = json!({ "status": { "reason": "NodeLost", "message": "unresponsive" } });
    if dice.chance(30) {
        // The node returns, and the step was not affected.
        let life = life.merge(lost).after(dice.time(2000, 100_000));
        let life = work(life.merge(json!({ "status": { "reason": null, "message": null } })), dice);
        let code = code(dice);
        return (ends(life, code, dice), exit(code));
    }
    let reasons = [FailReason::NodeLost, FailReason::Disrupted, FailReason::PodDeleted];
    let truth = Truth { patience: Duration::from_secs(150), ..stopped(&reasons, ShownBy::Anything) };
    if dice.chance(40) {
        return (life.merge(lost), truth);
    }
    // As the taint manager does: there is no kubelet to stop the containers, so the pod remains until it is collected.
    let life = life.disruption_target("DeletionByTaintManager", "").after(dice.time(0, 60)).delete(30);
    (collect(life.after(dice.time(60_000, 500_000)), dice), gone(truth))
}

/// The pod garbage collector writes the condition, then deletes the pod.
fn collect(life: Life, dice: &mut Dice) -> Life {
    let failed = Step::Phase(String::from("Failed"));
    let reason = String::from("DeletionByPodGC");
    let condition = Step::DisruptionTarget { reason, message: String::from("node no longer exists") };
    life.together([failed, condition]).after(dice.time(0, 60)).delete(0)
}

pub(super) fn orphaned(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    (collect(life, dice), gone(stopped(&[FailReason::Disrupted], ShownBy::Cause)))
}

/// A namesake follows the first pod, and may succeed: its success must not count for the first pod.
pub(super) fn recreated(life: Life, dice: &mut Dice) -> Tale {
    let life = running(life, lone(), dice);
    let reasons = [FailReason::PodDeleted, FailReason::PodReplaced];
    let (life, truth) = match dice.below(3) {
        0 => (life.delete(0), stopped(&reasons, ShownBy::Anything)),
        1 => (delete(life, dice), stopped(&reasons, ShownBy::Anything)),
        _ => {
            let code = code(dice);
            let life = ends(life, code, dice).after(dice.skewed_time(20, 60_000));
            (life.delete(None), exit(code))
        }
    };
    let mut truth = gone(truth);
    truth.vague.push(FailReason::PodReplaced);
    let second = code(dice);
    let life = running(life.after(dice.skewed_time(20, 20_000)), lone(), dice);
    Tale { life: ends(life, second, dice), truth, successor: Some(exit(second)) }
}

pub(super) fn held(life: Life, dice: &mut Dice) -> (Life, Truth) {
    const FINALIZER: &str = "ci.example.com/hold";
    let mut pod = lone();
    pod["metadata"]["finalizers"] = json!([FINALIZER]);
    let life = running(life, pod, dice);
    let by_deletion = || gone(stopped(&[FailReason::PodDeleted], ShownBy::Anything));
    let (life, truth) = match dice.below(3) {
        0 => {
            let code = code(dice);
            (ends(life, code, dice).after(dice.skewed_time(20, 60_000)).delete(None), gone(exit(code)))
        }
        1 => (delete(life, dice), by_deletion()),
        // Deleted by force: the finalizer keeps the object, and the kubelet stops the containers.
        _ => (stop(life.delete(0), 5, dice), by_deletion()),
    };
    (life.after(dice.skewed_time(500, 200_000)).finalizer_removed(FINALIZER), truth)
}

pub(super) fn past_its_deadline(life: Life, dice: &mut Dice) -> (Life, Truth) {
    let life = running(life, lone(), dice);
    let ended = Step::Finished { exit_code: code_on_sigterm(dice) };
    let reason = String::from("DeadlineExceeded");
    let failed = Step::Failed { reason, message: String::from("Pod was active on the node too long") };
    (life.together([ended, failed]), stopped(&[FailReason::DeadlineExceeded], ShownBy::Cause))
}
