//! The default routes of a sandbox. One that is there stays, whoever made it; a family that has none gets the first way
//! that works. A way goes with its link, so that nothing ever has to be removed.

use std::io;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nix::libc;
use nix::net::if_::if_nametoindex;

use super::{Error, Netns, thread};
use crate::netlink::{Hop, Netlink};

/// A way out of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The link's name in the sandbox.
    pub ifname: String,
    /// The network's gateway.
    pub gateway: IpAddr,
}

/// Gives `netns` a default route of each family that has none: by the first of `ways` whose link is there and up.
///
/// # Errors
/// [`Error::Link`] when the kernel refuses a route for another reason.
pub async fn lead_out(netns: &Netns, ways: &[Way]) -> Result<(), Error> {
    let sandbox = netns.reference().path.display().to_string();
    let ways = ways.to_vec();
    thread::inside(netns, async move |inside| {
        for way in ways {
            let Ok(index) = if_nametoindex(way.ifname.as_str()) else { continue };
            match add_default(&inside, index, way.gateway).await {
                Err(source) if !is_unfit(&source) => {
                    return Err(Error::Link { ifname: way.ifname, sandbox, step: "add the default route", source });
                }
                _ => {}
            }
        }
        Ok(())
    })
    .await
}

/// Adds a default route, unless there is one of that family.
pub(super) async fn add_default(inside: &Netlink, index: u32, gateway: IpAddr) -> io::Result<()> {
    if inside.has_default(gateway.is_ipv4()).await? {
        return Ok(());
    }
    let to = if gateway.is_ipv4() { IpNet::from(Ipv4Net::default()) } else { IpNet::from(Ipv6Net::default()) };
    inside.add_route(Hop { to, via: Some(gateway), link: index, mtu: None }).await
}

/// Whether the link cannot carry the way: it is down, on its way out, or has lost its address by the container's hand.
fn is_unfit(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENETDOWN | libc::ENETUNREACH | libc::EHOSTUNREACH))
}
