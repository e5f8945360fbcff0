//! The handshake with a proxy before it forwards bytes: `CONNECT` (RFC 9110, 9.3.6) or SOCKS5 (RFC 1928, RFC 1929).
//!
//! Errors quote only numbers from the proxy's answers.

use crate::client::userinfo::Userinfo;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest answer to a `CONNECT`, in bytes.
const LONGEST_ANSWER: usize = 16 << 10;

/// Requests a connection to this host from an HTTP proxy. The host may be in brackets.
pub(super) async fn tunnel(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
    port: u16,
    userinfo: Option<&Userinfo>,
) -> io::Result<()> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(header) = userinfo.and_then(Userinfo::basic) {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(header.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    io.write_all(&request).await?;
    io.flush().await?;
    // Byte by byte: what follows the answer is TLS.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == LONGEST_ANSWER {
            return Err(other("its response to CONNECT is too long"));
        }
        answer.push(
            io.read_u8()
                .await
                .map_err(|_| other("it closed the connection without a response to CONNECT"))?,
        );
    }
    match status(&answer) {
        Some(200..=299) => Ok(()),
        Some(407) => Err(other("it requires a valid name and password (407)")),
        Some(code) => Err(other(&format!("it returned {code} for CONNECT {host}:{port}"))),
        None => Err(other("it does not speak HTTP")),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"HTTP/1.")?;
    let code = std::str::from_utf8(line.get(2..5)?).ok()?;
    (line.get(1) == Some(&b' ')).then(|| code.parse().ok())?
}

/// Requests a connection to this host from a SOCKS5 proxy. The proxy resolves the name, as with Go.
pub(super) async fn socks5(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
    port: u16,
    userinfo: Option<&Userinfo>,
) -> io::Result<()> {
    const NO_AUTHENTICATION: u8 = 0;
    const NAME_AND_PASSWORD: u8 = 2;
    let methods: &[u8] = if userinfo.is_some() {
        &[5, 2, NO_AUTHENTICATION, NAME_AND_PASSWORD]
    } else {
        &[5, 1, NO_AUTHENTICATION]
    };
    io.write_all(methods).await?;
    io.flush().await?;
    let [version, method] = read(io).await?;
    match (version, method, userinfo) {
        (5, NO_AUTHENTICATION, _) => {}
        (5, NAME_AND_PASSWORD, Some(userinfo)) => log_in(io, userinfo).await?,
        (5, ..) => return Err(other("it requires an authentication method that is not supported")),
        (..) => return Err(other("it does not speak SOCKS5")),
    }
    let mut request = vec![5, 1, 0];
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            request.push(3);
            push(&mut request, host.as_bytes(), "the server's name is too long for SOCKS5")?;
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    io.write_all(&request).await?;
    io.flush().await?;
    let [version, reply, _, address] = read(io).await?;
    if version != 5 {
        return Err(other("it does not speak SOCKS5"));
    }
    if reply != 0 {
        return Err(other(&format!("it cannot reach {host}:{port}: {}", meaning(reply))));
    }
    // The proxy's own address, which is not needed.
    let length = match address {
        1 => 4,
        4 => 16,
        3 => usize::from(read::<1>(io).await?[0]),
        _ => return Err(other("it does not speak SOCKS5")),
    };
    let mut rest = vec![0; length + 2];
    io.read_exact(&mut rest).await?;
    Ok(())
}

async fn log_in(io: &mut (impl AsyncRead + AsyncWrite + Unpin), userinfo: &Userinfo) -> io::Result<()> {
    let mut request = vec![1];
    push(&mut request, &userinfo.name, "its name is too long for SOCKS5")?;
    push(&mut request, &userinfo.password, "its password is too long for SOCKS5")?;
    io.write_all(&request).await?;
    io.flush().await?;
    match read(io).await? {
        [_, 0] => Ok(()),
        [_, _] => Err(other("it does not accept the name and password")),
    }
}

/// Appends the number of bytes, which has to fit into a byte, and the bytes.
fn push(request: &mut Vec<u8>, bytes: &[u8], otherwise: &str) -> io::Result<()> {
    request.push(u8::try_from(bytes.len()).map_err(|_| other(otherwise))?);
    request.extend_from_slice(bytes);
    Ok(())
}

async fn read<const N: usize>(io: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    io.read_exact(&mut bytes)
        .await
        .map_err(|_| other("it closed the connection without a SOCKS5 response"))?;
    Ok(bytes)
}

const fn meaning(reply: u8) -> &'static str {
    match reply {
        1 => "general failure",
        2 => "its rules forbid it",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "unknown reply",
    }
}

fn other(what: &str) -> io::Error {
    io::Error::other(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    /// The bytes sent, and the result, if the proxy always answers with these bytes.
    async fn meet<F: Future<Output = io::Result<()>>>(
        answers: &[&[u8]],
        shake: impl FnOnce(tokio::io::DuplexStream) -> F,
    ) -> (Vec<u8>, Result<(), String>) {
        let (here, mut there) = duplex(1 << 16);
        let answers = answers.concat();
        let proxy = async move {
            there.write_all(&answers).await.expect("room");
            there.shutdown().await.expect("room");
            let mut sent = Vec::new();
            there.read_to_end(&mut sent).await.expect("what was sent");
            sent
        };
        let (sent, outcome) = tokio::join!(proxy, shake(here));
        (sent, outcome.map_err(|error| error.to_string()))
    }

    #[tokio::test]
    async fn a_tunnel_is_there_after_2xx() {
        for (answer, outcome) in [
            (&b"HTTP/1.1 200 Connection established\r\n\r\n"[..], Ok(())),
            (b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n", Ok(())),
            (b"HTTP/1.1 204\r\n\r\n", Ok(())),
            (b"HTTP/1.1 407 secret\r\n\r\n", Err("it requires a valid name and password (407)")),
            (b"HTTP/1.1 503 \x1b[2J\r\n\r\n", Err("it returned 503 for CONNECT h:1")),
            (b"SSH-2.0-x\r\n\r\n", Err("it does not speak HTTP")),
            (b"HTTP/1.1 2\r\n\r\n", Err("it does not speak HTTP")),
            (b"", Err("it closed the connection without a response to CONNECT")),
            (b"HTTP/1.1 200 OK\r\n", Err("it closed the connection without a response to CONNECT")),
            (&[b'x'; LONGEST_ANSWER + 1], Err("its response to CONNECT is too long")),
        ] {
            let (sent, got) = meet(&[answer], async |mut io| tunnel(&mut io, "h", 1, None).await).await;
            assert_eq!(got, outcome.map_err(str::to_owned));
            assert_eq!(sent, b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
        }
        let userinfo = Userinfo::new("Aladdin", "open sesame");
        let ok: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        let (sent, _) = meet(&[ok], async |mut io| tunnel(&mut io, "[::1]", 2, Some(&userinfo)).await).await;
        let header = "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(
            sent,
            format!("CONNECT [::1]:2 HTTP/1.1\r\nHost: [::1]:2\r\n{header}\r\n\r\n").into_bytes()
        );
    }

    #[tokio::test]
    async fn socks5_by_name_and_by_address() {
        let ok: &[&[u8]] = &[&[5, 0], &[5, 0, 0, 1, 9, 9, 9, 9, 0, 1]];
        for (host, sent) in [
            ("h.x", &[5, 1, 0, 5, 1, 0, 3, 3, b'h', b'.', b'x', 0x1, 0xbb][..]),
            ("1.2.3.4", &[5, 1, 0, 5, 1, 0, 1, 1, 2, 3, 4, 0x1, 0xbb]),
            ("[::1]", &[5, 1, 0, 5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x1, 0xbb]),
        ] {
            let got = meet(ok, async |mut io| socks5(&mut io, host, 443, None).await).await;
            assert_eq!(got, (sent.to_vec(), Ok(())), "{host}");
        }
    }

    #[tokio::test]
    async fn socks5_logs_in_if_it_is_asked_to() {
        let userinfo = Userinfo::new("me", "pw");
        let end: &[u8] = &[5, 0, 0, 3, 1, b'x', 0, 1];
        let shake = async |mut io| socks5(&mut io, "h", 1, Some(&userinfo)).await;
        let (sent, got) = meet(&[&[5, 2], &[1, 0], end], shake).await;
        assert_eq!(got, Ok(()));
        assert_eq!(sent[..12], [5, 2, 0, 2, 1, 2, b'm', b'e', 2, b'p', b'w', 5]);
        let shake = async |mut io| socks5(&mut io, "h", 1, Some(&userinfo)).await;
        assert_eq!(meet(&[&[5, 0], end], shake).await.1, Ok(()), "without, if that will do");
        let shake = async |mut io| socks5(&mut io, "h", 1, Some(&userinfo)).await;
        let (_, refused) = meet(&[&[5, 2], &[1, 1]], shake).await;
        assert_eq!(refused, Err(String::from("it does not accept the name and password")));
    }

    #[tokio::test]
    async fn what_else_a_socks5_proxy_may_answer() {
        for (answers, words) in [
            (&[&[5, 2][..]][..], "authentication method"),
            (&[&[5, 255]], "authentication method"),
            (&[b"HTTP/1.1 400"], "does not speak SOCKS5"),
            (&[&[5]], "closed the connection"),
            (&[&[5, 0], &[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]], "cannot reach h:1: connection refused"),
            (&[&[5, 0], &[5, 99, 0, 1]], "cannot reach h:1: unknown reply"),
            (&[&[5, 0], &[5, 0, 0, 7]], "does not speak SOCKS5"),
            (&[&[5, 0], &[4, 0, 0, 1]], "does not speak SOCKS5"),
        ] {
            let (_, got) = meet(answers, async |mut io| socks5(&mut io, "h", 1, None).await).await;
            let error = got.expect_err(words);
            assert!(error.contains(words), "{error}");
        }
        let long = "a".repeat(256);
        let (_, got) = meet(&[&[5, 0]], async |mut io| socks5(&mut io, &long, 1, None).await).await;
        assert_eq!(got, Err(String::from("the server's name is too long for SOCKS5")));
    }
}
