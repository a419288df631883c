//! The few questions and orders to the kernel's links and routes, over one netlink socket of one namespace.
//! A socket belongs to the namespace in which it was opened, wherever the thread goes afterwards. Every order runs in
//! the kernel while it is being sent, and so blocks the thread: moving and renaming links is only for threads that have
//! nothing else to do.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use futures_util::StreamExt;
use ipnet::IpNet;
use nix::net::if_::if_nameindex;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressScope};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteScope, RouteType,
};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder, new_connection};
use wire::Mac;

/// What the alias of the switch's links begins with; the network's name follows.
pub(crate) const ALIAS: &str = "vswitch:";

/// One netlink socket.
pub(crate) struct Netlink {
    handle: Handle,
}

/// A route of the main table, to be made or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Where it leads.
    pub(crate) to: IpNet,
    /// The gateway; `None`: the destinations are on the link.
    pub(crate) via: Option<IpAddr>,
    /// The link.
    pub(crate) link: u32,
    /// Longest packet, in bytes; `None`: the link's.
    pub(crate) mtu: Option<u32>,
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace; its messages are driven by the thread's runtime.
    pub(crate) fn open() -> io::Result<Netlink> {
        let (connection, handle, _) = new_connection()?;
        tokio::spawn(connection);
        Ok(Netlink { handle })
    }

    /// Moves link `index` into the namespace `to` and gives it the name `name` there, in one message. When the name
    /// is taken (EEXIST) the link may have been moved all the same, and keeps its old name.
    pub(crate) async fn hand_over(&self, index: u32, to: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).setns_by_fd(to.as_raw_fd()).name(name)).await
    }

    /// Renames link `index`.
    pub(crate) async fn rename(&self, index: u32, name: &str) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).name(name)).await
    }

    /// Sets MAC, MTU and alias of link `index`.
    pub(crate) async fn dress(&self, index: u32, mac: Mac, mtu: u32, alias: &str) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).address(mac.0.to_vec()).mtu(mtu).alias(alias)).await
    }

    /// Sets the size of the largest super-frame, in bytes. Up to 65,536 this holds for IPv4 and IPv6; kernels from 6.3
    /// on follow with their separate limit for IPv4.
    pub(crate) async fn limit_super_frames(&self, index: u32, size: u32) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).append_extra_attribute(LinkAttribute::GsoMaxSize(size))).await
    }

    /// Adds an address. IPv6 goes without duplicate address detection: the address is the endpoint's by agreement of
    /// all hosts, and has to work at once.
    pub(crate) async fn add_address(&self, index: u32, address: IpNet, scope: AddressScope) -> io::Result<()> {
        let mut request = self.handle.address().add(index, address.addr(), address.prefix_len());
        let message = request.message_mut();
        message.header.scope = scope;
        if address.addr().is_ipv6() {
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        request.execute().await.map_err(errno)
    }

    /// Adds a route; that it is there already is fine.
    pub(crate) async fn add_route(&self, hop: Hop) -> io::Result<()> {
        match self.handle.route().add(hop.message()).execute().await.map_err(errno) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EEXIST) => Ok(()),
            result => result,
        }
    }

    /// Removes a route; that it is not there is fine.
    pub(crate) async fn delete_route(&self, hop: Hop) -> io::Result<()> {
        match self.handle.route().del(hop.message()).execute().await.map_err(errno) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
            result => result,
        }
    }

    /// The routes of a family in the main table, with those that lead nowhere, up to `most` of them.
    pub(crate) async fn routes(&self, v4: bool, most: usize) -> io::Result<Vec<RouteMessage>> {
        let mut ask = RouteMessage::default();
        ask.header.address_family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let mut answers = std::pin::pin!(self.handle.route().get(ask).execute());
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            let route = answer.map_err(errno)?;
            if table(&route) == u32::from(RouteHeader::RT_TABLE_MAIN) && found.len() < most {
                found.push(route);
            }
        }
        Ok(found)
    }

    /// Whether the main table has a default route of a family, be it one that leads nowhere.
    pub(crate) async fn has_default(&self, v4: bool) -> io::Result<bool> {
        const MOST: usize = 100_000;
        Ok(self.routes(v4, MOST).await?.iter().any(|route| route.header.destination_prefix_length == 0))
    }

    /// The gateways of the default routes of the main table that go by link `index`, IPv4 first.
    pub(crate) async fn ways_out(&self, index: u32) -> io::Result<Vec<IpAddr>> {
        const MOST: usize = 100_000;
        let mut routes = self.routes(true, MOST).await?;
        routes.extend(self.routes(false, MOST).await?);
        let by_it = |route: &RouteMessage| {
            route.header.destination_prefix_length == 0 && route.attributes.contains(&RouteAttribute::Oif(index))
        };
        let gateway = |route: RouteMessage| {
            route.attributes.into_iter().find_map(|attribute| match attribute {
                RouteAttribute::Gateway(RouteAddress::Inet(v4)) => Some(v4.into()),
                RouteAttribute::Gateway(RouteAddress::Inet6(v6)) => Some(v6.into()),
                _ => None,
            })
        };
        Ok(routes.into_iter().filter(by_it).filter_map(gateway).collect())
    }

    /// For questions that are asked in one place only.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Sets link `index` up.
    pub(crate) async fn up(&self, index: u32) -> io::Result<()> {
        self.set(LinkUnspec::new_with_index(index).up()).await
    }

    /// The number of the link `name`, and whether it is the switch's: a TUN or TAP device, or a veth link whose alias says so;
    /// `None` when there is no such link.
    pub(crate) async fn find(&self, name: &str) -> io::Result<Option<(u32, bool)>> {
        let mut answers = std::pin::pin!(self.handle.link().get().match_name(name.to_owned()).execute());
        match answers.next().await {
            Some(Ok(link)) => Ok(Some((link.header.index, is_tun(&link) || is_our_veth(&link)))),
            Some(Err(error)) => match errno(error) {
                error if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
                error => Err(error),
            },
            None => Ok(None),
        }
    }

    /// The name of the TUN or TAP device with that MAC address.
    pub(crate) async fn find_mac(&self, mac: Mac) -> io::Result<Option<String>> {
        let mut answers = std::pin::pin!(self.handle.link().get().execute());
        let mut found = None;
        while let Some(answer) = answers.next().await {
            let link = answer.map_err(errno)?;
            let is = |attribute: &LinkAttribute| *attribute == LinkAttribute::Address(mac.0.to_vec());
            if found.is_none() && is_tun(&link) && link.attributes.iter().any(is) {
                found = link.attributes.into_iter().find_map(|attribute| match attribute {
                    LinkAttribute::IfName(name) => Some(name),
                    _ => None,
                });
            }
        }
        Ok(found)
    }

    /// Deletes link `index`.
    pub(crate) async fn delete(&self, index: u32) -> io::Result<()> {
        self.handle.link().del(index).execute().await.map_err(errno)
    }

    /// Changes a link.
    pub(crate) async fn set(&self, link: LinkMessageBuilder<LinkUnspec>) -> io::Result<()> {
        self.handle.link().set(link.build()).execute().await.map_err(errno)
    }
}

impl Hop {
    fn message(&self) -> RouteMessage {
        let mut message = match self.to {
            IpNet::V4(to) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(to.network(), to.prefix_len())
                .build(),
            IpNet::V6(to) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(to.network(), to.prefix_len())
                .build(),
        };
        if self.to.prefix_len() == 0 {
            // A default route has no destination, not one of zeros.
            message.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::Destination(_)));
        }
        message.header.kind = RouteType::Unicast;
        message.header.scope = match (self.to, self.via) {
            (IpNet::V4(_), None) => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        message.attributes.push(RouteAttribute::Oif(self.link));
        message.attributes.extend(self.via.map(|via| RouteAttribute::Gateway(RouteAddress::from(via))));
        message.attributes.extend(self.mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])));
        message
    }
}

/// The table that a route is in.
fn table(route: &RouteMessage) -> u32 {
    let wide = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    wide.unwrap_or(route.header.table.into())
}

/// The names of all links in the calling thread's namespace.
pub(crate) fn names() -> io::Result<HashSet<String>> {
    Ok(if_nameindex()?.iter().map(|link| link.name().to_string_lossy().into_owned()).collect())
}

fn is_tun(link: &LinkMessage) -> bool {
    is_kind(link, &InfoKind::Tun)
}

fn is_our_veth(link: &LinkMessage) -> bool {
    let is_ours =
        |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfAlias(alias) if alias.starts_with(ALIAS));
    is_kind(link, &InfoKind::Veth) && link.attributes.iter().any(is_ours)
}

fn is_kind(link: &LinkMessage, kind: &InfoKind) -> bool {
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.contains(&LinkInfo::Kind(kind.clone())),
        _ => false,
    })
}

/// The kernel's answer as an I/O error; what is none becomes text.
pub(crate) fn errno(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
