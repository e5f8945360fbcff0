//! A Job in the form that the machine takes: a pod whose only container is the Job.
//!
//! The rules of identity, absence, API errors and limits hold for a Job as well, so there is no second machine for it.
//! The deletion of a Job is no outside cause: its conditions show how it ended, if it did.

use podwait_core::{
    Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartPolicy, Terminated, one_line,
};
use podwait_wire::{DecodeError, Pod};
use serde::Deserialize;

/// The name of the container that represents the Job.
const CONTAINER: &str = "job";

/// `batch/v1` Job, as far as it is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobView {
    kind: Option<String>,
    metadata: MetaView,
    status: Option<StatusView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetaView {
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct StatusView {
    conditions: Option<Vec<ConditionView>>,
    active: Option<i64>,
    succeeded: Option<i64>,
    failed: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ConditionView {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

/// The facts of a Job about its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JobState {
    pub(super) uid: String,
    /// Whether the Job failed, with `reason` and `message`; `None` while it runs.
    pub(super) end: Option<(bool, String, String)>,
    /// `status.active`, `succeeded` and `failed`: when they change, pods have ended.
    pub(super) counts: [i64; 3],
}

impl JobView {
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        let view: Self =
            serde_json::from_slice(json).map_err(|error| format!("not readable as a job: {error}"))?;
        match view.kind.as_deref() {
            Some("Job") | None => Ok(view),
            Some(other) => Err(format!("requested a Job, received {:?}", one_line(other, 100))),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(super) fn state(&self) -> JobState {
        let status = self.status.clone().unwrap_or_default();
        // Complete and Failed come when all pods have ended; SuccessCriteriaMet and FailureTarget before that
        // (KEP-3998, KEP-3939).
        let end = status.conditions.iter().flatten().find_map(|condition| {
            let has_failed = match condition.kind.as_deref() {
                Some("Complete") => false,
                Some("Failed") => true,
                _ => return None,
            };
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            (condition.status.as_deref() == Some("True"))
                .then(|| (has_failed, text(&condition.reason), text(&condition.message)))
        });
        let counts = [status.active, status.succeeded, status.failed].map(Option::unwrap_or_default);
        JobState { uid: self.metadata.uid.clone().unwrap_or_default(), end, counts }
    }

    /// The pod that represents the Job.
    pub(super) fn as_pod(&self) -> Result<Pod, DecodeError> {
        let state = self.state();
        if state.uid.is_empty() || self.name().is_empty() {
            return Err(DecodeError::Missing("metadata.uid"));
        }
        let (phase, state_of_container) = match &state.end {
            None => (Phase::Running, ContainerState::Running),
            Some((has_failed, ..)) => {
                let phase = if *has_failed { Phase::Failed } else { Phase::Succeeded };
                let exit_code = i32::from(*has_failed);
                (phase, ContainerState::Terminated(Terminated { exit_code, ..Terminated::default() }))
            }
        };
        let snapshot = PodSnapshot {
            uid: state.uid,
            resource_version: self.metadata.resource_version.clone().unwrap_or_default(),
            restart_policy: RestartPolicy::Never,
            containers: vec![Container { name: CONTAINER.into(), ..Container::default() }],
            container_statuses: vec![ContainerStatus {
                name: CONTAINER.into(),
                state: Some(state_of_container),
                ..ContainerStatus::default()
            }],
            phase,
            ..PodSnapshot::default()
        };
        let namespace = self.metadata.namespace.clone().unwrap_or_default();
        Ok(Pod { namespace, name: self.name().to_owned(), owner: None, snapshot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> JobView {
        JobView::read(json.as_bytes()).expect("a job")
    }

    #[test]
    fn only_complete_and_failed_are_ends() {
        let job = |conditions: &str| {
            read(&format!(
                r#"{{"metadata":{{"name":"j","uid":"u"}},"status":{{"conditions":[{conditions}],"failed":2}}}}"#
            ))
        };
        let condition = |kind: &str, status: &str| {
            format!(
                r#"{{"type":"{kind}","status":"{status}","reason":"BackoffLimitExceeded","message":"no"}}"#
            )
        };
        for going_on in [
            String::new(),
            condition("SuccessCriteriaMet", "True"),
            condition("FailureTarget", "True"),
            condition("Suspended", "True"),
            condition("Failed", "False"),
        ] {
            let job = job(&going_on);
            assert_eq!(
                (job.state().end, job.as_pod().expect("a pod").snapshot.phase),
                (None, Phase::Running)
            );
        }
        let failed = job(&[condition("FailureTarget", "True"), condition("Failed", "True")].join(","));
        assert_eq!(failed.state().end, Some((true, "BackoffLimitExceeded".to_owned(), "no".to_owned())));
        assert_eq!(
            (failed.as_pod().expect("a pod").snapshot.phase, failed.state().counts),
            (Phase::Failed, [0, 0, 2])
        );
        assert_eq!(
            job(&condition("Complete", "True")).as_pod().expect("a pod").snapshot.phase,
            Phase::Succeeded
        );
    }

    #[test]
    fn what_is_no_job_is_an_error() {
        for json in ["", "3", r#"{"kind":"Pod","metadata":{"name":"p","uid":"u"}}"#] {
            assert!(JobView::read(json.as_bytes()).is_err(), "{json}");
        }
        for json in ["{}", "[]", r#"{"metadata":{"name":"j"}}"#, r#"{"metadata":{"uid":"u"}}"#] {
            assert!(read(json).as_pod().is_err(), "{json}");
        }
        assert!(read(r#"{"metadata":{"name":"j","uid":"u"},"status":null}"#).as_pod().is_ok());
    }
}
