//! What `podwait run` does to the cluster: it creates a pod, and deletes it.

use super::manifest::{RUN_LABEL, held};
use crate::connect::Connection;
use crate::output;
use crate::status::Complaint;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Error;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the API server may take to accept a pod.
const CREATE: Duration = Duration::from_secs(60);

/// How long the kubelet may take from the end of a pod's containers to its phase: it unmounts its volumes before.
const UNTIL_PHASE: Duration = Duration::from_secs(10);

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Pods of one namespace, as they are written.
pub(super) struct Objects<'a> {
    connection: &'a Connection,
    pods: Api<DynamicObject>,
}

/// A pod that was created.
pub(super) struct Created {
    pub(super) name: String,
    pub(super) uid: String,
    /// It has the hold.
    pub(super) is_held: bool,
}

impl<'a> Objects<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let (client, namespace) = (connection.client.clone(), &connection.namespace);
        Self { connection, pods: Api::namespaced_with(client, namespace, &resource) }
    }

    /// Whether a hold could be taken off again. If not, the pod must not have one.
    pub(super) async fn may_hold(&self) -> bool {
        let attributes = ResourceAttributes {
            namespace: Some(self.connection.namespace.clone()),
            verb: Some("patch".into()),
            resource: Some("pods".into()),
            ..ResourceAttributes::default()
        };
        let spec =
            SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.connection.client.clone());
        let answer = reviews.create(&PostParams::default(), &review).await;
        answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed))
    }

    /// Creates the pod, once: where it is not known whether a request was carried out, its label tells.
    pub(super) async fn create(&self, pod: &Value, run: &str, with_hold: bool) -> Result<Created, Complaint> {
        let pod = if with_hold { held(pod.clone()) } else { pod.clone() };
        let object: DynamicObject = serde_json::from_value(pod).map_err(|error| {
            Complaint::new(crate::status::Status::Usage, format!("the pod makes no sense: {error}"))
        })?;
        let begin = Instant::now();
        loop {
            let error = match self.pods.create(&PostParams::default(), &object).await {
                Ok(created) => return Ok(self.named(created, with_hold)),
                Err(error) => error,
            };
            let is_final = matches!(&error, Error::Api(status) if is_refusal(status.code));
            if is_final || begin.elapsed() > CREATE {
                return Err(self.connection.api_complaint(&error));
            }
            sleep(PAUSE).await;
            let mine = ListParams::default().labels(&format!("{RUN_LABEL}={run}"));
            if let Ok(list) = self.pods.list(&mine).await
                && let Some(created) = list.items.into_iter().next()
            {
                return Ok(self.named(created, with_hold));
            }
        }
    }

    fn named(&self, created: DynamicObject, is_held: bool) -> Created {
        let (name, uid) = (created.metadata.name, created.metadata.uid);
        Created { name: name.unwrap_or_default(), uid: uid.unwrap_or_default(), is_held }
    }

    /// Whether nothing of the pod runs or will run any more, as far as can be read.
    pub(super) async fn is_over(&self, pod: &Created) -> bool {
        let begin = Instant::now();
        loop {
            let status = match self.pods.get(&pod.name).await {
                Ok(found) if found.metadata.uid.as_deref() == Some(&*pod.uid) => found.data["status"].clone(),
                Ok(_) => return true,
                Err(Error::Api(status)) => return status.code == 404,
                Err(_) => return false,
            };
            if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
                return true;
            }
            let containers = status["containerStatuses"].as_array();
            let has_ended = |container: &Value| container["state"]["terminated"].is_object();
            let may_be_over = containers.is_some_and(|all| all.iter().all(has_ended));
            if !may_be_over || begin.elapsed() > UNTIL_PHASE {
                return false;
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Deletes the pod, with its own grace period if it still runs. Says so if that cannot be done.
    pub(super) async fn delete(&self, pod: &Created) {
        let preconditions = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let begin = Instant::now();
        loop {
            let error = match self.pods.delete(&pod.name, &parameters).await {
                Ok(_) => return,
                // It is gone, or another one has its name.
                Err(Error::Api(status)) if matches!(status.code, 404 | 409) => return,
                Err(error) => error,
            };
            let is_final = matches!(&error, Error::Api(status) if is_refusal(status.code));
            if is_final || begin.elapsed() > Duration::from_secs(10) {
                let (namespace, name) = (&self.connection.namespace, &pod.name);
                return output::note(&format!("{namespace}/{name} could not be deleted: {error}"));
            }
            sleep(PAUSE).await;
        }
    }
}

fn is_refusal(code: u16) -> bool {
    (400..500).contains(&code) && !matches!(code, 408 | 429)
}
