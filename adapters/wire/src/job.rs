//! A decoded Job.

use crate::encoding::Encoding;
use crate::error::DecodeError;
use crate::{json, protobuf};
use alloc::string::String;
use podwait_core::JobSnapshot;

/// The parts of a Job (`batch/v1`) that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// `metadata.namespace`; empty when absent.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `spec.selector` as text, such as `batch.kubernetes.io/controller-uid=7a0c`; empty when absent. It is the API server's own
    /// unless `spec.manualSelector` is set.
    pub selector: String,
    /// The facts for the rules.
    pub snapshot: JobSnapshot,
}

/// Reads one Job: the whole answer to a GET.
///
/// # Errors
/// As for [`pod`](crate::pod()).
pub fn job(encoding: Encoding, bytes: &[u8]) -> Result<Job, DecodeError> {
    match encoding {
        Encoding::Json => json::job::job(bytes),
        Encoding::Protobuf => protobuf::envelope::job(bytes),
    }
}

impl Job {
    /// The Job, if it has a name and a uid.
    pub(crate) fn identified(self) -> Result<Self, DecodeError> {
        crate::pod::check_identity(&self.name, &self.snapshot.uid)?;
        Ok(self)
    }
}
