//! A pod as it came.

use crate::encoding::Encoding;
use crate::error::DecodeError;
use crate::{json, protobuf};
use alloc::string::String;
use podwait_core::PodSnapshot;

/// A pod, as far as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`; empty when absent.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// What the rules read.
    pub snapshot: PodSnapshot,
}

/// Reads one pod: the whole answer to a GET.
///
/// In both encodings fields that are not read are skipped, and absent fields have their defaults. In JSON, lists, objects,
/// strings and numbers may also be `null`.
///
/// # Errors
/// The bytes are not in that encoding, are no pod, lack a name or a uid, or have among the fields that are read one of a
/// wrong type or one twice. A timestamp that cannot be read is an error, because a deletion must not go unnoticed, and so is
/// a terminated record without `exitCode`, because it must not read as 0.
pub fn pod(encoding: Encoding, bytes: &[u8]) -> Result<Pod, DecodeError> {
    match encoding {
        Encoding::Json => json::pod::pod(bytes),
        Encoding::Protobuf => protobuf::envelope::pod(bytes),
    }
}

impl Pod {
    /// The pod, if it has what identifies it.
    pub(crate) fn identified(self) -> Result<Self, DecodeError> {
        if self.name.is_empty() {
            return Err(DecodeError::Missing("metadata.name"));
        }
        if self.snapshot.uid.is_empty() {
            return Err(DecodeError::Missing("metadata.uid"));
        }
        Ok(self)
    }
}
