//! The part of podwait that the cases need, without a client: these tests are built hundreds of times.
//!
//! Pods are read by the test kit's reference, which agrees with podwait-wire (`tests/it/decoding.rs`).

use podwait_core::{ApiError, Input, PodSnapshot};
use std::time::Duration;

/// A pod and its name.
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub snapshot: PodSnapshot,
}

/// An observation of a case.
pub enum Observed {
    Pod(Pod),
    /// A pod of a GET or a LIST.
    Read(Pod),
    Deleted(Pod),
    NotFound,
    ApiError { code: u16, is_status: bool, retry_after: Option<Duration>, message: String },
    Silence,
    Cancelled,
}

impl Observed {
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::Pod(pod) => Input::Snapshot(&pod.snapshot),
            Self::Read(pod) => Input::Read(&pod.snapshot),
            Self::Deleted(pod) => Input::Deleted(&pod.snapshot),
            Self::NotFound => Input::NotFound,
            Self::ApiError { code, is_status, retry_after, message } => {
                Input::ApiError(ApiError { code: *code, is_status: *is_status, retry_after: *retry_after, message })
            }
            Self::Silence => Input::Tick,
            Self::Cancelled => Input::Cancel,
        }
    }
}

pub mod trace {
    use super::Observed;
    use crate::reference::decode;
    use podwait_core::{Instant, Policy, Target, WaitMachine};
    use serde_json::Value;
    use std::error::Error;
    use std::time::Duration;

    pub struct Header(Target, Policy);

    impl Header {
        pub fn new(target: Target, policy: Policy) -> Self {
            Self(target, policy)
        }

        pub fn machine(&self) -> WaitMachine {
            self.0.machine(self.1.clone().into())
        }
    }

    pub fn read_event(json: &str) -> Result<(Instant, Observed), Box<dyn Error>> {
        let event: Value = serde_json::from_str(json)?;
        let number = |field: &str| event[field].as_u64();
        let pod = || decode(event["pod"].to_string().as_bytes());
        let observed = match event["event"].as_str().unwrap_or_default() {
            "snapshot" if matches!(event["via"].as_str(), Some("get" | "list")) => Observed::Read(pod()?),
            "snapshot" => Observed::Pod(pod()?),
            "deleted" => Observed::Deleted(pod()?),
            "not_found" => Observed::NotFound,
            "api_error" => Observed::ApiError {
                code: number("code").ok_or("no code")?.try_into()?,
                is_status: event["status"].as_bool().unwrap_or(true),
                retry_after: number("retry_after_s").map(Duration::from_secs),
                message: event["message"].as_str().unwrap_or_default().to_owned(),
            },
            "tick" => Observed::Silence,
            "cancel" => Observed::Cancelled,
            unknown => return Err(format!("no such event: {unknown}").into()),
        };
        Ok((Instant::from_millis(number("at_ms").ok_or("no time")?), observed))
    }
}
