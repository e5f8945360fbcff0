//! The requests of `podwait run`: create, read and delete a pod.

use super::manifest::{NewPod, RUN_LABEL};
use crate::call::{CALL_TIMEOUT, Call, Trouble, pods_path};
use crate::connect::Connection;
use crate::output;
use http::Method;
use podwait::wire::{self, Encoding};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a DELETE is retried.
const DELETE: Duration = Duration::from_secs(10);

/// How long one POST may take: the longest time of an admission webhook (`timeoutSeconds`, at most 30 s).
const POST: Duration = Duration::from_secs(30);

/// The pause before a retry.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// Longest pod that is read, in bytes: etcd stores 1.5 MiB at most.
const LONGEST_POD: usize = 8 << 20;

const JSON: &str = "application/json";

/// The pods of one namespace.
pub(super) struct Objects<'a> {
    pub(super) connection: &'a Connection,
}

/// A pod that was created.
#[derive(Clone, Debug)]
pub(super) struct Created {
    pub(super) name: String,
    pub(super) uid: String,
    /// Whether the pod was created with the hold.
    pub(super) is_held: bool,
}

/// Whether there is the right to remove a hold again.
pub(super) enum MayHold {
    Yes,
    No(String),
}

/// The result of a GET by name.
pub(super) enum Found {
    /// The pod of this attempt.
    Ours(Created),
    /// Another pod of that name.
    Other,
    Nothing,
    Unknown,
}

impl Objects<'_> {
    fn call(
        &self,
        method: Method,
        name: Option<&str>,
        body: Option<(&'static str, Value)>,
    ) -> Result<Call<'static>, Trouble> {
        let path = pods_path(&self.connection.namespace, name)?;
        let body = body.map(|(media_type, body)| (media_type, body.to_string().into_bytes()));
        Ok(Call { method, path, body, accept: JSON, limit: CALL_TIMEOUT, longest: LONGEST_POD })
    }

    async fn send(&self, call: Result<Call<'_>, Trouble>) -> Result<Value, Trouble> {
        let json = call?.send(&self.connection.client).await?;
        serde_json::from_slice(&json)
            .map_err(|error| Trouble::unreadable(&format!("unreadable response: {error}")))
    }

    /// Whether there is the right to remove a hold again. Without it the pod must not have a hold.
    ///
    /// A PATCH of a pod that does not exist returns 404 with the right to patch pods and 403 without it, since the API server
    /// checks the right first. So `run` needs only rights on pods.
    pub(super) async fn may_hold(&self, unused_name: &str) -> MayHold {
        let mut tries = 3;
        loop {
            let mut call = self.call(
                Method::PATCH,
                Some(unused_name),
                Some(("application/merge-patch+json", json!({}))),
            );
            if let Ok(call) = &mut call {
                call.path.push_str("?dryRun=All");
            }
            let trouble = match self.send(call).await {
                Ok(_) => return MayHold::Yes,
                Err(trouble) if trouble.is_absence() => return MayHold::Yes,
                Err(trouble) => trouble,
            };
            tries -= 1;
            if trouble.code == 403 && trouble.reason.is_some() {
                return MayHold::No(String::from("there is no right to patch pods"));
            }
            if trouble.is_refusal() || tries == 0 {
                return MayHold::No(trouble.message);
            }
            sleep(PAUSE.max(trouble.retry_after)).await;
        }
    }

    /// Sends the POST once. A response that does not contain the pod is an error.
    pub(super) async fn post(&self, pod: &NewPod) -> Result<Created, Trouble> {
        let mut call = self.call(Method::POST, None, None)?;
        (call.body, call.limit) = (Some((JSON, pod.body.clone())), POST);
        let answer = self.send(Ok(call)).await?;
        self.ours(pod, &answer)
            .ok_or_else(|| Trouble::unreadable("the response to the creation does not contain the pod"))
    }

    /// Looks up the pod by its name.
    pub(super) async fn find(&self, pod: &NewPod) -> Found {
        match self.send(self.call(Method::GET, Some(&pod.name), None)).await {
            Ok(answer) => match self.ours(pod, &answer) {
                Some(created) => Found::Ours(created),
                None => Found::Other,
            },
            Err(trouble) if trouble.is_absence() => Found::Nothing,
            Err(_) => Found::Unknown,
        }
    }

    /// The pod of this attempt, if the response contains it. The name alone does not suffice, and is taken from the request.
    fn ours(&self, pod: &NewPod, answer: &Value) -> Option<Created> {
        let metadata = &answer["metadata"];
        let uid = metadata["uid"].as_str().filter(|uid| !uid.is_empty())?;
        let is_ours = metadata["name"] == *pod.name
            && metadata["namespace"] == *self.connection.namespace
            && metadata["labels"][RUN_LABEL] == *pod.run;
        is_ours.then(|| Created { name: pod.name.clone(), uid: uid.to_owned(), is_held: pod.is_held })
    }

    /// The current pod; `None` if it is gone or another pod has its name.
    async fn get(&self, pod: &Created) -> Result<Option<Value>, Trouble> {
        match self.send(self.call(Method::GET, Some(&pod.name), None)).await {
            Ok(found) => Ok(Some(found).filter(|found| found["metadata"]["uid"] == *pod.uid)),
            Err(trouble) if trouble.is_absence() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// Whether the pod is over or gone; false if it cannot be read.
    pub(super) async fn is_over(&self, pod: &Created) -> bool {
        match self.get(pod).await {
            Ok(Some(found)) => wire::pod(Encoding::Json, found.to_string().as_bytes())
                .is_ok_and(|found| found.snapshot.is_over()),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Waits until the object is gone. Returns false if that takes longer than `within`.
    pub(super) async fn is_gone(&self, pod: &Created, within: Duration) -> bool {
        let begin = Instant::now();
        loop {
            let pause = match self.get(pod).await {
                Ok(None) => return true,
                Ok(Some(_)) => PAUSE / 2,
                Err(trouble) => PAUSE.max(trouble.retry_after),
            };
            if begin.elapsed() + pause > within {
                return false;
            }
            sleep(pause).await;
        }
    }

    /// Deletes the pod, with its own grace period if it still runs. Prints a note if that fails.
    pub(super) async fn delete(&self, pod: &Created) {
        let options =
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": pod.uid } });
        let begin = Instant::now();
        loop {
            let call = self.call(Method::DELETE, Some(&pod.name), Some((JSON, options.clone())));
            let Err(trouble) = self.send(call).await else { return };
            // The pod is gone, or another pod has its name.
            if trouble.is_absence() || trouble.code == 409 && trouble.reason.is_some() {
                return;
            }
            let pause = PAUSE.max(trouble.retry_after);
            if trouble.is_refusal() || begin.elapsed() + pause > DELETE {
                let (namespace, name, message) = (&self.connection.namespace, &pod.name, trouble.message);
                return output::note(&format!("{namespace}/{name} could not be deleted: {message}"));
            }
            sleep(pause).await;
        }
    }
}
