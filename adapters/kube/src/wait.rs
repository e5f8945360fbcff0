//! The usual case in one call.

use crate::drive::{Step, drive};
use crate::poll::PollSource;
use crate::watch::WatchSource;
use futures_util::future::BoxFuture;
use podwait_core::{Exit, Failure, Policy, WaitMachine};
use std::future::IntoFuture;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Waits for a pod and answers how it ended: `podwait::wait(client, "ci", "step-1").container("step").await`.
///
/// Make the client with [`crate::client`]: one with kube's default retries hides failures for minutes.
#[must_use = "a wait does nothing unless awaited"]
pub fn wait(client: kube::Client, namespace: impl Into<String>, pod: impl Into<String>) -> Wait {
    Wait {
        client,
        namespace: namespace.into(),
        pod: pod.into(),
        container: None,
        uid: None,
        policy: Arc::default(),
        transport: Transport::Watch,
        cancel: CancellationToken::new(),
        look: Box::new(|_| {}),
    }
}

/// A wait that has not begun, made by [`wait`]. Await it.
#[must_use = "a wait does nothing unless awaited"]
pub struct Wait {
    client: kube::Client,
    namespace: String,
    pod: String,
    container: Option<String>,
    uid: Option<String>,
    policy: Arc<Policy>,
    transport: Transport,
    cancel: CancellationToken,
    look: Box<dyn FnMut(Step<'_>) + Send>,
}

enum Transport {
    Watch,
    Poll,
}

impl Wait {
    /// The container whose exit is wanted. Without it, the pod's only regular container.
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = Some(name.into());
        self
    }

    /// The pod's uid, as the answer to its creation gave it: a pod of the same name with another uid is not ours.
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// The limits of the wait. Default: [`Policy::default`].
    pub fn policy(mut self, policy: impl Into<Arc<Policy>>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Never watch, only GET: see [`PollSource`].
    pub fn poll(mut self) -> Self {
        self.transport = Transport::Poll;
        self
    }

    /// Ends the wait with `Fail(cancelled)` when the token is cancelled. Dropping the future ends it too, silently.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// Calls `look` after every turn of the wait loop, with what was observed and decided.
    pub fn look(mut self, look: impl FnMut(Step<'_>) + Send + 'static) -> Self {
        self.look = Box::new(look);
        self
    }

    async fn run(self) -> Result<Exit, Failure> {
        let mut machine = WaitMachine::new(self.policy);
        if let Some(container) = self.container {
            machine = machine.container(container);
        }
        if let Some(uid) = self.uid {
            machine = machine.uid(uid);
        }
        match self.transport {
            Transport::Watch => {
                let mut source = WatchSource::new(self.client, &self.namespace, &self.pod);
                drive(&mut machine, &mut source, &self.cancel, self.look).await
            }
            Transport::Poll => {
                let mut source = PollSource::new(self.client, &self.namespace, &self.pod);
                drive(&mut machine, &mut source, &self.cancel, self.look).await
            }
        }
    }
}

impl IntoFuture for Wait {
    /// The target's own exit, or the true reason why there is none.
    type Output = Result<Exit, Failure>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
