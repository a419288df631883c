//! Socket addresses in the kernel's layout (`sockaddr_in`, `sockaddr_in6`), written and read as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const LEN_V4: usize = 16;
const LEN_V6: usize = 28;

/// A socket address as the kernel has it, of either family.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Name {
    pub(super) bytes: [u8; LEN_V6],
    pub(super) len: libc::socklen_t,
}

impl Name {
    /// Room for an address that the kernel will write.
    pub(super) const EMPTY: Name = Name { bytes: [0; LEN_V6], len: LEN_V6 as libc::socklen_t };

    /// `address` for a socket of IPv6, or IPv4. `None` if it cannot be reached from there; an IPv6 socket reaches IPv4
    /// by mapped addresses (and the kernel refuses if the socket is bound to an IPv6 address).
    pub(super) fn new(address: SocketAddr, v6: bool) -> Option<Name> {
        let mut name = Name::EMPTY;
        name.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match (v6, address.ip()) {
            (false, IpAddr::V4(ip)) => {
                name.bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                name.bytes[4..8].copy_from_slice(&ip.octets());
                name.len = LEN_V4 as libc::socklen_t;
            }
            (false, IpAddr::V6(_)) => return None,
            (true, ip) => {
                let octets = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                name.bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                name.bytes[8..24].copy_from_slice(&octets);
            }
        }
        Some(name)
    }

    /// What the kernel wrote; mapped IPv4 addresses come out as IPv4.
    pub(super) fn get(&self) -> Option<SocketAddr> {
        let family = i32::from(u16::from_ne_bytes([self.bytes[0], self.bytes[1]]));
        let port = u16::from_be_bytes([self.bytes[2], self.bytes[3]]);
        let ip = match (family, self.len as usize) {
            (libc::AF_INET, LEN_V4..) => IpAddr::V4(Ipv4Addr::from(*self.bytes[4..].first_chunk()?)),
            (libc::AF_INET6, LEN_V6..) => Ipv6Addr::from(*self.bytes[8..].first_chunk()?).to_canonical(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip_and_mapped_ones_come_out_as_ipv4() {
        for (text, v6) in [("10.0.0.1:4789", false), ("10.0.0.1:4789", true), ("[fd00::7]:61000", true)] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Name::new(address, v6).unwrap().get(), Some(address));
        }
        assert!(Name::new("[fd00::7]:1".parse().unwrap(), false).is_none());
        assert!(Name::EMPTY.get().is_none());
    }
}
