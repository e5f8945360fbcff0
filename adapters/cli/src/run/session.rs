//! The attempts of `podwait run`.

use super::RunArgs;
use super::manifest::Template;
use super::objects::{Created, MayHold, Objects};
use crate::connect::Connection;
use crate::holds::Holds;
use crate::lines::{Lines, Of};
use crate::output;
use crate::progress::Board;
use crate::report::Report;
use crate::shutdown::{Shutdown, TimeToEnd};
use crate::status::Complaint;
use podwait::core::{Decision, Input, Instant};
use podwait::{Exit, Failure, Hold, Logs, Policy, WaitMachine};
use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// How long a deleted pod may take beyond its grace period.
const BEYOND_GRACE: Duration = Duration::from_secs(30);

/// The longest grace period that `run` waits for.
const GRACE: Duration = Duration::from_secs(300);

/// How long the end of the pod may take after a signal, and its deletion after `--timeout`.
const TIME_TO_END: TimeToEnd = TimeToEnd {
    signal: Duration::from_secs(GRACE.as_secs() + 2 * BEYOND_GRACE.as_secs()),
    limit: BEYOND_GRACE,
};

/// The common state of all attempts.
pub(super) struct Session {
    pub(super) args: RunArgs,
    pub(super) connection: Connection,
    pub(super) policy: Policy,
    pub(super) lines: Option<Lines>,
    pub(super) shutdown: Shutdown,
    pub(super) holds: Holds,
}

/// Why there is no next attempt.
enum Obstacle {
    /// The pod of the last attempt still exists.
    Pod,
    /// A signal came, or the time limit ran out.
    Shutdown,
}

/// How one attempt ended.
struct Ended {
    outcome: Result<Exit, Failure>,
    /// A signal came.
    is_cancelled: bool,
}

impl Session {
    /// Runs the pod, and runs it again if that is requested and safe. Returns the exit status.
    pub(super) async fn run(&self, template: &Template) -> Result<u8, Complaint> {
        let objects = Objects { connection: &self.connection };
        self.shutdown.doing("the rights were checked");
        let prepared = self.prepare(&objects, template).await?;
        self.shutdown.work(TIME_TO_END);
        let namespace = &self.connection.namespace;
        let mut tries_left = self.args.retry_infra;
        loop {
            let pod = template.attempt(namespace, prepared)?;
            let Some(created) = objects.create(&pod, async || self.shutdown.stopping().await).await? else {
                return Ok(self.shutdown.status());
            };
            let hold = created.is_held.then(|| {
                let client = self.connection.client.clone();
                let hold = Hold::of_created(client, namespace, &created.name, &created.uid);
                self.holds.add(namespace, &created.name, hold)
            });
            output::note(&format!("{namespace}/{}: created", created.name));
            let ended = self.follow(&objects, &created).await;
            let failure = ended.outcome.as_ref().err();
            let Some(failure) = failure.filter(|failure| !ended.is_cancelled && failure.is_safe_to_rerun())
            else {
                return Ok(self.finish(&objects, &created, hold, ended).await);
            };
            if tries_left == 0 {
                return Ok(self.finish(&objects, &created, hold, ended).await);
            }
            tries_left -= 1;
            output::note(&format!("{namespace}/{}: {failure}", created.name));
            self.clean_up(&objects, &created, hold, true).await;
            if let Some(obstacle) = self.obstacle(&objects, template, &created).await {
                let (is_cancelled, why) = match obstacle {
                    Obstacle::Pod => (false, "the old pod still exists"),
                    Obstacle::Shutdown => (true, "interrupted"),
                };
                output::note(&format!("{namespace}/{} is not run again: {why}", created.name));
                return Ok(self.report(&created, Ended { is_cancelled, ..ended }).await.status());
            }
            output::note(&format!("{namespace}/{} is gone; the step is run again", created.name));
        }
    }

    /// Checks that the API server can be used. Returns whether pods are to be held.
    async fn prepare(&self, objects: &Objects<'_>, template: &Template) -> Result<bool, Complaint> {
        let unused = template.name();
        self.connection.check(&self.connection.namespace, &unused).await?;
        if self.args.no_hold {
            return Ok(false);
        }
        match objects.may_hold(&unused).await {
            MayHold::Yes => Ok(true),
            MayHold::No(why) => {
                output::note(&format!(
                    "the pod is not held: {why}; if the pod is deleted, its end can be lost"
                ));
                Ok(false)
            }
        }
    }

    /// Waits until the pod of an attempt is gone, since there is one pod at a time.
    async fn obstacle(
        &self,
        objects: &Objects<'_>,
        template: &Template,
        created: &Created,
    ) -> Option<Obstacle> {
        let within = template.grace_period().min(GRACE) + BEYOND_GRACE;
        tokio::select! {
            biased;
            () = self.shutdown.stopping() => Some(Obstacle::Shutdown),
            is_gone = objects.is_gone(created, within) => (!is_gone).then_some(Obstacle::Pod),
        }
    }

    /// Prints how the pod ended.
    async fn report<'a>(&'a self, created: &'a Created, ended: Ended) -> Report<'a> {
        let Ended { outcome, is_cancelled } = ended;
        let outcome = if is_cancelled { Err(cancelled(&outcome)) } else { outcome };
        let outcome = self.shutdown.worded(outcome);
        let report = Report { namespace: &self.connection.namespace, pod: &created.name, outcome };
        report.print(self.args.output, self.lines.as_ref()).await;
        report
    }

    async fn finish(
        &self,
        objects: &Objects<'_>,
        created: &Created,
        hold: Option<usize>,
        ended: Ended,
    ) -> u8 {
        let is_cancelled = ended.is_cancelled;
        let report = self.report(created, ended).await;
        let is_success = report.outcome.as_ref().is_ok_and(Exit::is_success);
        let is_deleted = self.args.rm || (!self.args.keep && (is_success || !objects.is_over(created).await));
        self.clean_up(objects, created, hold, is_deleted).await;
        if !is_deleted && !is_cancelled {
            output::note(&format!("{}/{} is kept", self.connection.namespace, created.name));
        }
        report.status()
    }

    /// Releases the pod, whose end has been read, and deletes it if `is_deleted`.
    async fn clean_up(
        &self,
        objects: &Objects<'_>,
        created: &Created,
        hold: Option<usize>,
        is_deleted: bool,
    ) {
        let release = async {
            if let Some(hold) = hold {
                self.holds.release(hold).await;
            }
        };
        let delete = async {
            if is_deleted {
                objects.delete(created).await;
            }
        };
        // If the API server is silent, each takes its full time, and the other must be sent meanwhile.
        tokio::join!(release, delete);
    }

    /// Waits for the pod's end and prints its log. Deletes the pod after the first signal.
    async fn follow(&self, objects: &Objects<'_>, created: &Created) -> Ended {
        let namespace = &self.connection.namespace;
        let mut wait = podwait::wait(self.connection.client.clone(), namespace, &created.name)
            .uid(&created.uid)
            .policy(self.shutdown.within(&self.policy));
        if let Some(container) = &self.args.container {
            wait = wait.container(container);
        }
        let of = Of { namespace, pod: &created.name };
        let names = vec![(namespace.clone(), created.name.clone())];
        let board = Board::new(names, &self.args.progress, self.lines.is_some());
        let seen = board.clone();
        let wait = wait.on_progress(move |progress| seen.see(0, progress));
        let mut outcome = pin!(board.beside(async {
            match &self.lines {
                None => wait.into_future().await,
                Some(lines) => {
                    let (wait, stream) = wait.logs(Logs::of_target());
                    lines.beside(wait.into_future(), of, stream, std::future::pending()).await
                }
            }
        }));
        let token = self.shutdown.token();
        tokio::select! {
            outcome = &mut outcome => return Ended { outcome, is_cancelled: false },
            () = token.cancelled() => {}
        }
        output::note(&format!("{namespace}/{}: stopping the pod", created.name));
        objects.delete(created).await;
        // The pod's own grace period is not known here; the kubelet enforces it.
        let outcome = timeout(GRACE + BEYOND_GRACE, &mut outcome).await.ok();
        Ended { outcome: outcome.unwrap_or_else(|| Err(cancellation())), is_cancelled: true }
    }
}

/// The failure of a cancelled wait, with the exit code of the stopped step.
fn cancelled(outcome: &Result<Exit, Failure>) -> Failure {
    let mut failure = cancellation();
    failure.exit_code = match outcome {
        Ok(exit) => Some(exit.code),
        Err(failure) => failure.exit_code,
    };
    failure
}

fn cancellation() -> Failure {
    let mut machine = WaitMachine::new(Policy::default().into());
    match machine.handle(Instant::ZERO, Input::Cancel) {
        Decision::Fail(failure) => failure,
        Decision::Retry { .. } | Decision::Done(_) => unreachable!("a wait that is cancelled has failed"),
    }
}
