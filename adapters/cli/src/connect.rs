//! From kubeconfig or in-cluster configuration to a client that works.

use crate::args::ConnectArgs;
use crate::output::with_cause;
use crate::status::{Complaint, Status};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use podwait::ApiFailure;
use std::path::Path;

/// A client, and the namespace that was asked for or that its context names.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    server: String,
}

/// Reads the configuration. Nothing is sent yet.
pub(crate) async fn connect(args: &ConnectArgs) -> Result<Connection, Complaint> {
    let config = config(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    let client = podwait::client(config).map_err(|error| unusable(&error))?;
    Ok(Connection { client, namespace, server })
}

async fn config(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, Complaint> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let read = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let kubeconfig_error = match read {
        Ok(kubeconfig) => match Config::from_custom_kubeconfig(kubeconfig, &options).await {
            Ok(config) => return Ok(config),
            Err(error) => error,
        },
        Err(error) => error,
    };
    // As kubectl does: nothing asked for and no kubeconfig there may mean that this runs in a pod.
    let is_absent = matches!(kubeconfig_error, KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath);
    if kubeconfig.is_none() && context.is_none() && is_absent {
        return Config::incluster().map_err(|_| {
            let sentence =
                "there is no kubeconfig (set --kubeconfig or KUBECONFIG), and this is not a pod of a cluster";
            Complaint::new(Status::Config, sentence)
        });
    }
    Err(match (kubeconfig_error, context) {
        (KubeconfigError::LoadContext(name), _) => {
            Complaint::new(Status::Config, format!("the kubeconfig has no context named {name}"))
        }
        (KubeconfigError::ReadConfig(error, path), _) => {
            Complaint::new(Status::Config, format!("cannot read the kubeconfig {}: {error}", path.display()))
        }
        (error, _) => unusable(&error),
    })
}

fn unusable(error: &dyn std::error::Error) -> Complaint {
    let text = error.to_string();
    // A YAML error comes with a drawing of the place; its first line says what is wrong.
    let line = text.lines().next().unwrap_or_default();
    Complaint::new(Status::Config, format!("the configuration cannot be used: {line}"))
}

impl Connection {
    /// Reads the pod once, so that a server that cannot be used is told at once and not after the wait's budgets. What
    /// may pass (429, 5xx) is left to the wait.
    pub(crate) async fn check(&self, namespace: &str, pod: &str) -> Result<(), Complaint> {
        self.judge(podwait::check_access(&self.client, namespace, pod).await)
    }

    /// The same for a job.
    pub(crate) async fn check_job(&self, namespace: &str, job: &str) -> Result<(), Complaint> {
        self.judge(podwait::check_job_access(&self.client, namespace, job).await)
    }

    fn judge(&self, access: Result<(), ApiFailure>) -> Result<(), Complaint> {
        access.or_else(|failure| self.complaint(&failure).map_or(Ok(()), Err))
    }

    /// What is wrong where the API server answers a call of the command so; the code is 0 where no answer came.
    pub(crate) fn api_complaint(&self, code: u16, message: &str) -> Complaint {
        let complaint = match code {
            401 | 403 => Status::Denied,
            400..=499 if code != 429 => Status::Usage,
            _ => Status::Unreachable,
        };
        Complaint::new(complaint, with_cause(&self.server, message))
    }

    /// What is wrong with a server that answers so; `None` if that may pass.
    pub(crate) fn complaint(&self, failure: &ApiFailure) -> Option<Complaint> {
        let (server, message) = (&self.server, &failure.message);
        Some(match failure.code {
            401 => Complaint::new(
                Status::Denied,
                with_cause(&format!("{server} does not accept the credentials"), message),
            ),
            403 => Complaint::new(Status::Denied, with_cause(&format!("{server} denies access"), message)),
            0 if message.contains("certificate") => Complaint::new(
                Status::Unreachable,
                with_cause(&format!("{server} cannot be trusted"), message),
            ),
            0 => Complaint::new(Status::Unreachable, with_cause(&format!("cannot reach {server}"), message)),
            404 => Complaint::new(
                Status::Unreachable,
                with_cause(&format!("{server} is no Kubernetes API server"), message),
            ),
            _ => return None,
        })
    }
}
