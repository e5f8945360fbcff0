//! The client, from a configuration or a service.

use crate::client::error::ConfigError;
use crate::client::transport::Transport;
use bytes::Bytes;
use http::{Request, Response};
use kube::client::{Body, ConfigExt};
use std::fmt;
use tower::{BoxError, Layer, Service};

/// Longest file of a certificate or a key, in bytes.
const LONGEST_FILE: u64 = 8 << 20;

/// A connection to an API server. Clones are handles to the same connection.
///
/// It sends each request once and returns its failure at once, because the wait machine has budgets for failures. A
/// [`kube::Client`] with kube's own settings repeats a failed call for minutes before it returns the error, so there is
/// no conversion from one: make a client from the same configuration, and take [`as_kube`](Self::as_kube) for all other
/// requests.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = podwait::Client::from_config(kube::Config::infer().await?)?;
/// let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = kube::Api::namespaced(client.as_kube().clone(), "ci");
/// pods.delete("step-1", &Default::default()).await?;
/// let outcome = podwait::wait(client, "ci", "step-1").await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
}

impl Client {
    /// A client from a configuration, which sends nothing yet.
    ///
    /// Errors of the configuration are returned here, before any request: a token that cannot be sent, an invalid URL of
    /// the server, a certificate that cannot be read. Differences from [`kube::Client`]:
    ///
    /// * A **token file** is read again for each request.
    /// * A **credential plugin** (`exec`) is not run here but by the first request, and again when its token or certificate
    ///   expires, and after a 401. It may take 1 minute and print 1 MiB; it has no standard input, and its standard error
    ///   is discarded. Requests share its runs. If a run fails, the requests that need it fail.
    /// * The **proxy** is that of the configuration, else that of the environment, by Go's rules: HTTPS_PROXY or
    ///   HTTP_PROXY, unless NO_PROXY exempts the server. A configured proxy that equals HTTPS_PROXY counts as one of the
    ///   environment, because [`kube::Config::infer`] takes it from there. The environment is read for nothing else.
    ///
    /// Call this in a tokio runtime with time and I/O enabled.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn from_config(config: kube::Config) -> Result<Self, ConfigError> {
        build(config).map(|(client, _)| client)
    }

    /// The same, but it also runs a credential plugin for the first time: for interactive programs. The future may be
    /// dropped at any time, which ends the plugin.
    ///
    /// # Errors
    /// The configuration cannot be used, or its plugin gives no credentials.
    pub async fn from_config_with_credentials(config: kube::Config) -> Result<Self, ConfigError> {
        // Files and pipes may be slow.
        let built = tokio::task::spawn_blocking(|| build(config)).await;
        let (client, transport) = built.unwrap_or_else(|_| Err(ConfigError::new("the runtime ends")))?;
        transport.log_in().await?;
        Ok(client)
    }

    /// A client from a tower service: for a stack of the caller's own, or for a server in a test.
    ///
    /// The service receives requests with a path and a query but without a server, adds what the server needs, and
    /// returns each response as it is. It must send each request once: with a layer that retries, a wait lasts longer
    /// than its policy says. The namespace is the default one of [`as_kube`](Self::as_kube); the functions of this crate
    /// take theirs as arguments.
    ///
    /// Call this in a tokio runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = tower::service_fn(async |_: http::Request<kube::client::Body>| {
    ///     let status = r#"{"kind":"Status","status":"Failure","message":"no such user","code":401}"#;
    ///     let response = http::Response::builder().status(401);
    ///     response.body(kube::client::Body::from(status.as_bytes().to_vec()))
    /// });
    /// let client = podwait::Client::from_service(service, "ci");
    /// let failure = podwait::wait(client, "ci", "step-1").await.expect_err("one minute of refusals");
    /// assert_eq!(failure.reason, podwait::FailReason::Unauthorized);
    /// # }
    /// ```
    pub fn from_service<S, B>(service: S, default_namespace: impl Into<String>) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { kube: kube::Client::new(service, default_namespace) }
    }

    /// The client of kube with the same connection, for other requests than those of this crate. It sends each request
    /// once, too.
    pub fn as_kube(&self) -> &kube::Client {
        &self.kube
    }
}

/// Without the configuration, which has secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

fn build(config: kube::Config) -> Result<(Client, Transport), ConfigError> {
    let user = &config.auth_info;
    check_file("client-certificate", user.client_certificate.as_deref())?;
    check_file("client-key", user.client_key.as_deref())?;
    let headers = config.extra_headers_layer();
    let headers = headers.map_err(|error| ConfigError::because("the user to impersonate (`as`)", error))?;
    let namespace = config.default_namespace.clone();
    let transport = Transport::new(config)?;
    Ok((Client::from_service(headers.layer(transport.clone()), namespace), transport))
}

/// Checks that kube may read that file; kube reads it without a limit.
fn check_file(what: &str, path: Option<&str>) -> Result<(), ConfigError> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(()) };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= LONGEST_FILE => Ok(()),
        Ok(_) => Err(ConfigError::new(format!("the {what} {path} is not a regular file, or is too long"))),
        Err(error) => Err(ConfigError::because(&format!("the {what} {path} cannot be read"), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::config::AuthInfo;
    use proptest::prelude::*;
    use serde_json::json;
    use std::error::Error;

    fn config(server: &str) -> kube::Config {
        kube::Config::new(server.parse().expect("what kube takes for a URL"))
    }

    fn user(json: &serde_json::Value) -> AuthInfo {
        serde_json::from_value(json.clone()).expect("what kube takes for a user")
    }

    /// The result for a configuration: the error with all that is behind it, as it may be printed.
    fn check(config: kube::Config) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        Client::from_config(config).map(drop).map_err(|error| all_of(&error))
    }

    fn all_of(error: &ConfigError) -> String {
        let mut all = format!("{error}\n{error:?}\n");
        let mut cause = error.source();
        while let Some(error) = cause {
            all.push_str(&format!("{error}\n{error:?}\n"));
            cause = error.source();
        }
        all
    }

    #[test]
    fn the_error_of_the_system_is_behind_that_of_a_file() {
        for (json, words) in [
            (json!({ "tokenFile": "/no/such" }), "the token file /no/such cannot be read: "),
            (json!({ "client-certificate": "/no/such" }), "the client-certificate /no/such cannot be read: "),
        ] {
            let mut config = config("https://h");
            config.auth_info = user(&json);
            let error = build(config).map(drop).expect_err("no such file");
            let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
            let cause = cause.expect("an error of the system");
            assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
            assert_eq!(error.to_string(), format!("{words}{cause}"));
            let outer = kube::Error::Service(error.clone().into());
            assert_eq!(crate::client::root_cause(&outer), error.to_string(), "it says where");
        }
    }

    #[test]
    fn users_that_cannot_be_used_are_reported_without_their_secrets() {
        let plugin = |more: serde_json::Value| {
            let mut exec =
                json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "secret-free" });
            exec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            json!({ "exec": exec })
        };
        for (json, words) in [
            (json!({ "token": "secret\nsecret" }), "token has a line break"),
            (json!({ "token": "\n" }), "token is empty"),
            (json!({ "tokenFile": "/no/such" }), "the token file /no/such cannot be read"),
            (
                json!({ "client-certificate": "/no/such", "client-key-data": "secret" }),
                "client-certificate /no/such",
            ),
            (
                json!({ "client-certificate": "/dev/zero", "client-key": "/dev/zero" }),
                "is not a regular file",
            ),
            (
                json!({ "client-certificate-data": "c2VjcmV0", "client-key-data": "c2VjcmV0" }),
                "TLS cannot be set up",
            ),
            (json!({ "client-certificate-data": "secret!", "client-key-data": "" }), "TLS cannot be set up"),
            (json!({ "as": "secret\nsecret" }), "to impersonate"),
            (
                json!({ "auth-provider": { "name": "gcp", "config": { "cmd-path": "secret" } } }),
                "auth-provider gcp",
            ),
            (json!({ "auth-provider": { "name": "oidc", "config": {} } }), "auth-provider oidc"),
            (plugin(json!({ "command": "" })), "has no command"),
            (plugin(json!({ "apiVersion": "client.authentication.k8s.io/v1alpha1" })), "apiVersion"),
            (plugin(json!({ "interactiveMode": "Always" })), "requires a terminal"),
            (plugin(json!({ "provideClusterInfo": true })), "provideClusterInfo"),
        ] {
            let mut config = config("https://h");
            config.auth_info = user(&json);
            let error = check(config).expect_err(words);
            assert!(
                error.contains(words) && !error.replace("secret-free", "").contains("secret"),
                "{json}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn nothing_of_a_configuration_is_printed() {
        let mut config = config("https://me:secret@h");
        config.default_namespace = String::from("team-a");
        config.auth_info = user(&json!({ "token": "secret" }));
        let client = Client::from_config(config).expect("a client");
        assert_eq!(format!("{client:?}"), "Client { .. }");
        assert_eq!(client.as_kube().default_namespace(), "team-a");
    }

    /// Empty text is no credential, and a newline at the end of a token does not belong to it.
    #[test]
    fn users_that_can_be_used() {
        for json in [
            json!({ "token": "abc\n" }),
            json!({ "token": "", "tokenFile": "", "username": "", "password": "", "client-certificate": "" }),
            json!({ "username": "u:\n", "password": "p\n" }),
            json!({ "auth-provider": { "name": "oidc", "config": { "id-token": "abc" } } }),
        ] {
            let mut config = config("https://h");
            config.auth_info = user(&json);
            assert_eq!(check(config), Ok(()), "{json}");
        }
        // Without TLS, no setting of TLS is read, as in kubectl.
        let mut plain = config("http://h");
        plain.root_cert = Some(vec![b"none".to_vec()]);
        plain.accept_invalid_certs = true;
        assert_eq!(check(plain), Ok(()));
    }

    /// client-go: "specifying a root certificates file with the insecure flag is not allowed".
    #[test]
    fn an_authority_and_no_verification_exclude_each_other() {
        let mut config = config("https://h");
        config.accept_invalid_certs = true;
        assert_eq!(check(config.clone()), Ok(()));
        config.root_cert = Some(Vec::new());
        assert_eq!(check(config.clone()), Ok(()), "an empty one is none");
        config.root_cert = Some(vec![b"certificate".to_vec()]);
        assert!(check(config.clone()).expect_err("both").contains("insecure-skip-tls-verify"));
        config.accept_invalid_certs = false;
        config.root_cert = Some(Vec::new());
        assert!(check(config).expect_err("no certificate").contains("holds no certificate"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// No configuration causes a panic, and no error contains a secret.
        #[test]
        fn anything_may_come(
            server in "(https?://|HTTP://|ftp://|)(u(:SECRET)?@)?([a-z.]{0,5}|\\[::1\\]|\\*|127\\.0\\.0\\.1)(:[0-9]{0,6})?(/[a-z%?=]{0,9})?",
            proxy in proptest::option::of("(https?://|socks5h?://|x://|)(u(:SECRET)?@)?([a-z.]{0,5}|\\[::1\\])(:[0-9]{0,6})?/?"),
            texts in proptest::collection::vec(proptest::option::of("\\PC{0,5}[\n\r\0 \u{1b}é]{0,2}\\PC{0,5}"), 16),
            flags: [bool; 4],
        ) {
            let Ok(server) = server.parse() else { return Ok(()) };
            let mut config = kube::Config::new(server);
            config.proxy_url = proxy.and_then(|proxy| proxy.parse().ok());
            let text = |nth: usize| texts.get(nth).cloned().flatten();
            let secret = |nth: usize| text(nth).map(|text| format!("SECRET{text}SECRET"));
            config.tls_server_name = text(0);
            config.root_cert = text(1).map(|text| vec![text.into_bytes()]);
            config.accept_invalid_certs = flags[0];
            let exec = flags[1].then(|| json!({
                "apiVersion": if flags[2] { Some("client.authentication.k8s.io/v1") } else { text(2).as_ref().map(|_| "x") },
                "command": text(3), "args": [secret(4)], "installHint": text(5),
                "env": [{ "name": text(6).unwrap_or_default(), "value": secret(7).unwrap_or_default() }],
            }));
            let exec = exec.filter(|_| text(4).is_some());
            config.auth_info = user(&json!({
                "token": secret(8), "username": text(9), "password": secret(10), "exec": exec,
                "as": text(11), "as-groups": text(12).map(|group| vec![group]),
                "as-user-extra": text(13).map(|key| json!({ key: ["a\nb"] })),
                "client-certificate-data": secret(14).filter(|_| flags[3]), "client-key-data": secret(15),
            }));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _inside = runtime.enter();
            if let Err(error) = Client::from_config(config) {
                assert!(!all_of(&error).contains("SECRET"), "{}", all_of(&error));
            }
        }
    }
}
