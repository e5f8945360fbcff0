//! From a configuration to an API server: through proxies, and with credentials that change.

mod certificates;
mod plugins;
mod proxies;

use podwait_tests::proxy::Proxy;
use std::net::SocketAddr;

/// The address of the proxy.
fn addr(proxy: &Proxy) -> SocketAddr {
    let authority = proxy.config().cluster_url.authority().expect("a host").to_string();
    authority.parse().expect("an address")
}
