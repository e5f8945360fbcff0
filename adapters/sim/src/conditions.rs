//! The conditions of a pod, as they follow from its containers and its phase.

use serde_json::{Value, json};

use crate::kubelet::{containers, statuses};
use crate::store::text;

/// Recomputes the conditions that the kubelet owns.
pub(crate) fn refresh(pod: &mut Value, now: &str) {
    let phase = text(pod, "/status/phase").to_owned();
    let sandbox = !pod["status"]["podIP"].is_null() && !matches!(phase.as_str(), "Succeeded" | "Failed");
    set_condition(pod, "PodReadyToStartContainers", sandbox, "", "", now);

    let incomplete = incomplete_init_containers(pod);
    let (reason, message) = match (phase.as_str(), incomplete.is_empty()) {
        (_, false) => (
            "ContainersNotInitialized",
            format!("containers with incomplete status: [{}]", incomplete.join(" ")),
        ),
        ("Succeeded", true) => ("PodCompleted", String::new()),
        _ => ("", String::new()),
    };
    set_condition(pod, "Initialized", incomplete.is_empty(), reason, &message, now);

    let unready = unready_containers(pod);
    let (ready, reason, message) = match phase.as_str() {
        "Succeeded" => (false, "PodCompleted", String::new()),
        "Failed" => (false, "PodFailed", String::new()),
        _ if unready.is_empty() => (true, "", String::new()),
        _ => {
            (false, "ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
        }
    };
    set_condition(pod, "Ready", ready, reason, &message, now);
    set_condition(pod, "ContainersReady", ready, reason, &message, now);
}

/// Sets one condition; lastTransitionTime moves only when the status does.
pub(crate) fn set_condition(
    pod: &mut Value,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: &str,
) {
    let status = if holds { "True" } else { "False" };
    let mut condition = json!({
        "type": kind,
        "status": status,
        "lastProbeTime": null,
        "lastTransitionTime": now,
        "observedGeneration": pod["metadata"]["generation"],
    });
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[field] = json!(text);
        }
    }
    if pod["status"]["conditions"].is_null() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|old| text(old, "/type") == kind) {
        Some(old) => {
            if text(old, "/status") == status {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

fn incomplete_init_containers(pod: &Value) -> Vec<String> {
    let sidecars = containers(pod, "initContainers");
    let is_sidecar = |name: &str| {
        sidecars.iter().any(|c| text(c, "/name") == name && text(c, "/restartPolicy") == "Always")
    };
    let incomplete = statuses(pod, "initContainerStatuses").filter(|status| {
        let completed = status["state"]["terminated"]["exitCode"] == 0;
        let started = is_sidecar(text(status, "/name")) && status["started"] == true;
        !completed && !started
    });
    incomplete.map(|status| text(status, "/name").to_owned()).collect()
}

fn unready_containers(pod: &Value) -> Vec<String> {
    let unready = statuses(pod, "containerStatuses").filter(|status| status["ready"] != true);
    unready.map(|status| text(status, "/name").to_owned()).collect()
}
