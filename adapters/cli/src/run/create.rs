//! Creates a pod once, even if responses are lost.

use super::manifest::NewPod;
use super::objects::{Created, Found, Objects, PAUSE};
use crate::call::Trouble;
use crate::output;
use crate::status::{Complaint, Status};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the API server may take to accept a pod.
const CREATE: Duration = Duration::from_secs(60);

/// How long `create` waits for a response once the command is to end.
const LAST_ANSWER: Duration = Duration::from_secs(5);

impl Objects<'_> {
    /// Creates the pod. Returns `None` if the command is to end before the pod exists.
    ///
    /// The client has chosen the name, so the same POST can be sent again: the API server refuses a second pod of that name (409,
    /// `AlreadyExists`), and the label of the existing pod shows whether it is of this run. See ARCHITECTURE.md.
    pub(super) async fn create(
        &self,
        pod: &NewPod,
        stop: impl AsyncFn(),
    ) -> Result<Option<Created>, Complaint> {
        let begin = Instant::now();
        let name = format!("{}/{}", self.connection.namespace, pod.name);
        // Whether a request without a response may have been carried out, or may still be.
        let mut is_doubtful = false;
        let mut doubt = Doubt { name: &name, is_open: false };
        loop {
            doubt.is_open = true;
            let posted = tokio::select! {
                posted = self.post(pod) => posted,
                () = async { stop().await; sleep(LAST_ANSWER).await } => Err(Trouble::unreadable("interrupted")),
            };
            let trouble = match posted {
                Ok(created) => return Ok(Some(doubt.settled(created))),
                Err(trouble) => trouble,
            };
            let is_there = trouble.code == 409 && trouble.reason.as_deref() == Some("AlreadyExists");
            // Any other 409 is a quota conflict, and a 429 is a rejection: these requests were not carried out.
            is_doubtful |= !is_there && !trouble.is_refusal() && !matches!(trouble.code, 409 | 429);
            doubt.is_open = is_there || is_doubtful;
            if doubt.is_open {
                match self.find(pod).await {
                    Found::Ours(created) => return Ok(Some(doubt.settled(created))),
                    Found::Other => {
                        let sentence = format!("{name} already exists, and was not created by this run");
                        return Err(doubt.settled(Complaint::new(Status::Infrastructure, sentence)));
                    }
                    Found::Nothing if is_there => {
                        let sentence = format!("{name} was created, and deleted before it could be read");
                        return Err(doubt.settled(Complaint::new(Status::Infrastructure, sentence)));
                    }
                    Found::Nothing | Found::Unknown => {}
                }
            }
            let pause = PAUSE.max(trouble.retry_after);
            if trouble.is_refusal() || begin.elapsed() + pause > CREATE {
                return Err(self.connection.api_complaint(trouble.code, &trouble.message));
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = stop() => return Ok(None),
            }
        }
    }
}

/// Prints a note when it is dropped while it is open, also if the creation is cancelled: a pod without a wait may exist.
struct Doubt<'a> {
    name: &'a str,
    is_open: bool,
}

impl Doubt<'_> {
    /// Closes the doubt, since the result is known.
    fn settled<T>(&mut self, known: T) -> T {
        self.is_open = false;
        known
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.is_open {
            output::note(&format!("{} may exist, or may still be created", self.name));
        }
    }
}
