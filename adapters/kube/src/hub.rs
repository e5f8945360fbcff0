//! Many waits over one LIST and one watch.

mod task;

use crate::cancelled::Cancelled;
use crate::client::Client;
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
/// let client = podwait::Client::from_config(kube::Config::infer().await?)?;
/// let hub = podwait::Hub::new(client, podwait::Scope::namespace("ci").labels("agent=7"));
/// let (first, second) = tokio::join!(hub.wait("ci", "step-1"), hub.wait("ci", "step-2").container("step"));
/// # Ok(())
/// # }
/// ```
///
/// A wait may join at any time, also before its pod exists. The first wait starts a task on tokio's current runtime.
/// The task serves all waits of the hub and ends when the last one has its answer or is dropped; that runtime has to be
/// driven meanwhile. The hub keeps nothing about pods without a wait.
///
/// # Requests to the API server
///
/// One LIST (in pages of 500) and one watch, which is resumed for as long as the server allows that: another LIST is
/// needed only when the server's history is gone (410) or after an outage. GETs are added in three cases: a pod had no
/// news for the time that the [policy](crate::PolicyBuilder::reobserve) sets, a decision needs a missing fact, or a
/// wait joined late. With a label selector the hub first reads such a pod by a LIST of its name, which shows whether
/// the selector matches it, and by a GET only if it does not match. Many urgent reads are replaced by one LIST. If
/// known pods are not found, a second watch looks for their final states for some seconds.
///
/// All requests, including each page of a LIST, share a budget of [requests per second](HubBuilder::requests_per_second),
/// whatever the number of waits. The least urgent reads wait longest. `Retry-After` holds for all.
///
/// # Fairness
///
/// The hub's task feeds all waits, including those whose futures are not polled. Closures of [`Wait::on_turn`] run on that
/// task and must not block. An event that cannot be read is an error for the waits on its pod only.
///
/// # Rights
///
/// `list` and `watch` on `pods`, and `get`. If the server refuses to list and watch the whole scope, for instance
/// because RBAC names the pods, each pod has a watch of its own or is polled, as with [`wait`](crate::wait()), within
/// ten times the budget; [`refusal`](Self::refusal) returns the refusal. A minute later the hub tries again, and a
/// pod's own watch ends once that of the scope is open and has shown the pod. If the server allowed the watch before,
/// the hub first retries for some seconds.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    settings: Settings,
    shared: Arc<Shared>,
    /// The next ticket; each is unique.
    tickets: AtomicU64,
}

struct Settings {
    scope: Scope,
    requests_per_second: u32,
    stays_open: bool,
}

/// The state that the hub and its task share.
struct Shared {
    place: Mutex<Place>,
    refusal: Mutex<Option<ApiFailure>>,
}

/// Where the hub's waits are.
enum Place {
    /// No task runs. Keeps the facts about the API server and the rest of the budget, as of that time.
    Here(Option<Box<(Waits, Instant)>>),
    /// With a task.
    Task(mpsc::UnboundedSender<Message>),
}

/// Requests per second of a hub by default.
const REQUESTS_PER_SECOND: u32 = 10;

impl Hub {
    /// A hub for the pods of this scope. It does nothing until there is a wait.
    #[must_use]
    pub fn new(client: Client, scope: Scope) -> Self {
        Self::builder(client, scope).build()
    }

    /// The same with other settings.
    pub fn builder(client: Client, scope: Scope) -> HubBuilder {
        let settings = Settings { scope, requests_per_second: REQUESTS_PER_SECOND, stays_open: false };
        HubBuilder { client, settings }
    }

    fn of(client: Client, settings: Settings) -> Self {
        let shared = Shared { place: Mutex::new(Place::Here(None)), refusal: Mutex::new(None) };
        let (shared, tickets) = (Arc::new(shared), AtomicU64::new(0));
        Self { inner: Arc::new(Inner { client, settings, shared, tickets }) }
    }

    /// Waits for a pod, as [`wait`](crate::wait()) does. A pod outside of the scope has a watch of its own.
    #[must_use = "a wait does nothing unless awaited"]
    pub fn wait(&self, namespace: impl Into<String>, pod: impl Into<String>) -> Wait {
        Wait::in_hub(self.clone(), namespace.into(), pod.into())
    }

    /// Why the pods are not watched together: the API server's last refusal, until it opens a watch for the hub.
    #[must_use]
    pub fn refusal(&self) -> Option<ApiFailure> {
        lock(&self.inner.shared.refusal).clone()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Adds a wait to the hub, and starts the task if there is none.
    fn join(&self, join: Join) -> mpsc::UnboundedSender<Message> {
        let Inner { client, settings, shared, .. } = &*self.inner;
        let mut place = lock(&shared.place);
        let mut message = Message::Join(Box::new(join));
        let mut known = None;
        match &mut *place {
            Place::Task(task) => match task.send(message) {
                Ok(()) => return task.clone(),
                // The task ended with its runtime.
                Err(mpsc::error::SendError(unsent)) => message = unsent,
            },
            Place::Here(waits) => known = waits.take(),
        }
        let (waits, start) = known.map_or_else(|| (settings.waits(), Instant::now()), |known| *known);
        let (sender, messages) = mpsc::unbounded_channel();
        // The receiver exists, so this cannot fail.
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
                        // A task that has ended has replied before.
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
    client: Client,
    settings: Settings,
}

impl HubBuilder {
    /// How many requests per second the hub may send, with a burst of twice as many. Default: 10; 0 counts as 1.
    pub fn requests_per_second(mut self, requests: u32) -> Self {
        self.settings.requests_per_second = requests;
        self
    }

    /// Keeps the watch open when no wait is left, for agents that run one step after another: from the first wait until the
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
        // No wait is left, so a task that keeps the watch open ends.
        *lock(&self.shared.place) = Place::Here(None);
    }
}

/// A wait's place in the task. Its drop removes the wait.
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
            // A task that has ended needs no message.
            let _ = self.sender.send(Message::Leave(self.ticket));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
