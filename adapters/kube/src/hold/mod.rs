//! Keeping a pod's object until its end has been read.

mod left;
mod patch;

pub use left::{HeldPod, held_pods};

use crate::board::Board;
use crate::client::{CALL_TIMEOUT, Calls, Client, later, timed_out};
use crate::wait::Wait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use patch::{Change, Patched};
use podwait_hub::PodName;
use podwait_wire::{ApiFailure, Via};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// The finalizer of a hold. A pod that is created with it needs no right to patch pods until it is released.
pub const FINALIZER: &str = "podwait.dev/hold";

/// First and longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long a wait that is over waits for the answer to its hold request.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Longest time for which one `Retry-After` delays the hold request.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The total time limit of a release.
const RELEASE: Duration = Duration::from_secs(30);

/// The time limit of the last attempt of a release.
const LAST_TRY: Duration = Duration::from_secs(1);

/// How long after sending a request may still take effect: its timeout, which the API server observes too, and a
/// margin.
const LATEST: Duration = CALL_TIMEOUT.saturating_add(Duration::from_secs(1));

/// Keeps a pod's object until its end has been read, by the finalizer [`FINALIZER`].
///
/// Without a hold, the exit is lost if the pod is force-deleted, if its node is gone, or if no process watches the
/// deletion. With a hold the object stays, with its deletionTimestamp, until it is [released](Self::release): the
/// containers are stopped as usual, and their ends can be read. The Job controller and workflow engines keep their pods
/// in the same way.
///
/// ```no_run
/// # async fn example(client: podwait::Client) -> Result<(), podwait::ApiFailure> {
/// let hold = podwait::Hold::new(client.clone(), "ci", "step-1");
/// let exit = podwait::wait(client, "ci", "step-1").hold(&hold).await;
/// // Store the answer, read the logs, and only then:
/// hold.release().await?;
/// # Ok(())
/// # }
/// ```
///
/// Clones are the same hold. [`held_pods`] finds the holds of killed processes.
///
/// # Rights
///
/// `patch` on `pods`. Without this right the wait works, but without a hold; [`state`](Self::state) shows that.
#[derive(Clone)]
pub struct Hold {
    calls: Calls,
    pod: PodName,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    state: HoldState,
    /// The uid of the pod that has the finalizer, or may have it: a request without an answer may have taken effect.
    may_hold: Option<String>,
    /// The request to add the finalizer that is under way. It stays here if the wait is dropped, so that a release can
    /// await its answer.
    adding: Option<Adding>,
    /// Until when a request without an answer may still take effect.
    unanswered_until: Option<Instant>,
    /// A release has begun: the finalizer is not added any more.
    is_unwanted: bool,
}

#[derive(Clone)]
struct Adding {
    sent: Instant,
    answer: Shared<BoxFuture<'static, Patched>>,
}

/// The state of a [`Hold`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldState {
    /// The pod was not seen yet, or the finalizer could not be added so far.
    #[default]
    NotYet,
    /// The pod of this uid is kept.
    Held {
        /// `metadata.uid`
        uid: String,
    },
    /// The pod was already being deleted when it was seen: no finalizer can be added to such an object.
    TooLate,
    /// The API server refuses the finalizer.
    Refused(ApiFailure),
    /// The pod is not held any more, or is gone.
    Released,
}

impl Hold {
    /// A hold on the pod that a wait will see. Give it to [`Wait::hold`](crate::Wait::hold).
    #[must_use]
    pub fn new(client: Client, namespace: &str, pod: &str) -> Self {
        Self { calls: Calls::new(client), pod: PodName::new(namespace, pod), inner: Arc::default() }
    }

    /// The hold of a pod that was created with the finalizer; `uid` is that of the created pod.
    #[must_use]
    pub fn of_created(client: Client, namespace: &str, pod: &str, uid: &str) -> Self {
        let hold = Self::new(client, namespace, pod);
        {
            let mut inner = hold.lock();
            inner.state = HoldState::Held { uid: uid.to_owned() };
            inner.may_hold = Some(uid.to_owned());
        }
        hold
    }

    /// The state of the hold.
    #[must_use]
    pub fn state(&self) -> HoldState {
        self.lock().state.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the object: removes the finalizer from the pod that the wait has seen, even if another process added
    /// it, and from no other pod. Sends nothing if no pod was seen, and succeeds if the pod is gone or another one has
    /// its name.
    ///
    /// The wait may be over, under way or dropped, even during its hold request. In that case this awaits the answer;
    /// if there is none, it removes the finalizer again when the request can no longer take effect. It retries for half
    /// a minute, and may be called again, also after its future was dropped. After this call the finalizer is never
    /// added again.
    ///
    /// # Errors
    /// The API server did not accept the change; the pod stays. A later call, or another process, can still release it.
    pub async fn release(&self) -> Result<(), ApiFailure> {
        let end = later(RELEASE);
        let adding = {
            let mut inner = self.lock();
            inner.is_unwanted = true;
            inner.adding.clone()
        };
        if let Some(adding) = adding {
            // The request has a timeout of its own.
            let patched = adding.answer.clone().await;
            self.take_in(&adding, patched);
        }
        let Some(uid) = self.lock().may_hold.clone() else { return Ok(()) };
        let is_doubtful = self.state() == HoldState::NotYet && self.lock().unanswered_until.is_none();
        match self.remove(&uid, end).await {
            Ok(()) => {}
            Err(failure) if is_doubtful && failure.code == 403 => {
                let mut inner = self.lock();
                (inner.state, inner.may_hold) = (HoldState::Refused(failure), None);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        }
        let unanswered_until = self.lock().unanswered_until;
        if let Some(until) = unanswered_until.filter(|until| *until > Instant::now()) {
            sleep_until(until).await;
            self.remove(&uid, end.max(later(CALL_TIMEOUT))).await?;
        }
        let mut inner = self.lock();
        (inner.state, inner.may_hold, inner.unanswered_until) = (HoldState::Released, None, None);
        Ok(())
    }

    async fn remove(&self, uid: &str, end: Instant) -> Result<(), ApiFailure> {
        let mut pause = PAUSE.0;
        loop {
            let patched = timeout_at(
                end,
                self.calls.clone().patch_hold(self.pod.clone(), uid.to_owned(), Change::Remove),
            );
            let failure = match patched.await {
                Ok(Patched::Done | Patched::Gone) => return Ok(()),
                Ok(Patched::Invalid(failure) | Patched::Failed(failure)) => failure,
                Err(_) => return Err(timed_out(Via::Get)),
            };
            let left = end.saturating_duration_since(Instant::now()).saturating_sub(LAST_TRY);
            if is_hopeless(&failure) || left.is_zero() {
                return Err(failure);
            }
            // There is a last attempt, however long the server asks to wait.
            let next = pause.max(failure.retry_after.unwrap_or_default());
            sleep(next.min(left)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Runs a future, and adds the finalizer as soon as the board shows the pod, with retries.
    pub(crate) async fn during<T>(&self, what: impl Future<Output = T>, board: watch::Receiver<Board>) -> T {
        let last = board.clone();
        // A killed process may have added the finalizer.
        self.doubt(&last);
        let (mut what, mut keep) = (pin!(what), pin!(self.keep(board)));
        let done = tokio::select! {
            biased;
            done = &mut what => done,
            () = &mut keep => return what.await,
        };
        self.doubt(&last);
        let is_asking = self.lock().adding.is_some();
        if is_asking {
            // The answer may show that the finalizer was added, and then a release has to remove it.
            let _ = timeout(LAST_ANSWER, keep).await;
        }
        done
    }

    /// Records that the pod may have the finalizer although the wait was over at its first observation or before: its
    /// creator or a killed process may have added it.
    fn doubt(&self, board: &watch::Receiver<Board>) {
        let mut inner = self.lock();
        if inner.state == HoldState::NotYet && inner.may_hold.is_none() {
            inner.may_hold = board.borrow().uid.as_deref().map(str::to_owned);
        }
    }

    async fn keep(&self, mut board: watch::Receiver<Board>) {
        if let Some(uid) = seen(&mut board).await
            && self.state() == HoldState::NotYet
        {
            self.add(&uid).await;
        }
    }

    async fn add(&self, uid: &str) {
        let mut pause = PAUSE.0;
        while let Some(adding) = self.ask(uid) {
            let patched = adding.answer.clone().await;
            let Some(failure) = self.take_in(&adding, patched) else { return };
            let asked_for = failure.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
            sleep(pause.max(asked_for)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Begins a request to add the finalizer, if it is still wanted.
    fn ask(&self, uid: &str) -> Option<Adding> {
        let mut inner = self.lock();
        if inner.is_unwanted {
            return None;
        }
        let answer = self.calls.clone().patch_hold(self.pod.clone(), uid.to_owned(), Change::Add);
        let adding = Adding { sent: Instant::now(), answer: answer.boxed().shared() };
        (inner.may_hold, inner.adding) = (Some(uid.to_owned()), Some(adding.clone()));
        Some(adding)
    }

    /// Handles the result of a request, once: the wait and a release may both await it. Returns the failure if another
    /// attempt may succeed.
    fn take_in(&self, adding: &Adding, patched: Patched) -> Option<ApiFailure> {
        let mut inner = self.lock();
        inner.adding.take_if(|own| own.sent == adding.sent)?;
        match patched {
            Patched::Done => {
                let uid = inner.may_hold.clone().unwrap_or_default();
                inner.state = HoldState::Held { uid };
            }
            Patched::Gone => (inner.state, inner.may_hold) = (HoldState::Released, None),
            Patched::Invalid(_) => inner.state = HoldState::TooLate,
            Patched::Failed(failure) if is_hopeless(&failure) => inner.state = HoldState::Refused(failure),
            Patched::Failed(failure) => {
                if !is_answer(&failure) {
                    inner.unanswered_until = Some(adding.sent + LATEST);
                }
                return Some(failure);
            }
        }
        if !matches!(inner.state, HoldState::Held { .. }) && inner.unanswered_until.is_none() {
            inner.may_hold = None;
        }
        None
    }
}

impl Wait {
    /// Holds the pod as soon as it is seen, so that its end can be read after a deletion. [Release](Hold::release) it
    /// when the answer has been used.
    pub fn hold(self, hold: &Hold) -> Self {
        let hold = hold.clone();
        self.around(move |wait| {
            let (wait, facts) = wait.with_board();
            Box::pin(async move { hold.during(wait.drive(), facts).await })
        })
    }
}

/// Whether another attempt would fail in the same way. A conflict may pass: another client wrote the pod in between. An
/// error page of a proxy also says nothing about the next request.
fn is_hopeless(failure: &ApiFailure) -> bool {
    failure.is_status && matches!(failure.code, 400..=499 if !matches!(failure.code, 408 | 409 | 429))
}

/// Whether the answer shows that the request had no effect. The error of a gateway that lost the answer, or of a server
/// that ran out of time, does not show that.
fn is_answer(failure: &ApiFailure) -> bool {
    failure.is_status && matches!(failure.code, 400..=499 if failure.code != 408)
}

/// The uid of the pod, once it was seen.
async fn seen(board: &mut watch::Receiver<Board>) -> Option<String> {
    let board = board.wait_for(|board| board.pod.is_some()).await.ok()?;
    board.pod.as_ref().map(|pod| pod.uid.to_string())
}
