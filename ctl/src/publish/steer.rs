//! Which packets from other machines go to the switch for a publication. What does not, because the container has no
//! address of that family, or comes from this host, meets the host's own socket and the proxy behind it.

use std::net::IpAddr;

use super::{At, Ports, Protocol};

/// Destination addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every local IPv4 address.
    AnyV4,
    /// Every local IPv6 address.
    AnyV6,
    /// One.
    At(IpAddr),
}

/// One range of ports at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steer {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Destination addresses.
    pub reach: Reach,
    /// Destination ports.
    pub ports: Ports,
}

impl Steer {
    /// What is to be steered for ports published at `at`, to a container that has these families.
    pub fn of(protocol: Protocol, at: At, ports: Ports, has_v4: bool, has_v6: bool) -> Vec<Steer> {
        let reach = match at {
            // Nothing for it comes from outside.
            At::Address(address) if address.is_loopback() => vec![],
            At::Address(address) if if address.is_ipv4() { has_v4 } else { has_v6 } => vec![Reach::At(address)],
            At::Address(_) => vec![],
            any => {
                let v4 = (has_v4 && any.has(true)).then_some(Reach::AnyV4);
                let v6 = (has_v6 && any.has(false)).then_some(Reach::AnyV6);
                v4.into_iter().chain(v6).collect()
            }
        };
        reach.into_iter().map(|reach| Steer { protocol, reach, ports }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_container_has_an_address_for_is_steered() {
        let ports = Ports { first: 80, last: 80 };
        let reach = |at: &str, v4, v6| {
            let at = if at.is_empty() { At::Any } else { at.parse().unwrap() };
            Steer::of(Protocol::Tcp, at, ports, v4, v6).iter().map(|steer| steer.reach).collect::<Vec<_>>()
        };
        assert_eq!(reach("", true, true), [Reach::AnyV4, Reach::AnyV6]);
        assert_eq!(reach("", true, false), [Reach::AnyV4]);
        assert_eq!(reach("0.0.0.0", true, true), [Reach::AnyV4]);
        assert_eq!(reach("0.0.0.0", false, true), []);
        assert_eq!(reach("192.0.2.1", true, false), [Reach::At("192.0.2.1".parse().unwrap())]);
        assert_eq!(reach("fd00::1", true, false), []);
        assert_eq!(reach("127.0.0.1", true, true), []);
    }
}
