//! `core/v1.PodCondition` and `batch/v1.JobCondition`, whose fields have the same numbers.

use super::fields::{Fields, Result};
use crate::error::Within;
use alloc::borrow::ToOwned;
use podwait_core::{Condition, Timestamp};

/// A condition that may not be needed.
#[derive(Default)]
pub(super) struct ConditionView<'a> {
    /// `type`
    pub(super) kind: &'a str,
    status: &'a str,
    reason: &'a str,
    message: &'a str,
    last_transition_time: Option<Timestamp>,
}

impl<'a> ConditionView<'a> {
    pub(super) fn read(fields: Fields<'a>) -> Result<Self> {
        let mut read = Self::default();
        fields.each(|seen, field| match field.number {
            1 => seen.str(field, &mut read.kind).within("type"),
            2 => seen.str(field, &mut read.status).within("status"),
            4 => seen.time(field, &mut read.last_transition_time).within("lastTransitionTime"),
            5 => seen.str(field, &mut read.reason).within("reason"),
            6 => seen.str(field, &mut read.message).within("message"),
            _ => Ok(()),
        })?;
        Ok(read)
    }

    pub(super) fn condition(&self) -> Condition {
        Condition {
            is_true: self.status == "True",
            reason: self.reason.to_owned(),
            message: self.message.to_owned(),
            last_transition_time: self.last_transition_time,
        }
    }
}
