//! Sends one request: its URL, its credentials, its connection.

use crate::client::connector::{Connector, Tls};
use crate::client::credentials::Credentials;
use crate::client::endpoint::Endpoint;
use crate::client::error::ConfigError;
use crate::client::plugin::{Held, Identity, Plugin};
use crate::client::proxy::{self, Kind, Proxy};
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tower::{BoxError, Service};

type Http = Client<TimeoutConnector<Connector>, Body>;

/// Sends requests. Other parts of kube's own stack are left out on purpose: its retries, and spans with whole URLs.
#[derive(Clone)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Endpoint,
    proxy: Option<Arc<Proxy>>,
    credentials: Credentials,
    /// The configuration for connections.
    config: kube::Config,
    /// The connections, and the client certificate that they were made with, if a plugin gave it.
    http: Mutex<(Http, Option<Arc<Identity>>)>,
}

impl Transport {
    /// Checks the whole configuration. Sends nothing and runs no plugin.
    pub(crate) fn new(mut config: kube::Config) -> Result<Self, ConfigError> {
        let user = &config.auth_info;
        let has_authority = config.root_cert.as_ref().is_some_and(|certificates| !certificates.is_empty())
            || config.root_cert_file.is_some();
        let has_certificate = user.client_certificate.is_some() || user.client_certificate_data.is_some();
        let is_tls = has_authority || has_certificate || config.accept_invalid_certs;
        let endpoint = Endpoint::read(&config.cluster_url, is_tls)?;
        config.cluster_url = endpoint.url.clone();
        let proxy = proxy::of(config.proxy_url.take().as_ref(), &endpoint)?.map(Arc::new);
        let credentials = Credentials::take_from(&mut config.auth_info, endpoint.userinfo.clone())?;
        config.tls_server_name.take_if(|name| name.is_empty());
        if endpoint.is_https() {
            if config.accept_invalid_certs && has_authority {
                return Err(ConfigError::new(
                    "insecure-skip-tls-verify and a certificate-authority exclude each other; remove one of them",
                ));
            }
            if config.root_cert.is_some() && !has_authority && !config.accept_invalid_certs {
                return Err(ConfigError::new("the certificate-authority holds no certificate"));
            }
        }
        let http = connections(&config, &endpoint, proxy.as_ref(), None)?;
        let http = Mutex::new((http, None));
        Ok(Self { shared: Arc::new(Shared { endpoint, proxy, credentials, config, http }) })
    }

    /// Gets the credentials for the first request, and waits for them as long as a plugin may take.
    pub(crate) async fn log_in(&self) -> Result<(), ConfigError> {
        match &self.shared.credentials {
            Credentials::None | Credentials::Fixed(_) | Credentials::File(_) => Ok(()),
            Credentials::Plugin(plugin) => {
                let held = plugin.get().await?;
                self.shared.http(plugin, &held).map(drop)
            }
        }
    }
}

impl Shared {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, BoxError> {
        *request.uri_mut() = self.endpoint.join(request.uri())?;
        // For a server without TLS the proxy reads the request, which carries the proxy's credentials; otherwise
        // `CONNECT` carried them.
        if !self.endpoint.is_https()
            && let Some(proxy) = self.proxy.as_ref().filter(|proxy| proxy.kind != Kind::Socks5)
            && let Some(header) = proxy.userinfo.as_ref().and_then(|userinfo| userinfo.basic())
        {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, header);
        }
        let fixed = match &self.credentials {
            Credentials::None => None,
            Credentials::Fixed(header) => Some(header.clone()),
            Credentials::File(file) => {
                // A file system may hang, and must not block the executor.
                let file = Arc::clone(file);
                Some(tokio::task::spawn_blocking(move || file.header()).await?)
            }
            Credentials::Plugin(plugin) => {
                let held = plugin.get_soon().await?;
                let again = copy(&request);
                let response = self.send_as(request, plugin, &held).await?;
                let is_accepted = response.status() != StatusCode::UNAUTHORIZED;
                plugin.judge(&held, is_accepted);
                if is_accepted {
                    return Ok(response);
                }
                // After a 401 the server has done nothing, so the request may be repeated with other credentials.
                let (Some(again), Ok(other)) = (again, plugin.get_soon().await) else { return Ok(response) };
                if *other == *held {
                    return Ok(response);
                }
                let response = self.send_as(again, plugin, &other).await?;
                plugin.judge(&other, response.status() != StatusCode::UNAUTHORIZED);
                return Ok(response);
            }
        };
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        send(&http, request, fixed).await
    }

    async fn send_as(
        &self,
        request: Request<Body>,
        plugin: &Plugin,
        held: &Held,
    ) -> Result<Response<Incoming>, BoxError> {
        send(&self.http(plugin, held)?, request, held.token.clone()).await
    }

    /// Connections with this client certificate. Connections with another one are closed when they are no longer used.
    fn http(&self, plugin: &Plugin, held: &Held) -> Result<Http, ConfigError> {
        let mut http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        if http.1 != held.identity {
            let new =
                connections(&self.config, &self.endpoint, self.proxy.as_ref(), held.identity.as_deref());
            // The same configuration worked without this certificate, so the certificate is the cause.
            let new = new.map_err(|_| plugin.error("returned a certificate or a key that cannot be used"))?;
            *http = (new, held.identity.clone());
        }
        Ok(http.0.clone())
    }
}

async fn send(
    http: &Http,
    mut request: Request<Body>,
    authorization: Option<HeaderValue>,
) -> Result<Response<Incoming>, BoxError> {
    if let Some(header) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, header);
    }
    Ok(http.request(request).await?)
}

/// The same request again, if its body can be sent twice.
fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn connections(
    config: &kube::Config,
    endpoint: &Endpoint,
    proxy: Option<&Arc<Proxy>>,
    identity: Option<&Identity>,
) -> Result<Http, ConfigError> {
    let has_tls = endpoint.is_https() || proxy.is_some_and(|proxy| proxy.kind == Kind::Https);
    let tls = has_tls.then(|| tls(config, identity)).transpose()?;
    let mut connector = TimeoutConnector::new(Connector::new(tls, proxy.cloned()));
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

fn tls(config: &kube::Config, identity: Option<&Identity>) -> Result<Tls, ConfigError> {
    let with_identity = identity.map(|identity| {
        let mut config = config.clone();
        identity.put_into(&mut config.auth_info);
        config
    });
    let config = with_identity.as_ref().unwrap_or(config);
    let client = config.rustls_client_config();
    let client = client.map_err(|error| ConfigError::because("TLS cannot be set up", error))?;
    let server_name = config.tls_server_name.clone().map(|name| {
        name.try_into().map_err(|error| {
            ConfigError::new("the tls-server-name is neither a DNS name nor an IP address").with_source(error)
        })
    });
    Ok(Tls { config: Arc::new(client), server_name: server_name.transpose()? })
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { shared.send(request).await })
    }
}
