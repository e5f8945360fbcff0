//! Many waits over one LIST and one watch.

mod task;

use crate::cancelled::Cancelled;
use crate::driver::Start;
use crate::wait::{Look, Wait};
use podwait_core::{Exit, Failure};
use podwait_hub::{Scope, Waits};
use podwait_wire::ApiFailure;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use task::{Join, Looks, Message, Reply, Task};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// Waits on any number of pods over one LIST and one watch. An agent keeps one; clones are the same hub.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = podwait::client(kube::Config::infer().await?)?;
/// let hub = podwait::Hub::new(client, podwait::Scope::namespace("ci").labels("agent=7"));
/// let (first, second) = tokio::join!(hub.wait("ci", "step-1"), hub.wait("ci", "step-2").container("step"));
/// # Ok(())
/// # }
/// ```
///
/// A wait may come at any time, also before its pod is there. The first wait starts a task on tokio's current runtime, which
/// serves all waits of the hub and ends when the last one has its answer or is dropped; that runtime has to be driven
/// meanwhile. Nothing is kept of pods for which there is no wait.
///
/// # What the API server is asked
///
/// One LIST (in pages of 500) and one watch, which goes on from where it was for as long as the server lets it: a LIST
/// comes again only when its history is gone (410) or after an outage. GETs come on top where those do not suffice: for a pod
/// of which nothing came for as long as the [policy](crate::PolicyBuilder::reobserve) says, for a decision that hangs on
/// a missing fact, for a pod whose wait came late. With a label selector that pod is asked for by a LIST of its name, which
/// says whether the selector matches it, and read by a GET only if not. Many urgent reads are replaced by one LIST. Where
/// pods that were known are not found, a second watch asks for some seconds how they ended.
///
/// All of them, each page of a LIST as well, come out of a budget of [requests per second](HubBuilder::requests_per_second),
/// whatever the number of waits. The read that was content to wait for long waits longest. `Retry-After` holds for all.
///
/// # Fairness
///
/// The hub's task feeds all waits, also those whose futures are not polled. What is given to [`Wait::look`] runs on that task
/// and must not block. An event that cannot be read fails the waits on its pod and no other.
///
/// # Rights
///
/// `list` and `watch` on `pods`, and `get`. Where the server does not let the hub list and watch the whole scope, for
/// instance because RBAC names the pods, each pod has a watch of its own or is polled, as with [`wait`](crate::wait()), within
/// ten times the budget; [`refusal`](Self::refusal) says so. A minute later the hub tries again, and a pod's own watch ends once
/// that of the scope is open and has shown the pod. A server that has let the hub watch and refuses it now is given some seconds
/// first.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    client: kube::Client,
    settings: Settings,
    shared: Arc<Shared>,
    /// Never twice the same.
    tickets: AtomicU64,
}

struct Settings {
    scope: Scope,
    requests_per_second: u32,
    stays_open: bool,
}

/// What the hub and its task share.
struct Shared {
    place: Mutex<Place>,
    refusal: Mutex<Option<ApiFailure>>,
}

/// Where the hub's waits are.
enum Place {
    /// No task runs. What was learnt of the API server, and what is left of the budget, since that time.
    Here(Option<Box<(Waits, Instant)>>),
    /// With a task.
    Task(mpsc::UnboundedSender<Message>),
}

/// Requests per second of a hub by default.
const REQUESTS_PER_SECOND: u32 = 10;

impl Hub {
    /// A hub for the pods of this scope. Does nothing until there is a wait.
    ///
    /// Make the client with [`crate::client`]: one with kube's default retries hides failures for minutes.
    #[must_use]
    pub fn new(client: kube::Client, scope: Scope) -> Self {
        Self::builder(client, scope).build()
    }

    /// The same with other settings.
    pub fn builder(client: kube::Client, scope: Scope) -> HubBuilder {
        let settings = Settings { scope, requests_per_second: REQUESTS_PER_SECOND, stays_open: false };
        HubBuilder { client, settings }
    }

    fn of(client: kube::Client, settings: Settings) -> Self {
        let shared = Shared { place: Mutex::new(Place::Here(None)), refusal: Mutex::new(None) };
        let (shared, tickets) = (Arc::new(shared), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { client, settings, shared, tickets }) }
    }

    /// Waits for a pod, as [`wait`](crate::wait()) does. A pod outside of the scope has a watch of its own.
    #[must_use = "a wait does nothing unless awaited"]
    pub fn wait(&self, namespace: impl Into<String>, pod: impl Into<String>) -> Wait {
        Wait::in_hub(self.clone(), namespace.into(), pod.into())
    }

    /// Why the pods are not watched together: what the API server said when it last refused that, until it has opened a
    /// watch for the hub.
    #[must_use]
    pub fn refusal(&self) -> Option<ApiFailure> {
        lock(&self.inner.shared.refusal).clone()
    }

    pub(crate) fn client(&self) -> &kube::Client {
        &self.inner.client
    }

    /// Takes a wait into the hub, and starts its task if there is none.
    fn join(&self, join: Join) -> mpsc::UnboundedSender<Message> {
        let Inner { client, settings, shared, .. } = &*self.inner;
        let mut place = lock(&shared.place);
        let mut message = Message::Join(Box::new(join));
        let mut known = None;
        match &mut *place {
            Place::Task(task) => match task.send(message) {
                Ok(()) => return task.clone(),
                // The task went with its runtime.
                Err(mpsc::error::SendError(unsent)) => message = unsent,
            },
            Place::Here(waits) => known = waits.take(),
        }
        let (waits, start) = known.map_or_else(|| (settings.waits(), Instant::now()), |known| *known);
        let (sender, messages) = mpsc::unbounded_channel();
        // There is a receiver.
        let _ = sender.send(message);
        *place = Place::Task(sender.clone());
        drop(place);
        let task = Task::new(client.clone(), waits, start, messages, Arc::clone(shared));
        tokio::spawn(task.run(settings.stays_open));
        sender
    }

    /// One wait in the hub.
    pub(crate) fn drive(
        self,
        start: Box<Start>,
        cancelled: Cancelled,
        looks: Vec<Look>,
    ) -> impl Future<Output = Result<Exit, Failure>> {
        self.await_reply(start, cancelled, Looks::new(looks))
    }

    async fn await_reply(
        self,
        mut start: Box<Start>,
        mut cancelled: Cancelled,
        looks: Looks,
    ) -> Result<Exit, Failure> {
        loop {
            let (reply, mut replied) = oneshot::channel();
            let ticket = self.inner.tickets.fetch_add(1, Ordering::Relaxed);
            let sender = self.join(Join { ticket, start, looks: looks.clone(), reply });
            let mut place = InTask { sender, ticket, looks: looks.clone(), is_over: false };
            let mut is_cancelled = false;
            let reply = loop {
                tokio::select! {
                    biased;
                    reply = &mut replied => break reply,
                    () = &mut cancelled, if !is_cancelled => {
                        is_cancelled = true;
                        // A task that is gone has replied.
                        let _ = place.sender.send(Message::Cancel(ticket));
                    }
                }
            };
            place.is_over = true;
            start = match reply {
                Ok(Reply::Answer(answer)) => return *answer,
                Ok(Reply::Panic(panic)) => resume_unwind(panic),
                Ok(Reply::Unserved(start)) => start,
                Err(_) => unreachable!("the task replies to each wait, also when it is dropped"),
            };
        }
    }
}

/// A hub that is not made yet, from [`Hub::builder`].
#[must_use = "a builder makes a hub with `build`"]
pub struct HubBuilder {
    client: kube::Client,
    settings: Settings,
}

impl HubBuilder {
    /// How many requests per second the hub may send, and for a moment twice as many. Default: 10; 0 counts as 1.
    pub fn requests_per_second(mut self, requests: u32) -> Self {
        self.settings.requests_per_second = requests;
        self
    }

    /// Keeps the watch open when no wait is left, for agents that run one step after the other: from the first wait until the
    /// last clone of the hub is dropped.
    pub fn stay_open(mut self) -> Self {
        self.settings.stays_open = true;
        self
    }

    /// The hub. It does nothing until there is a wait.
    #[must_use]
    pub fn build(self) -> Hub {
        Hub::of(self.client, self.settings)
    }
}

impl Settings {
    fn waits(&self) -> Waits {
        let mut waits = Waits::of_scope(self.scope.clone(), self.requests_per_second);
        waits.stay_open(self.stays_open);
        waits
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // There are no waits any more. A task that keeps the watch open ends.
        *lock(&self.shared.place) = Place::Here(None);
    }
}

/// A wait's place in the task. It is left with this.
struct InTask {
    sender: mpsc::UnboundedSender<Message>,
    ticket: u64,
    looks: Looks,
    is_over: bool,
}

impl Drop for InTask {
    fn drop(&mut self) {
        if !self.is_over {
            self.looks.clear();
            // A task that is gone needs no word.
            let _ = self.sender.send(Message::Leave(self.ticket));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
