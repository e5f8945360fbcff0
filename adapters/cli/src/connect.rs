//! Makes a working client from a kubeconfig or the in-cluster configuration.

mod kubeconfig;

use crate::args::ConnectArgs;
use crate::output::with_cause;
use crate::status::{Complaint, Status};
use kube::Config;
use podwait::{ApiFailure, Client};
use tokio::task::spawn_blocking;

/// A client, and the namespace of the arguments or of the context.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    server: String,
}

/// Reads the configuration and its credentials, and sends nothing to the API server.
///
/// The future may be dropped at any time: another thread reads files and pipes, and a credential plugin ends with the future.
pub(crate) async fn connect(args: &ConnectArgs) -> Result<Connection, Complaint> {
    let (path, context) = (args.kubeconfig.clone(), args.context.clone());
    let config = spawn_blocking(move || kubeconfig::config(path.as_deref(), context)).await;
    let config = config.map_err(|_| unusable("it cannot be read"))??;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = address(&config);
    let client = Client::from_config_with_credentials(config).await;
    Ok(Connection { client: client.map_err(|error| unusable(&error.to_string()))?, namespace, server })
}

fn unusable(what: &str) -> Complaint {
    Complaint::new(Status::Config, format!("the configuration cannot be used: {what}"))
}

/// The server's URL for messages: without a name and a password.
fn address(config: &Config) -> String {
    let url = &config.cluster_url;
    let scheme = url.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}{}{port}{}", url.host().unwrap_or_default(), url.path().trim_end_matches('/'))
}

impl Connection {
    /// Reads the pod once, so that an unusable server is reported at once and not after the wait's budgets. Temporary errors (429,
    /// 5xx) are left to the wait.
    pub(crate) async fn check(&self, namespace: &str, pod: &str) -> Result<(), Complaint> {
        self.judge(podwait::check_access(&self.client, namespace, pod).await)
    }

    /// The same as [`check`](Self::check), for a job.
    pub(crate) async fn check_job(&self, namespace: &str, job: &str) -> Result<(), Complaint> {
        self.judge(podwait::check_job_access(&self.client, namespace, job).await)
    }

    fn judge(&self, access: Result<(), ApiFailure>) -> Result<(), Complaint> {
        access.or_else(|failure| self.complaint(&failure).map_or(Ok(()), Err))
    }

    /// The error for the command when a call fails with this code; the code is 0 if no response came.
    pub(crate) fn api_complaint(&self, code: u16, message: &str) -> Complaint {
        let complaint = match code {
            401 | 403 => Status::Denied,
            400..=499 if code != 429 => Status::Usage,
            _ => Status::Unreachable,
        };
        Complaint::new(complaint, with_cause(&self.server, message))
    }

    /// The error for the command when a first read fails so; `None` if the failure may be temporary.
    pub(crate) fn complaint(&self, failure: &ApiFailure) -> Option<Complaint> {
        let (server, message) = (&self.server, &failure.message);
        Some(match failure.code {
            401 => Complaint::new(
                Status::Denied,
                with_cause(&format!("{server} does not accept the credentials"), message),
            ),
            403 => Complaint::new(Status::Denied, with_cause(&format!("{server} denies access"), message)),
            // The cause may be one object, and not the server. The wait would read this object again and again.
            200 => Complaint::new(
                Status::Api,
                with_cause(&format!("{server} returned a response that cannot be used"), message),
            ),
            0 if message.contains("certificate") => Complaint::new(
                Status::Unreachable,
                with_cause(&format!("{server} cannot be trusted"), message),
            ),
            0 => Complaint::new(Status::Unreachable, with_cause(&format!("cannot reach {server}"), message)),
            404 => Complaint::new(
                Status::Unreachable,
                with_cause(&format!("{server} is not a Kubernetes API server"), message),
            ),
            _ => return None,
        })
    }
}
