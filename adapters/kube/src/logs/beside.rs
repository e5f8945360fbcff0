//! Logs during a wait, or up to now.

use super::{LogStream, Logs};
use crate::board::{Board, own_pod};
use crate::client::Calls;
use crate::source::Observed;
use crate::wait::Wait;
use podwait_core::{Decision, FailReason, Failure, Input, Instant};
use podwait_hub::PodName;
use podwait_wire::Via;
use std::time::Duration;
use tokio::sync::watch;

impl Wait {
    /// The lines that the pod's containers write during the wait. Drive both, for instance with `tokio::join!`; the
    /// logs end soon after the wait.
    ///
    /// ```no_run
    /// # async fn example(client: podwait::Client) {
    /// let (wait, mut logs) = podwait::wait(client, "ci", "step-1").logs(podwait::Logs::of_target());
    /// let print = async {
    ///     while let Some(event) = logs.next().await {
    ///         if let podwait::LogEvent::Line(line) = event {
    ///             println!("{}", String::from_utf8_lossy(&line.text));
    ///         }
    ///     }
    /// };
    /// let (exit, ()) = tokio::join!(wait, print);
    /// # }
    /// ```
    pub fn logs(self, logs: Logs) -> (Self, LogStream) {
        let (wait, facts) = self.with_board();
        let stream = wait.stream(logs, facts);
        (wait, stream)
    }

    fn stream(&self, logs: Logs, facts: watch::Receiver<Board>) -> LogStream {
        let target = self.target();
        let pod = PodName::new(&target.namespace, &target.pod);
        LogStream::new(Calls::new(self.client().clone()), pod, logs, target.container.as_deref(), facts)
    }

    /// The lines that the pod's containers have written so far, without waiting for more.
    ///
    /// # Errors
    /// There is no such pod, another pod has its name, there is no such container, the API server cannot be read, or
    /// the wait is [cancelled](Self::cancel).
    pub async fn logs_so_far(self, logs: Logs) -> Result<LogStream, Failure> {
        let calls = Calls::new(self.client().clone());
        let pod = PodName::new(&self.target().namespace, &self.target().pod);
        let (mut machine, begin) = (self.machine(), tokio::time::Instant::now());
        let mut cancelled = self.cancelled();
        loop {
            let observed = tokio::select! {
                biased;
                () = &mut cancelled => Observed::Cancelled,
                found = calls.get(&pod) => match found {
                    Ok(Some(pod)) => Observed::Pod(Via::Get, pod),
                    Ok(None) => Observed::NotFound(Via::Get),
                    Err(failure) => Observed::Failed(failure),
                },
            };
            let at = Instant::ZERO.after(begin.elapsed());
            let mut decision = machine.handle(at, observed.as_input());
            let found = own_pod(&machine, &observed);
            if found.is_none() && observed.is_good_read() {
                // The pod is not there, or another one has its name; this does not wait for the pod.
                let _ = machine.handle(at, Input::NotFound);
                decision = machine.handle(at.after(Duration::from_secs(366 * 24 * 3600)), Input::Tick);
            }
            match (decision, found) {
                (Decision::Fail(failure), Some(_)) if !(logs.is_of_target() && is_about_names(&failure)) => {}
                (Decision::Retry { .. } | Decision::Done(_), Some(_)) => {}
                (Decision::Retry { after, .. }, None) => {
                    tokio::select! {
                        () = &mut cancelled => {}
                        () = tokio::time::sleep(after) => {}
                    }
                    continue;
                }
                (Decision::Fail(failure), _) => return Err(failure),
                // The policy counts absence as success; an absent pod has no log.
                (Decision::Done(_), None) => {}
            }
            let (_, board) = watch::channel(Board::of_last_look(found));
            return Ok(self.stream(logs, board));
        }
    }
}

fn is_about_names(failure: &Failure) -> bool {
    matches!(failure.reason, FailReason::ContainerNotInSpec | FailReason::ContainerAmbiguous)
}
