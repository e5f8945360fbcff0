//! `core/v1.PodSpec` and its containers.

use super::fields::{Field, Fields, Result};
use crate::error::Within;
use alloc::vec::Vec;
use podwait_core::{Container, PodSnapshot, RestartAction, RestartPolicy, RestartRule};

pub(super) fn spec(fields: Fields<'_>, snapshot: &mut PodSnapshot) -> Result<()> {
    fields.each(|seen, field| match field.number {
        2 => containers(field, &mut snapshot.containers, container).within("containers"),
        3 => {
            let policy = seen.once(field).and_then(Field::text).within("restartPolicy")?;
            snapshot.restart_policy = RestartPolicy::parse(policy).unwrap_or_default();
            Ok(())
        }
        4 => {
            let seconds = snapshot.termination_grace_period_seconds.insert(0);
            seen.integer(field, seconds).within("terminationGracePeriodSeconds")
        }
        20 => containers(field, &mut snapshot.init_containers, container).within("initContainers"),
        34 => containers(field, &mut snapshot.ephemeral_containers, ephemeral).within("ephemeralContainers"),
        38 => {
            snapshot.is_scheduling_gated = true;
            field.bytes().map(drop).within("schedulingGates")
        }
        _ => Ok(()),
    })
}

fn containers<'a>(
    field: Field<'a>,
    list: &mut Vec<Container>,
    read: impl FnOnce(Fields<'a>, &mut Container) -> Result<()>,
) -> Result<()> {
    let mut container = Container::default();
    field.message().and_then(|fields| read(fields, &mut container)).element(list.len())?;
    list.push(container);
    Ok(())
}

fn container(fields: Fields<'_>, container: &mut Container) -> Result<()> {
    fields.each(|seen, field| match field.number {
        1 => seen.text(field, &mut container.name).within("name"),
        24 => {
            let policy = seen.once(field).and_then(Field::text).within("restartPolicy")?;
            container.restart_policy = RestartPolicy::parse(policy);
            Ok(())
        }
        25 => {
            let rules = &mut container.restart_policy_rules;
            let rule = field.message().and_then(restart_rule).element(rules.len());
            rules.push(rule.within("restartPolicyRules")?);
            Ok(())
        }
        _ => Ok(()),
    })
}

/// An `EphemeralContainer` has the common fields of containers in a nested message.
fn ephemeral(fields: Fields<'_>, into: &mut Container) -> Result<()> {
    fields.each(|seen, field| match field.number {
        1 => seen.message(field, |common| container(common, into)),
        _ => Ok(()),
    })
}

fn restart_rule(fields: Fields<'_>) -> Result<RestartRule> {
    let mut rule =
        RestartRule { action: RestartAction::Unrecognized, negated: false, exit_codes: Vec::new() };
    fields.each(|seen, field| match field.number {
        1 => {
            rule.action = action(seen.once(field).and_then(Field::text).within("action")?);
            Ok(())
        }
        2 => seen.message(field, |codes| exit_codes(codes, &mut rule)).within("exitCodes"),
        _ => Ok(()),
    })?;
    Ok(rule)
}

fn exit_codes(fields: Fields<'_>, rule: &mut RestartRule) -> Result<()> {
    fields.each(|seen, field| match field.number {
        1 => {
            rule.negated = seen.once(field).and_then(Field::text).within("operator")? == "NotIn";
            Ok(())
        }
        2 => field.int32s(&mut rule.exit_codes).within("values"),
        _ => Ok(()),
    })
}

/// The action of a restart rule, by its name.
pub(crate) fn action(name: &str) -> RestartAction {
    match name {
        "Restart" => RestartAction::Restart,
        "RestartAllContainers" => RestartAction::RestartAllContainers,
        _ => RestartAction::Unrecognized,
    }
}
