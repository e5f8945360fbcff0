//! An agent that embeds the machine without tokio and without kube: a blocking loop with an HTTP client of its own.
//!
//! ```console
//! $ kubectl proxy --port 8001 &
//! $ cargo run -p podwait-core --example blocking_agent -- 127.0.0.1:8001 ci step-1 step
//! ```

// The agent is not the core: it has a clock and sleeps.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use podwait_core::{
    ApiError, Container, ContainerState, ContainerStatus, Decision, Input, Instant, Phase, PodSnapshot,
    RestartPolicy, Terminated, Timestamp, WaitMachine,
};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

/// The longest sleep between two GETs: this agent has no watch that could wake it.
const POLL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, namespace, pod, container] = arguments.as_slice() else {
        eprintln!("usage: blocking_agent HOST:PORT NAMESPACE POD CONTAINER");
        return ExitCode::from(230);
    };
    match wait(server, namespace, pod, container) {
        Decision::Done(exit) => {
            println!("{exit}");
            u8::try_from(exit.code).unwrap_or(u8::MAX).into()
        }
        Decision::Fail(failure) => {
            println!("{failure}");
            ExitCode::from(220)
        }
        Decision::Retry { .. } => unreachable!("the loop goes on until there is a verdict"),
    }
}

/// The whole adapter: read the pod, pass the answer to the machine, follow its decision.
fn wait(server: &str, namespace: &str, pod: &str, container: &str) -> Decision {
    let mut machine = WaitMachine::new(Default::default()).container(container);
    let start = std::time::Instant::now();
    loop {
        let answer = get(server, &format!("/api/v1/namespaces/{namespace}/pods/{pod}"));
        let now = Instant::ZERO.after(start.elapsed());
        let decision = match &answer {
            Ok((200, body)) => match snapshot(body) {
                Some(snapshot) => machine.handle(now, Input::Read(&snapshot)),
                None => machine.handle(now, api_error(0, false, "the answer is no pod")),
            },
            // Only a Status about this pod says that it does not exist; a proxy's 404 does not.
            Ok((404, body)) if body["reason"] == "NotFound" && body["details"]["name"] == pod => {
                machine.handle(now, Input::NotFound)
            }
            Ok((code, body)) => {
                let is_status = body["kind"] == "Status";
                let message = body["message"].as_str().unwrap_or_default();
                machine.handle(now, api_error(*code, is_status, message))
            }
            Err(error) => machine.handle(now, api_error(0, false, &error.to_string())),
        };
        match decision {
            Decision::Retry { after, .. } => std::thread::sleep(after.min(POLL)),
            Decision::Done(_) | Decision::Fail(_) => return decision,
        }
    }
}

fn api_error(code: u16, is_status: bool, message: &str) -> Input<'_> {
    Input::ApiError(ApiError { code, is_status, retry_after: None, message })
}

/// A GET over HTTP/1.0: the answer ends with the connection.
fn get(server: &str, path: &str) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\nAccept: application/json\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((code, serde_json::from_str(body).unwrap_or_default()))
}

/// The facts that this agent's pods can show. `podwait::decode` reads every field that the rules use; pods with restart
/// rules, init containers or sidecars need those fields as well.
fn snapshot(pod: &Value) -> Option<PodSnapshot> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    Some(PodSnapshot {
        uid: metadata["uid"].as_str()?.to_owned(),
        resource_version: text(&metadata["resourceVersion"]),
        generation: metadata["generation"].as_i64().unwrap_or(0),
        deletion_timestamp: metadata["deletionTimestamp"].as_str().map(|_| Timestamp(0)),
        deletion_grace_period_seconds: metadata["deletionGracePeriodSeconds"].as_i64(),
        restart_policy: RestartPolicy::parse(&text(&spec["restartPolicy"])).unwrap_or_default(),
        containers: list(&spec["containers"])
            .iter()
            .map(|container| Container { name: text(&container["name"]), ..Default::default() })
            .collect(),
        observed_generation: status["observedGeneration"].as_i64().unwrap_or(0),
        phase: Phase::parse(&text(&status["phase"])),
        reason: text(&status["reason"]),
        message: text(&status["message"]),
        container_statuses: list(&status["containerStatuses"]).iter().map(container_status).collect(),
        ..Default::default()
    })
}

fn container_status(status: &Value) -> ContainerStatus {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let state = &status["state"];
    let code = state["terminated"]["exitCode"].as_i64().and_then(|code| i32::try_from(code).ok());
    ContainerStatus {
        name: text(&status["name"]),
        state: match code {
            Some(exit_code) => Some(ContainerState::Terminated(Terminated {
                exit_code,
                reason: text(&state["terminated"]["reason"]),
                // Without times, an end that is seen with a deletion counts as caused by the deletion: doubt is never
                // green.
                ..Default::default()
            })),
            None if state["running"].is_object() => Some(ContainerState::Running),
            None if state["waiting"].is_object() => Some(ContainerState::Waiting {
                reason: text(&state["waiting"]["reason"]),
                message: text(&state["waiting"]["message"]),
            }),
            None => None,
        },
        ..Default::default()
    }
}
