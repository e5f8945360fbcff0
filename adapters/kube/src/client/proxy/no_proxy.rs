//! NO_PROXY by Go's rules (golang.org/x/net/http/httpproxy, `useProxy` and `init`).

use std::net::IpAddr;

/// Whether requests to this host and port go without a proxy of the environment.
///
/// Loopback is always exempt. The entries, separated by commas, are: `*`; an IP address or a domain, each with or
/// without a port; a network as a CIDR prefix. `example.com` means that host and all its subdomains, `.example.com` and
/// `*.example.com` only the subdomains. Other entries are ignored. Names with non-ASCII letters have to be written as
/// in DNS (`xn--...`).
pub(super) fn exempts(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let ip: Option<IpAddr> = host.parse().ok().map(|ip: IpAddr| ip.to_canonical());
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    list.split(',').any(|entry| matches(&entry.trim().to_ascii_lowercase(), &host, ip, port))
}

fn matches(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = network(entry) {
        return ip.is_some_and(|ip| is_in(ip, network, bits));
    }
    let (name, its_port) = split_port(entry);
    if !its_port.is_empty() && its_port != port.to_string() {
        return false;
    }
    if let Ok(its_ip) = name.parse::<IpAddr>() {
        return ip == Some(its_ip.to_canonical());
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some("") | None if name.is_empty() || name == "." => false,
        Some(_) => host.ends_with(name),
        None => host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    }
}

fn network(entry: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = entry.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

fn is_in(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (ip.to_bits() ^ network.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            (ip.to_bits() ^ network.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// `host:port`, `[IPv6]:port`, or a host alone, as in Go's `net.SplitHostPort`.
fn split_port(entry: &str) -> (&str, &str) {
    if let Some((address, port)) = entry.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return (address, port);
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port),
        Some(_) | None => (entry, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list and the hosts of httpproxy's own test (`TestUseProxy`).
    #[test]
    fn as_go_has_it() {
        let list = "foo.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, \
                    2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, \
                    :1, .:80, ., /24, 1.2.3.4/33, , *. ,exact.org:80";
        for (host, exempt) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.0.0.2", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("[::2]", false),
            ("0.0.0.0", false),
            ("192.168.1.1", true),
            ("192.168.1.2", false),
            ("192.168.1.3", true),
            ("192.168.1.4", false),
            ("10.0.0.2", true),
            ("10.0.0.4", false),
            ("[2001:db8::52:0:1]", true),
            ("[2001:db8::52:0:2]", false),
            ("[2001:db8::52:0:3]", true),
            ("[2002:db8:a::123]", true),
            ("[fe80::424b:c8be:1643:a1b6]", false),
            ("barbaz.net", false),
            ("www.barbaz.net", true),
            ("foobarbaz.net", false),
            ("foo.com", true),
            ("FOO.com", true),
            ("www.foo.com", true),
            ("foofoo.com", false),
            ("a.com", false),
            ("wildcard.io", false),
            ("nested.wildcard.io", true),
            ("awildcard.io", false),
            ("exact.org", true),
        ] {
            assert_eq!(exempts(list, host, 80), exempt, "{host}");
        }
    }

    #[test]
    fn edges() {
        assert!(exempts("0.0.0.0/0", "8.8.8.8", 443) && !exempts("0.0.0.0/0", "[2001::1]", 443));
        assert!(exempts("::/0", "[2001::1]", 443) && !exempts("::/0", "h", 443));
        assert!(exempts("8.8.8.8/32", "8.8.8.8", 443) && !exempts("8.8.8.8/32", "8.8.8.9", 443));
        assert!(exempts("a,*,b", "h", 443) && !exempts("", "h", 443) && !exempts("**", "h", 443));
        assert!(exempts("h:443", "h", 443) && !exempts("h:6443", "h", 443) && exempts("h:", "h", 443));
        assert!(!exempts("api", "k8s.example", 443) && !exempts("example.com.", "example.com", 443));
    }
}
