//! Keeping a pod's object until its end has been read.

mod left;
mod patch;

pub use left::{HeldPod, held_pods};

use crate::client::Calls;
use crate::logs::Board;
use crate::selection::PodName;
use crate::source::ApiFailure;
use patch::{Change, Patched};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The finalizer of a hold. A pod that is created with it needs no right to patch pods until it is released.
pub const FINALIZER: &str = "podwait.dev/hold";

/// First and longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long a wait that is over waits for the answer to the request for its hold.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Keeps a pod's object until its end has been read, by the finalizer [`FINALIZER`].
///
/// Without it a pod that is force-deleted, or whose node is gone, takes its exit along; and a deletion that nobody watched
/// leaves nothing to read. With it the object stays, deletion and all, until it is [released](Self::release): the
/// containers are stopped as ever, and how they ended can be read. The Job controller and workflow engines keep their pods
/// so.
///
/// ```no_run
/// # async fn example(client: kube::Client) -> Result<(), podwait::ApiFailure> {
/// let hold = podwait::Hold::new(client.clone(), "ci", "step-1");
/// let exit = podwait::wait(client, "ci", "step-1").hold(&hold).await;
/// // Write down what became of it, read its logs, and only then:
/// hold.release().await?;
/// # Ok(())
/// # }
/// ```
///
/// Clones are the same hold. What a process that was killed has left behind is found by [`held_pods`].
///
/// # Rights
///
/// `patch` on `pods`. Who lacks it waits all the same, without a hold; [`state`](Self::state) says so.
#[derive(Clone)]
pub struct Hold {
    calls: Calls,
    pod: PodName,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    state: HoldState,
    /// The uid of the pod that has the finalizer, or may have: a request whose answer nobody heard may have been carried out.
    may_hold: Option<String>,
    /// Such a request is under way.
    is_asking: bool,
}

/// How far a [`Hold`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldState {
    /// The pod was not seen yet, or it was not possible so far.
    NotYet,
    /// The pod of this uid is kept.
    Held {
        /// `metadata.uid`
        uid: String,
    },
    /// The pod was being deleted already when it was seen: no finalizer can be added to such an object.
    TooLate,
    /// The API server does not let us.
    Refused(ApiFailure),
    /// It is not kept any more, or is gone.
    Released,
}

impl Hold {
    /// A hold on the pod that a wait will see. Give it to [`Wait::hold`](crate::Wait::hold).
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, pod: &str) -> Self {
        Self {
            calls: Calls::new(client),
            pod: PodName::new(namespace, pod),
            inner: Arc::new(Mutex::new(Inner { state: HoldState::NotYet, may_hold: None, is_asking: false })),
        }
    }

    /// The hold of a pod that was created with the finalizer, by the uid that the API server gave it.
    #[must_use]
    pub fn of_created(client: kube::Client, namespace: &str, pod: &str, uid: &str) -> Self {
        let hold = Self::new(client, namespace, pod);
        hold.set(HoldState::Held { uid: uid.to_owned() }, Some(uid));
        hold
    }

    /// How far it is.
    #[must_use]
    pub fn state(&self) -> HoldState {
        self.lock().state.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: HoldState, may_hold: Option<&str>) {
        *self.lock() = Inner { state, may_hold: may_hold.map(str::to_owned), is_asking: false };
    }

    /// Lets the object go: takes the finalizer off the pod that the wait has seen, whoever put it on. Does nothing if no pod
    /// was seen, and is done if the pod is gone or another one has its name. Tried again for half a minute; may be called
    /// again, also after it was dropped midway.
    ///
    /// # Errors
    /// The API server did not take it; the pod stays. A later call, or another process, can still release it.
    pub async fn release(&self) -> Result<(), ApiFailure> {
        let Some(uid) = self.lock().may_hold.clone() else { return Ok(()) };
        let is_doubtful = self.state() == HoldState::NotYet && !self.lock().is_asking;
        match self.release_uid(&uid, Duration::from_secs(30)).await {
            Ok(()) => self.set(HoldState::Released, None),
            Err(failure) if is_doubtful && failure.code == 403 => self.set(HoldState::Refused(failure), None),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn release_uid(&self, uid: &str, limit: Duration) -> Result<(), ApiFailure> {
        let (mut pause, begin) = (PAUSE.0, Instant::now());
        loop {
            let failure = match self.calls.patch_hold(&self.pod, uid, Change::Remove).await {
                Patched::Done | Patched::Gone => return Ok(()),
                Patched::Invalid(failure) | Patched::Failed(failure) => failure,
            };
            let next = pause.max(failure.retry_after.unwrap_or_default());
            if is_hopeless(&failure) || begin.elapsed() + next > limit {
                return Err(failure);
            }
            sleep(next).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Does something, and puts the finalizer on as soon as the board shows the pod, again and again if that fails.
    pub(crate) async fn during<T>(&self, what: impl Future<Output = T>, board: watch::Receiver<Board>) -> T {
        let last = board.clone();
        let (mut what, mut keep) = (pin!(what), pin!(self.keep(board)));
        let done = tokio::select! {
            biased;
            done = &mut what => done,
            () = &mut keep => return what.await,
        };
        self.doubt(last);
        if self.lock().is_asking {
            // The answer may say that the finalizer is there, and then somebody has to take it off.
            let _ = timeout(LAST_ANSWER, keep).await;
        }
        done
    }

    /// Takes note that the pod of a wait that was over at its first look may have the finalizer all the same: from its
    /// creator, or from a process that was killed.
    fn doubt(&self, board: watch::Receiver<Board>) {
        let mut inner = self.lock();
        if inner.state == HoldState::NotYet && inner.may_hold.is_none() {
            inner.may_hold = board.borrow().pod.as_ref().map(|pod| pod.uid.clone());
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
        loop {
            *self.lock() =
                Inner { state: HoldState::NotYet, may_hold: Some(uid.to_owned()), is_asking: true };
            let patched = self.calls.patch_hold(&self.pod, uid, Change::Add).await;
            self.lock().is_asking = false;
            let failure = match patched {
                Patched::Done => return self.set(HoldState::Held { uid: uid.to_owned() }, Some(uid)),
                Patched::Gone => return self.set(HoldState::Released, None),
                Patched::Invalid(_) => return self.set(HoldState::TooLate, None),
                Patched::Failed(failure) => failure,
            };
            if is_hopeless(&failure) {
                return self.set(HoldState::Refused(failure), None);
            }
            sleep(pause.max(failure.retry_after.unwrap_or_default())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Whether another try would meet the same. A conflict would not: somebody else wrote the pod again and again meanwhile.
fn is_hopeless(failure: &ApiFailure) -> bool {
    matches!(failure.code, 400..=499 if !matches!(failure.code, 408 | 409 | 429))
}

/// The uid of the pod, once it was seen.
async fn seen(board: &mut watch::Receiver<Board>) -> Option<String> {
    let board = board.wait_for(|board| board.pod.is_some()).await.ok()?;
    board.pod.as_ref().map(|pod| pod.uid.clone())
}
