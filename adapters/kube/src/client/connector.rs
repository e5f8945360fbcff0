//! Connections to the API server: direct or through a proxy, with TLS or without.
//!
//! kube's own connector reads the environment by other rules (see [`proxy`](super::proxy)), and uses `CONNECT` for
//! servers without TLS too, which proxies refuse.

mod handshake;

use crate::client::error::ConfigError;
use crate::client::proxy::{Kind, Proxy};
use futures_util::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tower::{BoxError, Service, ServiceExt};

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector,
    /// Absent if neither the server nor the proxy has TLS.
    tls: Option<Tls>,
    proxy: Option<Arc<Proxy>>,
}

/// The TLS configuration, and the name to use instead of the URL's (`tls-server-name`).
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Connector {
    pub(crate) fn new(tls: Option<Tls>, proxy: Option<Arc<Proxy>>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        Self { tcp, tls, proxy }
    }

    async fn connect(self, target: Uri) -> Result<Stream, BoxError> {
        let is_https = target.scheme() == Some(&Scheme::HTTPS);
        let host = target.host().unwrap_or_default();
        let port = target.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let (io, is_proxied) = match &self.proxy {
            None => (self.tcp(target.clone()).await?, false),
            Some(proxy) => match self.through(proxy, host, port, is_https).await {
                Ok(io) => (io, !is_https && proxy.kind != Kind::Socks5),
                Err(error) => return Err(ConfigError::because(&format!("the proxy {proxy}"), error).into()),
            },
        };
        let io = if is_https { self.tls(io, host).await? } else { io };
        Ok(Stream { io, is_proxied })
    }

    /// A connection through the proxy to the target. If the server has no TLS and the proxy is an HTTP proxy, each
    /// request names its target itself.
    async fn through(&self, proxy: &Proxy, host: &str, port: u16, is_https: bool) -> Result<Io, BoxError> {
        let address = Uri::builder().scheme("http").authority(format!("{}:{}", proxy.host, proxy.port));
        let io = self.tcp(address.path_and_query("/").build()?).await?;
        let mut io = match proxy.kind {
            // Go checks the proxy's certificate with the same configuration as the server's, including the cluster's
            // authority (net/http, `dialConn`).
            Kind::Https => self.tls(io, &proxy.host).await?,
            Kind::Http | Kind::Socks5 => io,
        };
        match proxy.kind {
            Kind::Socks5 => handshake::socks5(&mut io, host, port, proxy.userinfo.as_ref()).await?,
            Kind::Http | Kind::Https if is_https => {
                handshake::tunnel(&mut io, host, port, proxy.userinfo.as_ref()).await?;
            }
            Kind::Http | Kind::Https => {}
        }
        Ok(io)
    }

    async fn tcp(&self, address: Uri) -> Result<Io, BoxError> {
        Ok(Box::new(self.tcp.clone().oneshot(address).await?.into_inner()))
    }

    async fn tls(&self, io: Io, host: &str) -> Result<Io, BoxError> {
        let tls = self.tls.as_ref().ok_or("there is no TLS configuration")?;
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())?,
        };
        Ok(Box::new(TlsConnector::from(Arc::clone(&tls.config)).connect(name, io).await?))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.connect(target).await.map(TokioIo::new) })
    }
}

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}
type Io = Box<dyn Bytes>;

/// A connection.
pub(crate) struct Stream {
    io: Io,
    /// Whether requests must name the server, because a proxy reads them.
    is_proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.is_proxied)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
