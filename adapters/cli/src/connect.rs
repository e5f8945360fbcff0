//! From kubeconfig or in-cluster configuration to a client that works.

mod kubeconfig;

use crate::args::ConnectArgs;
use crate::output::with_cause;
use crate::status::{Complaint, Status};
use kube::{Client, Config};
use podwait::ApiFailure;
use tokio::task::spawn_blocking;

/// A client, and the namespace that was asked for or that its context names.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    server: String,
}

/// Reads the configuration and gets the credentials that it names. Nothing is sent yet.
///
/// It may be dropped at any time: files and pipes are read on another thread, and a credential plugin ends with this.
pub(crate) async fn connect(args: &ConnectArgs) -> Result<Connection, Complaint> {
    let (path, context) = (args.kubeconfig.clone(), args.context.clone());
    let config = spawn_blocking(move || kubeconfig::config(path.as_deref(), context)).await;
    let config = config.map_err(|_| unusable("it cannot be read"))??;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = address(&config);
    let client = podwait::client_with_credentials(config).await;
    Ok(Connection { client: client.map_err(|error| unusable(&error.to_string()))?, namespace, server })
}

fn unusable(what: &str) -> Complaint {
    Complaint::new(Status::Config, format!("the configuration cannot be used: {what}"))
}

/// The server's URL for people: without the name and password that it may have.
fn address(config: &Config) -> String {
    let url = &config.cluster_url;
    let scheme = url.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}{}{port}{}", url.host().unwrap_or_default(), url.path().trim_end_matches('/'))
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
            // One object may be the trouble, and not the server. The wait would read it again and again.
            200 => Complaint::new(
                Status::Api,
                with_cause(&format!("{server} gave an answer that cannot be used"), message),
            ),
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
