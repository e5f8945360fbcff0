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
    /// All ways.
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

    /// The way with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// The usual mixture of ways, by seed.
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

    /// The hub of this way, if it has one. Pods have the labels of the fixture.
    #[must_use]
    pub fn hub(self, client: podwait::Client, namespace: &str) -> Option<Hub> {
        let scope = Scope::namespace(namespace);
        let scope = match self {
            Self::Watch | Self::Poll => return None,
            Self::Hub => scope,
            Self::Labelled => scope.labels("app.kubernetes.io/managed-by=ci-agent"),
            Self::Outside => scope.labels("agent=7"),
        };
        Some(Hub::new(client, scope))
    }

    /// A wait for this pod.
    pub fn wait(self, client: podwait::Client, namespace: &str, pod: &str) -> Wait {
        match (self.hub(client.clone(), namespace), self) {
            (Some(hub), _) => hub.wait(namespace, pod),
            (None, Self::Poll) => wait(client, namespace, pod).poll(),
            (None, _) => wait(client, namespace, pod),
        }
    }
}
