//! The typed pod of k8s-openapi, which kube's reflectors and controllers use.

use crate::pod::{Owner, Pod};
use alloc::string::String;
use alloc::vec::Vec;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use podwait_core::{
    Condition, Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartPolicy, Terminated,
    Timestamp,
};

/// Decides nothing, and checks nothing: a missing name or uid becomes empty, and a missing `exitCode` of a terminated
/// record becomes 0, as k8s-openapi reads it. An API server writes all of these fields; if the pod has another source,
/// read its bytes with [`pod`](crate::pod()). Fields that are newer than the chosen version of Kubernetes are lost:
/// restart rules need 1.34.
impl From<&api::Pod> for Pod {
    fn from(pod: &api::Pod) -> Self {
        let api::Pod { metadata, spec, status } = pod;
        let (spec, status) = (spec.as_ref(), status.as_ref());
        let condition = |name: &str| {
            let mut all = status?.conditions.iter().flatten();
            all.find(|condition| condition.type_ == name).map(|condition| Condition {
                is_true: condition.status == "True",
                reason: text(&condition.reason),
                message: text(&condition.message),
                last_transition_time: time(condition.last_transition_time.as_ref()),
            })
        };
        let statuses = |of: fn(&api::PodStatus) -> &Option<Vec<api::ContainerStatus>>| {
            status
                .and_then(|status| of(status).as_ref())
                .into_iter()
                .flatten()
                .map(container_status)
                .collect()
        };
        let snapshot = PodSnapshot {
            uid: text(&metadata.uid),
            resource_version: text(&metadata.resource_version),
            generation: metadata.generation.unwrap_or_default(),
            deletion_timestamp: time(metadata.deletion_timestamp.as_ref()),
            deletion_grace_period_seconds: metadata.deletion_grace_period_seconds,
            restart_policy: policy(spec.and_then(|spec| spec.restart_policy.as_ref())).unwrap_or_default(),
            termination_grace_period_seconds: spec.and_then(|spec| spec.termination_grace_period_seconds),
            is_scheduling_gated: spec
                .and_then(|spec| spec.scheduling_gates.as_ref())
                .is_some_and(|gates| !gates.is_empty()),
            containers: spec.map(|spec| spec.containers.iter().map(container).collect()).unwrap_or_default(),
            init_containers: spec
                .map(|spec| spec.init_containers.iter().flatten().map(container).collect())
                .unwrap_or_default(),
            ephemeral_containers: spec
                .map(|spec| spec.ephemeral_containers.iter().flatten().map(ephemeral_container).collect())
                .unwrap_or_default(),
            observed_generation: status.and_then(|status| status.observed_generation).unwrap_or_default(),
            phase: Phase::parse(status.and_then(|status| status.phase.as_deref()).unwrap_or_default()),
            reason: status.map(|status| text(&status.reason)).unwrap_or_default(),
            message: status.map(|status| text(&status.message)).unwrap_or_default(),
            disruption_target: condition("DisruptionTarget"),
            pod_scheduled: condition("PodScheduled"),
            container_statuses: statuses(|status| &status.container_statuses),
            init_container_statuses: statuses(|status| &status.init_container_statuses),
            ephemeral_container_statuses: statuses(|status| &status.ephemeral_container_statuses),
        };
        let mut owners = metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true)).map(|owner| Owner {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        });
        Self { namespace: text(&metadata.namespace), name: text(&metadata.name), owner, snapshot }
    }
}

fn text(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

fn time(time: Option<&Time>) -> Option<Timestamp> {
    time.map(|time| Timestamp(time.0.as_second()))
}

fn policy(name: Option<&String>) -> Option<RestartPolicy> {
    RestartPolicy::parse(name?)
}

fn container(container: &api::Container) -> Container {
    let read = Container {
        name: container.name.clone(),
        restart_policy: policy(container.restart_policy.as_ref()),
        restart_policy_rules: Vec::new(),
    };
    k8s_openapi::k8s_if_ge_1_34! {
        let rules = restart_rules(container.restart_policy_rules.as_ref());
        let read = Container { restart_policy_rules: rules, ..read };
    }
    read
}

fn ephemeral_container(container: &api::EphemeralContainer) -> Container {
    let read = Container {
        name: container.name.clone(),
        restart_policy: policy(container.restart_policy.as_ref()),
        restart_policy_rules: Vec::new(),
    };
    k8s_openapi::k8s_if_ge_1_34! {
        let rules = restart_rules(container.restart_policy_rules.as_ref());
        let read = Container { restart_policy_rules: rules, ..read };
    }
    read
}

k8s_openapi::k8s_if_ge_1_34! {
    fn restart_rules(rules: Option<&Vec<api::ContainerRestartRule>>) -> Vec<podwait_core::RestartRule> {
        let rule = |rule: &api::ContainerRestartRule| {
            let codes = rule.exit_codes.as_ref();
            podwait_core::RestartRule {
                action: crate::protobuf::spec::action(&rule.action),
                negated: codes.is_some_and(|codes| codes.operator == "NotIn"),
                exit_codes: codes.and_then(|codes| codes.values.clone()).unwrap_or_default(),
            }
        };
        rules.into_iter().flatten().map(rule).collect()
    }
}

fn container_status(status: &api::ContainerStatus) -> ContainerStatus {
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    ContainerStatus {
        name: status.name.clone(),
        restart_count: status.restart_count,
        container_id: text(&status.container_id),
        state: status.state.as_ref().and_then(state),
        last_terminated: last.map(terminated),
    }
}

/// If several are set (a defect of some providers), the one with the most information counts.
fn state(state: &api::ContainerState) -> Option<ContainerState> {
    if let Some(record) = &state.terminated {
        return Some(ContainerState::Terminated(terminated(record)));
    }
    if state.running.is_some() {
        return Some(ContainerState::Running);
    }
    let waiting = state.waiting.as_ref()?;
    Some(ContainerState::Waiting { reason: text(&waiting.reason), message: text(&waiting.message) })
}

fn terminated(record: &api::ContainerStateTerminated) -> Terminated {
    Terminated {
        exit_code: record.exit_code,
        reason: text(&record.reason),
        message: text(&record.message),
        started_at: time(record.started_at.as_ref()),
        finished_at: time(record.finished_at.as_ref()),
        container_id: text(&record.container_id),
    }
}
