//! The naive model of a wait for a Job: rules 14 to 20 for a whole history, computed from the beginning each time.
//!
//! For the pods it asks the model of a pod. It knows Jobs whose pods have one container, `step`, no `gone_grace`, and
//! errors 403 and 503.

use super::{Config, Goal, Verdict, judge as judge_pod};
use podwait_core::{
    ApiError, Condition, ContainerState, ContainerStatus, FailReason, Input, Instant, JobInput, JobPod,
    JobSnapshot, Phase, PodReplacementPolicy, PodSnapshot, RetryReason,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// One input with its time.
pub type JobEvent<'a> = (Instant, JobInput<'a>);

/// The model's decision about a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobVerdict {
    /// There is no verdict yet.
    Retry(RetryReason),
    /// The code, the rule, and the pod that decided.
    Done(i32, u8, Option<String>),
    /// The reason and the rule.
    Fail(FailReason, u8),
}

/// The answer after this history: its first verdict, or the decision on its last input.
///
/// # Panics
/// The history is empty.
#[must_use]
pub fn decide(config: &Config, history: &[JobEvent<'_>]) -> JobVerdict {
    let answers = (1..=history.len()).map(|length| judge(config, &history[..length]));
    let mut last = None;
    for answer in answers {
        if !matches!(answer, JobVerdict::Retry(_)) {
            return answer;
        }
        last = Some(answer);
    }
    last.expect("a history that is not empty")
}

/// The answer to the last input of a history without an earlier verdict.
fn judge(config: &Config, history: &[JobEvent<'_>]) -> JobVerdict {
    let (now, last) = *history.last().expect("a history that is not empty");
    if matches!(last, JobInput::Cancel) {
        return JobVerdict::Fail(FailReason::Cancelled, 14);
    }
    let object = Object::of(config, history);
    let pods = pods(config, history, object.uid);
    if let Some(answer) = conclude(config, history, &object, &pods) {
        return answer;
    }
    if let Some((_, reason)) = object.over {
        return JobVerdict::Fail(reason, 14);
    }
    if object.is_failing() {
        return JobVerdict::Retry(RetryReason::ApiError);
    }
    let Some(job) = object.job else { return JobVerdict::Retry(RetryReason::AwaitingJob) };
    let stuck: Vec<FailReason> = pods.values().filter_map(|pod| pod.stuck).collect();
    let goes_on = pods.values().any(|pod| matches!(pod.does, Does::Waits | Does::Runs));
    if !job.suspend && job.deletion_timestamp.is_none() && !goes_on {
        let wanted = wanted(job);
        if wanted > 0 && stuck.len() >= wanted {
            return JobVerdict::Fail(stuck[0], 17);
        }
    }
    if start_counts(config, history)
        .is_some_and(|from| now >= from.after(config.start_deadline.unwrap_or(Duration::MAX)))
    {
        return JobVerdict::Fail(FailReason::StartTimeout, 19);
    }
    JobVerdict::Retry(situation(job, &pods, has_run(history, &object, &pods)))
}

/// The Job in an input.
fn job_in<'a>(input: &JobInput<'a>) -> Option<&'a JobSnapshot> {
    if let JobInput::Snapshot(job) | JobInput::Read(job) | JobInput::Deleted(job) = input {
        Some(job)
    } else {
        None
    }
}

/// Whether a pod of the Job has ever run.
fn has_run(history: &[JobEvent<'_>], object: &Object<'_>, pods: &BTreeMap<String, Pod>) -> bool {
    let says = |job: &JobSnapshot| job.ready > 0 || job.succeeded > 0 || job.failed > 0;
    let by_the_job = history
        .iter()
        .filter_map(|(_, input)| job_in(input))
        .any(|job| object.uid == Some(&job.uid) && says(job));
    by_the_job || pods.values().any(|pod| pod.has_run)
}

/// What is known of the Job's object.
#[derive(Default)]
struct Object<'a> {
    uid: Option<&'a str>,
    job: Option<&'a JobSnapshot>,
    absent: Option<Instant>,
    error: Option<Instant>,
    /// Since when, and whether another error came later.
    forbidden: Option<(Instant, bool)>,
    over: Option<(Instant, FailReason)>,
}

impl<'a> Object<'a> {
    fn of(config: &Config, history: &[JobEvent<'a>]) -> Self {
        let mut object = Self::default();
        let begun = history[0].0;
        let mut heard = begun;
        for (at, input) in history {
            object.take(*at, input, &mut heard);
            let mut timers = Vec::new();
            if !object.is_failing() {
                timers.extend(
                    object.absent.map(|at| (at.after(config.absent_grace), FailReason::PodNeverSeen)),
                );
            }
            timers.extend(
                object.error.map(|at| (at.after(config.api_error_budget), FailReason::ApiUnavailable)),
            );
            if let Some((since, false)) = object.forbidden {
                timers.push((since.after(config.auth_error_budget), FailReason::Forbidden));
            }
            timers.extend(config.deadline.map(|limit| (begun.after(limit), FailReason::Deadline)));
            if object.job.is_none() && timers.is_empty() {
                timers.push((heard.after(config.api_error_budget), FailReason::ApiUnavailable));
            }
            let first = timers.into_iter().min_by_key(|(at, _)| *at).filter(|(due, _)| due <= at);
            object.over = object.over.or_else(|| first.map(|(_, reason)| (*at, reason)));
        }
        object
    }

    fn take(&mut self, at: Instant, input: &JobInput<'a>, heard: &mut Instant) {
        match input {
            JobInput::Snapshot(job) | JobInput::Read(job) | JobInput::Deleted(job) => {
                self.works(at, heard);
                let is_ours = *self.uid.get_or_insert(&job.uid) == job.uid;
                let is_deleted = matches!(input, JobInput::Deleted(_));
                match (is_ours, is_deleted) {
                    (true, false) => (self.job, self.absent) = (Some(*job), None),
                    (true, true) => self.over = self.over.or(Some((at, FailReason::PodDeleted))),
                    (false, false) => self.over = self.over.or(Some((at, FailReason::PodReplaced))),
                    (false, true) => {}
                }
            }
            JobInput::NotFound => {
                self.works(at, heard);
                match self.job {
                    Some(_) => self.over = self.over.or(Some((at, FailReason::PodDeleted))),
                    None => self.absent = self.absent.or(Some(at)),
                }
            }
            JobInput::ApiError(ApiError { code: 403, .. }) => {
                *heard = at;
                self.forbidden = Some((self.forbidden.map_or(at, |(since, _)| since), false));
            }
            JobInput::ApiError(_) => {
                *heard = at;
                self.error = self.error.or(Some(at));
                self.forbidden = self.forbidden.map(|(since, _)| (since, true));
            }
            JobInput::Pod(_) | JobInput::PodDeleted(_) | JobInput::Pods(_) | JobInput::PodsError(_) => {}
            JobInput::Tick | JobInput::Cancel => {}
        }
    }

    fn works(&mut self, at: Instant, heard: &mut Instant) {
        (self.error, self.forbidden, *heard) = (None, None, at);
    }

    fn is_failing(&self) -> bool {
        self.error.is_some() || self.forbidden.is_some()
    }
}

/// Rules 15, 16 and 18.
fn conclude(
    config: &Config,
    history: &[JobEvent<'_>],
    object: &Object<'_>,
    pods: &BTreeMap<String, Pod>,
) -> Option<JobVerdict> {
    let now = history.last()?.0;
    let jobs = || {
        let all = history.iter().enumerate();
        all.filter_map(|(place, (at, input))| job_in(input).map(|job| (place, *at, job)))
    };
    let is_true = |condition: &Option<Condition>| condition.as_ref().is_some_and(|one| one.is_true);
    let first = |says: &dyn Fn(&JobSnapshot) -> bool| {
        jobs().find(|(_, _, job)| Some(job.uid.as_str()) == object.uid && says(job))
    };
    let (complete, failed_at) =
        (first(&|job| is_true(&job.conditions.complete)), first(&|job| is_true(&job.conditions.failed)));
    let (met, target) = (
        first(&|job| is_true(&job.conditions.success_criteria_met)),
        first(&|job| is_true(&job.conditions.failure_target)),
    );
    // If both outcomes are said, it failed.
    let has_failed = failed_at.is_some() || target.is_some();
    let (last, announced) = if has_failed { (failed_at, target) } else { (complete, met) };
    let (_, _, says) = last.or(announced)?;
    let reached =
        |limit: Instant| now >= limit || config.deadline.is_some_and(|all| now >= history[0].0.after(all));
    // From which input on the pods are to be listed.
    let over = object.over.and_then(|(over, _)| history.iter().position(|(at, _)| *at >= over));
    let over = over.filter(|place| announced.is_some_and(|(announced, ..)| announced <= *place));
    let from = last.map(|(place, ..)| place).into_iter().chain(over).min();
    let Some((place, since)) = from.map(|place| (place, history[place].0)) else {
        let (_, at, _) = announced?;
        if !reached(at.after(config.unknown_grace)) {
            return Some(JobVerdict::Retry(RetryReason::AwaitingTerminalCondition));
        }
        let rule = 16;
        return Some(if has_failed { failed(says, pods) } else { JobVerdict::Done(0, rule, None) });
    };
    if !has_failed {
        return Some(JobVerdict::Done(0, if last.is_some() { 15 } else { 16 }, None));
    }
    let is_list = |input: &JobInput<'_>| {
        matches!(input, JobInput::Pods(_) | JobInput::PodsError(ApiError { code: 403, .. }))
    };
    let is_listed = history[place + 1..].iter().any(|(_, input)| is_list(input));
    let is_complete = is_listed && pods.values().all(|pod| !pod.lacks_record);
    if is_complete || reached(since.after(config.finalize_budget)) {
        return Some(failed(says, pods));
    }
    Some(JobVerdict::Retry(RetryReason::AwaitingTerminatedState))
}

/// Rule 18, for conditions that name no pod and no index.
fn failed(job: &JobSnapshot, pods: &BTreeMap<String, Pod>) -> JobVerdict {
    let condition = [&job.conditions.failed, &job.conditions.failure_target]
        .into_iter()
        .flatten()
        .find(|one| one.is_true);
    if condition.is_some_and(|condition| condition.reason == "DeadlineExceeded") {
        return JobVerdict::Fail(FailReason::DeadlineExceeded, 18);
    }
    // A pod without any time ended after those that were over before it.
    let time = |pod: &Pod| {
        let before = pods.values().filter(|one| one.over_at <= pod.over_at && one.end != Some(End::Exit(0)));
        pod.ended_at.or_else(|| before.filter_map(|one| one.ended_at).max())
    };
    let ends = |is_deletion: bool| {
        let of_kind = pods.values().filter(move |pod| {
            pod.end.is_some_and(|end| {
                end != End::Exit(0) && (end == End::Fail(FailReason::PodDeleted)) == is_deletion
            })
        });
        of_kind.max_by_key(|pod| (time(pod), pod.over_at))
    };
    let Some(pod) = ends(false).or_else(|| ends(true)) else {
        return JobVerdict::Fail(FailReason::JobFailed, 18);
    };
    match pod.end {
        Some(End::Exit(code)) => JobVerdict::Done(code, 18, Some(pod.name.clone())),
        Some(End::Fail(reason)) => JobVerdict::Fail(reason, 18),
        None => JobVerdict::Fail(FailReason::JobFailed, 18),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exit(i32),
    Fail(FailReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Waits,
    Runs,
    Goes,
    Stuck,
    Over,
}

/// What is known of a pod.
struct Pod {
    name: String,
    does: Does,
    stuck: Option<FailReason>,
    end: Option<End>,
    ended_at: Option<i64>,
    /// The place of the input that showed that it was over.
    over_at: usize,
    has_run: bool,
    lacks_record: bool,
}

/// The pods of the Job, by uid.
fn pods(config: &Config, history: &[JobEvent<'_>], uid: Option<&str>) -> BTreeMap<String, Pod> {
    let ours = |pod: &JobPod<'_>| uid == Some(pod.owner);
    let mut found: BTreeMap<String, (String, &PodSnapshot)> = BTreeMap::new();
    for (place, (_, input)) in history.iter().enumerate() {
        // A pod that comes before the Job is ignored.
        let is_known = history[..=place].iter().any(|(_, input)| {
            matches!(input, JobInput::Snapshot(_) | JobInput::Read(_) | JobInput::Deleted(_))
        });
        let seen: &[JobPod<'_>] = if let JobInput::Pod(pod) | JobInput::PodDeleted(pod) = input {
            &[*pod]
        } else if let JobInput::Pods(pods) = input {
            pods
        } else {
            &[]
        };
        for pod in seen.iter().filter(|pod| is_known && ours(pod)) {
            found
                .entry(pod.snapshot.uid.clone())
                .and_modify(|(_, last)| *last = pod.snapshot)
                .or_insert_with(|| (pod.name.to_owned(), pod.snapshot));
        }
    }
    let pod = |(uid, (name, last)): (String, (String, &PodSnapshot))| {
        let pod = watch(config, history, &uid, &name, last);
        (uid, pod)
    };
    found.into_iter().map(pod).collect()
}

/// One pod, by the model of a pod.
fn watch(config: &Config, history: &[JobEvent<'_>], uid: &str, name: &str, last: &PodSnapshot) -> Pod {
    let year = Duration::from_secs(366 * 24 * 3600);
    let config = Config { deadline: None, api_error_budget: year, auth_error_budget: year, ..config.clone() };
    let goal = Goal { container: Some("step".to_owned()), uid: Some(uid.to_owned()) };
    let mut inputs: Vec<(Instant, Input<'_>)> = Vec::new();
    let (mut over, mut answer, mut is_outdated, mut newest, mut is_deleted) =
        (None, None, false, None, false);
    let mut is_job_known = false;
    let (mut over_at, mut has_run) = (0, false);
    for (place, (at, input)) in history.iter().enumerate() {
        is_job_known |= matches!(input, JobInput::Snapshot(_) | JobInput::Read(_) | JobInput::Deleted(_));
        if !is_job_known {
            continue;
        }
        let input = match input {
            JobInput::Pod(pod) if pod.snapshot.uid == uid => Input::Snapshot(pod.snapshot),
            JobInput::PodDeleted(pod) if pod.snapshot.uid == uid => Input::Deleted(pod.snapshot),
            JobInput::Pods(pods) => match pods.iter().find(|pod| pod.snapshot.uid == uid) {
                Some(pod) => Input::Read(pod.snapshot),
                None => Input::NotFound,
            },
            JobInput::PodsError(_) => Input::ApiError(ApiError::default()),
            JobInput::Pod(_) | JobInput::PodDeleted(_) => Input::Tick,
            JobInput::Snapshot(_) | JobInput::Read(_) | JobInput::Deleted(_) => Input::Tick,
            JobInput::NotFound | JobInput::ApiError(_) | JobInput::Tick | JobInput::Cancel => Input::Tick,
        };
        if newest.is_none() && !matches!(input, Input::Snapshot(_) | Input::Read(_) | Input::Deleted(_)) {
            continue;
        }
        if over.is_some() {
            continue;
        }
        match input {
            Input::Snapshot(pod) | Input::Read(pod) => (newest, is_outdated) = (Some(pod), false),
            Input::Deleted(pod) => (newest, is_outdated, is_deleted) = (Some(pod), false, true),
            Input::ApiError(_) => is_outdated = true,
            Input::NotFound | Input::Tick | Input::Cancel => {}
        }
        has_run |= newest.is_some_and(shows_a_run);
        inputs.push((*at, input));
        let is_stuck = |answer: &Verdict| matches!(answer, Verdict::Fail { .. });
        if matches!(input, Input::Tick) && answer.as_ref().is_some_and(is_stuck) {
            continue;
        }
        let verdict = judge_pod(&config, &goal, &inputs);
        let is_there = !is_deleted && newest.is_some_and(|pod| !pod.phase.is_terminal());
        let end = match verdict {
            Verdict::Retry { .. } => None,
            Verdict::Done { code, .. } => Some(End::Exit(code)),
            Verdict::Fail { reason, rule, .. } => {
                (!(is_there && (is_about_the_start(reason) || rule == 10))).then_some(End::Fail(reason))
            }
        };
        (over, answer) = (end, Some(verdict));
        over_at = place;
    }
    let newest = newest.unwrap_or(last);
    let is_terminating = newest.deletion_timestamp.is_some();
    let stuck = match answer {
        Some(Verdict::Fail { reason, .. }) if is_about_the_start(reason) => Some(reason),
        _ => None,
    };
    let stuck = stuck.filter(|_| over.is_none() && !is_outdated && !is_terminating);
    let is_running = newest.container_statuses.iter().any(|one| one.state == Some(ContainerState::Running));
    let does = match over {
        Some(_) => Does::Over,
        None if is_terminating => Does::Goes,
        None if stuck.is_some() => Does::Stuck,
        None if is_running || newest.phase.is_terminal() => Does::Runs,
        None => Does::Waits,
    };
    let deleted = || is_terminating.then_some(End::Fail(FailReason::PodDeleted));
    Pod {
        name: name.to_owned(),
        does,
        stuck,
        end: over.or_else(deleted),
        ended_at: ended_at(newest),
        over_at,
        has_run,
        lacks_record: over.is_none() && newest.phase.is_terminal(),
    }
}

fn shows_a_run(pod: &PodSnapshot) -> bool {
    let is_waiting = |one: &ContainerStatus| matches!(one.state, Some(ContainerState::Waiting { .. }) | None);
    pod.phase != Phase::Pending || !pod.container_statuses.iter().all(is_waiting)
}

fn is_about_the_start(reason: FailReason) -> bool {
    use FailReason::{ContainerConfigError, ImagePull, InvalidImageName, StartTimeout};
    [ImagePull, InvalidImageName, ContainerConfigError, StartTimeout].contains(&reason)
}

fn ended_at(pod: &PodSnapshot) -> Option<i64> {
    let finished = pod.container_statuses.iter().filter_map(|one| match &one.state {
        Some(ContainerState::Terminated(record)) => record.finished_at,
        _ => None,
    });
    finished.max().or(pod.deletion_timestamp).map(|time| time.0)
}

/// How many pods the Job still needs at a time.
fn wanted(job: &JobSnapshot) -> usize {
    let parallelism = usize::try_from(job.parallelism.unwrap_or(1)).unwrap_or(0);
    match job.completions {
        None if job.succeeded > 0 => 1,
        None => parallelism,
        Some(all) => parallelism.min(usize::try_from(all - job.succeeded).unwrap_or(0)),
    }
}

/// Rule 19: from when the start deadline counts at the end of this history; `None` if it does not count.
fn start_counts(config: &Config, history: &[JobEvent<'_>]) -> Option<Instant> {
    let mut from: Option<Instant> = None;
    let mut rested: Option<Instant> = None;
    for length in 1..=history.len() {
        let history = &history[..length];
        let (at, _) = *history.last()?;
        let object = Object::of(config, history);
        let Some(job) = object.job else { continue };
        let pods = pods(config, history, object.uid);
        if has_run(history, &object, &pods) {
            return None;
        }
        // The rest since the last input does not count.
        if let (Some(start), Some(since)) = (from, rested) {
            from = Some(start.after(at.since(since)));
        }
        let from = from.get_or_insert(at);
        let count = |does: Does| pods.values().filter(|pod| pod.does == does).count();
        let here = count(Does::Waits) + count(Does::Runs);
        let is_elsewhere = usize::try_from(job.active).unwrap_or(0) > here + count(Does::Stuck);
        rested = (job.suspend || here > 0 || is_elsewhere).then_some(at);
        let _ = from;
    }
    from.filter(|_| rested.is_none())
}

/// Rule 20.
fn situation(job: &JobSnapshot, pods: &BTreeMap<String, Pod>, has_run: bool) -> RetryReason {
    let any = |does: Does| pods.values().any(|pod| pod.does == does);
    if job.deletion_timestamp.is_some() {
        RetryReason::PodTerminating
    } else if job.suspend {
        RetryReason::Suspended
    } else if any(Does::Runs) || job.ready > 0 {
        RetryReason::Running
    } else if any(Does::Waits) || any(Does::Stuck) || job.active > 0 {
        RetryReason::Pending
    } else if any(Does::Goes) && job.pod_replacement_policy == PodReplacementPolicy::Failed {
        RetryReason::PodTerminating
    } else if has_run {
        RetryReason::Restarting
    } else {
        RetryReason::AwaitingPod
    }
}
