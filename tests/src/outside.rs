//! The world outside: a namespace that knows hosts, each on a cable of its own, and nothing of what is behind them.
//! Every host's default routes lead there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use crate::host::Host;
use crate::netns::{Netns, Place};
use crate::underlay::veth;

/// The interface of a host that faces the outside.
pub const OUTER: &str = "out0";

/// The outside. It runs no daemon and forwards nothing.
#[derive(Debug)]
pub struct Outside {
    netns: Netns,
}

impl Outside {
    /// An address that no cable has, so that only a default route leads to it.
    pub const FAR4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    /// An address that no cable has, so that only a default route leads to it.
    pub const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1));

    /// The outside of these hosts, over cables of this MTU in bytes.
    pub fn of(hosts: &[&Host], mtu: u32) -> Result<Outside> {
        let outside = Outside { netns: Netns::create()? };
        for (address, length) in [(Outside::FAR4, 32), (Outside::FAR6, 128)] {
            outside.exec(&["ip", "address", "add", &format!("{address}/{length}"), "dev", "lo"])?;
        }
        hosts.iter().try_for_each(|host| outside.join(host, mtu))?;
        Ok(outside)
    }

    /// One more host.
    pub fn join(&self, host: &Host, mtu: u32) -> Result<()> {
        let end = format!("to-{}", host.name());
        veth(host, OUTER, self, &end, &mtu.to_string())?;
        let ends = [(host.outer4(), self.near4(host), 24), (host.outer6(), self.near6(host), 64)];
        for (inner, outer, length) in ends {
            host.exec(&["ip", "address", "add", &format!("{inner}/{length}"), "dev", OUTER])?;
            self.exec(&["ip", "address", "add", &format!("{outer}/{length}"), "dev", &end])?;
            host.exec(&["ip", "route", "add", "default", "via", &outer.to_string()])?;
        }
        Ok(())
    }

    /// Its IPv4 address on the cable to that host: the host's next hop.
    pub fn near4(&self, host: &Host) -> IpAddr {
        Ipv4Addr::new(198, 18, host.number(), 254).into()
    }

    /// Its IPv6 address on the cable to that host: the host's next hop.
    pub fn near6(&self, host: &Host) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, host.number().into(), 0, 0, 0, 0, 254).into()
    }
}

impl Place for Outside {
    fn netns(&self) -> Result<Netns> {
        Ok(self.netns.clone())
    }
}
