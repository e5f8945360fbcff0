//! `core/v1.ContainerStatus`.

use super::fields::{Field, Fields, Result};
use crate::error::{FieldError, Within};
use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use podwait_core::{ContainerState, ContainerStatus, Terminated};

pub(super) fn container_statuses(
    field: Field<'_>,
    list: &mut Vec<ContainerStatus>,
    name: &'static str,
) -> Result<()> {
    let status = field.message().and_then(container_status).element(list.len()).within(name)?;
    list.push(status);
    Ok(())
}

fn container_status(fields: Fields<'_>) -> Result<ContainerStatus> {
    let mut status = ContainerStatus::default();
    fields.each(|seen, field| match field.number {
        1 => seen.text(field, &mut status.name).within("name"),
        2 => {
            let read = seen.once(field).and_then(Field::message).and_then(State::read).within("state")?;
            status.state = read.into_state();
            Ok(())
        }
        3 => {
            let read = seen.once(field).and_then(Field::message).and_then(State::read).within("lastState")?;
            status.last_terminated = read.terminated;
            Ok(())
        }
        5 => seen.int32(field, &mut status.restart_count).within("restartCount"),
        8 => seen.text(field, &mut status.container_id).within("containerID"),
        _ => Ok(()),
    })?;
    Ok(status)
}

/// `core/v1.ContainerState`
#[derive(Default)]
struct State<'a> {
    /// Reason and message.
    waiting: Option<(&'a str, &'a str)>,
    is_running: bool,
    terminated: Option<Terminated>,
}

impl<'a> State<'a> {
    fn read(fields: Fields<'a>) -> Result<Self> {
        let mut read = Self::default();
        fields.each(|seen, field| match field.number {
            1 => {
                let (reason, message) = read.waiting.insert(("", ""));
                let waiting = |fields: Fields<'a>| {
                    fields.each(|seen, field| match field.number {
                        1 => seen.str(field, reason).within("reason"),
                        2 => seen.str(field, message).within("message"),
                        _ => Ok(()),
                    })
                };
                seen.message(field, waiting).within("waiting")
            }
            2 => {
                read.is_running = true;
                seen.message(field, |_| Ok(())).within("running")
            }
            3 => {
                let record =
                    seen.once(field).and_then(Field::message).and_then(terminated).within("terminated")?;
                read.terminated = Some(record);
                Ok(())
            }
            _ => Ok(()),
        })?;
        Ok(read)
    }

    /// If several are set (a defect of some providers), the one with the most information counts.
    fn into_state(self) -> Option<ContainerState> {
        if let Some(record) = self.terminated {
            return Some(ContainerState::Terminated(record));
        }
        if self.is_running {
            return Some(ContainerState::Running);
        }
        let (reason, message) = self.waiting?;
        Some(ContainerState::Waiting { reason: reason.to_owned(), message: message.to_owned() })
    }
}

/// The API server always writes `exitCode`, 0 included (`MarshalToSizedBuffer` of `ContainerStateTerminated`), so a
/// record without it is damaged.
fn terminated(fields: Fields<'_>) -> Result<Terminated> {
    let mut record = Terminated::default();
    let mut exit_code = None;
    fields.each(|seen, field| match field.number {
        1 => seen.int32(field, exit_code.insert(0)).within("exitCode"),
        3 => seen.text(field, &mut record.reason).within("reason"),
        4 => seen.text(field, &mut record.message).within("message"),
        5 => seen.time(field, &mut record.started_at).within("startedAt"),
        6 => seen.time(field, &mut record.finished_at).within("finishedAt"),
        7 => seen.text(field, &mut record.container_id).within("containerID"),
        _ => Ok(()),
    })?;
    record.exit_code = exit_code.ok_or_else(|| FieldError::new("has no exitCode"))?;
    Ok(record)
}
