//! Which pod an object is about.

use alloc::borrow::Cow;

/// Which pod an object is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// `metadata.namespace`; empty when absent.
    pub namespace: Cow<'a, str>,
    /// `metadata.name`; empty when absent.
    pub name: Cow<'a, str>,
    /// `metadata.resourceVersion`; empty when absent.
    pub resource_version: Cow<'a, str>,
}
