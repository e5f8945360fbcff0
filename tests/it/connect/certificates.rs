//! Client certificates of a plugin: each new certificate needs new connections.

use super::plugins::Script;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// An authority for clients and servers.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, and the output of a plugin with it.
struct Certificate {
    der: CertificateDer<'static>,
    printed: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([String::from("127.0.0.1")]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    fn sign(&self, last_year: i32) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new([String::from("127.0.0.1")]).expect("a name");
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("a certificate"), key)
    }

    fn client(&self, last_year: i32) -> Certificate {
        let (certificate, key) = self.sign(last_year);
        let status =
            json!({ "clientCertificateData": certificate.pem(), "clientKeyData": key.serialize_pem() });
        Certificate { der: certificate.der().clone(), printed: status.to_string() }
    }

    /// A server that responds 401 to all certificates but the current one of `accepted`.
    async fn serve(&self, accepted: Arc<Mutex<CertificateDer<'static>>>) -> kube::Config {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier");
        let (certificate, key) = self.sign(2100);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let identity = ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("the certificate fits its key");
        let acceptor = TlsAcceptor::from(Arc::new(identity));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, accepted) = (acceptor.clone(), Arc::clone(&accepted));
                tokio::spawn(async move { answer(client, acceptor, &accepted).await });
            }
        });
        let mut config = kube::Config::new(url.parse().expect("a URL"));
        config.root_cert = Some(vec![self.0.der().to_vec()]);
        config
    }
}

/// Responds to the requests of one connection.
async fn answer(client: TcpStream, acceptor: TlsAcceptor, accepted: &Mutex<CertificateDer<'static>>) {
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let shown = client.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match client.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let is_good = *accepted.lock().expect("no panic") == shown;
        let details = json!({ "name": "p", "kind": "pods" });
        let absent = json!({ "kind": "Status", "code": 404, "reason": "NotFound", "details": details });
        let refused = json!({ "kind": "Status", "code": 401, "reason": "Unauthorized" });
        let (code, body) = if is_good { (404, absent.to_string()) } else { (401, refused.to_string()) };
        let answer = format!("HTTP/1.1 {code} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if client.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_refused_or_expires_is_replaced() {
    let authority = Authority::new();
    let (old, first, second) = (authority.client(2001), authority.client(2100), authority.client(2100));
    let accepted = Arc::new(Mutex::new(first.der.clone()));
    let config = authority.serve(Arc::clone(&accepted)).await;

    let script = Script::new(&old.printed);
    let client = script.client_of(config);
    let failure = podwait::check_access(&client, "ci", "p").await.expect_err("it has expired");
    assert_eq!((failure.code, script.runs()), (0, 1), "{failure:?}");
    script.becomes(&first.printed);
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    tokio::time::resume();
    podwait::check_access(&client, "ci", "p").await.expect("a certificate that has not run out");
    podwait::check_access(&client, "ci", "p").await.expect("the same");
    assert_eq!(script.runs(), 2);

    accepted.lock().expect("no panic").clone_from(&second.der);
    script.becomes(&second.printed);
    podwait::check_access(&client, "ci", "p").await.expect("the new certificate, within the same request");
    assert_eq!(script.runs(), 3);
}

#[tokio::test]
async fn an_invalid_certificate_is_reported_without_its_text() {
    let authority = Authority::new();
    let accepted = Arc::new(Mutex::new(authority.client(2100).der));
    let config = authority.serve(accepted).await;
    let script = Script::new(r#"{"clientCertificateData":"secret","clientKeyData":"secret"}"#);
    let failure =
        podwait::check_access(&script.client_of(config), "ci", "p").await.expect_err("no certificate");
    assert_eq!(failure.code, 0);
    let expected = "the credential plugin sh returned a certificate or a key that cannot be used";
    assert_eq!(failure.message, expected);
}
