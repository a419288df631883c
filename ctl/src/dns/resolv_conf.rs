//! What a resolv.conf says (resolv.conf(5)): whom to ask, which is for us; search domains and options, which are for who
//! resolves, the container.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use nix::net::if_::if_nametoindex;

use crate::model::Resolver;

/// The host's own.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where name servers listen.
pub(super) const PORT: u16 = 53;

/// The servers of a file, in its order; the one on this machine where it names none (resolv.conf(5)).
pub(super) fn servers(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "nameserver" {
            return None;
        }
        server(words.next()?)
    });
    let servers: Vec<SocketAddr> = servers.collect();
    if servers.is_empty() { vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))] } else { servers }
}

/// Its search domains and options, as far as they can be another file's.
pub(super) fn lines(text: &str) -> Resolver {
    let mut lines = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (first, words) = (words.next().unwrap_or_default(), words.map(str::to_owned));
        match first {
            // The last line of either kind counts.
            "search" => lines.search = words.collect(),
            "domain" => lines.search = words.take(1).collect(),
            "options" => lines.options.extend(words),
            _ => {}
        }
    }
    lines.sane()
}

/// An address; a link-local one of IPv6 may name its interface (`fe80::1%eth0`).
fn server(word: &str) -> Option<SocketAddr> {
    let (address, interface) = match word.split_once('%') {
        Some((address, interface)) => (address, Some(interface)),
        None => (word, None),
    };
    match (address.parse().ok()?, interface) {
        (IpAddr::V6(address), Some(interface)) => {
            let index = interface.parse().ok().or_else(|| if_nametoindex(interface).ok())?;
            Some(SocketAddrV6::new(address, PORT, 0, index).into())
        }
        (address, _) => Some(SocketAddr::new(address, PORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_in_their_order_and_nothing_else() {
        let text = "# nameserver 192.0.2.1\nsearch a b\n\nnameserver 192.0.2.2\n nameserver\tfd00::53 # x\n\
                    nameserver fe80::1%lo\nnameserver fe80::1%nowhere0\nnameserver x\nnameserver\noptions ndots:1";
        let lo = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 53, 0, if_nametoindex("lo").unwrap()));
        assert_eq!(servers(text), ["192.0.2.2:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap(), lo]);
        assert_eq!(servers("search a"), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn the_last_search_line_and_all_options() {
        let text = "search old.example\ndomain x.example\noptions edns0\nsearch corp.example bad..name corp.test.\n\
                    # options no\noptions timeout:1 a/b\nnameserver 192.0.2.1";
        let lines = lines(text);
        assert_eq!(lines.search, ["corp.example", "corp.test."]);
        assert_eq!(lines.options, ["edns0", "timeout:1"]);
        assert!(lines.nameservers.is_empty() && super::lines("domain a b").search == ["a"]);
    }
}
