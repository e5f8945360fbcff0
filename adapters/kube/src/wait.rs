//! The usual case in one call.

use crate::cancelled::Cancelled;
use crate::client::Client;
use crate::driver::{Start, wait_alone};
use crate::hub::Hub;
use futures_util::future::BoxFuture;
use podwait_core::{
    Exit, Failure, Policy, PolicyBuilder, Progress, ProgressLog, RestoreError, SavedWait, Target, WaitMachine,
};
use podwait_hub::{PodName, Turn};
use std::future::IntoFuture;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the absence of a pod that was seen is confirmed, unless the policy sets this: meanwhile a watch from the
/// last known resourceVersion looks for the final state.
const GONE_GRACE: Duration = Duration::from_secs(3);

/// Waits for a pod and reports how it ended: `podwait::wait(client, "ci", "step-1").container("step").await`.
#[must_use = "a wait does nothing unless awaited"]
pub fn wait(client: Client, namespace: impl Into<String>, pod: impl Into<String>) -> Wait {
    Wait::new(Transport::Watch(client), namespace.into(), pod.into())
}

/// A wait that has not begun, made by [`wait`]. Await it.
#[must_use = "a wait does nothing unless awaited"]
pub struct Wait {
    transport: Transport,
    target: Target,
    policy: Arc<Policy>,
    cancel: Option<CancellationToken>,
    looks: Vec<Look>,
    keeps_json: bool,
    around: Option<Around>,
    around_answer: Option<AroundAnswer>,
    /// A restored machine, and how long it had no input.
    restored: Option<Box<(WaitMachine, Duration)>>,
}

/// A function around a wait: it begins the wait, and returns its answer.
type Around = Box<dyn FnOnce(Wait) -> BoxFuture<'static, Result<Exit, Failure>> + Send>;

/// A future that is awaited before the wait begins, and another one before it answers.
type AroundAnswer = Box<dyn Fn() -> BoxFuture<'static, ()> + Send>;

/// A closure that observes a wait.
pub(crate) type Look = Box<dyn FnMut(Turn<'_>) + Send>;

enum Transport {
    Watch(Client),
    Poll(Client),
    Hub(Hub),
}

impl Wait {
    fn new(transport: Transport, namespace: String, pod: String) -> Self {
        Self {
            transport,
            target: Target { namespace, pod, ..Target::default() },
            policy: Arc::default(),
            cancel: None,
            looks: Vec::new(),
            keeps_json: false,
            around: None,
            around_answer: None,
            restored: None,
        }
    }

    pub(crate) fn in_hub(hub: Hub, namespace: String, pod: String) -> Self {
        Self::new(Transport::Hub(hub), namespace, pod)
    }

    /// The container whose exit is wanted. Without it, the pod's only regular container.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.target.container = Some(name.into());
        self
    }

    /// The pod's uid, as in the answer to its creation: a pod of the same name with another uid is another pod.
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.target.uid = Some(uid.into());
        self
    }

    /// The limits of the wait. Default: [`Policy::default`].
    ///
    /// Without a seed in the policy ([`PolicyBuilder::jitter_seed`](crate::PolicyBuilder::jitter_seed)), a single wait
    /// gets a seed from the pod's name, so that many waits do not retry at the same time after an outage. In a hub the
    /// request budget prevents that.
    pub fn policy(mut self, policy: impl Into<Arc<Policy>>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Observes the pod by GETs. A watch is opened only for the final state of a pod that is gone. A wait of a hub
    /// leaves the hub.
    pub fn poll(mut self) -> Self {
        self.transport = Transport::Poll(self.client().clone());
        self
    }

    /// Ends the wait with `Fail(cancelled)` when the token is cancelled. Dropping the future ends it too, silently.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Calls `observer` after every turn of the wait, with the observation and the decision. Several observers are called
    /// one after another. In a hub they are called on the task of the hub, and must not block.
    pub fn on_turn(mut self, observer: impl FnMut(Turn<'_>) + Send + 'static) -> Self {
        self.looks.push(Box::new(observer));
        self
    }

    /// Calls `observer` when what the wait waits for has changed: its stage, or its message. The same rules hold as for
    /// [`on_turn`](Self::on_turn).
    pub fn on_progress(self, mut observer: impl FnMut(&Progress) + Send + 'static) -> Self {
        let mut log = ProgressLog::default();
        self.on_turn(move |turn| {
            if let Some(progress) = log.see(turn.machine, turn.observed.as_input()) {
                observer(progress);
            }
        })
    }

    /// Requests only JSON, and keeps each pod's text in [`ObservedPod::json`](crate::ObservedPod::json), for recordings
    /// of [whole pods](crate::trace::Pods::Full). A wait of a hub leaves the hub.
    pub fn keep_json(mut self) -> Self {
        if let Transport::Hub(hub) = &self.transport {
            self.transport = Transport::Watch(hub.client().clone());
        }
        self.keeps_json = true;
        self
    }

    /// Wraps the start of the wait in this function.
    #[cfg(feature = "hold")]
    pub(crate) fn around(
        mut self,
        around: impl FnOnce(Self) -> BoxFuture<'static, Result<Exit, Failure>> + Send + 'static,
    ) -> Self {
        self.around = Some(Box::new(around));
        self
    }

    /// Awaits such a future before the wait begins, and another one before it answers.
    #[cfg(feature = "journal")]
    pub(crate) fn around_answer(
        mut self,
        around: impl Fn() -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        self.around_answer = Some(Box::new(around));
        self
    }

    /// Continues a saved wait after the time `asleep` without observations. The wait decides as if that time had just
    /// passed; its policy, container and uid are the saved ones.
    ///
    /// # Errors
    /// The saved wait holds something that a machine never saves.
    pub fn restore(mut self, saved: SavedWait, asleep: Duration) -> Result<Self, RestoreError> {
        self.restored = Some(Box::new((WaitMachine::restore(saved)?, asleep)));
        Ok(self)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The machine with which the wait will begin.
    pub(crate) fn machine(&self) -> WaitMachine {
        match &self.restored {
            Some(restored) => restored.0.clone(),
            None => self.target.machine(self.effective_policy()),
        }
    }

    #[cfg(feature = "logs")]
    pub(crate) fn cancelled(&self) -> Cancelled {
        Cancelled::of(self.cancel.clone())
    }

    /// The restored machine, if there is one.
    #[cfg(any(feature = "hold", feature = "logs"))]
    pub(crate) fn restored(&self) -> Option<&WaitMachine> {
        self.restored.as_deref().map(|(machine, _)| machine)
    }

    pub(crate) fn client(&self) -> &Client {
        match &self.transport {
            Transport::Watch(client) | Transport::Poll(client) => client,
            Transport::Hub(hub) => hub.client(),
        }
    }

    /// The policy for the machine: with a seed for a single wait, and with time for final states.
    fn effective_policy(&self) -> Arc<Policy> {
        let is_seeded = self.policy.jitter_seed().is_some() || matches!(self.transport, Transport::Hub(_));
        let confirms = !self.policy.gone_grace().is_zero();
        if is_seeded && confirms {
            return Arc::clone(&self.policy);
        }
        let mut builder = PolicyBuilder::from((*self.policy).clone());
        if !is_seeded {
            let mut hasher = DefaultHasher::new();
            (&self.target.namespace, &self.target.pod).hash(&mut hasher);
            builder = builder.jitter_seed(hasher.finish());
        }
        if !confirms {
            builder = builder.gone_grace(GONE_GRACE);
        }
        builder.build().map_or_else(|_| Arc::clone(&self.policy), Arc::new)
    }

    /// The wait itself. Its future holds only what its transport needs, because there may be ten thousand.
    pub(crate) fn drive(self) -> BoxFuture<'static, Result<Exit, Failure>> {
        let machine = self.machine();
        let asleep = self.restored.map_or(Duration::ZERO, |restored| restored.1);
        let pod = PodName::new(&self.target.namespace, &self.target.pod);
        let may_watch = !matches!(self.transport, Transport::Poll(_));
        let start = Box::new(Start { pod, machine, asleep, may_watch });
        let (mut looks, cancelled) = (self.looks, Cancelled::of(self.cancel));
        let wait: BoxFuture<'static, _> = match self.transport {
            Transport::Hub(hub) => Box::pin(hub.drive(start, cancelled, looks)),
            Transport::Watch(client) | Transport::Poll(client) => {
                let look = move |turn: Turn<'_>| looks.iter_mut().for_each(|look| look(turn));
                Box::pin(wait_alone(client, start, self.keeps_json, cancelled, look))
            }
        };
        let Some(around) = self.around_answer else { return wait };
        Box::pin(async move {
            around().await;
            let answer = wait.await;
            around().await;
            answer
        })
    }
}

impl IntoFuture for Wait {
    /// The target's own exit, or the reason why there is none.
    type Output = Result<Exit, Failure>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        match self.around.take() {
            Some(around) => around(self),
            None => self.drive(),
        }
    }
}
