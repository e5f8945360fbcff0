//! A certificate authority, and the certificates of the proxy.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::sync::Arc;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// The certificate authority of one proxy.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority with a new key.
    pub(super) fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("the authority signs itself");
        Self { issuer }
    }

    /// Its own certificate as DER.
    pub(super) fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// The same as PEM.
    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The configuration of a server with a new certificate of this authority for 127.0.0.1.
    ///
    /// It offers HTTP/2 first, so that a client with HTTP/2 is detected.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        let key = key();
        let certificate = params("127.0.0.1").signed_by(&key, &self.issuer).expect("the authority signs");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("the certificate fits its key");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([String::from("127.0.0.1")]).expect("an address is a valid name");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key is generated")
}
