//! The usual case in one call.

use crate::client::Calls;
use crate::driver::{Start, wait_alone};
use crate::hold::Hold;
use crate::hub::Hub;
use crate::logs::{Board, LogStream, Logs, own_pod, publish};
use crate::source::Observed;
use crate::trace::{Header, Target};
use futures_util::future::BoxFuture;
use podwait_core::{
    Decision, Exit, FailReason, Failure, Input, Instant, Policy, PolicyBuilder, RestoreError, SavedWait,
    WaitMachine,
};
use podwait_hub::{PodName, Turn};
use podwait_wire::Via;
use std::future::IntoFuture;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the absence of a pod that was seen is confirmed, unless the policy says so: meanwhile a watch from where the pod was
/// known last asks for its final state.
const GONE_GRACE: Duration = Duration::from_secs(3);

/// Waits for a pod and answers how it ended: `podwait::wait(client, "ci", "step-1").container("step").await`.
///
/// Make the client with [`crate::client`]: one with kube's default retries hides failures for minutes.
#[must_use = "a wait does nothing unless awaited"]
pub fn wait(client: kube::Client, namespace: impl Into<String>, pod: impl Into<String>) -> Wait {
    Wait::new(Transport::Watch(client), namespace.into(), pod.into())
}

/// A wait that has not begun, made by [`wait`]. Await it.
#[must_use = "a wait does nothing unless awaited"]
pub struct Wait {
    transport: Transport,
    target: Target,
    policy: Arc<Policy>,
    cancel: CancellationToken,
    looks: Vec<Look>,
    keeps_json: bool,
    hold: Option<Hold>,
    /// A machine that goes on, and for how long nothing fed it.
    restored: Option<Box<(WaitMachine, Duration)>>,
}

/// What looks on at a wait.
pub(crate) type Look = Box<dyn FnMut(Turn<'_>) + Send>;

enum Transport {
    Watch(kube::Client),
    Poll(kube::Client),
    Hub(Hub),
}

impl Wait {
    fn new(transport: Transport, namespace: String, pod: String) -> Self {
        Self {
            transport,
            target: Target { namespace, pod, ..Target::default() },
            policy: Arc::default(),
            cancel: CancellationToken::new(),
            looks: Vec::new(),
            keeps_json: false,
            hold: None,
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

    /// The pod's uid, as the answer to its creation gave it: a pod of the same name with another uid is not ours.
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.target.uid = Some(uid.into());
        self
    }

    /// The limits of the wait. Default: [`Policy::default`].
    ///
    /// Without a seed of its own ([`PolicyBuilder::jitter_seed`](crate::PolicyBuilder::jitter_seed)) a wait by itself has one
    /// that is made of the pod's name, so that waits that an outage has brought together do not come back together. In a
    /// hub the budget of requests sees to that.
    pub fn policy(mut self, policy: impl Into<Arc<Policy>>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Never watch, only GET. A wait in a hub leaves it.
    pub fn poll(mut self) -> Self {
        self.transport = Transport::Poll(self.client().clone());
        self
    }

    /// Ends the wait with `Fail(cancelled)` when the token is cancelled. Dropping the future ends it too, silently.
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// Calls `look` after every turn of the wait, with what was observed and decided; one after the other, if there are
    /// several. In a hub it is called on the task of the hub, and must not block.
    pub fn look(mut self, look: impl FnMut(Turn<'_>) + Send + 'static) -> Self {
        self.looks.push(Box::new(look));
        self
    }

    /// Asks for JSON only, and keeps each pod's text in [`ObservedPod::json`](crate::ObservedPod::json), for recordings of
    /// [whole pods](crate::trace::Pods::Full). A wait in a hub leaves it.
    pub fn keep_json(mut self) -> Self {
        if let Transport::Hub(hub) = &self.transport {
            self.transport = Transport::Watch(hub.client().clone());
        }
        self.keeps_json = true;
        self
    }

    /// Shows a board what the wait learns.
    fn publish_on(self, board: watch::Sender<Board>) -> Self {
        self.look(move |turn| publish(&board, turn))
    }

    /// Goes on with a wait that was saved, after which nothing has looked at the pod for so long. It decides as if that time
    /// had just passed; its policy, container and uid are those that it was saved with.
    ///
    /// # Errors
    /// The saved wait is of another version, or holds what no machine saves.
    pub fn restore(mut self, saved: SavedWait, asleep: Duration) -> Result<Self, RestoreError> {
        self.restored = Some(Box::new((WaitMachine::restore(saved)?, asleep)));
        Ok(self)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The machine as the wait will begin with it.
    pub(crate) fn machine(&self) -> WaitMachine {
        match &self.restored {
            Some(restored) => restored.0.clone(),
            None => self.target.machine(self.effective_policy()),
        }
    }

    /// Puts this hold on the pod as soon as it is seen, so that its end outlives a deletion. [Release](Hold::release) it when
    /// the answer has been used.
    pub fn hold(mut self, hold: &Hold) -> Self {
        self.hold = Some(hold.clone());
        self
    }

    /// The lines that the pod's containers write, beside the wait. Drive both, for instance with `tokio::join!`; the logs end
    /// soon after the wait.
    ///
    /// ```no_run
    /// # async fn example(client: kube::Client) {
    /// let (wait, mut logs) = podwait::wait(client, "ci", "step-1").logs(podwait::Logs::of_target());
    /// let print = async {
    ///     while let Some(event) = logs.next().await {
    ///         if let podwait::LogEvent::Line(line) = event {
    ///             println!("{}", String::from_utf8_lossy(&line.text));
    ///         }
    ///     }
    /// };
    /// let (exit, ()) = tokio::join!(wait, print);
    /// # }
    /// ```
    pub fn logs(self, logs: Logs) -> (Self, LogStream) {
        let (board, facts) = watch::channel(self.board());
        let calls = Calls::new(self.client().clone());
        let pod = PodName::new(&self.target.namespace, &self.target.pod);
        let stream = LogStream::new(calls, pod, logs, self.target.container.as_deref(), facts);
        (self.publish_on(board), stream)
    }

    /// What the pod's containers have written so far, without waiting for more.
    ///
    /// # Errors
    /// There is no such pod, or only another one of its name, no such container, the API server does not say, or the wait is
    /// [cancelled](Self::cancel).
    pub async fn logs_so_far(self, logs: Logs) -> Result<LogStream, Failure> {
        let calls = Calls::new(self.client().clone());
        let pod = PodName::new(&self.target.namespace, &self.target.pod);
        let (mut machine, begin) = (self.machine(), tokio::time::Instant::now());
        loop {
            let observed = tokio::select! {
                biased;
                () = self.cancel.cancelled() => Observed::Cancelled,
                found = calls.get(&pod) => match found {
                    Ok(Some(pod)) => Observed::Pod(Via::Get, pod),
                    Ok(None) => Observed::NotFound(Via::Get),
                    Err(failure) => Observed::Failed(failure),
                },
            };
            let at = Instant::ZERO.after(begin.elapsed());
            let mut decision = machine.handle(at, observed.as_input());
            let found = own_pod(&machine, &observed);
            if found.is_none() && observed.is_good_read() {
                // It is not there, or another one has its name, and nothing here waits until it appears.
                let _ = machine.handle(at, Input::NotFound);
                decision = machine.handle(at.after(Duration::from_secs(366 * 24 * 3600)), Input::Tick);
            }
            match (decision, found) {
                (Decision::Fail(failure), Some(_)) if !(logs.is_of_target() && is_about_names(&failure)) => {}
                (Decision::Retry { .. } | Decision::Done(_), Some(_)) => {}
                (Decision::Retry { after, .. }, None) => {
                    tokio::select! {
                        () = self.cancel.cancelled() => {}
                        () = tokio::time::sleep(after) => {}
                    }
                    continue;
                }
                (Decision::Fail(failure), _) => return Err(failure),
                // The policy takes absence for success; there is no log of that.
                (Decision::Done(_), None) => {}
            }
            let (_, board) = watch::channel(Board::of_last_look(found));
            return Ok(LogStream::new(calls, pod, logs, self.target.container.as_deref(), board));
        }
    }

    /// What is known before the wait begins.
    fn board(&self) -> Board {
        match &self.restored {
            Some(restored) => Board::of_restored(&restored.0),
            None => Board::default(),
        }
    }

    fn client(&self) -> &kube::Client {
        match &self.transport {
            Transport::Watch(client) | Transport::Poll(client) => client,
            Transport::Hub(hub) => hub.client(),
        }
    }

    /// The header of a [trace](crate::trace) of this wait: its target, and the policy that it will have.
    #[must_use]
    pub fn header(&self) -> Header {
        Header::new(self.target.clone(), self.machine().policy().clone())
    }

    /// The policy that the machine gets: with a seed of its own for a wait by itself, and with time for final states.
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

    /// The wait by itself. Its future is made of what this transport needs and of nothing else: there may be ten thousand.
    fn drive(self) -> BoxFuture<'static, Result<Exit, Failure>> {
        let machine = self.machine();
        let asleep = self.restored.map_or(Duration::ZERO, |restored| restored.1);
        let pod = PodName::new(&self.target.namespace, &self.target.pod);
        let start = Start { pod, machine, asleep, may_watch: !matches!(self.transport, Transport::Poll(_)) };
        let (mut looks, cancel) = (self.looks, self.cancel);
        match self.transport {
            Transport::Hub(hub) => Box::pin(hub.drive(start, cancel, looks)),
            Transport::Watch(client) | Transport::Poll(client) => {
                let look = move |turn: Turn<'_>| looks.iter_mut().for_each(|look| look(turn));
                Box::pin(wait_alone(client, start, self.keeps_json, cancel, look))
            }
        }
    }
}

fn is_about_names(failure: &Failure) -> bool {
    matches!(failure.reason, FailReason::ContainerNotInSpec | FailReason::ContainerAmbiguous)
}

impl IntoFuture for Wait {
    /// The target's own exit, or the true reason why there is none.
    type Output = Result<Exit, Failure>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        let Some(hold) = self.hold.take() else { return self.drive() };
        let (board, facts) = watch::channel(self.board());
        let wait = self.publish_on(board);
        Box::pin(async move { hold.during(wait.drive(), facts).await })
    }
}
