//! The output of a plugin: an `ExecCredential` (client.authentication.k8s.io).

use crate::client::plugin::validity;
use crate::client::token::bearer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::Timestamp;
use kube::config::AuthInfo;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// Credentials from a plugin.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) token: Option<HeaderValue>,
    pub(crate) identity: Option<Arc<Identity>>,
    /// When the first of them expires.
    pub(crate) expires: Option<Timestamp>,
}

/// Whether both are the same to the server.
impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token && self.identity == other.identity
    }
}

/// A client certificate with its key, each as PEM.
#[derive(PartialEq, Eq)]
pub(crate) struct Identity {
    certificate: String,
    key: String,
}

impl Identity {
    /// Sets this as the client certificate of a user.
    pub(crate) fn put_into(&self, user: &mut AuthInfo) {
        user.client_certificate_data = Some(STANDARD.encode(&self.certificate));
        user.client_key_data = Some(SecretString::from(STANDARD.encode(&self.key)));
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialView {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<StatusView>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Held {
    /// Reads the output of a plugin of this version: JSON, or YAML, which client-go reads too. An error quotes nothing
    /// of the output.
    pub(super) fn read(printed: &[u8], version: &str) -> Result<Self, String> {
        let credential: CredentialView = serde_json::from_slice(printed)
            .ok()
            .or_else(|| serde_saphyr::from_slice(printed).ok())
            .ok_or("printed no ExecCredential")?;
        if credential.kind.as_deref() != Some("ExecCredential") {
            return Err(String::from("printed no ExecCredential"));
        }
        if credential.api_version.as_deref() != Some(version) {
            return Err(format!("printed an ExecCredential whose version is not {version}"));
        }
        let status = credential.status.ok_or("printed an ExecCredential without a status")?;
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let identity = match (present(status.client_certificate_data), present(status.client_key_data)) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(String::from("printed only one of a certificate and its key"));
            }
        };
        let token = present(status.token).map(|token| bearer(&token)).transpose();
        let token = token.map_err(|what| format!("printed a token that {what}"))?;
        if token.is_none() && identity.is_none() {
            return Err(String::from("printed neither a token nor a certificate"));
        }
        let expires = present(status.expiration_timestamp).map(|time| time.parse::<Timestamp>()).transpose();
        let expires = expires.map_err(|_| "printed an expirationTimestamp that is not an RFC 3339 time")?;
        let of_certificate =
            identity.as_ref().and_then(|identity| validity::not_after(&identity.certificate));
        let expires = [expires, of_certificate].into_iter().flatten().min();
        Ok(Self { token, identity: identity.map(Arc::new), expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "client.authentication.k8s.io/v1";

    fn read(status: &str) -> Result<Held, String> {
        let printed = format!(r#"{{"kind":"ExecCredential","apiVersion":"{V1}","status":{status}}}"#);
        Held::read(printed.as_bytes(), V1)
    }

    #[test]
    fn json_and_yaml_are_read() {
        let held =
            read(r#"{"token":"abc\n","expirationTimestamp":"2030-01-02T03:04:05Z"}"#).expect("credentials");
        assert_eq!(held.token.expect("a token"), "Bearer abc");
        assert_eq!(held.expires, Some("2030-01-02T03:04:05Z".parse().expect("a time")));
        let yaml = format!("apiVersion: {V1}\nkind: ExecCredential\nstatus:\n  token: abc\n");
        assert!(Held::read(yaml.as_bytes(), V1).is_ok());
        assert!(read(r#"{"clientCertificateData":"c","clientKeyData":"k","token":null}"#).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_reported_and_not_quoted() {
        for (status, words) in [
            ("null", "without a status"),
            ("{}", "neither a token nor a certificate"),
            (r#"{"token":""}"#, "neither a token nor a certificate"),
            (r#"{"token":"secret\nsecret"}"#, "a line break"),
            (r#"{"token":" "}"#, "is empty"),
            (r#"{"token":"secret","clientKeyData":"secret"}"#, "only one of"),
            (r#"{"token":"secret","expirationTimestamp":"secret"}"#, "is not an RFC 3339 time"),
            (r#"{"token":["secret"]}"#, "no ExecCredential"),
            (r#""secret""#, "no ExecCredential"),
        ] {
            let error = read(status).expect_err(status);
            assert!(error.contains(words) && !error.contains("secret"), "{status}: {error}");
        }
        for printed in ["", "secret", "{", "\0", "kind: Secret\napiVersion: v1"] {
            let error = Held::read(printed.as_bytes(), V1).expect_err(printed);
            assert_eq!(error, "printed no ExecCredential", "{printed}");
        }
        let old = r#"{"kind":"ExecCredential","apiVersion":"secret","status":{"token":"a"}}"#;
        let error = Held::read(old.as_bytes(), V1).expect_err("another version");
        assert_eq!(error, format!("printed an ExecCredential whose version is not {V1}"));
    }

    #[test]
    fn nothing_is_shown_by_chance() {
        let held = read(r#"{"clientCertificateData":"secret","clientKeyData":"secret","token":"secret"}"#);
        assert!(!format!("{held:?}").contains("secret"));
    }
}
