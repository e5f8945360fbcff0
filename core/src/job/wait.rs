//! What an input means for a Job: the rules in their order.

use super::conditions::Outcome;
use super::decision::JobExit;
use super::ending::Ending;
use super::facts::Facts;
use super::input::{JobInput, JobPod};
use super::object::{Object, Standing};
use super::pod::Origin;
use super::pods::{Census, Pods};
use super::snapshot::{JobSnapshot, PodReplacementPolicy};
use super::verdict;
use crate::decision::Failure;
use crate::input::ApiError;
use crate::policy::Policy;
use crate::reason::{FailReason, RetryReason};
use crate::rules::api::ApiFailure;
use crate::text::{in_parentheses, one_line};
use crate::time::Instant;
use crate::timers::Start;
use alloc::format;
use alloc::string::String;
use core::ops::ControlFlow;
use core::time::Duration;

/// Longest text of a pod in the sentence about a limit, in bytes.
const LONGEST_HINDRANCE: usize = 700;

/// A Job that is not decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) object: Object,
    pub(super) pods: Pods,
    /// The newest state of the Job; `None` before it was seen.
    pub(super) facts: Option<Facts>,
    /// How long no pod of the Job has run.
    pub(super) start: Start,
    /// How it ends, once its conditions say so.
    pub(super) ending: Option<Ending>,
    /// The first input: the caller's deadline counts from here.
    pub(super) begun: Option<Instant>,
}

/// The verdict, or when to come back and why.
pub(super) type Answer = ControlFlow<Result<JobExit, Failure>, (Duration, RetryReason)>;

impl Waiting {
    pub(super) fn new(policy: &Policy) -> Self {
        Self {
            object: Object::new(policy),
            pods: Pods::new(policy),
            facts: None,
            start: Start::Off,
            ending: None,
            begun: None,
        }
    }

    pub(super) fn handle(&mut self, policy: &Policy, at: Instant, input: JobInput<'_>) -> Answer {
        self.begun.get_or_insert(at);
        match input {
            JobInput::Snapshot(job) => self.see(at, job, Object::snapshot),
            JobInput::Read(job) => self.see(at, job, Object::read),
            JobInput::Deleted(job) => self.see(at, job, Object::deleted),
            JobInput::NotFound => self.object.not_found(at),
            JobInput::ApiError(error) => self.object.api_error(at, error),
            JobInput::Pod(pod) => self.see_pod(at, pod, Origin::Event),
            JobInput::PodDeleted(pod) => self.see_pod(at, pod, Origin::Deleted),
            JobInput::Pods(pods) => self.list(at, pods),
            JobInput::PodsError(error) => self.pods_error(at, error),
            JobInput::Tick => {}
            JobInput::Cancel => return ControlFlow::Break(Err(self.cancelled())),
        }
        self.pods.tick(at);
        let census = self.pods.census();
        self.set_start(at, census);
        self.answer(policy, at, census)
    }

    fn see(&mut self, at: Instant, job: &JobSnapshot, handle: fn(&mut Object, Instant, &JobSnapshot)) {
        handle(&mut self.object, at, job);
        if self.object.uid() != Some(&job.uid) {
            return;
        }
        if self.object.has_accepted(job) || self.facts.is_none() {
            self.facts = Some(Facts::of(job));
        }
        Ending::see(&mut self.ending, at, job);
    }

    fn see_pod(&mut self, at: Instant, pod: JobPod<'_>, origin: Origin) {
        if self.object.owns(&pod) {
            self.pods.see(at, pod, origin);
        }
    }

    fn list(&mut self, at: Instant, pods: &[JobPod<'_>]) {
        self.pods.list(at, pods, |pod| self.object.owns(pod));
        self.pods_are_read();
    }

    fn pods_error(&mut self, at: Instant, error: ApiError<'_>) {
        self.pods.api_error(at);
        match ApiFailure::of(&error) {
            // It would be refused again.
            ApiFailure::Rejected | ApiFailure::Forbidden => self.pods_are_read(),
            ApiFailure::Expired
            | ApiFailure::Unauthorized
            | ApiFailure::Throttled
            | ApiFailure::Transient => {}
        }
    }

    fn pods_are_read(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.pods_are_read();
        }
    }

    /// Rule 19: the start deadline counts while no pod has run and none is on its way.
    fn set_start(&mut self, at: Instant, census: Census) {
        let Some(facts) = &self.facts else { return };
        let is_idle = !facts.has_run && !self.pods.have_run;
        // Pods that are not known: another controller may run them elsewhere, or they may not be listed.
        let has_unknown = facts.active > census.stuck + census.pending + census.running;
        let rests = facts.is_suspended || has_unknown || census.pending + census.running > 0;
        self.start.set(at, is_idle, rests);
    }

    fn answer(&mut self, policy: &Policy, at: Instant, census: Census) -> Answer {
        let standing = self.object.standing(at, self.facts.is_some());
        if let Some(answer) = self.conclude(policy, at, &standing) {
            return answer;
        }
        let after = match standing {
            Standing::Over(verdict) => return ControlFlow::Break(self.explain(*verdict, census)),
            // The known state may be out of date, so no failure to start decides.
            Standing::Unknown(after, why) => {
                return ControlFlow::Continue((self.until(at, after, None), why));
            }
            Standing::There(after) => after,
        };
        if let Some(failure) = self.cannot_start(census) {
            return ControlFlow::Break(Err(failure));
        }
        let start = match self.start {
            Start::Counts(from) => policy.0.start_deadline.map(|limit| (from.after(limit), limit)),
            Start::Off | Start::Rests { .. } => None,
        };
        match start {
            Some((end, limit)) if end <= at => ControlFlow::Break(Err(self.start_timeout(limit, census))),
            start => {
                let after = self.until(at, after, start.map(|(end, _)| end));
                ControlFlow::Continue((after, self.situation(census)))
            }
        }
    }

    /// The time until the first of these, and until a pod needs a tick.
    fn until(&self, at: Instant, after: Duration, other: Option<Instant>) -> Duration {
        let due = [other, self.pods.next_deadline()].into_iter().flatten().map(|due| due.since(at));
        due.fold(after, Duration::min).max(Duration::from_millis(1))
    }

    /// Rules 15 and 16: the answer of a Job whose conditions say how it ends; `None` if they do not.
    fn conclude(&mut self, policy: &Policy, at: Instant, standing: &Standing) -> Option<Answer> {
        let ending = self.ending.as_mut()?;
        let after = match standing {
            Standing::Over(_) => {
                ending.object_is_over(at);
                Duration::MAX
            }
            Standing::There(after) | Standing::Unknown(after, _) => *after,
        };
        let (limit, why) = ending.limit(policy, self.pods.lack_records());
        let deadline = self.begun.zip(policy.0.deadline).map(|(begun, limit)| begun.after(limit));
        let end = deadline.into_iter().fold(limit, Instant::min);
        if at < end {
            let again = ending.next_read(policy, at).min(end);
            return Some(ControlFlow::Continue((self.until(at, after, Some(again)), why)));
        }
        let conclusion = &self.ending.as_ref()?.conclusion;
        Some(ControlFlow::Break(match conclusion.outcome {
            Outcome::Complete => Ok(verdict::complete(conclusion)),
            Outcome::Failed => verdict::failed(conclusion, &self.pods, at, self.has_successes()),
        }))
    }

    fn has_successes(&self) -> bool {
        self.pods.have_succeeded || self.facts.as_ref().is_some_and(|facts| facts.has_successes)
    }

    /// What a Job that goes on waits for.
    fn situation(&self, census: Census) -> RetryReason {
        let Some(facts) = &self.facts else { return RetryReason::AwaitingJob };
        if facts.is_terminating {
            RetryReason::PodTerminating
        } else if facts.is_suspended {
            RetryReason::Suspended
        } else if census.running > 0 || facts.is_ready {
            RetryReason::Running
        } else if census.pending + census.stuck > 0 || facts.active > 0 {
            RetryReason::Pending
        } else if census.terminating > 0 && facts.replacement == PodReplacementPolicy::Failed {
            RetryReason::PodTerminating
        } else if facts.has_run || self.pods.have_run {
            RetryReason::Restarting
        } else {
            RetryReason::AwaitingPod
        }
    }

    /// Rule 17: the failure of a Job none of whose pods can start.
    fn cannot_start(&self, census: Census) -> Option<Failure> {
        let facts = self.facts.as_ref().filter(|facts| !facts.is_suspended && !facts.is_terminating)?;
        let is_all = facts.wanted > 0 && census.stuck >= facts.wanted;
        if !is_all || census.pending + census.running > 0 {
            return None;
        }
        let mut pods = self.pods.present.values();
        let (pod, failure) = pods.find_map(|pod| pod.stuck().map(|failure| (pod, failure.clone())))?;
        let what = "no pod of the job can start";
        Some(verdict::of_pod(what, &pod.name, failure, self.has_successes()).by_rule(17))
    }

    /// Rule 19.
    fn start_timeout(&self, limit: Duration, census: Census) -> Failure {
        let message = format!("no pod of the job started within {limit:?}{}", self.hindrance(census));
        let failure = Failure::new(FailReason::StartTimeout, message, None).by_rule(19);
        Failure { may_have_finished: false, ..failure }
    }

    fn cancelled(&self) -> Failure {
        Failure::new(FailReason::Cancelled, String::from("the wait was cancelled"), self.seen_code())
            .by_rule(14)
    }

    /// The answer for a Job whose end its conditions do not show, with what is known of its pods.
    fn explain(&self, verdict: Result<JobExit, Failure>, census: Census) -> Result<JobExit, Failure> {
        verdict.map_err(|failure| {
            let is_deadline = failure.reason == FailReason::Deadline;
            let why = if is_deadline { self.hindrance(census) } else { String::new() };
            let message = format!("{}{why}", failure.message);
            Failure { message, exit_code: self.seen_code(), ..failure }
        })
    }

    /// The code of the last pod that failed.
    fn seen_code(&self) -> Option<i32> {
        self.pods.failed.last().and_then(|pod| pod.end.as_ref().ok()).map(|exit| exit.code)
    }

    /// Why nothing of the Job runs, in parentheses, or nothing.
    fn hindrance(&self, census: Census) -> String {
        let Some(facts) = &self.facts else { return String::from(" (the job was not seen yet)") };
        if facts.is_suspended {
            return String::from(" (the job is suspended)");
        }
        if census.running > 0 {
            return String::new();
        }
        let of_pod = self.pods.present.values().map(|pod| pod.hindrance()).find(|said| !said.is_empty());
        match (of_pod, &facts.managed_by) {
            (Some(said), _) => in_parentheses(&one_line(&said, LONGEST_HINDRANCE)),
            (None, Some(controller)) => format!(" (the job is managed by {controller})"),
            (None, None) if self.pods.present.is_empty() => {
                String::from(" (the job has no pod; its events may say why)")
            }
            (None, None) => String::new(),
        }
    }
}
