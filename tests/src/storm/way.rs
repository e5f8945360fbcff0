//! The ways of waiting on a pod.

use podwait::{Hub, Scope, Wait, wait};

/// A way of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A watch of the pod.
    Watch,
    /// GETs only.
    Poll,
    /// A hub on the pod's namespace.
    Hub,
    /// A hub with a label selector that matches the pod.
    Labelled,
    /// A hub with a label selector that does not.
    Outside,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Watch, Self::Poll, Self::Hub, Self::Labelled, Self::Outside];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Poll => "poll",
            Self::Hub => "hub",
            Self::Labelled => "labelled",
            Self::Outside => "outside",
        }
    }

    /// The way of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// The usual mixture of them, for runs that differ by their seeds.
    #[must_use]
    pub const fn of(seed: u64, polls: bool) -> Self {
        match seed % 5 {
            _ if polls => Self::Poll,
            0 | 1 => Self::Watch,
            2 => Self::Hub,
            3 => Self::Labelled,
            _ => Self::Outside,
        }
    }

    /// A wait on that pod, which has the labels of the fixture.
    pub fn wait(self, client: kube::Client, namespace: &str, pod: &str) -> Wait {
        let scope = Scope::namespace(namespace);
        match self {
            Self::Watch => wait(client, namespace, pod),
            Self::Poll => wait(client, namespace, pod).poll(),
            Self::Hub => Hub::new(client, scope).wait(namespace, pod),
            Self::Labelled => {
                Hub::new(client, scope.labels("app.kubernetes.io/managed-by=ci-agent")).wait(namespace, pod)
            }
            Self::Outside => Hub::new(client, scope.labels("agent=7")).wait(namespace, pod),
        }
    }
}
