//! Proxies from the environment, by the rules of Go's `http.ProxyFromEnvironment` (golang.org/x/net/http/httpproxy).

use crate::client::error::ConfigError;
use crate::client::proxy::Proxy;
use crate::client::proxy::no_proxy;
use http::Uri;

/// The variables; of the two spellings of each, the first one that is not empty.
#[derive(Debug, Default)]
pub(super) struct Environment {
    https_proxy: Option<String>,
    http_proxy: Option<String>,
    no_proxy: String,
    /// In a CGI script HTTP_PROXY comes from a header of the request, so any client may have set it (httpoxy).
    is_cgi: bool,
}

impl Environment {
    pub(super) fn read() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    #[cfg(test)]
    pub(super) fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self::from(|name| variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()))
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first =
            |names: [&str; 2]| names.into_iter().filter_map(&variable).find(|value| !value.is_empty());
        Self {
            https_proxy: first(["HTTPS_PROXY", "https_proxy"]),
            http_proxy: first(["HTTP_PROXY", "http_proxy"]),
            no_proxy: first(["NO_PROXY", "no_proxy"]).unwrap_or_default(),
            is_cgi: variable("REQUEST_METHOD").is_some_and(|method| !method.is_empty()),
        }
    }

    /// Whether kube has copied this proxy from the environment.
    pub(super) fn has_given(&self, proxy: &Uri) -> bool {
        self.https_proxy.as_ref().is_some_and(|it| it.parse::<Uri>().is_ok_and(|it| it == *proxy))
    }

    /// The proxy for requests to this server.
    pub(super) fn proxy_to(&self, server: &Uri) -> Result<Option<Proxy>, ConfigError> {
        let is_https = server.scheme_str() == Some("https");
        let (name, url) =
            if is_https { ("HTTPS_PROXY", &self.https_proxy) } else { ("HTTP_PROXY", &self.http_proxy) };
        let Some(url) = url else { return Ok(None) };
        let port = server.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if no_proxy::exempts(&self.no_proxy, server.host().unwrap_or_default(), port) {
            return Ok(None);
        }
        if self.is_cgi && !is_https {
            return Err(ConfigError::new(
                "HTTP_PROXY is not used in a CGI environment (REQUEST_METHOD is set)",
            ));
        }
        // A value without a scheme is a host.
        let url = if url.contains("://") { url.clone() } else { format!("http://{url}") };
        let wrong = |what| ConfigError::new(format!("the proxy of the environment ({name}) {what}"));
        Proxy::parse(url.trim()).map(Some).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_to(server: &str, environment: &Environment) -> Option<String> {
        let server = server.parse().expect("a URL");
        environment.proxy_to(&server).expect("no error").map(|proxy| proxy.to_string())
    }

    /// The cases of httpproxy's own test.
    #[test]
    fn each_scheme_has_its_variable() {
        let both = Environment::of([("HTTP_PROXY", "plain.tld"), ("https_proxy", "https://secure.tld")]);
        assert_eq!(proxy_to("http://insecure.tld", &both).as_deref(), Some("http://plain.tld:80"));
        assert_eq!(proxy_to("https://secure", &both).as_deref(), Some("https://secure.tld:443"));
        let plain = Environment::of([("http_proxy", "plain.tld:1234")]);
        assert_eq!(proxy_to("http://h", &plain).as_deref(), Some("http://plain.tld:1234"));
        assert_eq!(proxy_to("https://h", &plain), None, "HTTP_PROXY is for http only");
        let socks = Environment::of([("HTTPS_PROXY", "socks5://127.0.0.1")]);
        assert_eq!(proxy_to("https://h", &socks).as_deref(), Some("socks5://127.0.0.1:1080"));
        assert_eq!(proxy_to("https://h", &Environment::of([])), None);
        let upper = Environment::of([("HTTPS_PROXY", "upper"), ("https_proxy", "lower")]);
        assert_eq!(proxy_to("https://h", &upper).as_deref(), Some("http://upper:80"));
        let empty = Environment::of([("HTTPS_PROXY", ""), ("https_proxy", "lower")]);
        assert_eq!(proxy_to("https://h", &empty).as_deref(), Some("http://lower:80"));
    }

    #[test]
    fn a_cgi_script_has_no_http_proxy() {
        let cgi =
            Environment::of([("HTTP_PROXY", "evil"), ("HTTPS_PROXY", "good"), ("REQUEST_METHOD", "GET")]);
        assert!(cgi.proxy_to(&Uri::from_static("http://h")).is_err());
        assert_eq!(proxy_to("https://h", &cgi).as_deref(), Some("http://good:80"));
        assert_eq!(proxy_to("http://localhost", &cgi), None);
    }

    #[test]
    fn a_variable_that_is_no_proxy_is_reported_without_its_text_and_only_where_it_counts() {
        let bad = Environment::of([("HTTPS_PROXY", "gopher://u:secret@p"), ("NO_PROXY", "exempt")]);
        let error = bad.proxy_to(&Uri::from_static("https://h")).expect_err("no proxy").to_string();
        assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        for server in ["https://exempt", "https://127.0.0.1:6443", "http://h"] {
            assert_eq!(proxy_to(server, &bad), None, "{server}");
        }
    }
}
