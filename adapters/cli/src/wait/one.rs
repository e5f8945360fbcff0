//! The wait for one pod or one job.

use super::Session;
use super::record::Record;
use super::target::{Awaited, Pod};
use crate::output;
use crate::report::{JobReport, Report};
use crate::shutdown::TimeToEnd;
use crate::status::Complaint;
use podwait::trace::Pods;
use podwait::{Failure, JobEnd, JobPod};

impl Session {
    /// Waits for the pod or job, and returns the exit status.
    pub(super) async fn wait_for_one(&self, awaited: &Awaited) -> Result<u8, Complaint> {
        match awaited {
            Awaited::Pod(pod) => self.wait_for_pod(pod).await,
            Awaited::Job { namespace, name } => {
                self.shutdown.work(TimeToEnd::default());
                let label = format!("{namespace}/job/{name}");
                let note = move |pod: &JobPod| output::note(&format!("{label}: {}", pod_line(pod)));
                let outcome = self.job_outcome(namespace, name, note).await;
                let report = JobReport { namespace, name, outcome };
                self.shutdown.answered(report.status());
                report.print(self.args.output);
                Ok(report.status())
            }
        }
    }

    async fn wait_for_pod(&self, pod: &Pod) -> Result<u8, Complaint> {
        let wait = podwait::wait(self.connection.client.clone(), &pod.namespace, &pod.name);
        let (mut wait, hold) = self.equip(wait, pod)?;
        let record = match &self.args.record {
            Some(file) => {
                let pods = if self.args.record_full { Pods::Full } else { Pods::Reduced };
                let record = Record::new(file, &wait.header(), pods).await?;
                wait = record.attach(wait);
                if self.args.record_full {
                    wait = wait.keep_json();
                }
                Some(record)
            }
            None => None,
        };
        self.shutdown.work(TimeToEnd::default());
        let board = self.board.clone();
        let wait = wait.on_progress(move |progress| board.see(0, progress));
        let outcome = self.board.beside(self.outcome(wait, pod)).await;
        let report = Report { namespace: &pod.namespace, pod: &pod.name, outcome };
        self.shutdown.answered(report.status());
        report.print(self.args.output, self.lines.as_ref()).await;
        self.release(hold).await;
        if let Some(record) = record {
            // This is last, since it may take some seconds.
            record.finish().await;
        }
        Ok(report.status())
    }

    /// Waits for a job.
    pub(super) async fn job_outcome(
        &self,
        namespace: &str,
        name: &str,
        look: impl FnMut(&JobPod) + Send + 'static,
    ) -> Result<JobEnd, Failure> {
        let wait = podwait::wait_job(self.connection.client.clone(), namespace, name);
        let outcome = wait.policy(self.policy.clone()).cancel(self.shutdown.token()).on_pod(look).await;
        self.shutdown.worded(outcome)
    }
}

/// One line about an ended pod of a Job.
pub(super) fn pod_line(pod: &JobPod) -> String {
    let ends = pod.ends.iter().map(|(container, end)| match end {
        Ok(exit) => format!("{container} exited {}", exit.code),
        Err(failure) => format!("{container}: {failure}"),
    });
    format!("pod {} ended: {}", pod.name, ends.collect::<Vec<_>>().join(", "))
}
