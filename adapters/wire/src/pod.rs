//! A decoded pod.

use crate::encoding::Encoding;
use crate::error::DecodeError;
use crate::{json, protobuf};
use alloc::string::String;
use podwait_core::PodSnapshot;

/// The parts of a pod that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`; empty when absent.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// The object that manages the pod, such as a Job or a ReplicaSet.
    pub owner: Option<Owner>,
    /// The facts for the rules.
    pub snapshot: PodSnapshot,
}

/// The controller of an object: its entry of `metadata.ownerReferences` whose `controller` is true (`GetControllerOf` of
/// k8s.io/apimachinery).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `kind`, such as `Job`.
    pub kind: String,
    /// `name`
    pub name: String,
    /// `uid`
    pub uid: String,
}

/// Reads one pod: the whole answer to a GET.
///
/// In both encodings fields that are not read are skipped, and absent fields have their defaults. In JSON, lists, objects,
/// strings and numbers may also be `null`.
///
/// # Errors
/// The bytes are not in that encoding, are no pod, lack a name or a uid, or have a field that is read with a wrong type
/// or twice. An invalid timestamp is an error, because a deletion must not be missed. A terminated record without
/// `exitCode` is an error, because it must not be read as 0.
pub fn pod(encoding: Encoding, bytes: &[u8]) -> Result<Pod, DecodeError> {
    match encoding {
        Encoding::Json => json::pod::pod(bytes),
        Encoding::Protobuf => protobuf::envelope::pod(bytes),
    }
}

impl Pod {
    /// The pod, if it has a name and a uid.
    pub(crate) fn identified(self) -> Result<Self, DecodeError> {
        check_identity(&self.name, &self.snapshot.uid)?;
        Ok(self)
    }
}

/// Checks that an object has a name and a uid.
pub(crate) const fn check_identity(name: &str, uid: &str) -> Result<(), DecodeError> {
    if name.is_empty() {
        return Err(DecodeError::Missing("metadata.name"));
    }
    if uid.is_empty() {
        return Err(DecodeError::Missing("metadata.uid"));
    }
    Ok(())
}
