//! The wait for a Job over bytes: its object, its pods, and its machine.

#[cfg(test)]
mod tests;

use crate::call::{RequestId, Resource};
use crate::failure::Via;
use crate::feed::{Action, Feed, Readable, ResponseHead, Sink};
use crate::name::{PodName, Scope};
use crate::observed::{Collected, Object, Observed};
use crate::reflector::Reflector;
use crate::registry::{Confirms, WaitId};
use crate::waits::{ObservedPod, as_error, confirms};
use alloc::sync::Arc;
use alloc::vec::Vec;
use podwait_core::{Failure, Instant, JobDecision, JobExit, JobInput, JobMachine, JobPod, RetryReason};
use podwait_wire::{DecodeError, Encoding, Event, Item, Job};

/// How many requests per second a wait may send for the pods of its Job.
const REQUESTS_PER_SECOND: u32 = 5;

/// A Job as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ObservedJob(Arc<Job>);

impl Object for ObservedJob {
    fn uid(&self) -> &str {
        &self.0.snapshot.uid
    }

    fn resource_version(&self) -> &str {
        &self.0.snapshot.resource_version
    }
}

impl Readable for ObservedJob {
    const RESOURCE: Resource = Resource::Jobs;

    fn of_bytes(encoding: Encoding, bytes: Vec<u8>, _: bool) -> Result<Self, DecodeError> {
        Ok(Self(Arc::new(podwait_wire::job(encoding, &bytes)?)))
    }

    fn of_item(item: &Item<'_>, _: bool) -> Result<Self, DecodeError> {
        Ok(Self(Arc::new(item.job()?)))
    }

    fn of_event(event: &Event<'_>, _: bool) -> Result<Self, DecodeError> {
        Ok(Self(Arc::new(event.job()?)))
    }

    fn namespace(&self) -> &str {
        &self.0.namespace
    }

    fn name(&self) -> &str {
        &self.0.name
    }
}

/// A request of a [`JobWait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobRequestId {
    /// For the Job's object.
    Job(RequestId),
    /// For its pods.
    Pods(RequestId),
}

/// One turn of the wait: the machine after an input. `pod` if the input was an object of a pod of the Job.
#[derive(Clone, Copy, Debug)]
pub struct JobTurn<'a> {
    /// The machine's time.
    pub at: Instant,
    /// The pod.
    pub pod: Option<&'a ObservedPod>,
    /// The machine's decision.
    pub decision: &'a JobDecision,
    /// The machine after the decision.
    pub machine: &'a JobMachine,
}

/// The wait for one Job, without I/O: the counterpart of [`Waits`](crate::Waits), with the same calls for the host.
///
/// The Job's object is followed as a pod is. Once its selector is known, its pods are listed and watched by that selector.
#[derive(Debug)]
pub struct JobWait {
    job: Feed<ObservedJob>,
    wait: WaitId,
    pods: Option<Feed<Arc<ObservedPod>>>,
    inner: Inner,
}

/// The machine, and what it needs from the host.
#[derive(Debug)]
struct Inner {
    namespace: Arc<str>,
    machine: JobMachine,
    /// The machine's time and the host's time when the wait began.
    begin: Instant,
    joined: Instant,
    /// The label selector of the pods, once it is known.
    selector: Option<Arc<str>>,
    /// The pods of the LIST under way that have not ended; `None` if there is no LIST under way.
    listed: Option<Vec<Arc<ObservedPod>>>,
    /// The machine wants a LIST of the pods.
    wants_pods: bool,
    /// When the Job is to be read, and what the machine confirms until then.
    wanted: Option<(Instant, Confirms)>,
    /// What the machine confirms.
    confirms: Confirms,
    answer: Option<Result<JobExit, Failure>>,
}

impl JobWait {
    /// The wait for this Job, which begins now.
    pub fn new(
        now: Instant,
        namespace: &str,
        name: &str,
        machine: JobMachine,
        look: &mut impl FnMut(JobTurn<'_>),
    ) -> Self {
        let mut job = Feed::new(Reflector::single());
        let wait = job.reflector.join(now, PodName::new(namespace, name), true, machine.job_uid());
        let mut inner = Inner {
            namespace: namespace.into(),
            begin: machine.now(),
            machine,
            joined: now,
            selector: None,
            listed: None,
            wants_pods: false,
            wanted: None,
            confirms: Confirms::Nothing,
            answer: None,
        };
        Turns { inner: &mut inner, look }.deliver(now, &mut job.reflector, wait, &Observed::Silence);
        Self { job, wait, pods: None, inner }
    }

    /// The caller cancels the wait: the answer is `cancelled`, unless there was one before.
    pub fn cancel(&mut self, now: Instant, look: &mut impl FnMut(JobTurn<'_>)) {
        let mut turns = Turns { inner: &mut self.inner, look };
        turns.deliver(now, &mut self.job.reflector, self.wait, &Observed::Cancelled);
    }

    /// The final answer, once.
    pub fn take_answer(&mut self) -> Option<Result<JobExit, Failure>> {
        self.inner.answer.take()
    }

    /// The next action for the host, with the id under which the answer is handed over.
    pub fn next_action(&mut self, now: Instant) -> Option<(JobRequestId, Action)> {
        let of = |action: Action, id: fn(RequestId) -> JobRequestId| match action {
            Action::Send { id: sent, .. } | Action::Close(sent) => (id(sent), action),
        };
        if let Some(action) = self.job.next_action(now) {
            return Some(of(action, JobRequestId::Job));
        }
        let action = self.pods.as_mut()?.next_action(now)?;
        Some(of(action, JobRequestId::Pods))
    }

    /// Does everything that is due. Returns the time at which to call this again, if there is no input before.
    pub fn poll(&mut self, now: Instant, look: &mut impl FnMut(JobTurn<'_>)) -> Option<Instant> {
        loop {
            let next = self.job.poll(now, &mut Turns { inner: &mut self.inner, look });
            if self.pods.is_none()
                && let Some(selector) = self.inner.selector.clone()
            {
                let scope =
                    Scope { namespace: Some(Arc::clone(&self.inner.namespace)), labels: Some(selector) };
                self.pods = Some(Feed::new(Reflector::of_collection(now, scope, REQUESTS_PER_SECOND)));
            }
            let Some(pods) = &mut self.pods else { return next };
            if core::mem::take(&mut self.inner.wants_pods) {
                match pods.reflector.refusal().cloned() {
                    None => pods.reflector.list_again(),
                    // The next attempt would be refused as well.
                    Some(refusal) => {
                        let mut turns = Turns { inner: &mut self.inner, look };
                        turns.handle(now, JobInput::PodsError(as_error(&refusal)), None);
                    }
                }
            }
            let of_pods = pods.poll(now, &mut Turns { inner: &mut self.inner, look });
            // An input about a pod may change when the machine is due.
            if !self.inner.want(now, &mut self.job.reflector, self.wait) {
                return [next, of_pods].into_iter().flatten().min();
            }
        }
    }

    /// The head of an answer has arrived.
    pub fn head(&mut self, now: Instant, id: JobRequestId, head: &ResponseHead<'_>) {
        match (id, &mut self.pods) {
            (JobRequestId::Job(id), _) => self.job.head(now, id, head),
            (JobRequestId::Pods(id), Some(pods)) => pods.head(now, id, head),
            (JobRequestId::Pods(_), None) => {}
        }
    }

    /// A piece of an answer's body has arrived.
    pub fn body(&mut self, now: Instant, id: JobRequestId, piece: &[u8], look: &mut impl FnMut(JobTurn<'_>)) {
        let mut turns = Turns { inner: &mut self.inner, look };
        match (id, &mut self.pods) {
            (JobRequestId::Job(id), _) => self.job.body(now, id, piece, &mut turns),
            (JobRequestId::Pods(id), Some(pods)) => pods.body(now, id, piece, &mut turns),
            (JobRequestId::Pods(_), None) => {}
        }
    }

    /// An answer has ended, or failed with this message.
    pub fn end(
        &mut self,
        now: Instant,
        id: JobRequestId,
        error: Option<&str>,
        look: &mut impl FnMut(JobTurn<'_>),
    ) {
        let mut turns = Turns { inner: &mut self.inner, look };
        match (id, &mut self.pods) {
            (JobRequestId::Job(id), _) => self.job.end(now, id, error, &mut turns),
            (JobRequestId::Pods(id), Some(pods)) => pods.end(now, id, error, &mut turns),
            (JobRequestId::Pods(_), None) => {}
        }
    }
}

impl Inner {
    fn time(&self, now: Instant) -> Instant {
        self.begin.after(now.since(self.joined))
    }
}

impl Inner {
    /// Has the Job read when the machine is due. Returns whether that is new.
    fn want(&mut self, now: Instant, reflector: &mut Reflector<ObservedJob>, wait: WaitId) -> bool {
        let Some(due) = self.machine.next_deadline() else { return false };
        let wanted = Some((due, self.confirms));
        if self.wanted == wanted {
            return false;
        }
        self.wanted = wanted;
        reflector.want(now, wait, due.since(self.time(now)), self.confirms);
        true
    }
}

/// Passes observations to the machine.
struct Turns<'a, F> {
    inner: &'a mut Inner,
    look: &'a mut F,
}

impl<F: FnMut(JobTurn<'_>)> Turns<'_, F> {
    fn handle(&mut self, now: Instant, input: JobInput<'_>, pod: Option<&ObservedPod>) {
        let inner = &mut *self.inner;
        if inner.machine.verdict().is_some() {
            return;
        }
        let at = inner.time(now);
        let decision = inner.machine.handle(at, input);
        (self.look)(JobTurn { at, pod, decision: &decision, machine: &inner.machine });
        match decision {
            JobDecision::Retry { why, .. } => {
                inner.confirms = confirms(why);
                inner.wants_pods |= why == RetryReason::AwaitingTerminatedState && inner.listed.is_none();
            }
            JobDecision::Done(exit) => inner.answer = Some(Ok(exit)),
            JobDecision::Fail(failure) => inner.answer = Some(Err(failure)),
        }
    }
}

fn of_job(pod: &ObservedPod) -> JobPod<'_> {
    let owner = pod.pod.owner.as_ref().map_or("", |owner| &owner.uid);
    JobPod { name: &pod.pod.name, owner, snapshot: &pod.pod.snapshot }
}

impl<F: FnMut(JobTurn<'_>)> Sink<ObservedJob> for Turns<'_, F> {
    fn deliver(
        &mut self,
        now: Instant,
        reflector: &mut Reflector<ObservedJob>,
        wait: WaitId,
        observed: &Observed<ObservedJob>,
    ) {
        let input = match observed {
            Observed::Pod(Via::Get | Via::List, job) => JobInput::Read(&job.0.snapshot),
            Observed::Pod(Via::Watch, job) => JobInput::Snapshot(&job.0.snapshot),
            Observed::Deleted(job) => JobInput::Deleted(&job.0.snapshot),
            Observed::NotFound(_) => JobInput::NotFound,
            Observed::Failed(failure) => JobInput::ApiError(as_error(failure)),
            Observed::Silence => JobInput::Tick,
            Observed::Cancelled => JobInput::Cancel,
        };
        self.handle(now, input, None);
        if let Observed::Pod(_, ObservedJob(job)) = observed
            && self.inner.machine.job_uid() == Some(&job.snapshot.uid)
            && !job.selector.is_empty()
        {
            // It never changes (`ValidateJobUpdate` in `pkg/apis/batch/validation`).
            self.inner.selector.get_or_insert_with(|| job.selector.as_str().into());
        }
        // Each delivery is to be followed by a new time.
        self.inner.wanted = None;
        if !self.inner.want(now, reflector, wait) {
            reflector.leave(wait);
        }
    }
}

impl<F: FnMut(JobTurn<'_>)> Sink<Arc<ObservedPod>> for Turns<'_, F> {
    fn deliver(
        &mut self,
        _: Instant,
        reflector: &mut Reflector<Arc<ObservedPod>>,
        wait: WaitId,
        _: &Observed<Arc<ObservedPod>>,
    ) {
        // No single pod is waited for.
        reflector.leave(wait);
    }

    fn collect(&mut self, now: Instant, collected: Collected<Arc<ObservedPod>>) {
        match collected {
            Collected::ListBegins => self.inner.listed = Some(Vec::new()),
            Collected::Object(_, pod) => {
                match &mut self.inner.listed {
                    // A pod that has ended needs no evidence that it is there, so that a Job with any number of ended pods takes no
                    // memory for them.
                    Some(listed) if !pod.pod.snapshot.is_over() => listed.push(Arc::clone(&pod)),
                    Some(_) | None => {}
                }
                self.handle(now, JobInput::Pod(of_job(&pod)), Some(&pod));
            }
            Collected::Deleted(pod) => {
                if let Some(listed) = &mut self.inner.listed {
                    listed.retain(|other| other.pod.snapshot.uid != pod.pod.snapshot.uid);
                }
                self.handle(now, JobInput::PodDeleted(of_job(&pod)), Some(&pod));
            }
            Collected::ListEnds => {
                let listed = self.inner.listed.take().unwrap_or_default();
                let pods: Vec<JobPod<'_>> = listed.iter().map(|pod| of_job(pod)).collect();
                self.handle(now, JobInput::Pods(&pods), None);
            }
            Collected::Failed(failure) => {
                self.inner.listed = None;
                self.handle(now, JobInput::PodsError(as_error(&failure)), None);
            }
        }
    }
}
