//! Which proxy leads to the API server, if any.
//!
//! As in client-go: a `proxy-url` of the kubeconfig takes precedence over the environment. HTTPS_PROXY, HTTP_PROXY and
//! NO_PROXY count only without it (`transport/cache.go`: `proxy := http.ProxyFromEnvironment`, unless `config.Proxy` is
//! there). kube copies HTTPS_PROXY into the configuration that it makes of a kubeconfig, and applies NO_PROXY to the
//! proxy instead of the server. So here a configured proxy that equals HTTPS_PROXY counts as one of the environment.

mod environment;
mod no_proxy;

use crate::client::endpoint::Endpoint;
use crate::client::error::ConfigError;
use crate::client::userinfo::Userinfo;
use environment::Environment;
use http::Uri;
use http::uri::Authority;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Https,
    Socks5,
}

/// A proxy with its name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) kind: Kind,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) userinfo: Option<Userinfo>,
}

/// The proxy for this API server. This is the only function that reads the environment.
pub(crate) fn of(configured: Option<&Uri>, endpoint: &Endpoint) -> Result<Option<Proxy>, ConfigError> {
    choose(configured, endpoint, &Environment::read())
}

fn choose(
    configured: Option<&Uri>,
    endpoint: &Endpoint,
    environment: &Environment,
) -> Result<Option<Proxy>, ConfigError> {
    match configured.filter(|configured| !environment.has_given(configured)) {
        Some(configured) => Proxy::parse(&configured.to_string())
            .map(Some)
            .map_err(|what| ConfigError::new(format!("proxy-url {what}"))),
        None => environment.proxy_to(&endpoint.url),
    }
}

impl Proxy {
    /// Reads the URL of a proxy; the error says what is wrong, without the URL's text.
    fn parse(url: &str) -> Result<Self, String> {
        let like = "(example: http://host:3128, https://host:3128 or socks5://host:1080)";
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("has no scheme {like}"))?;
        let (kind, usual_port) = match &*scheme.to_ascii_lowercase() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(format!("has a scheme that is not supported {like}")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (userinfo, host_and_port) = Userinfo::split(authority);
        let wrong = || format!("has no valid host and port {like}");
        let authority: Authority = host_and_port.parse().map_err(|_| wrong())?;
        let host = authority.host();
        let after_host = host_and_port.strip_prefix(host).ok_or_else(wrong)?;
        let port = match after_host {
            "" | ":" => usual_port,
            _ => authority.port_u16().filter(|port| *port > 0).ok_or_else(wrong)?,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self { kind, host: host.to_owned(), port, userinfo })
    }
}

/// The proxy's address, without name and password.
impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Https => "https",
            Kind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(server: &str) -> Endpoint {
        Endpoint::read(&server.parse().expect("a URL"), true).expect("an endpoint")
    }

    #[test]
    fn urls_of_proxies() {
        for (url, shown) in [
            ("http://p", "http://p:80"),
            ("HTTP://p:3128/", "http://p:3128"),
            ("https://u:secret@p", "https://p:443"),
            ("socks5://u:sec@ret@[::1]", "socks5://[::1]:1080"),
            ("socks5h://p:", "socks5://p:1080"),
            ("http://p:3128/path?query#fragment", "http://p:3128"),
        ] {
            assert_eq!(Proxy::parse(url).expect(url).to_string(), shown);
        }
        for url in [
            "p:3128",
            "",
            "ftp://u:secret@p",
            "http://u:secret@",
            "http://p:x",
            "http://p:0",
            "http://a b",
            "http://p:70000",
            "http://u:secret@[::1",
            "http://:1",
        ] {
            let error = Proxy::parse(url).expect_err(url);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn name_and_password_are_decoded_and_never_shown() {
        let proxy = Proxy::parse("http://me:p%40ss@p:1").expect("a proxy");
        assert_eq!(proxy.userinfo, Some(Userinfo::new("me", "p@ss")));
        assert!(!format!("{proxy:?} {proxy}").contains("p@ss"));
    }

    /// `http.ProxyURL` of client-go does not use NO_PROXY.
    #[test]
    fn the_proxy_of_the_kubeconfig_is_used_whatever_the_environment_contains() {
        let own: Uri = "http://own:1".parse().expect("a URL");
        let environment = Environment::of([("HTTPS_PROXY", "http://other:2"), ("NO_PROXY", "*")]);
        for server in ["https://h", "https://127.0.0.1", "http://localhost:1"] {
            let chosen = choose(Some(&own), &endpoint(server), &environment).expect("no error");
            assert_eq!(chosen.expect("a proxy").host, "own", "{server}");
        }
    }

    /// kube has copied the proxy, without regard to NO_PROXY.
    #[test]
    fn what_kube_took_from_the_environment_is_judged_as_the_environment() {
        let theirs: Uri = "http://corp:2".parse().expect("a URL");
        for name in ["HTTPS_PROXY", "https_proxy"] {
            let environment = Environment::of([(name, "http://corp:2/"), ("NO_PROXY", "exempt,10.0.0.0/8")]);
            let chosen = |server| choose(Some(&theirs), &endpoint(server), &environment).expect("no error");
            assert_eq!(chosen("https://h").expect("a proxy").host, "corp");
            for server in ["https://exempt:6443", "https://10.1.2.3", "https://127.0.0.1:6443", "http://h"] {
                assert_eq!(chosen(server), None, "{server}");
            }
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_reported() {
        let own: Uri = "own:1".parse().expect("what kube takes for a URL");
        let error = choose(Some(&own), &endpoint("https://h"), &Environment::of([])).expect_err("no scheme");
        assert!(error.to_string().starts_with("proxy-url has no scheme"), "{error}");
    }
}
