//! The wait loop for a caller's own source.

use crate::source::{Observed, PodSource};
use podwait_core::{Decision, Exit, Failure, WaitMachine};
use podwait_hub::Turn;
use tokio_util::sync::CancellationToken;

/// Feeds the observations of `source` to `machine` until it decides.
///
/// `look` is called after every turn. When `cancel` fires, the machine receives the cancellation and the loop ends;
/// dropping the future also ends the wait, without an answer. A restored machine continues from its own time.
///
/// # Errors
/// The [`Failure`] says why there is no exit that the step itself produced.
pub async fn drive<S: PodSource>(
    machine: &mut WaitMachine,
    source: &mut S,
    cancel: &CancellationToken,
    mut look: impl FnMut(Turn<'_>),
) -> Result<Exit, Failure> {
    // Paused tokio time drives this clock too.
    let (start, begin) = (tokio::time::Instant::now(), machine.now());
    let mut observed = Observed::Silence;
    loop {
        let at = begin.after(start.elapsed());
        let decision = machine.handle(at, observed.as_input());
        look(Turn { at, observed: &observed, decision: &decision, machine });
        let after = match decision {
            Decision::Retry { after, .. } => after,
            Decision::Done(exit) => return Ok(exit),
            Decision::Fail(failure) => return Err(failure),
        };
        // Frees the pod before the next observation.
        drop(observed);
        observed = tokio::select! {
            biased;
            () = cancel.cancelled() => Observed::Cancelled,
            observed = source.next(after) => observed,
        };
    }
}

#[cfg(all(test, feature = "trace"))]
mod tests {
    use super::*;
    use crate::source::MockPodSource;
    use crate::trace::read_event;
    use mockall::Sequence;
    use podwait_core::{FailReason, Policy, RetryReason};
    use podwait_wire::{ApiFailure, Via};
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

    fn machine() -> WaitMachine {
        WaitMachine::new(Policy::default().into())
    }

    #[tokio::test(start_paused = true)]
    async fn asks_with_the_machine_s_own_patience_until_it_decides() {
        let mut source = MockPodSource::new();
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
        let look = |turn: Turn<'_>| seen.push((turn.at.as_millis(), turn.decision.code()));
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
        let mut source = MockPodSource::new();
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
    async fn errors_reach_the_machine_as_they_are() {
        let mut source = MockPodSource::new();
        source.expect_next().once().returning(|_| {
            let message = String::from("field label not supported");
            let failure =
                ApiFailure { via: Via::Watch, code: 400, is_status: true, retry_after: None, message };
            Box::pin(ready(Observed::Failed(failure)))
        });
        let outcome = drive(&mut machine(), &mut source, &CancellationToken::new(), |_| {}).await;
        let failure = outcome.expect_err("a request that is refused");
        assert_eq!(failure.reason, FailReason::ApiRejected);
        assert!(failure.message.contains("field label not supported"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_token_ends_a_wait_whose_source_is_busy() {
        let mut source = MockPodSource::new();
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
        let mut source = MockPodSource::new();
        let Observed::Pod(_, last) = pod(5, "Failed", r#"{"terminated":{"exitCode":3}}"#) else {
            unreachable!()
        };
        let deleted = Observed::Deleted(last);
        source.expect_next().once().returning(move |_| Box::pin(ready(deleted.clone())));
        let outcome = drive(&mut machine(), &mut source, &CancellationToken::new(), |_| {}).await;
        assert_eq!(outcome.map(|exit| exit.code), Ok(3));
    }
}
