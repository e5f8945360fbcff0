//! One GET of a container's log, and the meaning of its answers.

use crate::client::{CALL_TIMEOUT, Calls, pods_path, rejected};
use http::Request;
use kube::client::Body;
use podwait_hub::PodName;
use podwait_wire::{ApiFailure, Via};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// The requested part of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogQuery {
    pub(crate) container: Arc<str>,
    /// The run before the current one.
    pub(crate) previous: bool,
    /// Whether to follow the log until the run ends.
    pub(crate) follow: bool,
    /// From this second on.
    pub(crate) since: Option<i64>,
    /// At most this many bytes.
    pub(crate) limit: Option<u32>,
}

/// The answer of the API server.
pub(crate) enum LogAnswer {
    /// The log.
    Body(Body),
    /// There is nothing to read, or not yet: the container waits, or its log is gone.
    Nothing(String),
    /// There is no such pod.
    NoPod,
    Failed(ApiFailure),
}

impl Calls {
    /// Requests a log. The kubelet may send nothing before the first line of a log that is followed, so the answer may
    /// take up to `patience`.
    pub(crate) async fn log(&self, pod: &PodName, query: &LogQuery, patience: Duration) -> LogAnswer {
        let patience = if query.follow { patience } else { CALL_TIMEOUT };
        self.ask_for_log(pod, query, patience).await.unwrap_or_else(LogAnswer::Failed)
    }

    async fn ask_for_log(
        &self,
        pod: &PodName,
        query: &LogQuery,
        patience: Duration,
    ) -> Result<LogAnswer, ApiFailure> {
        let mut uri = format!(
            "{}/{}/log?timestamps=true",
            pods_path(Some(pod.namespace()), Some(pod.name()))?,
            pod.name()
        );
        // Container names should be DNS labels, but a server may send others; all other values need no encoding.
        uri.push_str("&container=");
        uri.extend(form_urlencoded::byte_serialize(query.container.as_bytes()));
        for (is_set, parameter) in [(query.previous, "&previous=true"), (query.follow, "&follow=true")] {
            if is_set {
                uri.push_str(parameter);
            }
        }
        if let Some(since) = query.since.and_then(|second| jiff::Timestamp::from_second(second).ok()) {
            let _ = write!(uri, "&sinceTime={since}");
        }
        if let Some(limit) = query.limit {
            let _ = write!(uri, "&limitBytes={limit}");
        }
        let request =
            Request::get(uri).body(Vec::new()).map_err(|error| rejected(Via::Get, error.to_string()))?;
        let refusal = match self.open(Via::Get, request, patience).await {
            Ok(response) => return Ok(LogAnswer::Body(response.into_body())),
            Err(refusal) => refusal,
        };
        match refusal.failure.code {
            _ if refusal.is_absence_of(pod.name()) => Ok(LogAnswer::NoPod),
            // A pod without a node (`LogLocation` finds none).
            204 => Ok(LogAnswer::Nothing(String::from("the pod has no node yet"))),
            // `validateContainerLogStatus` in `pkg/kubelet/kubelet_pods.go`: waiting to start, no previous run, and so
            // on.
            400 if refusal.failure.is_status => Ok(LogAnswer::Nothing(refusal.failure.message)),
            _ => Err(refusal.failure),
        }
    }

    /// Whether the pod still has this uid. A log is requested by the pod's name, and names are reused.
    pub(crate) async fn is_still(&self, pod: &PodName, uid: &str) -> Result<bool, ApiFailure> {
        Ok(self.get(pod).await?.is_some_and(|found| found.pod.snapshot.uid == uid))
    }
}
