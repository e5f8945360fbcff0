//! Which pods: one by its name, or those of a scope.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The pods that a [`Hub`](crate::Hub) watches: those of a namespace or of all, with or without a label selector.
///
/// The narrower, the better: the API server sends every event of these pods, whether somebody waits for them or not. An
/// agent does well to put a label of its own on the pods that it creates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    namespace: Option<Arc<str>>,
    labels: Option<Arc<str>>,
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

    /// Only those that this label selector matches, in the words of the API: `agent=7`, `app in (a, b)`.
    ///
    /// A pod that does not match, or no longer, is waited for all the same, by GETs.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<Arc<str>>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Whether pods of that namespace can be in it.
    pub(crate) fn reaches(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }

    /// Whether every pod of its namespaces is in it, so that a pod that is not in a LIST is not there.
    pub(crate) fn is_whole(&self) -> bool {
        self.labels.is_none()
    }
}

/// What a LIST or a watch is about.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// One pod, by its name: what RBAC may allow for that name only. With or without a label selector that it must match.
    Pod(PodName, Option<Arc<str>>),
    Pods(Scope),
}

impl Selection {
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Pod(pod, _) => Some(pod.namespace()),
            Self::Pods(scope) => scope.namespace.as_deref(),
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Pod(pod, _) => Some(pod.name()),
            Self::Pods(_) => None,
        }
    }

    pub(crate) fn labels(&self) -> Option<&str> {
        match self {
            Self::Pod(_, labels) => labels.as_deref(),
            Self::Pods(scope) => scope.labels.as_deref(),
        }
    }

    /// Whether a pod of that namespace and name can be among them. An object that does not name its namespace contradicts
    /// nothing.
    pub(crate) fn may_have(&self, namespace: &str, name: &str) -> bool {
        (namespace.is_empty() || self.namespace().is_none_or(|own| own == namespace))
            && self.name().is_none_or(|own| own == name)
    }

    /// Of these pods the one of this name, if it is among them.
    pub(crate) fn narrowed_to(&self, pod: PodName) -> Self {
        let (Self::Pod(_, labels) | Self::Pods(Scope { labels, .. })) = self;
        Self::Pod(pod, labels.clone())
    }

    /// Whether a pod that is not listed is not there, and a DELETED is a deletion.
    pub(crate) fn is_whole(&self) -> bool {
        self.labels().is_none()
    }

    pub(crate) fn fields(&self) -> Option<String> {
        self.name().map(|name| format!("metadata.name={name}"))
    }
}

/// A pod's namespace and name. Cheap to clone; found by its text `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodName {
    text: Arc<str>,
    slash: usize,
}

impl PodName {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { text: format!("{namespace}/{name}").into(), slash: namespace.len() }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    pub(crate) fn name(&self) -> &str {
        &self.text[self.slash + 1..]
    }
}

impl Hash for PodName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// For looking up what an event names, without making a name of it.
impl Borrow<str> for PodName {
    fn borrow(&self) -> &str {
        &self.text
    }
}
