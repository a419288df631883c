//! The name servers in a resolv.conf. Only those: search domains and options are for who resolves, which is the container.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

use nix::net::if_::if_nametoindex;

/// Where name servers listen.
pub(super) const PORT: u16 = 53;

/// The servers of a file, in its order; the one on this machine where it names none (resolv.conf(5)).
pub(super) fn parse(text: &str) -> Vec<SocketAddr> {
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
        assert_eq!(parse(text), ["192.0.2.2:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap(), lo]);
        assert_eq!(parse("search a"), ["127.0.0.1:53".parse().unwrap()]);
    }
}
