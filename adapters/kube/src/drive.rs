//! The one wait loop.

use crate::source::{Observed, PodSource};
use podwait_core::{Decision, Exit, Failure, Instant, WaitMachine};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One turn of the wait loop, for somebody who looks on.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The machine's time: milliseconds since the loop started.
    pub at: Instant,
    /// What was observed.
    pub observed: &'a Observed,
    /// What the machine decided upon it.
    pub decision: &'a Decision,
    /// The machine after it, to be [saved](WaitMachine::save) for instance.
    pub machine: &'a WaitMachine,
}

/// Feeds what `source` observes to `machine` until it decides.
///
/// `look` is called after every turn. When `cancel` fires, the machine is told so and the loop ends; dropping the
/// future ends the wait as well, without an answer. A machine that was restored goes on from its own time.
///
/// # Errors
/// The [`Failure`] says why there is no exit that the step itself produced.
pub async fn drive<S: PodSource>(
    machine: &mut WaitMachine,
    source: &mut S,
    cancel: &CancellationToken,
    look: impl FnMut(Step<'_>),
) -> Result<Exit, Failure> {
    drive_on(machine, Duration::ZERO, source, cancel, look).await
}

/// [`drive`] with a machine that nobody has fed for `asleep`. That time passes with the first good read and not before: a
/// limit that ran out meanwhile must not speak of a pod that nobody has looked at yet.
pub(crate) async fn drive_on<S: PodSource>(
    machine: &mut WaitMachine,
    asleep: Duration,
    source: &mut S,
    cancel: &CancellationToken,
    mut look: impl FnMut(Step<'_>),
) -> Result<Exit, Failure> {
    // Paused tokio time drives this clock too.
    let (start, mut begin, mut asleep) = (tokio::time::Instant::now(), machine.now(), Some(asleep));
    let mut time = |observed: &Observed| {
        if observed.is_good_read() {
            begin = begin.after(asleep.take().unwrap_or_default());
        }
        begin.after(start.elapsed())
    };
    let mut turn = |machine: &mut WaitMachine, at: Instant, observed: &Observed| {
        let decision = machine.handle(at, observed.as_input());
        look(Step { at, observed, decision: &decision, machine });
        decision
    };
    let mut decision = turn(machine, time(&Observed::Silence), &Observed::Silence);
    loop {
        let after = match decision {
            Decision::Retry { after, .. } => after,
            Decision::Done(exit) => return Ok(exit),
            Decision::Fail(failure) => return Err(failure),
        };
        let observed = tokio::select! {
            biased;
            () = cancel.cancelled() => Observed::Cancelled,
            observed = source.next(after) => observed,
        };
        let is_news = observed.is_good_read() || matches!(observed, Observed::Cancelled);
        let in_hand = if is_news { None } else { source.in_hand() };
        let observed = match in_hand {
            Some(in_hand) if would_end(machine, time(&observed), &observed) => in_hand,
            Some(_) | None => observed,
        };
        decision = turn(machine, time(&observed), &observed);
        // The pod ends here: of ten thousand that wait, none is kept.
        source.take_back(observed);
    }
}

/// Whether a timer speaks next, or an error.
fn would_end(machine: &WaitMachine, at: Instant, observed: &Observed) -> bool {
    machine.clone().handle(at, observed.as_input()).is_final()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{ApiFailure, MockPodSource, ObservedPod, Via};
    use crate::trace::read_event;
    use mockall::Sequence;
    use podwait_core::{FailReason, Policy, RetryReason};
    use std::future::{pending, ready};
    use std::time::Duration;

    /// The pod of these tests, with this phase and this state of its only container.
    fn pod(version: u32, phase: &str, state: &str) -> Observed {
        let event = format!(
            r#"{{"at_ms":0,"event":"snapshot","pod":{{
                "metadata":{{"name":"p","uid":"u","resourceVersion":"{version}"}},
                "spec":{{"restartPolicy":"Never","containers":[{{"name":"step"}}]}},
                "status":{{"phase":"{phase}","containerStatuses":[{{"name":"step","restartCount":0,"state":{state}}}]}}
            }}}}"#
        );
        read_event(&event).expect("an event").1
    }

    fn source() -> MockPodSource {
        let mut source = MockPodSource::new();
        source.expect_take_back().returning(drop);
        source.expect_in_hand().returning(|| None);
        source
    }

    fn machine() -> WaitMachine {
        WaitMachine::new(Policy::default().into())
    }

    #[tokio::test(start_paused = true)]
    async fn asks_with_the_machine_s_own_patience_until_it_decides() {
        let mut source = source();
        let mut order = Sequence::new();
        let answers = [
            (200, pod(1, "Running", r#"{"running":{}}"#)),
            (30_000, pod(2, "Succeeded", r#"{"running":{}}"#)),
            (200, Observed::Silence),
            (400, pod(3, "Succeeded", r#"{"terminated":{"exitCode":0}}"#)),
        ];
        for (patience, answer) in answers {
            source
                .expect_next()
                .once()
                .in_sequence(&mut order)
                .withf(move |after| *after == Duration::from_millis(patience))
                .returning(move |after| {
                    let answer = answer.clone();
                    Box::pin(async move {
                        tokio::time::sleep(after).await;
                        answer
                    })
                });
        }
        let mut seen = Vec::new();
        let look = |step: Step<'_>| seen.push((step.at.as_millis(), step.decision.code()));
        let outcome = drive(&mut machine(), &mut source, &CancellationToken::new(), look).await;
        assert_eq!(outcome.map(|exit| exit.code), Ok(0));
        let awaiting = RetryReason::AwaitingTerminatedState.as_str();
        let expected = [
            (0, "awaiting_pod"),
            (200, "running"),
            (30_200, awaiting),
            (30_400, awaiting),
            (30_800, "completed"),
        ];
        assert_eq!(seen, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_alone_ends_in_a_verdict() {
        let mut source = source();
        source.expect_next().returning(|after| {
            Box::pin(async move {
                tokio::time::sleep(after).await;
                Observed::Silence
            })
        });
        let start = tokio::time::Instant::now();
        let outcome = drive(&mut machine(), &mut source, &CancellationToken::new(), |_| {}).await;
        assert_eq!(outcome.map_err(|failure| failure.reason), Err(FailReason::StartTimeout));
        assert_eq!(start.elapsed(), Duration::from_secs(600));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_in_hand_is_told_when_otherwise_a_timer_would_speak() {
        let mut source = MockPodSource::new();
        source.expect_take_back().returning(drop);
        let mut order = Sequence::new();
        source.expect_next().once().in_sequence(&mut order).returning(|_| {
            let pod = pod(1, "Running", r#"{"running":{}}"#);
            Box::pin(ready(pod))
        });
        source.expect_next().returning(|after| {
            Box::pin(async move {
                tokio::time::sleep(after).await;
                Observed::Silence
            })
        });
        source.expect_in_hand().returning(|| Some(Observed::NotFound(Via::Get)));
        let policy = Policy::builder().deadline(Duration::from_secs(100)).build().expect("a policy");
        let mut told = Vec::new();
        let look = |step: Step<'_>| told.push((step.at.as_millis() / 1000, step.decision.code()));
        let mut machine = WaitMachine::new(policy.into());
        let outcome = drive(&mut machine, &mut source, &CancellationToken::new(), look).await;
        assert_eq!(outcome.map_err(|failure| failure.reason), Err(FailReason::PodDeleted));
        let until = [(0, "awaiting_pod"), (0, "running"), (30, "running"), (60, "running"), (90, "running")];
        assert_eq!(told, until.into_iter().chain([(100, "pod_deleted")]).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn errors_reach_the_machine_as_they_are() {
        let mut source = source();
        source.expect_next().once().returning(|_| {
            let message = String::from("field label not supported");
            let failure =
                ApiFailure { via: Via::Watch, code: 400, is_status: true, retry_after: None, message };
            Box::pin(ready(Observed::ApiError(failure)))
        });
        let outcome = drive(&mut machine(), &mut source, &CancellationToken::new(), |_| {}).await;
        let failure = outcome.expect_err("a request that is refused");
        assert_eq!(failure.reason, FailReason::ApiRejected);
        assert!(failure.message.contains("field label not supported"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_token_ends_a_wait_whose_source_is_busy() {
        let mut source = source();
        source.expect_next().returning(|_| Box::pin(pending()));
        let cancel = CancellationToken::new();
        let (mut machine, stop) = (machine(), cancel.clone());
        let wait = drive(&mut machine, &mut source, &cancel, |_| {});
        let (outcome, ()) = tokio::join!(wait, async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stop.cancel();
        });
        assert_eq!(outcome.map_err(|failure| failure.reason), Err(FailReason::Cancelled));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_judged_by_the_object_it_carries() {
        let mut source = source();
        let Observed::Pod(last) = pod(5, "Failed", r#"{"terminated":{"exitCode":3}}"#) else {
            unreachable!()
        };
        let deleted = Observed::Deleted(ObservedPod { via: Via::Watch, ..last });
        source.expect_next().once().returning(move |_| Box::pin(ready(deleted.clone())));
        let outcome = drive(&mut machine(), &mut source, &CancellationToken::new(), |_| {}).await;
        assert_eq!(outcome.map(|exit| exit.code), Ok(3));
    }
}
