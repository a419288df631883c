//! Reads [`Facts`] from the kernel, and hears when they change. Decides nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::StreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHopFlags, RoutePreference, RouteType,
    RouteVia,
};
use rtnetlink::{MulticastGroup, new_multicast_connection};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::facts::{Address, Facts, Link, Path};
use crate::netlink::{Netlink, errno};

/// Routes of a family that are looked at; a full table of the Internet has about a million.
const MOST: usize = 2_000_000;

/// Asks the kernel for everything.
pub(super) async fn facts(netlink: &Netlink) -> io::Result<Facts> {
    let mut facts = Facts::default();
    let mut links = std::pin::pin!(netlink.handle().link().get().execute());
    while let Some(message) = links.next().await {
        let message = message.map_err(errno)?;
        facts.links.insert(message.header.index, link(&message));
    }
    let mut addresses = std::pin::pin!(netlink.handle().address().get().execute());
    while let Some(message) = addresses.next().await {
        facts.addresses.extend(address(&message.map_err(errno)?));
    }
    for v4 in [true, false] {
        facts.paths.extend(netlink.routes(v4, MOST).await?.iter().filter_map(path));
    }
    Ok(facts)
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        name: String::new(),
        mtu: 0,
        steerable: is_steerable(message.header.link_layer_type),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        up: message.header.flags.contains(LinkFlags::Up),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            _ => {}
        }
    }
    link
}

/// Ethernet; or the IP header comes first, as in a tunnel.
fn is_steerable(layer: LinkLayerType) -> bool {
    use LinkLayerType::{Ether, None, Ppp, Rawip, Sit, Tunnel, Tunnel6};
    matches!(layer, Ether | None | Ppp | Rawip | Sit | Tunnel | Tunnel6)
}

/// `None` for an address that is not (yet) the host's: duplicate address detection goes on, or found another owner.
fn address(message: &AddressMessage) -> Option<Address> {
    let (mut near, mut far) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => near = Some(*ip),
            AddressAttribute::Address(ip) => far = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let ip = near.or(far)?;
    let optimistic = flags.contains(AddressFlags::Optimistic);
    if flags.contains(AddressFlags::Dadfailed) || flags.contains(AddressFlags::Tentative) && !optimistic {
        return None;
    }
    let net = IpNet::new(far.unwrap_or(ip), message.header.prefix_len).ok()?.trunc();
    Some(Address {
        link: message.header.index,
        ip,
        net,
        scope: message.header.scope.into(),
        secondary: flags.contains(AddressFlags::Secondary),
        deprecated: flags.contains(AddressFlags::Deprecated),
    })
}

/// `None` for what is no way: other kinds than unicast, dead ones, clones of the cache, those for some packets only.
fn path(message: &RouteMessage) -> Option<Path> {
    let header = &message.header;
    let void = header.flags.intersects(RouteFlags::Dead | RouteFlags::Cloned);
    if header.kind != RouteType::Unicast || void || header.tos != 0 || header.source_prefix_length != 0 {
        return None;
    }
    let v4 = header.address_family == rtnetlink::packet_route::AddressFamily::Inet;
    let everything = if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let (mut to, mut source, mut metric, mut mtu, mut rank) = (everything, None, 0, None, 1);
    let (mut out, mut via) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Preference(preference) => rank = order(*preference),
            RouteAttribute::Oif(index) => out = Some(*index),
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::Via(RouteVia::Inet6(address)) => via = Some((*address).into()),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                    _ => None,
                });
            }
            RouteAttribute::MultiPath(hops) => {
                let hop = hops.iter().find(|hop| !hop.flags.contains(RouteNextHopFlags::Dead))?;
                out = Some(hop.interface_index);
                via = hop.attributes.iter().find_map(|attribute| match attribute {
                    RouteAttribute::Gateway(address) => ip(address),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let to = IpNet::new(to, header.destination_prefix_length).ok()?.trunc();
    Some(Path { to, link: out?, via, source, scope: header.scope.into(), metric, rank, mtu })
}

fn order(preference: RoutePreference) -> u8 {
    match preference {
        RoutePreference::High => 0,
        RoutePreference::Low => 2,
        _ => 1,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// Hears that something changed; what it was is to be asked.
pub(super) struct Monitor {
    heard: watch::Receiver<()>,
    /// Whoever reads the socket.
    connection: AbortHandle,
}

impl Monitor {
    /// Begins to listen in the calling thread's namespace.
    pub(super) fn open() -> io::Result<Monitor> {
        use MulticastGroup::{Ipv4Ifaddr, Ipv4Route, Ipv6Ifaddr, Ipv6Route, Link};
        let groups = [Link, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route];
        let (connection, _, mut messages) = new_multicast_connection(&groups)?;
        let connection = tokio::spawn(connection).abort_handle();
        let (tell, heard) = watch::channel(());
        // One mark for all that comes while nobody looks: a busy routing daemon fills no queue. An overrun of the
        // socket's buffer is a message as well.
        tokio::spawn(async move { while messages.next().await.is_some() && tell.send(()).is_ok() {} });
        Ok(Monitor { heard, connection })
    }

    /// Waits for a change. False: nothing is heard any more, and a new monitor is needed.
    pub(super) async fn changed(&mut self) -> bool {
        self.heard.changed().await.is_ok()
    }

    /// Forgets what was heard so far.
    pub(super) fn drain(&mut self) {
        self.heard.mark_unchanged();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
