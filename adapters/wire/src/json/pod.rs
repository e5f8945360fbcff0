//! A pod.

use super::spec::Spec;
use super::status::Status;
use super::values::{Object, Text, Time};
use crate::error::DecodeError;
use crate::kind::Kind;
use crate::pod::{Owner, Pod};
use alloc::vec::Vec;
use podwait_core::{Phase, PodSnapshot, RestartPolicy};
use serde::Deserialize;

/// Reads a pod from all of a text.
pub(crate) fn pod(json: &[u8]) -> Result<Pod, DecodeError> {
    super::read::<Object<PodView<'_>>>(json)?.0.pod()
}

/// A pod's JSON, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodView<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    kind: Text<'a>,
    metadata: Option<Object<Metadata<'a>>>,
    spec: Option<Object<Spec<'a>>>,
    status: Option<Object<Status<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) namespace: Text<'a>,
    pub(super) uid: Text<'a>,
    pub(super) resource_version: Text<'a>,
    pub(super) generation: Option<i64>,
    pub(super) deletion_timestamp: Time,
    deletion_grace_period_seconds: Option<i64>,
    owner_references: Option<Vec<Object<OwnerView<'a>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnerView<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    name: Text<'a>,
    uid: Text<'a>,
    controller: Option<bool>,
}

fn owner(views: Option<Vec<Object<OwnerView<'_>>>>) -> Option<Owner> {
    let mut views = views?.into_iter().map(|Object(view)| view);
    let owner = views.find(|view| view.controller == Some(true))?;
    let [kind, name, uid] = [owner.kind, owner.name, owner.uid].map(Text::into_owned);
    Some(Owner { kind, name, uid })
}

impl PodView<'_> {
    /// The pod, if it is one.
    pub(super) fn pod(self) -> Result<Pod, DecodeError> {
        DecodeError::check_kind(Kind::POD, &self.kind.0, &self.api_version.0)?;
        let metadata = self.metadata.unwrap_or_default().0;
        let spec = self.spec.unwrap_or_default().0;
        let status = self.status.unwrap_or_default().0;
        let (disruption_target, pod_scheduled) = status.conditions();
        let snapshot = PodSnapshot {
            uid: metadata.uid.into_owned(),
            resource_version: metadata.resource_version.into_owned(),
            generation: metadata.generation.unwrap_or_default(),
            deletion_timestamp: metadata.deletion_timestamp.0,
            deletion_grace_period_seconds: metadata.deletion_grace_period_seconds,
            restart_policy: RestartPolicy::parse(&spec.restart_policy.0).unwrap_or_default(),
            termination_grace_period_seconds: spec.termination_grace_period_seconds,
            is_scheduling_gated: spec.scheduling_gates.is_some_and(|gates| !gates.is_empty()),
            containers: super::spec::containers(spec.containers),
            init_containers: super::spec::containers(spec.init_containers),
            ephemeral_containers: super::spec::containers(spec.ephemeral_containers),
            observed_generation: status.observed_generation.unwrap_or_default(),
            phase: Phase::parse(&status.phase.0),
            reason: status.reason.into_owned(),
            message: status.message.into_owned(),
            disruption_target,
            pod_scheduled,
            container_statuses: super::status::statuses(status.container_statuses),
            init_container_statuses: super::status::statuses(status.init_container_statuses),
            ephemeral_container_statuses: super::status::statuses(status.ephemeral_container_statuses),
        };
        let (namespace, name) = (metadata.namespace.into_owned(), metadata.name.into_owned());
        Pod { namespace, name, owner: owner(metadata.owner_references), snapshot }.identified()
    }
}
