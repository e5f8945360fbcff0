//! `core/v1.Pod` with its `ObjectMeta` and `PodStatus`.

use super::condition::ConditionView;
use super::fields::{Field, Fields, Result};
use super::metadata::Metadata;
use super::spec;
use super::status::container_statuses;
use crate::error::{DecodeError, Within};
use crate::pod::{Owner, Pod};
use alloc::borrow::ToOwned;
use podwait_core::{Phase, PodSnapshot};

/// Reads a pod's message without an envelope, as in a `PodList`.
pub(crate) fn pod(message: &[u8]) -> core::result::Result<Pod, DecodeError> {
    let mut pod = Pod::default();
    Fields(message).each(|seen, field| match field.number {
        1 => seen.message(field, |fields| metadata(fields, &mut pod)).within("metadata"),
        2 => seen.message(field, |fields| spec::spec(fields, &mut pod.snapshot)).within("spec"),
        3 => seen.message(field, |fields| status(fields, &mut pod.snapshot)).within("status"),
        _ => Ok(()),
    })?;
    pod.identified()
}

fn metadata(fields: Fields<'_>, pod: &mut Pod) -> Result<()> {
    let Pod { namespace, name, owner, snapshot } = pod;
    let PodSnapshot { uid, resource_version, generation, deletion_timestamp, .. } = snapshot;
    let grace = &mut snapshot.deletion_grace_period_seconds;
    let mut owners = 0..;
    let common = Metadata { namespace, name, uid, resource_version, generation, deletion_timestamp };
    common.read(fields, |seen, field| match field.number {
        10 => seen.integer(field, grace.insert(0)).within("deletionGracePeriodSeconds"),
        13 => {
            let read = field.message().and_then(owner_reference);
            let read = read.element(owners.next().unwrap_or_default()).within("ownerReferences")?;
            *owner = owner.take().or(read);
            Ok(())
        }
        _ => Ok(()),
    })
}

/// An `OwnerReference`, if it is that of the controller.
fn owner_reference(fields: Fields<'_>) -> Result<Option<Owner>> {
    let (mut kind, mut name, mut uid, mut is_controller) = ("", "", "", false);
    fields.each(|seen, field| match field.number {
        1 => seen.str(field, &mut kind).within("kind"),
        3 => seen.str(field, &mut name).within("name"),
        4 => seen.str(field, &mut uid).within("uid"),
        6 => seen.boolean(field, &mut is_controller).within("controller"),
        _ => Ok(()),
    })?;
    let [kind, name, uid] = [kind, name, uid].map(ToOwned::to_owned);
    Ok(is_controller.then_some(Owner { kind, name, uid }))
}

fn status(fields: Fields<'_>, snapshot: &mut PodSnapshot) -> Result<()> {
    let mut conditions = 0..;
    fields.each(|seen, field| match field.number {
        17 => seen.integer(field, &mut snapshot.observed_generation).within("observedGeneration"),
        1 => {
            let phase = seen.once(field).and_then(Field::text).within("phase")?;
            snapshot.phase = Phase::parse(phase);
            Ok(())
        }
        2 => {
            let read = field.message().and_then(|fields| condition(fields, snapshot));
            read.element(conditions.next().unwrap_or_default()).within("conditions")
        }
        3 => seen.text(field, &mut snapshot.message).within("message"),
        4 => seen.text(field, &mut snapshot.reason).within("reason"),
        8 => container_statuses(field, &mut snapshot.container_statuses, "containerStatuses"),
        10 => container_statuses(field, &mut snapshot.init_container_statuses, "initContainerStatuses"),
        13 => container_statuses(
            field,
            &mut snapshot.ephemeral_container_statuses,
            "ephemeralContainerStatuses",
        ),
        _ => Ok(()),
    })
}

/// Keeps a condition if it is the first one of a type that the rules read.
fn condition(fields: Fields<'_>, snapshot: &mut PodSnapshot) -> Result<()> {
    let read = ConditionView::read(fields)?;
    let slot = match read.kind {
        "DisruptionTarget" => &mut snapshot.disruption_target,
        "PodScheduled" => &mut snapshot.pod_scheduled,
        _ => return Ok(()),
    };
    slot.get_or_insert_with(|| read.condition());
    Ok(())
}
