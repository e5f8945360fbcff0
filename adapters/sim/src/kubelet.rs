//! The statuses that a kubelet writes, as a real one writes them. Each function changes a pod in place; the caller
//! writes it once.

use serde_json::{Value, json};

use crate::conditions::{self, set_condition};
use crate::store::text;

/// How a container ended, as the kubelet reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminated {
    /// The container's exit code; 128+n after signal n, by convention of the runtimes.
    pub exit_code: i32,
    /// `Completed`, `Error` or `OOMKilled`, for example.
    pub reason: String,
    /// Empty if there is none.
    pub message: String,
    /// Made up by the kubelet without the runtime: without a containerID and without times.
    pub synthetic: bool,
}

impl Terminated {
    /// The process ended by itself.
    pub fn exit(code: i32) -> Self {
        Self::because(code, if code == 0 { "Completed" } else { "Error" })
    }

    /// Killed for memory.
    pub fn oom_killed() -> Self {
        Self::because(137, "OOMKilled")
    }

    /// The runtime no longer knows the container: the kubelet has made up the code.
    pub fn unknown() -> Self {
        Self {
            message: "The container could not be located when the pod was terminated".to_owned(),
            synthetic: true,
            ..Self::because(137, "ContainerStatusUnknown")
        }
    }

    /// Any other pair of code and reason.
    pub fn because(exit_code: i32, reason: &str) -> Self {
        Self { exit_code, reason: reason.to_owned(), message: String::new(), synthetic: false }
    }
}

/// The kubelet has seen the pod and waits for its containers. Does nothing the second time.
pub(crate) fn containers_creating(pod: &mut Value, now: &str) {
    if pod["status"]["containerStatuses"].is_array() {
        return;
    }
    set_start_time(pod, now);
    pod["status"]["hostIP"] = json!("192.0.2.10");
    pod["status"]["hostIPs"] = json!([{ "ip": "192.0.2.10" }]);
    let has_init = !containers(pod, "initContainers").is_empty();
    let reason = if has_init { "PodInitializing" } else { "ContainerCreating" };
    if has_init {
        pod["status"]["initContainerStatuses"] = waiting_statuses(pod, "initContainers", reason);
    }
    pod["status"]["containerStatuses"] = waiting_statuses(pod, "containers", reason);
}

/// One container waits. If an attempt has ended, its state becomes lastState.
pub(crate) fn waiting(pod: &mut Value, container: &str, reason: &str, message: &str, now: &str) {
    containers_creating(pod, now);
    if let Some(status) = status_of(pod, container) {
        remember_last_attempt(status);
        let mut waiting = json!({ "reason": reason });
        if !message.is_empty() {
            waiting["message"] = json!(message);
        }
        set_state(status, json!({ "waiting": waiting }));
    }
}

/// One container runs: for the first time, or again after an attempt that has ended.
pub(crate) fn started(pod: &mut Value, container: &str, now: &str) {
    containers_creating(pod, now);
    let uid = text(pod, "/metadata/uid").to_owned();
    if let Some(status) = status_of(pod, container)
        && status["state"]["running"].is_null()
    {
        remember_last_attempt(status);
        if !status["lastState"]["terminated"].is_null() {
            status["restartCount"] = json!(status["restartCount"].as_u64().unwrap_or(0) + 1);
        }
        status["containerID"] = json!(container_id(&uid, container, &status["restartCount"]));
        set_state(status, json!({ "running": { "startedAt": now } }));
    }
    pod["status"]["podIP"] = json!("10.244.0.7");
    pod["status"]["podIPs"] = json!([{ "ip": "10.244.0.7" }]);
    if !any_container(pod, "waiting") {
        pod["status"]["phase"] = json!("Running");
    }
}

/// All containers run, after all init containers have completed (sidecars among them continue to run).
pub(crate) fn running(pod: &mut Value, now: &str) {
    for init in containers(pod, "initContainers") {
        started(pod, text(&init, "/name"), now);
        if text(&init, "/restartPolicy") != "Always" {
            terminated(pod, text(&init, "/name"), &Terminated::exit(0), now);
        }
    }
    for container in containers(pod, "containers") {
        started(pod, text(&container, "/name"), now);
    }
}

/// One container has ended. The phase is unchanged: the kubelet writes it separately.
pub(crate) fn terminated(pod: &mut Value, container: &str, how: &Terminated, now: &str) {
    containers_creating(pod, now);
    let uid = text(pod, "/metadata/uid").to_owned();
    let Some(status) = status_of(pod, container) else { return };
    let mut terminated = json!({ "exitCode": how.exit_code, "reason": how.reason });
    if !how.message.is_empty() {
        terminated["message"] = json!(how.message);
    }
    if how.synthetic {
        terminated["startedAt"] = Value::Null;
        terminated["finishedAt"] = Value::Null;
    } else {
        let started_at = status["state"]["running"]["startedAt"].as_str().unwrap_or(now);
        terminated["startedAt"] = json!(started_at);
        terminated["finishedAt"] = json!(now);
        let id = json!(container_id(&uid, container, &status["restartCount"]));
        terminated["containerID"] = id.clone();
        status["containerID"] = id;
    }
    set_state(status, json!({ "terminated": terminated }));
}

/// One container has ended and runs again, between two status updates of the kubelet.
pub(crate) fn restarted(pod: &mut Value, container: &str, now: &str) {
    if status_of(pod, container).is_some_and(|status| status["state"]["running"].is_object()) {
        terminated(pod, container, &Terminated::exit(1), now);
    }
    started(pod, container, now);
}

/// Ends all containers that have not ended yet, also sidecars: the first container of the spec with `exit_code`, the
/// others with 0. Sets the phase that follows.
pub(crate) fn finished(pod: &mut Value, exit_code: i32, now: &str) {
    containers_creating(pod, now);
    let mut code = exit_code;
    for container in containers(pod, "containers").iter().chain(&containers(pod, "initContainers")) {
        let name = text(container, "/name");
        if status_of(pod, name).is_some_and(|status| status["state"]["terminated"].is_null()) {
            terminated(pod, name, &Terminated::exit(code), now);
        }
        code = 0;
    }
    let failed =
        statuses(pod, "containerStatuses").any(|status| status["state"]["terminated"]["exitCode"] != 0);
    pod["status"]["phase"] = json!(if failed { "Failed" } else { "Succeeded" });
}

/// The pod fails as a whole (Evicted, OutOfcpu, ...): no container gets a record.
pub(crate) fn failed(pod: &mut Value, reason: &str, message: &str, now: &str) {
    set_start_time(pod, now);
    pod["status"]["phase"] = json!("Failed");
    pod["status"]["reason"] = json!(reason);
    pod["status"]["message"] = json!(message);
}

/// The last part of every status update of the kubelet.
pub(crate) fn settle(pod: &mut Value, now: &str) {
    // By name, not in the order of the spec: "istio-proxy" comes before "step".
    if let Some(statuses) = pod.pointer_mut("/status/containerStatuses").and_then(Value::as_array_mut) {
        statuses.sort_by(|a, b| text(a, "/name").cmp(text(b, "/name")));
        conditions::refresh(pod, now);
    }
    pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
}

/// The scheduler binds the pod.
pub(crate) fn scheduled(pod: &mut Value, node: &str, now: &str) {
    pod["spec"]["nodeName"] = json!(node);
    set_condition(pod, "PodScheduled", true, "", "", now);
}

/// The containers of one list in the spec.
pub(crate) fn containers(pod: &Value, list: &str) -> Vec<Value> {
    pod["spec"][list].as_array().cloned().unwrap_or_default()
}

/// The entries of one list in the status.
pub(crate) fn statuses<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    pod["status"][list].as_array().into_iter().flatten()
}

fn waiting_statuses(pod: &Value, list: &str, reason: &str) -> Value {
    let statuses = containers(pod, list).into_iter().map(|container| {
        json!({
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": false,
            "started": false,
            "restartCount": 0,
            "state": { "waiting": { "reason": reason } },
            "lastState": {},
        })
    });
    statuses.collect()
}

fn status_of<'a>(pod: &'a mut Value, container: &str) -> Option<&'a mut Value> {
    let status = pod["status"].as_object_mut()?;
    let lists = status.iter_mut().filter(|(list, _)| list.ends_with("ontainerStatuses"));
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .find(|status| text(status, "/name") == container)
}

fn set_state(status: &mut Value, state: Value) {
    let running = state["running"].is_object();
    status["state"] = state;
    status["ready"] = json!(running);
    status["started"] = json!(running);
}

fn remember_last_attempt(status: &mut Value) {
    if status["state"]["terminated"].is_object() {
        status["lastState"] = status["state"].clone();
    }
}

fn any_container(pod: &Value, state: &str) -> bool {
    statuses(pod, "containerStatuses").any(|status| status["state"][state].is_object())
}

fn set_start_time(pod: &mut Value, now: &str) {
    if pod["status"]["startTime"].is_null() {
        pod["status"]["startTime"] = json!(now);
    }
}

/// The id of one attempt of one container: the same in every execution (FNV-1a).
fn container_id(uid: &str, container: &str, attempt: &Value) -> String {
    let bytes = format!("{uid}/{container}/{attempt}").into_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("containerd://{hash:016x}{:016x}{:016x}{:016x}", !hash, hash.rotate_left(32), hash.swap_bytes())
}
