//! The one wait loop.

use crate::source::{Observed, PodSource};
use podwait_core::{Decision, Exit, Failure, Instant, WaitMachine};
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
}

/// Feeds what `source` observes to `machine` until it decides.
///
/// `look` is called after every turn. When `cancel` fires, the machine is told so and the loop ends; dropping the
/// future ends the wait as well, without an answer.
///
/// # Errors
/// The [`Failure`] says why there is no exit that the step itself produced.
pub async fn drive<S: PodSource>(
    machine: &mut WaitMachine,
    source: &mut S,
    cancel: &CancellationToken,
    mut look: impl FnMut(Step<'_>),
) -> Result<Exit, Failure> {
    // Paused tokio time drives this clock too.
    let start = tokio::time::Instant::now();
    let mut observed = Observed::Silence;
    loop {
        let at = Instant::ZERO.after(start.elapsed());
        let decision = machine.handle(at, observed.as_input());
        look(Step { at, observed: &observed, decision: &decision });
        let after = match decision {
            Decision::Retry { after, .. } => after,
            Decision::Done(exit) => return Ok(exit),
            Decision::Fail(failure) => return Err(failure),
        };
        observed = tokio::select! {
            biased;
            () = cancel.cancelled() => Observed::Cancelled,
            observed = source.next(after) => observed,
        };
    }
}
