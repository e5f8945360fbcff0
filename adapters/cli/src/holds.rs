//! The holds of one command: a dropped wait leaves no hold on its pod.

use crate::output::{self, with_cause};
use crate::shutdown::{DRAIN, LAST_RELEASE, Shutdown};
use futures_util::stream::{StreamExt, iter};
use podwait::{Hold, HoldState};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many holds are released at the same time.
const AT_ONCE: usize = 32;

/// The holds that are not released yet. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Holds(Arc<Mutex<BTreeMap<usize, Held>>>);

#[derive(Clone)]
struct Held {
    /// Namespace and pod.
    name: String,
    hold: Hold,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hold before it can be on its pod. Returns its number.
    pub(crate) fn add(&self, namespace: &str, pod: &str, hold: Hold) -> usize {
        let mut held = self.lock();
        let number = held.last_key_value().map_or(0, |(last, _)| last + 1);
        held.insert(number, Held { name: format!("{namespace}/{pod}"), hold });
        number
    }

    /// Releases a hold once the answer was used. Reports why the pod could not be held, or could not be released.
    pub(crate) async fn release(&self, number: usize) {
        let Some(held) = self.lock().get(&number).cloned() else { return };
        let released = held.hold.release().await;
        self.lock().remove(&number);
        let name = &held.name;
        if let Err(failure) = released {
            output::note(&with_cause(
                &format!("{name} is still held, see podwait release"),
                &failure.message,
            ));
        }
        match held.hold.state() {
            HoldState::Refused(failure) => {
                output::note(&with_cause(&format!("{name} was not held"), &failure.message));
            }
            HoldState::TooLate => {
                output::note(&format!("{name} was not held: it was being deleted already"));
            }
            HoldState::NotYet | HoldState::Held { .. } | HoldState::Released | _ => {}
        }
    }

    /// Releases the holds of dropped waits concurrently and within a limit, which is short after a second signal.
    pub(crate) async fn release_rest(&self, shutdown: &Shutdown) {
        let rest: Vec<(usize, Held)> =
            self.lock().iter().map(|(number, held)| (*number, held.clone())).collect();
        let release = |(number, held): (usize, Held)| async move {
            if held.hold.release().await.is_ok() {
                self.lock().remove(&number);
            }
        };
        let release = iter(rest).for_each_concurrent(AT_ONCE, release);
        let last_release = async {
            shutdown.second().await;
            tokio::time::sleep(LAST_RELEASE).await;
        };
        tokio::select! {
            () = release => {}
            () = tokio::time::sleep(DRAIN) => {}
            () = last_release => {}
            () = shutdown.drained() => {}
        }
        let left: Vec<String> = self.lock().values().map(|held| held.name.clone()).collect();
        if !left.is_empty() {
            output::note(&format!("still held, see podwait release: {}", left.join(", ")));
        }
    }
}
