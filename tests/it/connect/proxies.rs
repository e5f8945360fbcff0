//! Proxies before an API server that cannot be reached without one.

use super::addr;
use podwait_sim::Cluster;
use podwait_tests::gateway::Gateway;
use podwait_tests::proxy::Proxy;

/// An API server with TLS, and a gateway before it.
async fn behind(has_tls: bool) -> (Proxy, Gateway) {
    let cluster = Cluster::new();
    let proxy = Proxy::start(cluster.client()).await.expect("a port");
    let gateway = Gateway::start(addr(&proxy), has_tls).await.expect("a port");
    (proxy, gateway)
}

/// A configuration for that server by another name, through the gateway.
fn config(proxy: &Proxy, gateway: &Gateway, proxy_url: &str) -> kube::Config {
    let mut config = proxy.config();
    config.cluster_url = "https://api.invalid:6443".parse().expect("a URL");
    config.tls_server_name = Some(String::from("127.0.0.1"));
    config.proxy_url =
        Some(proxy_url.replace("GATEWAY", &gateway.addr().to_string()).parse().expect("a URL"));
    config.root_cert.as_mut().expect("an authority").push(gateway.certificate());
    config
}

#[tokio::test]
async fn with_a_proxy_url_of_each_kind_the_server_is_reached() {
    for (proxy_url, has_tls, seen) in [
        ("http://GATEWAY", false, "CONNECT api.invalid:6443 HTTP/1.1\r\n"),
        ("https://GATEWAY", true, "CONNECT api.invalid:6443 HTTP/1.1\r\n"),
        ("socks5://GATEWAY", false, "socks5 api.invalid:6443"),
        ("socks5://me:p%40ss@GATEWAY", false, "socks5 api.invalid:6443 me:p@ss"),
    ] {
        let (proxy, gateway) = behind(has_tls).await;
        let client = podwait::Client::from_config(config(&proxy, &gateway, proxy_url)).expect("a client");
        podwait::check_access(&client, "ci", "p").await.expect(proxy_url);
        assert_eq!(proxy.traffic().requests.get, 1);
        let connections = gateway.seen();
        assert_eq!(connections.len(), 1);
        assert!(connections[0].starts_with(seen), "{connections:?}");
        assert!(!connections[0].contains("Proxy-Authorization"), "{connections:?}");
    }
}

#[tokio::test]
async fn a_proxy_gets_its_name_and_password_and_they_are_in_no_error() {
    let header = "Proxy-Authorization: Basic bWU6cEBzcw==\r\n";
    let (proxy, gateway) = behind(false).await;
    let client =
        podwait::Client::from_config(config(&proxy, &gateway, "http://me:p%40ss@GATEWAY")).expect("a client");
    podwait::check_access(&client, "ci", "p").await.expect("access");
    assert!(gateway.seen()[0].contains(header), "{:?}", gateway.seen());
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    for scheme in ["http", "https", "socks5"] {
        let url = format!("{scheme}://me:secret@{closed}");
        let client = podwait::Client::from_config(config(&proxy, &gateway, &url)).expect("a client");
        let failure = podwait::check_access(&client, "ci", "p").await.expect_err("no process listens there");
        let expected = format!("the proxy {scheme}://{closed}: ");
        assert!(failure.message.starts_with(&expected) && failure.message.contains("refused"), "{failure:?}");
        assert!(!failure.message.contains("secret"), "{failure:?}");
    }
}

/// Proxies refuse `CONNECT` to ports without TLS, and Go does not use it there.
#[tokio::test]
async fn requests_to_a_server_without_tls_have_its_whole_url() {
    let cluster = Cluster::new();
    let server = cluster.serve().await.expect("a port");
    for (url, seen) in [
        ("http://me:p%40ss@GATEWAY", "GET http://api.invalid/api/v1/namespaces/ci/pods/p"),
        ("socks5://GATEWAY", "socks5 api.invalid:80"),
    ] {
        let gateway = Gateway::start(server.addr(), false).await.expect("a port");
        let mut config = kube::Config::new("http://u:secret@api.invalid".parse().expect("a URL"));
        config.proxy_url = Some(url.replace("GATEWAY", &gateway.addr().to_string()).parse().expect("a URL"));
        let client = podwait::Client::from_config(config).expect("a client");
        podwait::check_access(&client, "ci", "p").await.expect("access");
        let connections = gateway.seen();
        assert!(connections[0].starts_with(seen), "{connections:?}");
        let header = "proxy-authorization: basic bwu6cebzcw==";
        assert_eq!(
            connections[0].to_ascii_lowercase().contains(header),
            url.starts_with("http"),
            "{connections:?}"
        );
    }
}
