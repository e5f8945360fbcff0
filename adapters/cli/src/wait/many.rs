//! Waits for many pods and jobs at once: one hub for the pods, results as they come.

use super::one::pod_line;
use super::table::Table;
use super::target::{Awaited, Pod};
use super::{Session, release};
use crate::args::Output;
use crate::lines::Of;
use crate::report::{JobReport, Report};
use crate::status::Complaint;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use podwait::{Decision, Hub, JobPod, Logs, Scope, Step};
use std::process::ExitCode;

impl Session {
    pub(super) async fn wait_for_many(&self, all: &[Awaited]) -> Result<ExitCode, Complaint> {
        let table = Table::new(all.iter().map(Awaited::label).collect(), self.lines.is_none());
        let client = self.connection.client.clone();
        let hub = Hub::new(client, Scope::namespace(self.connection.namespace.as_str()));
        let mut waits = FuturesUnordered::new();
        for (index, awaited) in all.iter().enumerate() {
            waits.push(match awaited {
                Awaited::Pod(pod) => self.pod(&hub, index, pod, &table)?,
                Awaited::Job { namespace, name } => Box::pin(self.job(index, namespace, name, &table)),
            });
        }
        let (mut first_failed, mut is_refusal_told) = (0, false);
        loop {
            let status = tokio::select! {
                status = waits.next() => status,
                () = table.tick() => continue,
            };
            let Some(status) = status else { break };
            if let Some(failure) = hub.refusal().filter(|_| !is_refusal_told) {
                is_refusal_told = true;
                table.note(&format!("the pods are not watched together: {}", failure.message));
            }
            if self.args.any {
                return Ok(status.into());
            }
            if first_failed == 0 {
                first_failed = status;
            }
        }
        Ok(first_failed.into())
    }

    /// The exit status that the wait by itself would have.
    fn pod<'a>(
        &'a self,
        hub: &Hub,
        index: usize,
        pod: &'a Pod,
        table: &'a Table,
    ) -> Result<LocalBoxFuture<'a, u8>, Complaint> {
        let (wait, hold) = self.equip(hub.wait(&pod.namespace, &pod.name), pod)?;
        let seen = table.clone();
        let wait = wait.look(move |step: Step<'_>| {
            if let Decision::Retry { why, .. } = step.decision {
                seen.see(index, why.as_str());
            }
        });
        Ok(Box::pin(async move {
            let of = Of { namespace: &pod.namespace, pod: &pod.name };
            let outcome = match &self.lines {
                None => wait.await,
                Some(lines) => {
                    let (wait, stream) = wait.logs(Logs::of_target());
                    tokio::join!(wait, lines.print_all(of, stream)).0
                }
            };
            let report = Report { namespace: &pod.namespace, pod: &pod.name, outcome };
            let line = match (self.args.output, &self.lines) {
                (Output::Text, Some(_)) => None,
                (Output::Text, None) => Some(format!("{}/{} {}", pod.namespace, pod.name, report.short())),
                (Output::Json, _) => Some(report.json()),
            };
            table.end(index, &report.sentence(), line.as_deref(), report.short());
            release(hold, pod).await;
            report.status()
        }))
    }

    async fn job(&self, index: usize, namespace: &str, name: &str, table: &Table) -> u8 {
        table.see(index, "running");
        let wait = podwait::wait_job(self.connection.client.clone(), namespace, name);
        let (label, seen) = (format!("{namespace}/job/{name}"), table.clone());
        let note = move |pod: &JobPod| seen.note(&format!("{label}: {}", pod_line(pod)));
        let outcome = wait.policy(self.policy.clone()).cancel(self.signals.token()).look(note).await;
        let report = JobReport { namespace, name, outcome };
        let line = match self.args.output {
            Output::Text => format!("{namespace}/job/{name} {}", report.short()),
            Output::Json => report.json(),
        };
        table.end(index, &report.sentence(), Some(&line), report.short());
        report.status()
    }
}
