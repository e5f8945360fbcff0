//! One connection. It writes HTTP/1.1 itself, since faults affect single bytes.

use super::Shared;
use super::fault::{Answer, Ending, Fault, Place};
use super::forward::Forward;
use super::plan::Request;
use podwait_sim::Verb;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longest head of a request that is read, in bytes.
const LONGEST_HEAD: usize = 64 << 10;

/// What follows a request and its response.
pub(super) enum Next {
    /// Another request on the same connection.
    Request,
    /// The end of the connection.
    End(Ending),
}

/// Serves one connection until the client or a fault ends it.
pub(super) async fn serve(tcp: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let tls = TlsAcceptor::from(shared.identity()).accept(tcp).await?;
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        shared.with(|plan| plan.count_http2());
        return Err(io::Error::other("the proxy does not support HTTP/2"));
    }
    let mut connection = Connection { tls, received: Vec::new(), shared };
    while let Some(mut request) = connection.request().await? {
        let fault = connection.shared.with(|plan| plan.admit(&mut request));
        match connection.exchange(&request, fault.as_ref()).await? {
            Next::Request => {}
            Next::End(ending) => return connection.end(ending).await,
        }
    }
    Ok(())
}

/// The client's end of a connection.
pub(super) struct Connection {
    tls: TlsStream<TcpStream>,
    /// Bytes of the client that are not read as a request yet.
    received: Vec<u8>,
    pub(super) shared: Arc<Shared>,
}

impl Connection {
    /// The next request, or `None` if the client has closed the connection.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.received.drain(..end + 4).collect();
                return parse(&String::from_utf8_lossy(&head)).map(Some);
            }
            if self.received.len() > LONGEST_HEAD {
                return Err(io::Error::other("the head of the request does not end"));
            }
            if self.tls.read_buf(&mut self.received).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn exchange(&mut self, request: &Request, fault: Option<&Fault>) -> io::Result<Next> {
        match fault {
            Some(Fault::Answer(answer)) => return self.answer(answer).await,
            Some(Fault::Stop(Place::Request, ending)) => return Ok(Next::End(*ending)),
            Some(Fault::Old) if request.verb == Verb::Get => {
                if let Some((first, _)) = self.shared.with(|plan| plan.memory.clone()) {
                    return self.answer(&Answer::json(200, &first)).await;
                }
            }
            Some(Fault::Bytes(bytes, ending)) => {
                self.write(bytes.as_bytes()).await?;
                return Ok(Next::End(*ending));
            }
            Some(
                Fault::Old
                | Fault::Stranger
                | Fault::Stop(..)
                | Fault::Slow { .. }
                | Fault::Add { .. }
                | Fault::Close { .. },
            )
            | None => {}
        }
        let response = match self.shared.ask(request).await {
            Ok(response) => response,
            Err(error) => return self.answer(&Answer::text(502, &error)).await,
        };
        let (head, body) = response.into_parts();
        let (framing, says_close) = match fault {
            Some(Fault::Stop(_, Ending::Undelimited)) => ("", true),
            Some(Fault::Close { announced }) => ("transfer-encoding: chunked\r\n", *announced),
            _ => ("transfer-encoding: chunked\r\n", false),
        };
        let mut text = format!("HTTP/1.1 {}\r\n{framing}", head.status);
        if says_close {
            text.push_str("connection: close\r\n");
        }
        for name in ["content-type", "date", "retry-after"] {
            if let Some(value) = head.headers.get(name).and_then(|value| value.to_str().ok()) {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        text.push_str("\r\n");
        self.write(text.as_bytes()).await?;
        Forward::new(self, request, fault, !framing.is_empty()).body(body).await
    }

    async fn answer(&mut self, answer: &Answer) -> io::Result<Next> {
        let mut text = format!("HTTP/1.1 {} \r\ncontent-length: {}\r\n", answer.code, answer.body.len());
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&answer.body);
        self.write(text.as_bytes()).await?;
        Ok(Next::Request)
    }

    /// Sends these bytes at once.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tls.write_all(bytes).await?;
        self.tls.flush().await
    }

    /// Ends the connection in this way.
    async fn end(mut self, ending: Ending) -> io::Result<()> {
        match ending {
            Ending::Reset => self.tls.get_ref().0.set_zero_linger(),
            // A drop closes TCP without a TLS closure.
            Ending::Crash => Ok(()),
            Ending::Shut | Ending::Undelimited | Ending::Clean => self.tls.shutdown().await,
            Ending::Silence => Err(self.hung_up().await),
        }
    }

    /// Returns when the client has closed the connection.
    pub(super) async fn hung_up(&mut self) -> io::Error {
        loop {
            match self.tls.read_buf(&mut self.received).await {
                Ok(0) => return io::Error::from(io::ErrorKind::ConnectionAborted),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }
}

fn parse(head: &str) -> io::Result<Request> {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some("GET"), Some(uri)) = (words.next(), words.next()) else {
        return Err(io::Error::other("podwait sends only GETs"));
    };
    let token = lines.find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_token = name.eq_ignore_ascii_case("authorization");
        is_token.then(|| value.strip_prefix("Bearer ")).flatten().map(str::to_owned)
    });
    let is_watch = uri.contains("watch=true") || uri.contains("watch=1");
    let verb = if is_watch { Verb::Watch } else { Verb::Get };
    Ok(Request { verb, nth: 0, uri: uri.to_owned(), token })
}
