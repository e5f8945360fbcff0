//! Names of pods, and selections of pods.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::hash::{Hash, Hasher};

/// A pod's namespace and name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    text: Arc<str>,
    slash: usize,
}

impl PodName {
    /// The pod of this name in this namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { text: format!("{namespace}/{name}").into(), slash: namespace.len() }
    }

    /// `metadata.namespace`
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// `metadata.name`
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }
}

impl PodName {
    pub(crate) fn key(&self) -> Key<'_> {
        Key { namespace: self.namespace(), name: self.name() }
    }
}

impl fmt::Debug for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Hash for PodName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// The name in an event, for a lookup without a [`PodName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// The pods that are watched together: those of one namespace or of all namespaces, with or without a label selector.
///
/// A narrow scope is better: the API server sends every event of these pods, with or without a wait for them. An agent
/// should put a label of its own on the pods that it creates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The namespace; `None` for all.
    pub namespace: Option<Arc<str>>,
    /// The label selector, in the syntax of the API; `None` for no selector.
    pub labels: Option<Arc<str>>,
}

impl Scope {
    /// The pods of all namespaces. Needs `list` and `watch` in a ClusterRole.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The pods of one namespace.
    #[must_use]
    pub fn namespace(name: impl Into<Arc<str>>) -> Self {
        Self { namespace: Some(name.into()), labels: None }
    }

    /// Only pods that this label selector matches, in the syntax of the API: `agent=7`, `app in (a, b)`.
    ///
    /// A wait for a pod that does not match, or no longer matches, works too, by GETs.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<Arc<str>>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Whether pods of that namespace can be in the scope. An object without a namespace is accepted.
    pub(crate) fn includes(&self, namespace: &str) -> bool {
        namespace.is_empty() || self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// Whether the scope has every pod of its namespaces. Then a pod that is not in a LIST does not exist, and a
    /// DELETED is a deletion.
    pub(crate) const fn is_unfiltered(&self) -> bool {
        self.labels.is_none()
    }
}

/// The pods of a LIST or a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The namespace; `None` for all.
    pub namespace: Option<Arc<str>>,
    /// One pod of that namespace, by a field selector on `metadata.name`.
    pub pod: Option<PodName>,
    /// The label selector.
    pub labels: Option<Arc<str>>,
}

impl Selection {
    /// All pods of a scope.
    #[must_use]
    pub fn of_scope(scope: &Scope) -> Self {
        Self { namespace: scope.namespace.clone(), pod: None, labels: scope.labels.clone() }
    }

    pub(crate) fn of_pod(pod: &PodName, labels: Option<Arc<str>>) -> Self {
        Self { namespace: Some(pod.namespace().into()), pod: Some(pod.clone()), labels }
    }
}

/// A resourceVersion as a number, which it is in every released API server; any other text counts as newer than all
/// numbers.
pub(crate) fn parse_resource_version(text: &str) -> u64 {
    text.parse().unwrap_or(u64::MAX)
}

/// A resourceVersion as the API server sent it.
pub(crate) type ResourceVersion = String;

#[cfg(test)]
mod tests {
    use super::*;
    use core::hash::BuildHasher;
    use foldhash::fast::FixedState;

    #[test]
    fn a_key_finds_its_name_and_no_other() {
        let build = FixedState::default();
        let pod = PodName::new("ci", "a");
        let key = Key { namespace: "ci", name: "a" };
        assert_eq!(build.hash_one(&pod), build.hash_one(key));
        assert_eq!(key, pod.key());
        assert_ne!(Key { namespace: "ci", name: "b" }, pod.key());
        assert_ne!(Key { namespace: "c", name: "i/a" }, pod.key());
        assert_eq!((pod.namespace(), pod.name()), ("ci", "a"));
    }

    #[test]
    fn a_scope_has_its_namespace_and_labels() {
        let (namespace, labels) = (Some("ci".into()), Some("app".into()));
        assert_eq!(Scope::namespace("ci"), Scope { namespace: namespace.clone(), labels: None });
        assert_eq!(Scope::namespace("ci").labels("app"), Scope { namespace, labels: labels.clone() });
        assert_eq!(Scope::all().labels("app"), Scope { namespace: None, labels });
    }

    #[test]
    fn what_is_no_number_is_newer_than_all() {
        assert_eq!(parse_resource_version("12"), 12);
        assert_eq!(parse_resource_version("x"), u64::MAX);
        assert_eq!(parse_resource_version(""), u64::MAX);
    }
}
