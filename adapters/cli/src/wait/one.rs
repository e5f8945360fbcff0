//! The wait for one pod or one job.

use super::record::Record;
use super::target::{Awaited, Pod};
use super::{Session, release};
use crate::lines::Of;
use crate::output;
use crate::report::{JobReport, Report};
use crate::status::{Complaint, Status};
use podwait::trace::Pods;
use podwait::{JobPod, Logs};
use std::process::ExitCode;

impl Session {
    pub(super) async fn wait_for_one(&self, awaited: &Awaited) -> Result<ExitCode, Complaint> {
        match awaited {
            Awaited::Pod(pod) => self.wait_for_pod(pod).await,
            Awaited::Job { namespace, name } => {
                let wait = podwait::wait_job(self.connection.client.clone(), namespace, name);
                let label = format!("{namespace}/job/{name}");
                let note = move |pod: &JobPod| output::note(&format!("{label}: {}", pod_line(pod)));
                let outcome = wait.policy(self.policy.clone()).cancel(self.signals.token()).look(note).await;
                let report = JobReport { namespace, name, outcome };
                report.print(self.args.output);
                Ok(report.status().into())
            }
        }
    }

    async fn wait_for_pod(&self, pod: &Pod) -> Result<ExitCode, Complaint> {
        let wait = podwait::wait(self.connection.client.clone(), &pod.namespace, &pod.name);
        let (mut wait, hold) = self.equip(wait, pod)?;
        let record = match &self.args.record {
            Some(file) => {
                let pods = if self.args.record_full { Pods::Full } else { Pods::Reduced };
                let record = Record::new(file, &wait.header(), pods)?;
                wait = record.attach(wait);
                Some(record)
            }
            None => None,
        };
        let of = Of { namespace: &pod.namespace, pod: &pod.name };
        let outcome = match &self.lines {
            None => wait.await,
            Some(lines) => {
                let (wait, stream) = wait.logs(Logs::of_target());
                let read = async { tokio::join!(wait, lines.print_all(of, stream)).0 };
                tokio::select! {
                    outcome = read => outcome,
                    () = self.signals.second() => return Ok(Status::Cancelled.into()),
                }
            }
        };
        if let Some(record) = record {
            record.finish();
        }
        let report = Report { namespace: &pod.namespace, pod: &pod.name, outcome };
        report.print(self.args.output, self.lines.as_ref()).await;
        release(hold, pod).await;
        Ok(report.status().into())
    }
}

/// A pod of a Job that has ended, in a few words.
pub(super) fn pod_line(pod: &JobPod) -> String {
    let ends = pod.ends.iter().map(|(container, end)| match end {
        Ok(exit) => format!("{container} exited {}", exit.code),
        Err(failure) => format!("{container}: {failure}"),
    });
    format!("pod {} ended: {}", pod.name, ends.collect::<Vec<_>>().join(", "))
}
