//! Judges an answer by the truth and by what was observable.
//!
//! The verdicts are those of the storms ([`Verdict`]). Here a failure without the container's exit code is also less
//! than the truth.

use podwait::{Class, DoneReason, FailReason};
use podwait_tests::storm::truth::{Answer, ShownBy};
use podwait_tests::storm::verdict::Verdict;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long an object must have been in the store to count as observable even if it did not arrive: a silent watch is
/// followed by a GET after 30 s, a poll by the next one sooner.
const IN_PLAIN_SIGHT: Duration = Duration::from_secs(45);

/// How long the API may fail, and how long it may refuse the credentials.
pub(super) const BUDGETS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(60)];

/// How the step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    /// The true answers, each with the code of the container, if that has one. There are several if a race in the
    /// runtime decides which is published.
    pub(crate) right: Vec<(Answer, Option<i32>)>,
    /// The container whose end is the answer.
    pub(crate) container: &'static str,
}

impl Truth {
    /// The step's own exit.
    pub(crate) fn exit(code: i32, reason: DoneReason) -> (Answer, Option<i32>) {
        (Answer::Exit(code, reason), Some(code))
    }

    /// A failure, beside this code.
    pub(crate) fn fail(reason: FailReason, code: Option<i32>) -> (Answer, Option<i32>) {
        (Answer::Fail(reason), code)
    }

    fn has_code(&self, code: i32) -> bool {
        self.right.iter().any(|(_, right)| *right == Some(code))
    }

    fn has_answer(&self, answer: Answer) -> bool {
        self.right.iter().any(|(right, _)| *right == answer)
    }

    /// Whether this answer needs no other code than the one beside it.
    fn is_complete(&self, answer: Answer, beside: Option<i32>) -> bool {
        let is_exit = matches!(answer, Answer::Exit(..));
        self.right.iter().any(|(right, code)| *right == answer && (is_exit || *code == beside))
    }
}

/// A finished wait, and the evidence about it.
pub(super) struct Case<'a> {
    pub(super) truth: Truth,
    pub(super) answer: Option<Answer>,
    /// The exit code of a failure.
    pub(super) code_beside: Option<i32>,
    pub(super) begun: Instant,
    pub(super) answered: Instant,
    /// The versions of the pod, and when the API server published them.
    pub(super) history: &'a [(Instant, Value)],
    /// When the wait's client had received a complete response, and the versions in it.
    pub(super) arrivals: &'a [(Instant, Vec<String>)],
    /// The versions in the wait's inputs.
    pub(super) observed: &'a [String],
}

impl Case<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let Some(answer) = self.answer else { return Verdict::Hung };
        if self.code_beside.is_some_and(|beside| !self.truth.has_code(beside)) {
            return Verdict::Wrong;
        }
        match answer {
            _ if self.truth.is_complete(answer, self.code_beside) => Verdict::Right,
            Answer::Exit(0, _) => Verdict::Greener,
            Answer::Exit(..) => Verdict::Wrong,
            Answer::Fail(reason) if reason.class() == Class::Api => {
                if self.was_cut_off(reason) {
                    Verdict::CutOff
                } else {
                    Verdict::Spurious
                }
            }
            // The reason without the code, or only that the pod is gone, which is true.
            Answer::Fail(_) if self.truth.has_answer(answer) => self.less(|pod| self.shows_truth(pod)),
            Answer::Fail(FailReason::PodDeleted) if self.was_deleted() => {
                self.less(|pod| self.shows_truth(pod))
            }
            Answer::Fail(FailReason::PodNeverSeen) if self.was_deleted() => self.less(|_| true),
            // A limit of the policy that expired although the API server could not be read.
            Answer::Fail(
                FailReason::PodNeverSeen
                | FailReason::PodDeleted
                | FailReason::NodeLost
                | FailReason::ImagePull
                | FailReason::ContainerConfigError
                | FailReason::StartTimeout,
            ) => Verdict::Spurious,
            Answer::Fail(_) => Verdict::Wrong,
        }
    }

    fn less(&self, shows: impl Fn(&Value) -> bool) -> Verdict {
        if self.was_observable(shows) { Verdict::Lost } else { Verdict::Unseen }
    }

    /// Whether this version alone shows the truth.
    fn shows_truth(&self, pod: &Value) -> bool {
        let lists = [&pod["status"]["containerStatuses"], &pod["status"]["initContainerStatuses"]];
        let statuses: Vec<&Value> = lists.into_iter().filter_map(Value::as_array).flatten().collect();
        let has = |code: i32| {
            statuses.iter().any(|status| {
                status["name"] == self.truth.container && status["state"]["terminated"]["exitCode"] == code
            })
        };
        self.truth.right.iter().any(|(answer, code)| match answer {
            Answer::Exit(code, _) => ShownBy::Record(*code).matches(pod),
            Answer::Fail(_) => code.is_some_and(has),
        })
    }

    /// Whether a version that shows the truth was an input, arrived, or was in the store for long.
    fn was_observable(&self, shows: impl Fn(&Value) -> bool) -> bool {
        for (place, (at, pod)) in self.history.iter().enumerate() {
            if !shows(pod) {
                continue;
            }
            let version = pod["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            let came = |(at, versions): &(Instant, Vec<String>)| {
                *at <= self.answered && versions.iter().any(|one| one == version)
            };
            // The object of a DELETED event is no longer in the store.
            let is_there = pod["gone"] != true;
            let stood_until = self.history.get(place + 1).map_or(self.answered, |(at, _)| *at);
            let stood = stood_until.min(self.answered).saturating_duration_since(*at.max(&self.begun));
            if self.observed.iter().any(|one| one == version)
                || self.arrivals.iter().any(came)
                || is_there && stood >= IN_PLAIN_SIGHT
            {
                return true;
            }
        }
        false
    }

    fn was_deleted(&self) -> bool {
        let mut before = self.history.iter().filter(|(at, _)| *at <= self.answered);
        before.any(|(_, pod)| pod["metadata"]["deletionTimestamp"].is_string() || pod["gone"] == true)
    }

    /// Whether nothing arrived for as long as the budget.
    fn was_cut_off(&self, reason: FailReason) -> bool {
        let is_refusal = matches!(reason, FailReason::Unauthorized | FailReason::Forbidden);
        let Some(begin) = self.answered.checked_sub(BUDGETS[usize::from(is_refusal)]) else { return false };
        begin >= self.begun && !self.arrivals.iter().any(|(at, _)| (begin..=self.answered).contains(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DONE: Answer = Answer::Exit(3, DoneReason::NonzeroExit);
    const GREEN: Answer = Answer::Exit(0, DoneReason::Completed);

    fn pod(version: &str, state: Value, deleted: Option<&str>) -> Value {
        let metadata = json!({ "resourceVersion": version, "deletionTimestamp": deleted });
        json!({ "metadata": metadata, "status": { "containerStatuses": [{ "name": "step", "state": state }] } })
    }

    /// A life whose versions last one second each: the pod runs, has ended with this code, and is gone.
    fn history(start: Instant, code: i32, deleted: Option<&str>) -> Vec<(Instant, Value)> {
        let ended = json!({ "terminated": { "exitCode": code, "finishedAt": "2026-01-01T00:00:05Z" } });
        let mut gone = pod("3", ended.clone(), Some("2026-01-01T00:00:30Z"));
        gone["gone"] = json!(true);
        let versions = [pod("1", json!({ "running": {} }), None), pod("2", ended, deleted), gone];
        versions
            .into_iter()
            .zip(0..)
            .map(|(pod, second)| (start + Duration::from_secs(second), pod))
            .collect()
    }

    #[test]
    fn a_version_that_lasts_long_is_observable() {
        let start = Instant::now();
        let mut history = history(start, 0, None);
        history.pop();
        let late = Answer::Fail(FailReason::DeadlineExceeded);
        for (seconds, expected) in [(44, Verdict::Unseen), (46, Verdict::Lost)] {
            let case = Case {
                truth: Truth { right: vec![(late, Some(0))], container: "step" },
                answer: Some(late),
                code_beside: None,
                begun: start,
                answered: start + Duration::from_secs(1 + seconds),
                history: &history,
                arrivals: &[],
                observed: &[],
            };
            assert_eq!(case.verdict(), expected);
            assert_eq!(Case { observed: &[String::from("2")], ..case }.verdict(), Verdict::Lost);
        }
    }

    /// The verdict on this answer, with this truth, these arrived versions and this delay of the answer.
    fn verdict(truth: Answer, answer: Answer, beside: Option<i32>, came: &[&str], after: u64) -> Verdict {
        let start = Instant::now();
        let code = match truth {
            Answer::Exit(code, _) => code,
            Answer::Fail(_) => 0,
        };
        let deleted = matches!(truth, Answer::Fail(_)).then_some("2026-01-01T00:00:06Z");
        let history = history(start, code, deleted);
        let came = came.iter().map(|version| (start + Duration::from_secs(1), vec![(*version).to_owned()]));
        let arrivals: Vec<_> = came.collect();
        let case = Case {
            truth: Truth { right: vec![(truth, Some(code))], container: "step" },
            answer: Some(answer),
            code_beside: beside,
            begun: start,
            answered: start + Duration::from_secs(after),
            history: &history,
            arrivals: &arrivals,
            observed: &[],
        };
        case.verdict()
    }

    #[test]
    fn an_answer_is_judged_by_what_was_observable() {
        use FailReason::{ApiUnavailable, Evicted, NodeLost, PodDeleted, PodNeverSeen};
        let deleted = Answer::Fail(PodDeleted);
        for (truth, answer, beside, came, after, expected) in [
            (DONE, DONE, None, &["2"][..], 3, Verdict::Right),
            (DONE, GREEN, None, &["2"], 3, Verdict::Greener),
            (DONE, Answer::Exit(4, DoneReason::NonzeroExit), None, &["2"], 3, Verdict::Wrong),
            (DONE, Answer::Fail(Evicted), None, &["2"], 3, Verdict::Wrong),
            // It arrived, and is not in the answer.
            (DONE, deleted, None, &["2"], 3, Verdict::Lost),
            (DONE, deleted, None, &["1"], 3, Verdict::Unseen),
            // The pod was not gone yet.
            (DONE, deleted, None, &["1"], 1, Verdict::Spurious),
            (DONE, Answer::Fail(PodNeverSeen), None, &["1"], 3, Verdict::Lost),
            (DONE, Answer::Fail(PodNeverSeen), None, &[], 3, Verdict::Unseen),
            (DONE, Answer::Fail(NodeLost), None, &[], 3, Verdict::Spurious),
            (DONE, Answer::Fail(ApiUnavailable), None, &[], 3, Verdict::Spurious),
            (DONE, Answer::Fail(ApiUnavailable), None, &[], 70, Verdict::CutOff),
            (DONE, Answer::Fail(ApiUnavailable), None, &["1"], 61, Verdict::Spurious),
            (deleted, deleted, Some(0), &["2"], 3, Verdict::Right),
            (deleted, deleted, Some(7), &["2"], 3, Verdict::Wrong),
            (deleted, deleted, None, &["2"], 3, Verdict::Lost),
            (deleted, deleted, None, &["1"], 3, Verdict::Unseen),
            (deleted, GREEN, None, &["2"], 3, Verdict::Greener),
        ] {
            let found = verdict(truth, answer, beside, came, after);
            assert_eq!(found, expected, "{truth:?}, {answer:?} {beside:?}, {came:?} {after}");
        }
    }
}
