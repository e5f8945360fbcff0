//! Waits for many pods and jobs at once: one hub for the pods, results as they come.

use super::Session;
use super::one::pod_line;
use super::target::{Awaited, Pod};
use crate::args::Output;
use crate::output::{Line, with_cause};
use crate::report::{JobReport, Report};
use crate::shutdown::TimeToEnd;
use crate::status::Complaint;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use podwait::{Hub, JobPod, Scope};

impl Session {
    /// Returns the exit status. The holds of dropped waits stay in [`Holds`](crate::holds::Holds).
    pub(super) async fn wait_for_many(&self, all: &[Awaited]) -> Result<u8, Complaint> {
        let board = &self.board;
        let client = self.connection.client.clone();
        let hub = Hub::new(client, Scope::namespace(self.connection.namespace.as_str()));
        let mut waits = FuturesUnordered::new();
        for (index, awaited) in all.iter().enumerate() {
            waits.push(match awaited {
                Awaited::Pod(pod) => self.pod(&hub, index, pod)?,
                Awaited::Job { namespace, name } => Box::pin(self.job(index, namespace, name)),
            });
        }
        self.shutdown.work(TimeToEnd::default());
        let (mut first_failed, mut is_refusal_printed) = (0, false);
        loop {
            let status = tokio::select! {
                status = waits.next() => status,
                () = board.tick() => continue,
            };
            let Some(status) = status else { break };
            if let Some(failure) = hub.refusal().filter(|_| !is_refusal_printed) {
                is_refusal_printed = true;
                board.note(&with_cause("the pods are not watched together", &failure.message));
            }
            if self.args.any {
                return Ok(status);
            }
            if first_failed == 0 {
                first_failed = status;
            }
        }
        Ok(first_failed)
    }

    /// Returns the exit status of the wait, as if it were the only one.
    fn pod<'a>(&'a self, hub: &Hub, index: usize, pod: &'a Pod) -> Result<LocalBoxFuture<'a, u8>, Complaint> {
        let (wait, hold) = self.equip(hub.wait(&pod.namespace, &pod.name), pod)?;
        let board = self.board.clone();
        let wait = wait.on_progress(move |progress| board.see(index, progress));
        Ok(Box::pin(async move {
            let outcome = self.outcome(wait, pod).await;
            let report = Report { namespace: &pod.namespace, pod: &pod.name, outcome };
            let line = match (self.args.output, &self.lines) {
                (Output::Text, Some(_)) => None,
                (Output::Text, None) => {
                    Some(Line::from(format!("{}/{} {}", pod.namespace, pod.name, report.short())))
                }
                (Output::Json, _) => Some(report.json()),
            };
            self.board.end(index, &report.sentence(), line, report.short());
            self.release(hold).await;
            report.status()
        }))
    }

    async fn job(&self, index: usize, namespace: &str, name: &str) -> u8 {
        let (label, board) = (format!("{namespace}/job/{name}"), self.board.clone());
        let note = move |pod: &JobPod| board.note(&format!("{label}: {}", pod_line(pod)));
        let outcome = self.job_outcome(namespace, name, note).await;
        let report = JobReport { namespace, name, outcome };
        let line = match self.args.output {
            Output::Text => Line::from(format!("{namespace}/job/{name} {}", report.short())),
            Output::Json => report.json(),
        };
        self.board.end(index, &report.sentence(), Some(line), report.short());
        report.status()
    }
}
