//! `batch/v1.Job` with its `JobSpec` and `JobStatus`.

use super::condition::ConditionView;
use super::fields::{Field, Fields, Result};
use super::metadata::Metadata;
use crate::error::{DecodeError, Within};
use crate::job::Job;
use crate::selector::Selector;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use podwait_core::{CompletionMode, JobSnapshot, PodReplacementPolicy};

/// Reads a Job's message without an envelope, as in a `JobList`.
pub(crate) fn job(message: &[u8]) -> core::result::Result<Job, DecodeError> {
    let mut job = Job::default();
    Fields(message).each(|seen, field| match field.number {
        1 => seen.message(field, |fields| metadata(fields, &mut job)).within("metadata"),
        2 => seen.message(field, |fields| spec(fields, &mut job)).within("spec"),
        3 => seen.message(field, |fields| status(fields, &mut job.snapshot)).within("status"),
        _ => Ok(()),
    })?;
    job.identified()
}

fn metadata(fields: Fields<'_>, job: &mut Job) -> Result<()> {
    let Job { namespace, name, snapshot, .. } = job;
    let JobSnapshot { uid, resource_version, generation, deletion_timestamp, .. } = snapshot;
    let common = Metadata { namespace, name, uid, resource_version, generation, deletion_timestamp };
    common.read(fields, |_, _| Ok(()))
}

fn spec(fields: Fields<'_>, job: &mut Job) -> Result<()> {
    let Job { selector: text, snapshot: job, .. } = job;
    fields.each(|seen, field| match field.number {
        1 => seen.int32(field, job.parallelism.insert(0)).within("parallelism"),
        2 => seen.int32(field, job.completions.insert(0)).within("completions"),
        3 => seen.integer(field, job.active_deadline_seconds.insert(0)).within("activeDeadlineSeconds"),
        4 => seen.message(field, |fields| selector(fields, text)).within("selector"),
        7 => seen.int32(field, job.backoff_limit.insert(0)).within("backoffLimit"),
        8 => seen.int32(field, job.ttl_seconds_after_finished.insert(0)).within("ttlSecondsAfterFinished"),
        9 => {
            let mode = seen.once(field).and_then(Field::text).within("completionMode")?;
            job.completion_mode = CompletionMode::parse(mode);
            Ok(())
        }
        10 => seen.boolean(field, &mut job.suspend).within("suspend"),
        12 => seen.int32(field, job.backoff_limit_per_index.insert(0)).within("backoffLimitPerIndex"),
        13 => seen.int32(field, job.max_failed_indexes.insert(0)).within("maxFailedIndexes"),
        14 => {
            let policy = seen.once(field).and_then(Field::text).within("podReplacementPolicy")?;
            job.pod_replacement_policy = PodReplacementPolicy::parse(policy);
            Ok(())
        }
        15 => seen.text(field, &mut job.managed_by).within("managedBy"),
        _ => Ok(()),
    })
}

/// `metav1.LabelSelector`
fn selector(fields: Fields<'_>, text: &mut String) -> Result<()> {
    let mut selector = Selector::default();
    let mut expressions = 0..;
    fields.each(|_, field| match field.number {
        1 => {
            let (mut key, mut value) = ("", "");
            let entry = field.message().and_then(|entry| {
                entry.each(|seen, field| match field.number {
                    1 => seen.str(field, &mut key),
                    2 => seen.str(field, &mut value),
                    _ => Ok(()),
                })
            });
            entry.within("matchLabels")?;
            selector.label(key, value);
            Ok(())
        }
        2 => {
            let read = field.message().and_then(|fields| requirement(fields, &mut selector));
            read.element(expressions.next().unwrap_or_default()).within("matchExpressions")
        }
        _ => Ok(()),
    })?;
    *text = selector.into_text();
    Ok(())
}

/// `metav1.LabelSelectorRequirement`
fn requirement(fields: Fields<'_>, selector: &mut Selector) -> Result<()> {
    let (mut key, mut operator, mut values) = ("", "", Vec::new());
    fields.each(|seen, field| match field.number {
        1 => seen.str(field, &mut key).within("key"),
        2 => seen.str(field, &mut operator).within("operator"),
        3 => {
            values.push(field.text().within("values")?);
            Ok(())
        }
        _ => Ok(()),
    })?;
    selector.expression(key, operator, &values);
    Ok(())
}

fn status(fields: Fields<'_>, job: &mut JobSnapshot) -> Result<()> {
    let mut conditions = 0..;
    fields.each(|seen, field| match field.number {
        1 => {
            let read = field.message().and_then(ConditionView::read);
            let read = read.element(conditions.next().unwrap_or_default()).within("conditions")?;
            if let Some(slot) = job.conditions.get_mut(read.kind) {
                slot.get_or_insert_with(|| read.condition());
            }
            Ok(())
        }
        2 => seen.time(field, &mut job.start_time).within("startTime"),
        4 => seen.int32(field, &mut job.active).within("active"),
        5 => seen.int32(field, &mut job.succeeded).within("succeeded"),
        6 => seen.int32(field, &mut job.failed).within("failed"),
        7 => seen.text(field, &mut job.completed_indexes).within("completedIndexes"),
        8 => seen.message(field, |fields| uncounted(fields, job)).within("uncountedTerminatedPods"),
        9 => seen.int32(field, &mut job.ready).within("ready"),
        10 => seen.text(field, &mut job.failed_indexes).within("failedIndexes"),
        11 => seen.int32(field, job.terminating.insert(0)).within("terminating"),
        _ => Ok(()),
    })
}

fn uncounted(fields: Fields<'_>, job: &mut JobSnapshot) -> Result<()> {
    fields.each(|_, field| {
        let (list, name) = match field.number {
            1 => (&mut job.uncounted_succeeded, "succeeded"),
            2 => (&mut job.uncounted_failed, "failed"),
            _ => return Ok(()),
        };
        list.push(field.text().within(name)?.to_owned());
        Ok(())
    })
}
