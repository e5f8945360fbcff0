//! The URL of the API server.

use crate::client::error::ConfigError;
use crate::client::userinfo::Userinfo;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// The API server's URL: a scheme, a host and perhaps a path that precedes all request paths; without userinfo.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) url: Uri,
    pub(crate) userinfo: Option<Userinfo>,
}

impl Endpoint {
    /// Reads `server` as client-go's `DefaultServerURL` does: a text without a scheme is a host, with TLS if the
    /// configuration has any TLS setting.
    pub(crate) fn read(server: &Uri, is_tls: bool) -> Result<Self, ConfigError> {
        let wrong =
            |what: &str| ConfigError::new(format!("the server's URL {what} (example: https://host:6443)"));
        let authority = server.authority().ok_or_else(|| wrong("has no host"))?;
        let (userinfo, host) = Userinfo::split(authority.as_str());
        let authority: Authority = host.parse().map_err(|_| wrong("has no valid host"))?;
        if authority.host().is_empty() {
            return Err(wrong("has no host"));
        }
        let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        if after_host.len() > 1 && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(wrong("has no valid port"));
        }
        let scheme = match server.scheme_str() {
            Some("https") => Scheme::HTTPS,
            Some("http") => Scheme::HTTP,
            Some(_) => return Err(wrong("has a scheme other than https and http")),
            None if is_tls => Scheme::HTTPS,
            None => Scheme::HTTP,
        };
        // client-go drops a query too.
        let path: PathAndQuery = server.path().parse().unwrap_or_else(|_| PathAndQuery::from_static("/"));
        let url = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        Ok(Self { url: url.map_err(|_| wrong("cannot be used"))?, userinfo })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.url.scheme() == Some(&Scheme::HTTPS)
    }

    /// The URL of a request. Fails if the URL is too long.
    pub(crate) fn join(&self, request: &Uri) -> Result<Uri, ConfigError> {
        let mut parts = self.url.clone().into_parts();
        let request = request.path_and_query().map_or("/", PathAndQuery::as_str);
        let path = format!("{}{request}", self.url.path().trim_end_matches('/'));
        let too_long = || ConfigError::new("the request's URL is too long");
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| too_long())?);
        Uri::from_parts(parts).map_err(|_| too_long())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(server: &str, is_tls: bool) -> Result<String, String> {
        let server = server.parse().expect("what kube takes for a URL");
        Endpoint::read(&server, is_tls)
            .map(|endpoint| endpoint.url.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_without_a_scheme_is_a_host() {
        for (server, tls, url) in [
            ("localhost", false, "http://localhost/"),
            ("localhost:8080", false, "http://localhost:8080/"),
            ("localhost:6443", true, "https://localhost:6443/"),
            ("10.0.0.1", true, "https://10.0.0.1/"),
            ("[::1]:6443", true, "https://[::1]:6443/"),
            ("https://h", false, "https://h/"),
            ("HTTPS://h", false, "https://h/"),
            ("http://h:80/", true, "http://h:80/"),
            ("https://h/k8s/clusters/c-1?a=b", false, "https://h/k8s/clusters/c-1"),
        ] {
            assert_eq!(read(server, tls).as_deref(), Ok(url), "{server}");
        }
    }

    #[test]
    fn what_is_no_server_is_reported_without_its_password() {
        for (server, words) in [
            ("/api", "no host"),
            ("ftp://u:secret@h", "a scheme other than"),
            ("https://u:secret@h:0", "no valid port"),
            ("https://u:secret@h:99999", "no valid port"),
            ("*", "no host"),
        ] {
            let error = read(server, true).expect_err(server);
            assert!(error.contains(words) && !error.contains("secret"), "{server}: {error}");
        }
    }

    #[test]
    fn userinfo_is_taken_off() {
        let server = "https://u:p%40ss@h:1/x".parse().expect("a URL");
        let endpoint = Endpoint::read(&server, true).expect("an endpoint");
        assert_eq!(endpoint.url, "https://h:1/x");
        assert_eq!(endpoint.userinfo, Some(Userinfo::new("u", "p@ss")));
        assert!(!format!("{endpoint:?}").contains("p@ss"));
    }

    #[test]
    fn a_request_goes_below_the_server_s_path() {
        let endpoint =
            |server: &str| Endpoint::read(&server.parse().expect("a URL"), true).expect("an endpoint");
        let request = Uri::from_static("/api/v1/pods?watch=1");
        assert_eq!(endpoint("https://h").join(&request).expect("a URL"), "https://h/api/v1/pods?watch=1");
        assert_eq!(
            endpoint("https://h/x/").join(&request).expect("a URL"),
            "https://h/x/api/v1/pods?watch=1"
        );
        let long = Uri::try_from(format!("/{}", "a".repeat(65_500))).expect("a URL");
        let error = endpoint(&format!("https://h/{}", "b".repeat(100))).join(&long).expect_err("too long");
        assert_eq!(error.to_string(), "the request's URL is too long");
    }
}
