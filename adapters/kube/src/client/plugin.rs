//! Credential plugins (`exec` in a kubeconfig): programs that print credentials.
//!
//! client-go's contract (`plugin/pkg/client/auth/exec/exec.go`): credentials are kept until they expire or the server
//! answers 401, and there is only one run at a time. In addition a run has limits of time and size, and there is a
//! pause between two runs, so that a server that refuses everything does not cause a run for each request.

mod credential;
mod program;
mod validity;

pub(crate) use credential::{Held, Identity};

use crate::client::error::ConfigError;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;
use kube::config::ExecConfig;
use program::Program;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long a request waits for a run: less than the timeout of a call, so that the error can name the plugin.
const PATIENCE: Duration = Duration::from_secs(8);

/// The shortest time between two runs for expired credentials: some are already expired when they are printed.
const REST: Duration = Duration::from_secs(1);

/// The shortest time from an unsuccessful run (it failed, or the server refused its credentials) to the next one; it
/// doubles with each such run.
const FIRST_REST: Duration = Duration::from_millis(250);

/// The longest such time.
const LONGEST_REST: Duration = Duration::from_secs(15);

type Outcome = Result<Arc<Held>, ConfigError>;

/// A plugin and its last credentials.
#[derive(Debug)]
pub(crate) struct Plugin {
    program: Arc<Program>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<Held>>,
    /// The error of the last run.
    failed: Option<ConfigError>,
    /// Whether the server has refused the held credentials.
    is_refused: bool,
    /// When the last run began.
    begun: Option<Instant>,
    /// Whether that run was for expired credentials.
    is_renewal: bool,
    /// How many runs were unsuccessful since the server last accepted the credentials.
    vain: u32,
    running: Option<Shared<BoxFuture<'static, Outcome>>>,
}

/// The next step for a request.
enum Step {
    Use(Arc<Held>),
    Fail(ConfigError),
    Await(Shared<BoxFuture<'static, Outcome>>),
}

impl Plugin {
    /// # Errors
    /// The configuration of the plugin is invalid. The program need not exist yet.
    pub(crate) fn new(exec: ExecConfig) -> Result<Arc<Self>, ConfigError> {
        let program = Arc::new(Program::new(exec)?);
        Ok(Arc::new(Self { program, state: Mutex::default() }))
    }

    /// Credentials for a request that is due now.
    pub(crate) async fn get_soon(&self) -> Outcome {
        let late = || self.program.error("has returned no credentials yet");
        timeout(PATIENCE, self.get()).await.unwrap_or_else(|_| Err(late()))
    }

    /// Credentials, after at most one run. If this future is dropped, the run continues for the next request.
    pub(crate) async fn get(&self) -> Outcome {
        let run = match self.next() {
            Step::Use(held) => return Ok(held),
            Step::Fail(error) => return Err(error),
            Step::Await(run) => run,
        };
        let outcome = run.clone().await;
        let mut state = self.state();
        if state.running.as_ref().is_some_and(|running| running.ptr_eq(&run)) {
            state.running = None;
            match &outcome {
                Ok(held) => {
                    state.held = Some(Arc::clone(held));
                    state.is_refused = false;
                    state.failed = None;
                }
                Err(error) => {
                    state.failed = Some(error.clone());
                    state.vain = state.vain.saturating_add(1);
                }
            }
        }
        outcome
    }

    /// Records whether the server accepted these credentials, or answered 401.
    pub(crate) fn judge(&self, held: &Arc<Held>, is_accepted: bool) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|it| Arc::ptr_eq(it, held)) {
            state.is_refused = !is_accepted;
            if is_accepted {
                state.vain = 0;
            }
        }
    }

    /// An error about the plugin.
    pub(crate) fn error(&self, what: &str) -> ConfigError {
        self.program.error(what)
    }

    fn next(&self) -> Step {
        let mut state = self.state();
        if let Some(run) = &state.running {
            return Step::Await(run.clone());
        }
        let is_over = |rest| state.begun.is_none_or(|begun| begun.elapsed() >= rest);
        let of_vain = state.vain.checked_sub(1).map_or(Duration::ZERO, |doublings| {
            FIRST_REST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST_REST)
        });
        match (&state.held, &state.failed) {
            (Some(held), failed) => {
                let has_expired = held.expires.is_some_and(|expires| Timestamp::now() >= expires);
                let is_due = match (failed, state.is_refused, state.is_renewal) {
                    (Some(_), ..) | (None, true, _) => is_over(of_vain),
                    (None, false, is_renewal) => !is_renewal || is_over(REST),
                };
                match failed {
                    _ if !has_expired && !state.is_refused => return Step::Use(Arc::clone(held)),
                    Some(error) if !is_due && has_expired => return Step::Fail(error.clone()),
                    Some(_) | None if !is_due => return Step::Use(Arc::clone(held)),
                    Some(_) | None => {}
                }
            }
            (None, Some(error)) if !is_over(of_vain) => return Step::Fail(error.clone()),
            (None, Some(_) | None) => {}
        }
        state.begun = Some(Instant::now());
        state.is_renewal = state.held.is_some() && !state.is_refused;
        if state.is_refused {
            state.vain = state.vain.saturating_add(1);
        }
        let program = Arc::clone(&self.program);
        let mut task = Task(tokio::spawn(async move { program.run().await.map(Arc::new) }));
        let lost = self.program.error("was stopped, since the runtime ends");
        let run = async move { (&mut task.0).await.unwrap_or(Err(lost)) }.boxed().shared();
        state.running = Some(run.clone());
        Step::Await(run)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run, which ends when its client is dropped.
#[derive(Debug)]
struct Task(JoinHandle<Outcome>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
