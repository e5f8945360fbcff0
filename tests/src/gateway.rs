//! A forward proxy as in company networks: HTTP with `CONNECT` or with whole URLs, and SOCKS5, with TLS or without.
//!
//! It connects every host to one address on loopback, so that a test may name servers that do not exist.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// A running proxy. When it is dropped, its connections end.
#[derive(Debug)]
pub struct Gateway {
    addr: SocketAddr,
    certificate: Vec<u8>,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Listens on a free port of 127.0.0.1 and connects every host to `upstream`.
    ///
    /// # Errors
    /// There is no port.
    ///
    /// # Panics
    /// Never: a key and a certificate can be made.
    pub async fn start(upstream: SocketAddr, has_tls: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = rcgen::CertificateParams::new([String::from("127.0.0.1")]).expect("a name");
        let certificate = names.self_signed(&key).expect("a certificate").der().clone();
        let der = certificate.to_vec();
        let identity = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("the certificate fits its key");
        let tls = has_tls.then(|| TlsAcceptor::from(Arc::new(identity)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, upstream, tls, Arc::clone(&seen)));
        Ok(Self { addr, certificate: der, seen, task })
    }

    /// The address on which the proxy listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate of the proxy, as DER.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        self.certificate.clone()
    }

    /// The beginning of each connection: the head of a request, or `socks5 host:port`, with `name:password` if the
    /// client sent them.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    tls: Option<TlsAcceptor>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            // A broken connection concerns only its client.
            let _ = match tls {
                Some(tls) => match tls.accept(client).await {
                    Ok(client) => lead(client, upstream, &seen).await,
                    Err(error) => Err(error),
                },
                None => lead(client, upstream, &seen).await,
            };
        });
    }
}

async fn lead(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    upstream: SocketAddr,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let note = |what: String| seen.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    let first = client.read_u8().await?;
    if first == 5 {
        note(socks5(&mut client).await?);
        let mut server = TcpStream::connect(upstream).await?;
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        return copy_bidirectional(&mut client, &mut server).await.map(drop);
    }
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    note(String::from_utf8_lossy(&head).into_owned());
    let mut server = TcpStream::connect(upstream).await?;
    if head.starts_with(b"CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    } else {
        server.write_all(&head).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The handshake up to the request, without the response to it.
async fn socks5(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<String> {
    let methods = bytes(client).await?;
    let mut login = String::new();
    if methods.contains(&2) {
        client.write_all(&[5, 2]).await?;
        client.read_u8().await?;
        let (name, password) = (bytes(client).await?, bytes(client).await?);
        login = format!(" {}:{}", String::from_utf8_lossy(&name), String::from_utf8_lossy(&password));
        client.write_all(&[1, 0]).await?;
    } else {
        client.write_all(&[5, 0]).await?;
    }
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => Ipv4Addr::from(client.read_u32().await?).to_string(),
        _ => String::from_utf8_lossy(&bytes(client).await?).into_owned(),
    };
    Ok(format!("socks5 {host}:{}{login}", client.read_u16().await?))
}

/// Reads a number of bytes, and the bytes.
async fn bytes(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(client.read_u8().await?)];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}
